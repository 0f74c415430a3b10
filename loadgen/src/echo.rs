//! The machine's own floor: an open loop against a bare TCP echo.
//!
//! Two threads, the client's and the echo's, poll their nonblocking sockets without ever sleeping,
//! with Nagle's delay off. Whatever stands behind a socket can only be slower than this. The client
//! is the same engine that talks to a real server.
#![expect(clippy::disallowed_methods, reason = "the echo runs on a thread of its own")]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::{WallTime, time_of_day};
use crate::cores::Pause;
pub(crate) use crate::engine::now_or_zero;
use crate::engine::{Engine, Links, Talk, UPKEEP_NS, give_up, open_files_max};
use crate::hiccup;
use crate::live::{self, Live, View};
use crate::results::Measured;
use crate::schedule::Times;
use crate::tally::{Recorded, Sent, Tally, Wrong};

/// Files that are open besides the sessions.
const OWN_FILES: u64 = 64;
/// An order-sized message: a number, then zeros.
pub const MESSAGE_BYTES: usize = 64;
const BUFFER_BYTES: usize = 64 * 1024;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Somebody else's echo; our own, on a thread of this process, when there is none.
    pub target: Option<String>,
    /// When.
    pub times: Times,
    /// Connections.
    pub sessions: usize,
    /// Sleeps where nothing is due, instead of polling.
    pub is_polite: bool,
    /// How it is shown while it goes on.
    pub view: View,
    /// How long after the end answers may still come; as long again as the run and 2 s when it is
    /// not said.
    pub patience: Option<Duration>,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// When it began.
    pub begun: WallTime,
    /// The figures.
    pub measured: Measured,
    /// The histograms behind them.
    pub recorded: Recorded,
    /// How long a thread was kept from the clock meanwhile: when, and how long.
    pub hiccups: Vec<(u64, u64)>,
}

/// Whether this process may have so many connections, with an echo of its own at their other ends
/// or without.
pub fn check_sessions(sessions: usize, has_own_echo: bool) -> Result<(), String> {
    enough_files(sessions, has_own_echo, open_files_max())
}

fn enough_files(sessions: usize, has_own_echo: bool, files: u64) -> Result<(), String> {
    let wanted = (sessions as u64) * if has_own_echo { 2 } else { 1 } + OWN_FILES;
    if files < wanted {
        return Err(format!(
            "{sessions} sessions need {wanted} open files, and this process may have {files}: \
             raise `ulimit -n`, or give fewer --sessions"
        ));
    }
    Ok(())
}

/// Runs the client, with messages of one size and sessions that take turns.
pub fn run(options: &Options) -> io::Result<Report> {
    let sessions = options.sessions;
    run_like(options, (0..).map(|number| (number % sessions, MESSAGE_BYTES)))
}

/// Runs the client with messages of these sessions and sizes, until every answer is back or it is
/// clear that some will not come.
pub(crate) fn run_like(
    options: &Options,
    messages: impl Iterator<Item = (usize, usize)>,
) -> io::Result<Report> {
    if let Some(target) = &options.target {
        let mut engine = Engine::new(options.sessions, options.is_polite)?;
        for link in 0..options.sessions {
            engine.links.put(link, TcpStream::connect(target)?)?;
        }
        return ask_all(options, engine, messages);
    }
    beside_echo(options.sessions, |streams| {
        let mut engine = Engine::new(options.sessions, options.is_polite)?;
        for (link, stream) in streams.into_iter().enumerate() {
            engine.links.put(link, stream)?;
        }
        ask_all(options, engine, messages)
    })
}

/// Does something with connections to an echo on a thread of its own.
pub(crate) fn beside_echo<T>(
    sessions: usize,
    ask: impl FnOnce(Vec<TcpStream>) -> io::Result<T>,
) -> io::Result<T> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for _ in 0..sessions {
        near.push(TcpStream::connect(address)?);
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        far.push(stream);
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let echo = scope.spawn(|| answer_all(far, &stop));
        let asked = ask(near);
        stop.store(true, Ordering::Relaxed);
        let echoed = echo.join().map_err(|_| io::Error::other("the echo thread panicked"))?;
        match (asked, echoed) {
            // A client that leaves before all is read resets its connections: what it found stands.
            (asked, Ok(())) | (asked @ Ok(_), Err(_)) => asked,
            // When the echo fails, the client sees no more than a closed connection.
            (Err(seen), Err(cause)) => {
                Err(io::Error::new(seen.kind(), format!("{seen}; the echo: {cause}")))
            }
        }
    })
}

fn ask_all(
    options: &Options,
    mut engine: Engine,
    messages: impl Iterator<Item = (usize, usize)>,
) -> io::Result<Report> {
    let live = std::sync::Arc::new(Live::default());
    let mut tally = Tally::new(std::sync::Arc::clone(&live));
    let asked = vec![Asked::default(); options.sessions];
    let mut talk = Echoed { messages: messages.peekable(), asked, waiting: 0, answered: 0 };
    let Times { due, from, until } = &options.times;
    let (begun, begin) = (time_of_day(), engine.clock.now());
    tally.begin(begin + from, begin + until, options.times.measured());
    let over = AtomicBool::new(false);
    let (ended, hiccups) = std::thread::scope(|scope| {
        scope.spawn(|| live::show(&live, options.view, "echo", *until, &over));
        let clock = engine.clock;
        let hiccups = scope.spawn({
            let over = &over;
            move || hiccup::watch(clock, over)
        });
        let due = due.iter().map(|at| begin + at);
        let patience = give_up(begin, *until, options.patience);
        let ended = engine.play(&mut talk, &mut tally, due, patience);
        over.store(true, Ordering::Relaxed);
        talk.give_up(&mut tally, clock.now());
        ended.map(|ended| (ended, hiccups.join().unwrap_or_default()))
    })?;
    let mut measured = tally.measured(&hiccups, Vec::new());
    measured.behind_ns = ended.behind_ns();
    measured.given_up = ended.given_up();
    Ok(Report { begun, measured, recorded: tally.recorded(), hiccups })
}

/// What one session asked.
#[derive(Clone, Debug, Default)]
struct Asked {
    /// How many were asked in all.
    count: u64,
    /// Those that are not answered, in order, and how long they are.
    pending: VecDeque<(Sent, usize)>,
}

/// The client's side.
struct Echoed<I: Iterator<Item = (usize, usize)>> {
    messages: std::iter::Peekable<I>,
    asked: Vec<Asked>,
    waiting: u64,
    answered: u64,
}

impl<I: Iterator<Item = (usize, usize)>> Echoed<I> {
    fn give_up(&mut self, tally: &mut Tally, now: u64) {
        for (link, asked) in self.asked.iter().enumerate() {
            for _ in &asked.pending {
                tally.lost(now, || format!("session {link}: a message that did not come back"));
            }
        }
    }
}

impl<I: Iterator<Item = (usize, usize)>> Talk for Echoed<I> {
    #[inline]
    fn ask(&mut self, links: &mut Links, due: u64, now: u64, tally: &mut Tally) -> Option<usize> {
        let &(index, bytes) = self.messages.peek()?;
        let link = links.link(index);
        if !link.has_room(bytes) {
            return None;
        }
        self.messages.next();
        let asked = &mut self.asked[index];
        let mut message = [0; MESSAGE_BYTES];
        message[..8].copy_from_slice(&asked.count.to_le_bytes());
        link.outbox().extend_from_slice(&message[..bytes]);
        asked.count += 1;
        let sent = Sent { due, out: now };
        asked.pending.push_back((sent, bytes));
        self.waiting += 1;
        tally.sent(sent);
        Some(index)
    }

    fn hear(
        &mut self,
        _: &mut Links,
        link: usize,
        bytes: &[u8],
        now: u64,
        tally: &mut Tally,
    ) -> Result<usize, String> {
        let asked = &mut self.asked[link];
        let mut taken = 0;
        while let Some(&(sent, length)) = asked.pending.front() {
            let Some(message) = bytes.get(taken..taken + length) else { return Ok(taken) };
            let expected = asked.count - asked.pending.len() as u64;
            let number = u64::from_le_bytes(message[..8].try_into().expect("eight bytes"));
            if number != expected {
                let what = || format!("session {link}: message {number} instead of {expected}");
                let wrong = if number < expected { Wrong::Repeated } else { Wrong::Unexpected };
                tally.wrong(wrong, now, what);
                return Err(what());
            }
            asked.pending.pop_front();
            self.waiting -= 1;
            self.answered += 1;
            tally.answered(sent, now);
            taken += length;
        }
        if taken < bytes.len() {
            let what = || format!("session {link}: bytes that nobody asked for");
            tally.wrong(Wrong::Unexpected, now, what);
            return Err(what());
        }
        Ok(taken)
    }

    fn cut(&mut self, _: usize, why: String, _: u64) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the echo: {why}")))
    }

    fn upkeep(&mut self, _: &mut Links, _: u64) -> io::Result<u64> {
        Ok(UPKEEP_NS)
    }

    fn awaited(&self) -> Option<u64> {
        (self.waiting > 0).then_some(self.answered)
    }
}

/// With few connections it is faster to try all than to ask which have something.
const TRIED: usize = 8;

fn answer_all(streams: Vec<TcpStream>, stop: &AtomicBool) -> io::Result<()> {
    let (count, pause) = (streams.len(), Pause::fitting());
    let mut links = Links::new(0)?;
    let mut echoes = Vec::new();
    for (index, stream) in streams.into_iter().enumerate() {
        stream.set_nonblocking(true)?;
        links.watch(index, &stream)?;
        echoes.push(Echo { stream, buffer: Vec::new(), from: 0 });
    }
    let mut room = vec![0; BUFFER_BYTES];
    // Those that could not give all back.
    let mut stuck: Vec<usize> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let found = if count <= TRIED { count } else { links.look()? };
        for index in 0..found {
            let index = if count <= TRIED { index } else { links.ready(index) };
            if echoes[index].is_free() && !echoes[index].answer(&mut room)? {
                stuck.push(index);
            }
        }
        let mut failed = Ok(());
        stuck.retain(|&index| match echoes[index].give() {
            Ok(is_all) => !is_all,
            Err(error) => {
                failed = Err(error);
                false
            }
        });
        failed?;
        pause.pause();
    }
    Ok(())
}

/// One connection of the echo: reads nothing before the last is away.
struct Echo {
    stream: TcpStream,
    /// What could not be given back at once.
    buffer: Vec<u8>,
    from: usize,
}

impl Echo {
    fn is_free(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Reads, and gives back at once; whether that was all.
    fn answer(&mut self, room: &mut [u8]) -> io::Result<bool> {
        let read = now_or_zero(self.stream.read(room))?;
        if read == 0 {
            return Ok(true);
        }
        let written = now_or_zero(self.stream.write(&room[..read]))?;
        self.buffer.extend_from_slice(&room[written..read]);
        Ok(self.buffer.is_empty())
    }

    fn give(&mut self) -> io::Result<bool> {
        self.from += now_or_zero(self.stream.write(&self.buffer[self.from..]))?;
        if self.from == self.buffer.len() {
            self.buffer.clear();
            self.from = 0;
        }
        Ok(self.buffer.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::sync::Arc;

    use super::*;
    use crate::schedule::{Arrival, Length, Pace};

    fn options(rate: u64, duration: Duration, sessions: usize) -> Options {
        let rate = NonZeroU64::new(rate).expect("not zero");
        let (arrival, length) = (Arrival::Constant, Length::Time(duration));
        let pace = Pace { arrival, rate, length, warm_up: Duration::ZERO, seed: 0 };
        let times = pace.times().expect("few");
        Options {
            target: None,
            times,
            sessions,
            is_polite: false,
            view: View::Quiet,
            patience: Some(Duration::from_mins(1)),
        }
    }

    #[test]
    fn more_connections_than_there_may_be_files_are_refused() {
        assert_eq!(enough_files(100, false, 164), Ok(()));
        for error in [enough_files(100, false, 163), enough_files(100, true, 263)] {
            assert!(error.expect_err("too many").contains("fewer --sessions"));
        }
    }

    #[test]
    fn every_message_is_answered_once() {
        for (sessions, is_polite) in [(3, false), (40, true)] {
            let options = options(20_000, Duration::from_millis(100), sessions);
            let report = run(&Options { is_polite, ..options }).expect("loopback");
            assert_eq!((report.measured.sent, report.measured.answered), (2_000, 2_000));
            assert_eq!(report.measured.latency_ns.count, 2_000);
            assert!(report.measured.is_complete());
        }
    }

    /// Far beyond any machine: what cannot be sent in time waits, and its waiting counts.
    #[test]
    fn an_overload_shows_as_latency() {
        let report = run(&options(1_000_000_000, Duration::from_millis(1), 2)).expect("loopback");
        assert_eq!(report.measured.latency_ns.count, report.measured.answered);
        assert_eq!(report.measured.is_complete(), report.measured.answered == 1_000_000);
        assert!(report.measured.latency_ns.p50 > 1_000_000, "{:?}", report.measured.latency_ns);
    }

    fn heard(bytes: &[u8]) -> (Result<usize, String>, Measured) {
        let mut tally = Tally::new(Arc::default());
        tally.begin(0, 1_000_000_000, 0);
        let mut links = Links::new(1).expect("an epoll");
        let messages = (0..).map(|_| (0, 16)).peekable();
        let mut talk = Echoed { messages, asked: vec![Asked::default()], waiting: 0, answered: 0 };
        talk.ask(&mut links, 0, 5, &mut tally);
        talk.ask(&mut links, 0, 5, &mut tally);
        let taken = talk.hear(&mut links, 0, bytes, 9, &mut tally);
        (taken, tally.measured(&[], Vec::new()))
    }

    fn message(number: u64) -> Vec<u8> {
        [number.to_le_bytes(), [0; 8]].concat()
    }

    #[test]
    fn answers_count_when_they_are_whole_and_in_turn() {
        let (taken, measured) = heard(&[message(0), message(1)].concat()[..20]);
        assert_eq!(taken, Ok(16), "half of one is left for later");
        assert_eq!(
            (measured.answered, measured.latency_ns.max, measured.service_ns.max),
            (1, 9, 4)
        );
        let (taken, measured) = heard(&message(1));
        assert_eq!(taken, Err("session 0: message 1 instead of 0".to_owned()));
        assert_eq!((measured.answered, measured.unexpected), (0, 1));
        let (_, measured) = heard(&[message(0), message(0)].concat());
        assert_eq!((measured.answered, measured.repeated), (1, 1));
        let (_, measured) = heard(&[message(0), message(1), vec![0]].concat());
        assert_eq!((measured.answered, measured.unexpected), (2, 1));
    }

    /// A client that leaves with answers unread resets its connections, and the echo sees that
    /// before it is told to stop.
    #[test]
    fn what_the_client_found_stands_when_the_echo_fails_after_it() {
        let found = beside_echo(1, |streams| {
            let mut stream = &streams[0];
            stream.write_all(&[0; MESSAGE_BYTES])?;
            // The answer is there, and nobody takes it.
            stream.peek(&mut [0; 1])?;
            drop(streams);
            std::thread::sleep(Duration::from_millis(100));
            Ok(5)
        });
        assert_eq!(found.expect("what the client found"), 5);
    }

    #[test]
    fn a_hang_up_is_an_error() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let target = Some(listener.local_addr().expect("bound").to_string());
        let options = options(1_000, Duration::from_millis(10), 1);
        let error = std::thread::scope(|scope| {
            scope.spawn(|| drop(listener.accept().expect("loopback")));
            run(&Options { target, ..options }).expect_err("hung up")
        });
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
    }
}
