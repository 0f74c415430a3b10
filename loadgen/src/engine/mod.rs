//! The loop that sends what is due and hears what comes: one thread, no allocation as long as the
//! server keeps up, no waiting but where it is asked to be polite.

use std::io;
use std::iter::Peekable;
use std::time::Duration;

use crate::clock::Clock;
use crate::cores::Pause;
use crate::schedule::nanos;
use crate::table::duration;
use crate::tally::Tally;

pub(crate) use link::{Links, now_or_zero, open_files_max};

#[cfg(test)]
pub(crate) use link::tests::dead;

mod link;

/// So many messages are put into outboxes before sockets get them.
pub(crate) const BATCH: usize = 64;
/// How often what is not urgent is looked at: heartbeats, silent servers.
pub(crate) const UPKEEP_NS: u64 = 50_000_000;
/// A polite sender wakes so much before a message is due, and spins for the rest.
const WAKE_EARLY_NS: u64 = 80_000;
/// How long after the end answers may still come, besides as long again as the run, where nobody
/// says otherwise.
const GRACE: Duration = Duration::from_secs(2);
/// How long nothing may come of what is waited for, where nobody says otherwise.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);
/// What passes between two looks counts as no more: when the whole machine stood still, nobody was
/// silent.
const LOOK_NS_MAX: u64 = 1_000_000_000;

/// What is said over the links, and what the answers mean.
pub(crate) trait Talk {
    /// Writes the next message, due at `due`, into the outbox of its link, and says which link that
    /// is; `None` when it has no room there now.
    fn ask(&mut self, links: &mut Links, due: u64, now: u64, tally: &mut Tally) -> Option<usize>;

    /// Hears the whole messages at the start of a link's bytes and says how many bytes they are.
    /// What is no message at all ends the connection.
    fn hear(
        &mut self,
        links: &mut Links,
        link: usize,
        bytes: &[u8],
        now: u64,
        tally: &mut Tally,
    ) -> Result<usize, String>;

    /// The connection of a link is gone. An error ends the run.
    fn cut(&mut self, link: usize, why: String, now: u64) -> io::Result<()>;

    /// What is not urgent, and says when it is to be looked at again: after so many nanoseconds. A
    /// cut link is a reason to look at once.
    fn upkeep(&mut self, links: &mut Links, now: u64) -> io::Result<u64>;

    /// `None` while nothing is waited for, or else a number that changes whenever something comes
    /// of what is: what merely shows that somebody is there is not counted.
    fn awaited(&self) -> Option<u64>;

    /// Why it cannot go on, when it cannot.
    fn given_up(&self) -> Option<&str> {
        None
    }
}

/// Time, the links, and how to wait.
pub(crate) struct Engine {
    pub(crate) clock: Clock,
    pub(crate) links: Links,
    /// Sleeps where nothing is due, instead of polling.
    pub(crate) is_polite: bool,
    pause: Pause,
    /// How long nothing may come of what is waited for.
    pub(crate) silence_ns: u64,
    /// Whether some socket did not take all that was for it.
    is_backlogged: bool,
    /// Whether a link was cut since the last upkeep.
    was_cut: bool,
}

/// How a part of a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All was sent, and nothing is waited for.
    Settled,
    /// Time was up.
    Late {
        /// For how long the first unsent message had been due; `None` when all were sent.
        behind_ns: Option<u64>,
    },
    /// Nothing came any more of what was waited for.
    Silent {
        /// For so long.
        ns: u64,
        /// As above.
        behind_ns: Option<u64>,
    },
    /// It could not go on.
    GaveUp {
        /// The reason.
        why: String,
        /// As above.
        behind_ns: Option<u64>,
    },
}

impl Ended {
    pub(crate) fn behind_ns(&self) -> Option<u64> {
        match self {
            Self::Settled => None,
            Self::Late { behind_ns }
            | Self::Silent { behind_ns, .. }
            | Self::GaveUp { behind_ns, .. } => *behind_ns,
        }
    }

    /// Why it ended before its time, when it did.
    pub(crate) fn given_up(&self) -> Option<String> {
        match self {
            Self::Settled | Self::Late { .. } => None,
            Self::Silent { ns, .. } => {
                Some(format!("silent: no answer came for {}", duration(*ns)))
            }
            Self::GaveUp { why, .. } => Some(why.clone()),
        }
    }
}

/// When to give up what begins at `begin` and is due for so long: after `patience`, or else after
/// as much time again, and a little.
pub(crate) fn give_up(begin: u64, long: u64, patience: Option<Duration>) -> u64 {
    let patience = patience.map_or(long.saturating_add(nanos(GRACE)), nanos);
    begin.saturating_add(long).saturating_add(patience)
}

/// For how long nothing has come of what is waited for.
#[derive(Default)]
struct Silence {
    awaited: Option<u64>,
    looked: u64,
    ns: u64,
}

impl Silence {
    fn look(&mut self, awaited: Option<u64>, now: u64) -> u64 {
        let passed = now.saturating_sub(self.looked).min(LOOK_NS_MAX);
        let is_silent = awaited.is_some() && awaited == self.awaited;
        self.ns = if is_silent { self.ns + passed } else { 0 };
        (self.awaited, self.looked) = (awaited, now);
        self.ns
    }
}

impl Engine {
    pub(crate) fn new(links: usize, is_polite: bool) -> io::Result<Self> {
        Ok(Self {
            clock: Clock::start(),
            links: Links::new(links)?,
            is_polite,
            pause: Pause::fitting(),
            silence_ns: nanos(SILENCE),
            is_backlogged: false,
            was_cut: false,
        })
    }

    /// Sends all that is due when it is due, and goes on until everything is settled; gives up at
    /// `give_up`, or when nothing is heard any more.
    pub(crate) fn play(
        &mut self,
        talk: &mut impl Talk,
        tally: &mut Tally,
        due: impl Iterator<Item = u64>,
        give_up: u64,
    ) -> io::Result<Ended> {
        let mut due = due.peekable();
        let mut upkeep = self.clock.now();
        let mut silence = Silence::default();
        loop {
            let now = self.clock.now();
            let sent = self.send(talk, tally, &mut due, now)?;
            let heard = self.hear(talk, tally)?;
            if now >= upkeep || self.was_cut {
                self.was_cut = false;
                upkeep = now + talk.upkeep(&mut self.links, now)?;
                self.flush_all(talk, now)?;
                let ns = silence.look(talk.awaited(), now);
                if ns > self.silence_ns {
                    return Ok(Ended::Silent { ns, behind_ns: behind(&mut due, now) });
                }
            }
            if due.peek().is_none() && talk.awaited().is_none() {
                return Ok(Ended::Settled);
            }
            if let Some(why) = talk.given_up() {
                let (why, behind_ns) = (why.to_owned(), behind(&mut due, now));
                return Ok(Ended::GaveUp { why, behind_ns });
            }
            if now > give_up {
                return Ok(Ended::Late { behind_ns: behind(&mut due, now) });
            }
            if sent + heard > 0 {
                continue;
            }
            let next = due.peek().map_or(upkeep, |at| upkeep.min(at.saturating_sub(WAKE_EARLY_NS)));
            if self.is_polite && next > now {
                self.links.sleep(next - now);
            } else {
                self.pause.pause();
            }
        }
    }

    #[inline]
    fn send(
        &mut self,
        talk: &mut impl Talk,
        tally: &mut Tally,
        due: &mut Peekable<impl Iterator<Item = u64>>,
        now: u64,
    ) -> io::Result<usize> {
        let mut touched = [0; BATCH];
        let mut sent = 0;
        while sent < BATCH {
            let Some(&at) = due.peek().filter(|at| **at <= now) else { break };
            let Some(link) = talk.ask(&mut self.links, at, now, tally) else { break };
            due.next();
            touched[sent] = link;
            sent += 1;
        }
        for &link in &touched[..sent] {
            self.flush(talk, link, now)?;
        }
        if self.is_backlogged {
            self.flush_all(talk, now)?;
        }
        Ok(sent)
    }

    #[inline]
    fn hear(&mut self, talk: &mut impl Talk, tally: &mut Tally) -> io::Result<usize> {
        let found = self.links.look()?;
        for index in 0..found {
            let link = self.links.ready(index);
            let clock = self.clock;
            let heard = self
                .links
                .read(link, |links, bytes| talk.hear(links, link, bytes, clock.now(), tally));
            match heard {
                // Hearing something may have been a reason to say something.
                Ok(()) => self.flush(talk, link, clock.now())?,
                Err(why) => self.cut(talk, link, why, clock.now())?,
            }
        }
        Ok(found)
    }

    fn flush_all(&mut self, talk: &mut impl Talk, now: u64) -> io::Result<()> {
        self.is_backlogged = false;
        (0..self.links.len()).try_for_each(|link| self.flush(talk, link, now))
    }

    #[inline]
    fn flush(&mut self, talk: &mut impl Talk, link: usize, now: u64) -> io::Result<()> {
        match self.links.link(link).flush(now) {
            Ok(is_all) => self.is_backlogged |= !is_all,
            Err(error) => self.cut(talk, link, error.to_string(), now)?,
        }
        Ok(())
    }

    fn cut(&mut self, talk: &mut impl Talk, link: usize, why: String, now: u64) -> io::Result<()> {
        self.links.cut(link);
        self.was_cut = true;
        talk.cut(link, why, now)
    }
}

/// For how long what was not sent has been due.
fn behind(due: &mut Peekable<impl Iterator<Item = u64>>, now: u64) -> Option<u64> {
    due.peek().map(|at| now.saturating_sub(*at))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::sync::Arc;

    use super::*;

    /// Asks nothing, is content when it has looked so often, and gives up when it has a reason.
    struct Waits {
        wanted: u32,
        looks: u32,
        /// When it looks again by itself.
        again_ns: u64,
        why: Option<&'static str>,
        /// The other side of its link, closed at the first look.
        peer: Option<TcpStream>,
    }

    impl Talk for Waits {
        fn ask(&mut self, _: &mut Links, _: u64, _: u64, _: &mut Tally) -> Option<usize> {
            None
        }

        fn hear(
            &mut self,
            _: &mut Links,
            _: usize,
            bytes: &[u8],
            _: u64,
            _: &mut Tally,
        ) -> Result<usize, String> {
            Ok(bytes.len())
        }

        fn cut(&mut self, _: usize, _: String, _: u64) -> io::Result<()> {
            Ok(())
        }

        fn upkeep(&mut self, _: &mut Links, _: u64) -> io::Result<u64> {
            self.looks += 1;
            self.peer = None;
            Ok(self.again_ns)
        }

        fn awaited(&self) -> Option<u64> {
            (self.looks < self.wanted).then_some(0)
        }

        fn given_up(&self) -> Option<&str> {
            self.why
        }
    }

    fn ended(is_settled: bool, why: Option<&'static str>, due: &[u64], give_up: u64) -> Ended {
        let mut engine = Engine::new(0, false).expect("an epoll");
        engine.silence_ns = 200_000_000;
        let mut tally = Tally::new(Arc::default());
        let due = due.iter().copied();
        let wanted = if is_settled { 0 } else { u32::MAX };
        let mut talk = Waits { wanted, looks: 0, again_ns: UPKEEP_NS, why, peer: None };
        engine.play(&mut talk, &mut tally, due, give_up).expect("no sockets")
    }

    #[test]
    fn what_never_answers_is_silent() {
        let Ended::Silent { ns, behind_ns: None } = ended(false, None, &[], u64::MAX) else {
            panic!("it waits for ever");
        };
        assert!(ns > 200_000_000);
        let mut silence = Silence::default();
        let looks = [(Some(1), 0), (Some(1), 9), (Some(1), 10), (Some(2), 30), (None, 40)];
        let ns = looks.map(|(awaited, now)| silence.look(awaited, now));
        assert_eq!(ns, [0, 9, 10, 0, 0]);
        assert_eq!(silence.look(None, 60), 0, "who waits for nothing hears no silence");
        assert_eq!(silence.look(Some(2), 70), 0);
        assert_eq!(silence.look(Some(2), u64::MAX), LOOK_NS_MAX, "the machine stood still");
    }

    #[test]
    fn what_is_not_finished_does_not_count_as_finished() {
        assert_eq!(ended(true, None, &[], u64::MAX), Ended::Settled);
        assert_eq!(ended(false, None, &[], 1), Ended::Late { behind_ns: None });
        assert!(ended(true, None, &[0], 1).behind_ns().is_some());
        let gave_up = Ended::GaveUp { why: "it is over".into(), behind_ns: None };
        assert_eq!(ended(false, Some("it is over"), &[], u64::MAX), gave_up);
    }

    #[test]
    fn a_lost_connection_is_looked_at_at_once() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let address = listener.local_addr().expect("bound");
        let mut engine = Engine::new(1, false).expect("an epoll");
        engine.links.put(0, TcpStream::connect(address).expect("loopback")).expect("an epoll");
        let peer = Some(listener.accept().expect("loopback").0);
        // By itself it would look again in a hundred years.
        let mut talk = Waits { wanted: 2, looks: 0, again_ns: u64::MAX / 4, why: None, peer };
        let mut tally = Tally::new(Arc::default());
        let give_up = engine.clock.now() + nanos(Duration::from_mins(1));
        let ended = engine.play(&mut talk, &mut tally, std::iter::empty(), give_up);
        assert_eq!((ended.expect("an epoll"), talk.looks), (Ended::Settled, 2));
    }

    #[test]
    fn patience_is_what_was_given_or_as_long_again() {
        assert_eq!(give_up(5, 10, Some(Duration::from_nanos(3))), 18);
        assert_eq!(give_up(5, 10, None), 25 + 2_000_000_000);
        assert_eq!(give_up(5, 10, Some(Duration::MAX)), u64::MAX);
    }
}
