//! One TCP connection: packets in both directions, and heartbeats.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::Duration;

use super::socket::{Socket, at_least_a_little};
use super::{ClientError, Login, Timing};
use crate::clock::Clock;
use crate::types::Nanos;
use crate::wire::soup::{
    FromClient, FromServer, HEADER_BYTES, LoginAccepted, LoginReject, PACKET_BYTES_MAX,
};

/// Room for the longest packet and for much of what comes behind it.
const INPUT_BYTES: usize = 2 * PACKET_BYTES_MAX;

/// What a server said, but for heartbeats.
pub(super) enum Arrived {
    Accepted(LoginAccepted),
    Rejected(LoginReject),
    /// Where [`Connection::message`] finds it.
    Message(Range<usize>),
    End,
}

/// Errors are texts: whatever went wrong, it is lost, and a new one is the remedy.
pub(super) struct Connection {
    socket: Socket,
    clock: Clock,
    timing: Timing,
    input: Box<[u8]>,
    /// Of `input`, what came and was not yet handed out.
    start: usize,
    end: usize,
    output: Box<[u8]>,
    /// Whether the login was answered: until then the caller says how long to wait.
    is_in: bool,
    /// When something was last said …
    said: Nanos,
    /// … and heard.
    heard: Nanos,
}

impl Connection {
    pub(super) fn open(address: &str, login: &Login, clock: Clock) -> Result<Self, ClientError> {
        let timing = login.timing;
        let socket = Socket::open(address, login.tls.as_ref(), timing.connect)?;
        let patience = Some(at_least_a_little(timing.silence));
        socket
            .tcp()
            .set_write_timeout(patience)
            .map_err(|why| ClientError::Lost { why: format!("{address}: {why}") })?;
        let now = clock.now();
        Ok(Self {
            socket,
            clock,
            timing,
            input: vec![0; INPUT_BYTES].into(),
            start: 0,
            end: 0,
            output: vec![0; PACKET_BYTES_MAX].into(),
            is_in: false,
            said: now,
            heard: now,
        })
    }

    /// What has no room in a packet must not come here.
    pub(super) fn send(&mut self, packet: FromClient<'_>) -> Result<(), String> {
        let bytes = packet.encode(&mut self.output).ok_or("a packet has no room for this")?;
        self.socket.write_all(&self.output[..bytes]).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("the server took no bytes for {:?}", self.timing.silence)
            }
            _ => format!("sending: {error}"),
        })?;
        self.said = self.clock.now();
        Ok(())
    }

    /// Waits until something is there that is no heartbeat, but no longer than `until`. What has
    /// arrived comes out before it is said that the connection is lost.
    pub(super) fn wait(&mut self, until: Nanos) -> Result<Option<Arrived>, String> {
        loop {
            if let Some(arrived) = self.next_arrived()? {
                return Ok(Some(arrived));
            }
            let now = self.clock.now();
            let beat = after(self.said, self.timing.heartbeat);
            if now >= beat {
                self.send(FromClient::Heartbeat)?;
                continue;
            }
            let silence = if self.is_in { self.timing.silence } else { Duration::MAX };
            let lost = after(self.heard, silence);
            let wake = until.min(beat).min(lost);
            // Silence is judged by what could be read, not by how long nobody called.
            if self.read(wake.0.saturating_sub(now.0))? {
                self.heard = self.clock.now();
                continue;
            }
            let now = self.clock.now();
            if now >= lost {
                return Err(format!("the server said nothing for {silence:?}"));
            }
            if now >= until {
                return Ok(None);
            }
        }
    }

    /// The bytes of a message, until the next call of [`Self::wait`].
    pub(super) fn message(&self, at: Range<usize>) -> &[u8] {
        &self.input[at]
    }

    fn next_arrived(&mut self) -> Result<Option<Arrived>, String> {
        loop {
            let packet = FromServer::split(&self.input[self.start..self.end], PACKET_BYTES_MAX)
                .map_err(|broken| format!("the server sent what is no packet: {broken}"))?;
            let Some((packet, bytes)) = packet else { return Ok(None) };
            let at = self.start + HEADER_BYTES..self.start + bytes;
            self.start += bytes;
            return Ok(Some(match packet {
                FromServer::Data(_) => Arrived::Message(at),
                FromServer::Accepted(accepted) => {
                    self.is_in = true;
                    Arrived::Accepted(accepted)
                }
                FromServer::Rejected(reject) => Arrived::Rejected(reject),
                FromServer::End => Arrived::End,
                FromServer::Debug(_) | FromServer::Heartbeat => continue,
            }));
        }
    }

    /// Reads what is there, after waiting for it that long at most; `false` when nothing is.
    fn read(&mut self, nanos: u64) -> Result<bool, String> {
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let read = self.read_within(Duration::from_nanos(nanos));
        match read {
            Ok(0) => Err("the server closed the connection".to_owned()),
            Ok(bytes) => {
                self.end += bytes;
                Ok(true)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(false),
                _ => Err(format!("receiving: {error}")),
            },
        }
    }

    fn read_within(&mut self, time: Duration) -> io::Result<usize> {
        let room = &mut self.input[self.end..];
        if time.is_zero() {
            self.socket.tcp().set_nonblocking(true)?;
            let read = self.socket.read(room);
            self.socket.tcp().set_nonblocking(false)?;
            return read;
        }
        self.socket.tcp().set_read_timeout(Some(at_least_a_little(time)))?;
        self.socket.read(room)
    }
}

/// So long after a time.
pub(super) fn after(time: Nanos, more: Duration) -> Nanos {
    time.after(u64::try_from(more.as_nanos()).unwrap_or(u64::MAX))
}
