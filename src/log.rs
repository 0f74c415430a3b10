//! The log: lines on standard error. What runs outlives its log: a line that nobody takes, because
//! the disk is full, the reader gone or at a standstill, is dropped and counted.

use std::fmt;
use std::io::{Write, stderr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// A reader that is slow has so long to take some of what waits for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// A pipe that takes anything takes so much without waiting (`PIPE_BUF`).
const PIECE_BYTES: usize = 4096;

/// Lines since the last one that somebody took.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Writes a line. Of a reader that is at a standstill only the first line finds that out by
/// waiting.
pub fn say(line: fmt::Arguments<'_>) {
    // Held while a line is written, so that lines stay whole and in order.
    let mut log = stderr().lock();
    let lost = LOST.load(Ordering::Relaxed);
    let mut text = String::new();
    if lost > 0 {
        text = format!("ringframe: {lost} lines before this one were lost: nobody took them\n");
    }
    text += &format!("ringframe: {line}\n");
    let patience = if lost > 0 { Duration::ZERO } else { PATIENCE };
    let is_taken = text
        .as_bytes()
        .chunks(PIECE_BYTES)
        .all(|piece| takes_some(&log, patience) && log.write_all(piece).is_ok());
    LOST.store(if is_taken { 0 } else { lost + 1 }, Ordering::Relaxed);
}

/// Whether a page can be written there without waiting. What has no reader any more counts, too:
/// to write says so.
pub fn is_read(stream: impl AsFd) -> bool {
    takes_some(stream, PATIENCE)
}

fn takes_some(stream: impl AsFd, patience: Duration) -> bool {
    let patience = Timespec::try_from(patience).expect("it is short");
    loop {
        let mut streams = [PollFd::new(&stream, PollFlags::OUT)];
        match poll(&mut streams, Some(&patience)) {
            // A signal came, such as the one to end.
            Err(Errno::INTR) => {}
            found => return !matches!(found, Ok(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_is_full_takes_nothing_and_one_without_a_reader_fails_at_once() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
        assert!(takes_some(&writer, Duration::ZERO));
        rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        while writer.write(&[0; PIECE_BYTES]).is_ok() {}
        assert!(!takes_some(&writer, Duration::ZERO));
        drop(reader);
        assert!(takes_some(&writer, Duration::ZERO) && writer.write(&[0]).is_err());
    }
}
