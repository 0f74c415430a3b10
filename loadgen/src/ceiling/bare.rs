//! The least that a client can do: no schedule, no numbers, no counts.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use super::Singles;
use crate::clock::Clock;
use crate::cores::Pause;
use crate::echo::{MESSAGE_BYTES, beside_echo, now_or_zero};
use crate::engine::BATCH;
use crate::schedule::Times;

/// As many as the engine puts into sockets in one turn.
const CHUNK: [u8; BATCH * MESSAGE_BYTES] = [0; BATCH * MESSAGE_BYTES];

/// Single messages at these times: wait, write, read.
pub(super) fn ping_pong(times: &Times, singles: &mut Singles) -> io::Result<()> {
    beside_echo(1, |streams| {
        let mut stream: &TcpStream = &streams[0];
        ready(stream)?;
        let pause = Pause::fitting();
        let clock = Clock::start();
        for &due in &times.due {
            let mut begun = clock.now();
            while begun < due {
                pause.pause();
                begun = clock.now();
            }
            stream.write_all(&[0; MESSAGE_BYTES])?;
            let (mut answer, mut length) = ([0; MESSAGE_BYTES], 0);
            while length < MESSAGE_BYTES {
                match read(&mut stream, &mut answer[length..])? {
                    0 => pause.pause(),
                    read => length += read,
                }
            }
            let now = clock.now();
            singles.from_write.record(now.saturating_sub(begun));
            singles.from_due.record(now.saturating_sub(due));
        }
        Ok(())
    })
}

/// So many messages over so many connections as fast as they go; how long it took, in nanoseconds.
pub(super) fn flood(messages: u64, sessions: usize) -> io::Result<u64> {
    beside_echo(sessions, |streams| {
        streams.iter().try_for_each(ready)?;
        let pause = Pause::fitting();
        let mut room = vec![0; 64 * 1024];
        let share = |index: usize| {
            let more = u64::from((index as u64) < messages % sessions as u64);
            (messages / sessions as u64 + more) * MESSAGE_BYTES as u64
        };
        // Bytes to write and bytes to read.
        let mut left: Vec<(u64, u64)> =
            (0..sessions).map(|index| (share(index), share(index))).collect();
        let clock = Clock::start();
        while left.iter().any(|(_, unread)| *unread > 0) {
            let mut moved = 0;
            for (mut stream, (unsent, unread)) in streams.iter().zip(&mut left) {
                let chunk = &CHUNK[..CHUNK.len().min(*unsent as usize)];
                let written = if chunk.is_empty() { 0 } else { now_or_zero(stream.write(chunk))? };
                *unsent -= written as u64;
                let read = if *unread > 0 { read(&mut stream, &mut room)? } else { 0 };
                *unread -= read as u64;
                moved += written + read;
            }
            if moved == 0 {
                pause.pause();
            }
        }
        Ok(clock.now())
    })
}

fn ready(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)
}

/// What is there now.
fn read(stream: &mut &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    match stream.read(into) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        read => now_or_zero(read),
    }
}
