//! The loop that sends what is due and hears what comes: one thread, no allocation, no waiting but
//! where it is asked to be polite.

use std::io;
use std::iter::Peekable;
use std::time::Duration;

use crate::clock::Clock;
use crate::schedule::nanos;
use crate::tally::Tally;

pub(crate) use link::{Links, now_or_zero, open_files_max};

mod link;

/// So many messages are put into outboxes before sockets get them.
const BATCH: usize = 64;
/// How often what is not urgent is looked at: heartbeats, lost connections.
const UPKEEP_NS: u64 = 50_000_000;
/// A polite sender wakes so much before a message is due, and spins for the rest.
const WAKE_EARLY_NS: u64 = 80_000;
/// How long after the end answers may still come, where nobody says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(2);

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

    /// What is not urgent.
    fn upkeep(&mut self, links: &mut Links, now: u64, tally: &mut Tally) -> io::Result<()>;

    /// Whether nothing is being waited for.
    fn is_settled(&self) -> bool;

    /// Whether it cannot go on.
    fn has_given_up(&self) -> bool {
        false
    }
}

/// Time, the links, and how to wait.
pub(crate) struct Engine {
    pub(crate) clock: Clock,
    pub(crate) links: Links,
    /// Sleeps where nothing is due, instead of polling.
    pub(crate) is_polite: bool,
    /// How long after the end answers may still come, besides as much again as the run was long.
    pub(crate) patience: Duration,
    /// Whether some socket did not take all that was for it.
    is_backlogged: bool,
}

/// How a part of a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// For how long the first unsent message had been due, when it was given up.
    pub(crate) behind_ns: Option<u64>,
}

impl Engine {
    pub(crate) fn new(links: usize, is_polite: bool, patience: Duration) -> io::Result<Self> {
        Ok(Self {
            clock: Clock::start(),
            links: Links::new(links)?,
            is_polite,
            patience,
            is_backlogged: false,
        })
    }

    /// Sends all that is due when it is due, and goes on until everything is settled; gives up when
    /// that takes twice as long as it is due, and its patience.
    pub(crate) fn play(
        &mut self,
        talk: &mut impl Talk,
        tally: &mut Tally,
        due: impl Iterator<Item = u64>,
        end: u64,
    ) -> io::Result<Ended> {
        let mut due = due.peekable();
        let begun = self.clock.now();
        let length = end.saturating_sub(begun);
        let give_up = end.saturating_add(length).saturating_add(nanos(self.patience));
        let mut upkeep = begun;
        loop {
            let now = self.clock.now();
            let sent = self.send(talk, tally, &mut due, now)?;
            let heard = self.hear(talk, tally)?;
            if now >= upkeep {
                talk.upkeep(&mut self.links, now, tally)?;
                self.flush_all(talk, now)?;
                upkeep = now + UPKEEP_NS;
            }
            let is_done = due.peek().is_none() && talk.is_settled();
            if is_done || now > give_up || talk.has_given_up() {
                return Ok(Ended { behind_ns: due.peek().map(|at| now.saturating_sub(*at)) });
            }
            if sent + heard > 0 {
                continue;
            }
            let next = due.peek().map_or(upkeep, |at| upkeep.min(at.saturating_sub(WAKE_EARLY_NS)));
            if self.is_polite && next > now {
                self.links.sleep(next - now);
            } else {
                std::hint::spin_loop();
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
                Err(why) => {
                    self.links.cut(link);
                    talk.cut(link, why, clock.now())?;
                }
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
            Err(error) => {
                self.links.cut(link);
                talk.cut(link, error.to_string(), now)?;
            }
        }
        Ok(())
    }
}
