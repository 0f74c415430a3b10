//! The machine's own floor: an open loop against a bare TCP echo on loopback.
//!
//! Two threads, the client's and the echo's, poll their nonblocking sockets without ever sleeping,
//! with Nagle's delay off. Whatever stands behind a socket can only be slower than this.
#![expect(clippy::disallowed_methods, reason = "the echo runs on a thread of its own")]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::latency::Latencies;
use crate::schedule::{Arrival, Schedule};

/// An order-sized message: the intended time, a number, then zeros.
pub const MESSAGE_BYTES: usize = 64;
/// What one session holds back while its socket is full. Beyond it messages wait in the schedule,
/// where they cost nothing and keep their intended times.
const OUTBOX_BYTES_MAX: usize = 64 * 1024;
/// How long after the end answers may still come, besides as much again as the run was long.
const GRACE: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How messages are spread over time.
    pub arrival: Arrival,
    /// Messages a second, over all sessions.
    pub rate: NonZeroU64,
    /// How long messages are due.
    pub duration: Duration,
    /// Connections, which take turns.
    pub sessions: usize,
    /// The same seed gives the same schedule.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Messages that were given to a socket, or at least to its session.
    pub sent: u64,
    /// Messages that came back.
    pub answered: u64,
    /// From the intended time to the answer.
    pub latencies: Latencies,
    /// When the client gave up: how long the first unsent message had been due.
    pub behind_ns: Option<u64>,
}

impl Report {
    /// Messages that were sent and never came back.
    pub fn lost(&self) -> u64 {
        self.sent - self.answered
    }

    /// Whether all that was due was sent and answered.
    pub fn is_complete(&self) -> bool {
        self.lost() == 0 && self.behind_ns.is_none()
    }
}

/// Runs echo and client, until every answer is back or it is clear that some will not come.
pub fn run(options: &Options) -> io::Result<Report> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for _ in 0..options.sessions {
        near.push(Session::new(prepared(TcpStream::connect(address)?)?));
        far.push(Echo::new(prepared(listener.accept()?.0)?));
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let echo = scope.spawn(|| answer_all(far, &stop));
        let report = ask_all(options, &mut near);
        stop.store(true, Ordering::Relaxed);
        // When the echo fails, the client sees no more than a closed connection.
        echo.join().map_err(|_| io::Error::other("the echo thread panicked"))??;
        report
    })
}

fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn ask_all(options: &Options, sessions: &mut [Session]) -> io::Result<Report> {
    let end = nanos(options.duration);
    let give_up = end.saturating_mul(2).saturating_add(nanos(GRACE));
    let schedule = Schedule::new(options.arrival, options.rate, options.seed);
    let mut due = schedule.take_while(|at| *at < end).peekable();
    let mut report = Report::default();
    let clock = Clock::start();
    loop {
        let now = clock.now();
        loop {
            let session = &mut sessions[(report.sent % options.sessions as u64) as usize];
            if !session.has_room() {
                break;
            }
            let Some(at) = due.next_if(|at| *at <= now) else { break };
            session.ask(at);
            report.sent += 1;
        }
        for session in sessions.iter_mut() {
            session.flush()?;
            report.answered += session.receive(&clock, &mut report.latencies)?;
        }
        let is_done = due.peek().is_none() && report.answered == report.sent;
        if is_done || now > give_up {
            report.behind_ns = due.peek().map(|at| now.saturating_sub(*at));
            return Ok(report);
        }
        std::hint::spin_loop();
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One connection of the client.
struct Session {
    stream: TcpStream,
    outbox: Vec<u8>,
    inbox: Box<[u8]>,
    inbox_len: usize,
    asked: u64,
    answered: u64,
}

impl Session {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            outbox: Vec::with_capacity(OUTBOX_BYTES_MAX),
            inbox: vec![0; OUTBOX_BYTES_MAX].into(),
            inbox_len: 0,
            asked: 0,
            answered: 0,
        }
    }

    fn has_room(&self) -> bool {
        self.outbox.len() + MESSAGE_BYTES <= OUTBOX_BYTES_MAX
    }

    fn ask(&mut self, intended: u64) {
        let mut message = [0; MESSAGE_BYTES];
        message[..8].copy_from_slice(&intended.to_le_bytes());
        message[8..16].copy_from_slice(&self.asked.to_le_bytes());
        self.outbox.extend_from_slice(&message);
        self.asked += 1;
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.outbox.is_empty() {
            let written = now_or_zero(self.stream.write(&self.outbox))?;
            self.outbox.drain(..written);
        }
        Ok(())
    }

    /// Records the answers that are there, and returns how many.
    fn receive(&mut self, clock: &Clock, latencies: &mut Latencies) -> io::Result<u64> {
        if self.answered == self.asked {
            return Ok(0);
        }
        self.inbox_len += match self.stream.read(&mut self.inbox[self.inbox_len..]) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the echo hung up")),
            read => now_or_zero(read)?,
        };
        let now = clock.now();
        let whole = self.inbox_len - self.inbox_len % MESSAGE_BYTES;
        for message in self.inbox[..whole].chunks_exact(MESSAGE_BYTES) {
            let number = word(message, 8);
            if number != self.answered {
                let expected = self.answered;
                let text = format!("the echo answered message {number} instead of {expected}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            self.answered += 1;
            latencies.record(now.saturating_sub(word(message, 0)));
        }
        self.inbox.copy_within(whole..self.inbox_len, 0);
        self.inbox_len -= whole;
        Ok((whole / MESSAGE_BYTES) as u64)
    }
}

fn word(message: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(message[at..at + 8].try_into().expect("eight bytes"))
}

fn answer_all(mut connections: Vec<Echo>, stop: &AtomicBool) -> io::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        for connection in &mut connections {
            connection.poll()?;
        }
        std::hint::spin_loop();
    }
    Ok(())
}

/// One connection of the echo: reads only what it can hold, and not before the last is away.
struct Echo {
    stream: TcpStream,
    buffer: Box<[u8]>,
    from: usize,
    to: usize,
}

impl Echo {
    fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: vec![0; OUTBOX_BYTES_MAX].into(), from: 0, to: 0 }
    }

    fn poll(&mut self) -> io::Result<()> {
        if self.from == self.to {
            self.from = 0;
            self.to = now_or_zero(self.stream.read(&mut self.buffer))?;
        }
        if self.from < self.to {
            self.from += now_or_zero(self.stream.write(&self.buffer[self.from..self.to]))?;
        }
        Ok(())
    }
}

/// A socket that is not ready moves nothing now, which is no error.
fn now_or_zero(moved: io::Result<usize>) -> io::Result<usize> {
    match moved {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            Ok(0)
        }
        moved => moved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(rate: u64, duration: Duration, sessions: usize) -> Options {
        let rate = NonZeroU64::new(rate).expect("not zero");
        Options { arrival: Arrival::Constant, rate, duration, sessions, seed: 0 }
    }

    #[test]
    fn every_message_is_answered_once() {
        let report = run(&options(20_000, Duration::from_millis(100), 3)).expect("loopback");
        assert_eq!((report.sent, report.answered), (2_000, 2_000));
        assert_eq!(report.latencies.count(), 2_000);
        assert!(report.is_complete());
    }

    /// Far beyond any machine: what cannot be sent in time waits, and its waiting counts.
    #[test]
    fn an_overload_shows_as_latency() {
        let report = run(&options(1_000_000_000, Duration::from_millis(1), 2)).expect("loopback");
        assert_eq!(report.latencies.count(), report.answered);
        assert_eq!(report.is_complete(), report.answered == 1_000_000);
        assert!(report.latencies.percentile(50.0) > 1_000_000, "{:?}", report.latencies.summary());
    }

    #[test]
    fn an_answer_out_of_turn_is_an_error() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let address = listener.local_addr().expect("bound");
        let mut session = Session::new(TcpStream::connect(address).expect("loopback"));
        let (mut far, _) = listener.accept().expect("loopback");
        session.ask(0);
        let mut wrong = [0; MESSAGE_BYTES];
        wrong[8] = 7;
        far.write_all(&wrong).expect("loopback");
        let answer = session.receive(&Clock::start(), &mut Latencies::new());
        let text = answer.expect_err("out of turn").to_string();
        assert_eq!(text, "the echo answered message 7 instead of 0");
    }

    #[test]
    fn a_hang_up_is_an_error() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let address = listener.local_addr().expect("bound");
        let mut session = Session::new(TcpStream::connect(address).expect("loopback"));
        drop(listener.accept().expect("loopback"));
        session.ask(0);
        let answer = session.receive(&Clock::start(), &mut Latencies::new());
        assert_eq!(answer.expect_err("hung up").kind(), io::ErrorKind::UnexpectedEof);
    }
}
