//! When a snapshot is due, and what became of the last one: the same for the shadow and for a
//! processor's owner who takes them in-line.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Info, SnapshotError};
use crate::types::{Nanos, Sequence};

/// When a snapshot is due; each that is set counts by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Triggers {
    /// After so many commands.
    pub every_commands: Option<u64>,
    /// After so many nanoseconds, when there was a command meanwhile.
    pub every_nanos: Option<u64>,
    /// Once a day.
    pub daily_at: Option<TimeOfDay>,
    /// When a start would replay for longer than so many nanoseconds.
    pub recovery_nanos: Option<u64>,
}

/// A minute of every day, UTC; written `HH:MM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay {
    minutes: u16,
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|_| plain)
        };
        let parts = text.split_once(':').and_then(|(hour, minute)| {
            Some((number(hour).filter(|&hour| hour < 24)?, number(minute)?))
        });
        match parts {
            Some((hour, minute)) if minute < 60 => Ok(Self { minutes: hour * 60 + minute }),
            _ => Err(format!("'{text}' is no time of day: write HH:MM, 00:00 to 23:59, in UTC")),
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

impl TimeOfDay {
    /// The first one after a moment.
    fn after(self, now: Nanos) -> Nanos {
        const DAY: u64 = 24 * 60 * 60 * Nanos::SECOND;
        let today = now.0 - now.0 % DAY + u64::from(self.minutes) * 60 * Nanos::SECOND;
        if today > now.0 { Nanos(today) } else { Nanos(today).after(DAY) }
    }
}

/// Why a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Enough commands.
    Commands,
    /// Enough time.
    Time,
    /// The time of day.
    Daily,
    /// A start would take too long.
    Recovery,
    /// Somebody asked.
    Requested,
}

/// What is known of the snapshots that were taken since the start.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The last one that counts.
    pub taken: Option<Taken>,
    /// The last one that failed, or why old ones could not be deleted.
    pub failed: Option<Failed>,
    /// How many failed.
    pub failures: u64,
    /// Commands since the newest snapshot, …
    pub commands_since: u64,
    /// … and how many nanoseconds a start would take to apply them.
    pub recovery_nanos: u64,
}

/// A snapshot that counts.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its file.
    pub info: Info,
    /// Why it was taken.
    pub due: Due,
    /// When the state was as it is in it …
    pub of: Nanos,
    /// … and when it began to count.
    pub at: Nanos,
    /// How many nanoseconds writing and verifying it took, and then giving it its name and deleting
    /// old ones: in-line, all that the processor stood still for.
    pub took_nanos: u64,
}

/// One that does not.
#[derive(Clone, Debug)]
pub struct Failed {
    /// When.
    pub at: Nanos,
    /// Why, and what to do.
    pub error: SnapshotError,
}

/// What became of a snapshot that was asked for.
pub type Outcome = Result<Info, SnapshotError>;

/// Asks for snapshots, and shows what became of the last one. For any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: Sender<Sender<Outcome>>,
    status: Arc<Mutex<Status>>,
    given_up: Arc<AtomicBool>,
}

impl Handle {
    /// Asks for a snapshot. The outcome comes once; the channel closes without one when the node
    /// stops before. `None` when too many others wait for theirs.
    pub fn request(&self) -> Option<Receiver<Outcome>> {
        let (tell, outcome) = bounded(1);
        self.requests.try_send(tell).ok().map(|()| outcome)
    }

    /// From here on no snapshot is taken, and one that is being written is given up soon: what was
    /// written of it is removed, and whoever waits for it is told. For a node that ends.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// What is known now.
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// So many may wait for a snapshot at a time.
const REQUESTS: usize = 16;
/// After a failure, triggers wait this long: what failed rarely works a moment later. Requests do
/// not wait.
pub const RETRY_NANOS: u64 = 30 * Nanos::SECOND;
/// The status is brought up to date this often.
const TELL_NANOS: u64 = Nanos::SECOND / 10;

/// Decides when, and keeps the books.
#[derive(Debug)]
pub struct Schedule {
    triggers: Triggers,
    handle: Handle,
    requests: Receiver<Sender<Outcome>>,
    /// Those who wait for the one that is due.
    asked: Vec<Sender<Outcome>>,
    /// The sequence of the newest snapshot.
    newest: Sequence,
    /// Until the first question: the time of that snapshot's last command, where the start found
    /// others after it.
    behind: Option<Nanos>,
    clock: Option<Clock>,
    rate: Rate,
}

/// Times that are known from the first question on.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// When the last one was taken, or when time began.
    since: Nanos,
    daily: Option<Nanos>,
    /// Triggers count from here on.
    retry: Nanos,
    tell: Nanos,
}

impl Schedule {
    /// `newest` is the sequence of the snapshot that the start went on from, or 0, and `behind` the
    /// time of its last command, where the journal held others after it: if the daily time has
    /// come since, that snapshot is made up for.
    pub fn new(triggers: Triggers, newest: Sequence, behind: Option<Nanos>) -> Self {
        let (sender, requests) = bounded(REQUESTS);
        let handle = Handle { requests: sender, status: Arc::default(), given_up: Arc::default() };
        let rate = Rate::default();
        Self { triggers, handle, requests, asked: Vec::new(), newest, behind, clock: None, rate }
    }

    /// For those who ask.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Whether no snapshot is wanted any more.
    pub(super) fn given_up(&self) -> &AtomicBool {
        &self.handle.given_up
    }

    /// Notes how long a poll took that did nothing but apply so many commands: from that it knows
    /// how long a start would take.
    #[inline]
    pub fn took(&mut self, commands: u64, nanos: u64) {
        self.rate.took(commands, nanos);
    }

    /// Whether a snapshot is due now. Who gets an answer takes one, and says [`Schedule::done`] or
    /// [`Schedule::failed`].
    pub fn due(&mut self, applied: Sequence, now: Nanos) -> Option<Due> {
        let daily_at = self.triggers.daily_at;
        let first = || Clock {
            since: now,
            daily: daily_at.map(|daily| daily.after(self.behind.unwrap_or(now))),
            retry: now,
            tell: now,
        };
        let clock = self.clock.get_or_insert_with(first);
        let commands = applied.0.saturating_sub(self.newest.0);
        let recovery = self.rate.nanos(commands);
        if now >= clock.tell {
            clock.tell = now.after(TELL_NANOS);
            self.handle.note(|status| {
                (status.commands_since, status.recovery_nanos) = (commands, recovery);
            });
        }
        self.asked.extend(self.requests.try_iter());
        if self.handle.given_up.load(Ordering::Relaxed) {
            self.answer(&Err(SnapshotError::GivenUp));
            return None;
        }
        if !self.asked.is_empty() {
            return Some(Due::Requested);
        }
        let reached = |limit: Option<u64>, value| limit.is_some_and(|limit| value >= limit);
        if commands == 0 || now < clock.retry {
            return None;
        }
        if clock.daily.is_some_and(|at| now >= at) {
            Some(Due::Daily)
        } else if reached(self.triggers.every_commands, commands) {
            Some(Due::Commands)
        } else if reached(self.triggers.every_nanos, now.0.saturating_sub(clock.since.0)) {
            Some(Due::Time)
        } else if reached(self.triggers.recovery_nanos, recovery) {
            Some(Due::Recovery)
        } else {
            None
        }
    }

    /// The snapshot counts.
    pub fn done(&mut self, taken: Taken) {
        self.newest = taken.info.sequence().unwrap_or(self.newest);
        if let Some(clock) = &mut self.clock {
            (clock.since, clock.retry) = (taken.at, taken.at);
            // What came while it was written is not in it.
            clock.daily = self.triggers.daily_at.map(|daily| daily.after(taken.of));
        }
        self.answer(&Ok(taken.info.clone()));
        self.handle.note(|status| {
            status.taken = Some(taken);
            (status.commands_since, status.recovery_nanos) = (0, 0);
        });
    }

    /// It does not, and will be tried again after a pause.
    pub fn failed(&mut self, error: SnapshotError, now: Nanos) {
        if let Some(clock) = &mut self.clock {
            clock.retry = now.after(RETRY_NANOS);
        }
        self.answer(&Err(error.clone()));
        self.complain(error, now);
    }

    /// Something else went wrong: nothing is tried again for that.
    pub fn complain(&mut self, error: SnapshotError, now: Nanos) {
        self.handle.note(|status| {
            status.failed = Some(Failed { at: now, error });
            status.failures += 1;
        });
    }

    pub(super) fn answer(&mut self, outcome: &Outcome) {
        for tell in self.asked.drain(..) {
            // Who asked may have gone away.
            let _ = tell.try_send(outcome.clone());
        }
    }
}

/// Who still waits learns that nobody will answer: a channel keeps what nobody took.
impl Drop for Schedule {
    fn drop(&mut self) {
        self.requests.try_iter().for_each(drop);
    }
}

impl Handle {
    fn note(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What one command takes, measured in polls that were full: a start has no others.
#[derive(Debug)]
struct Rate {
    nanos_per_1024: u64,
    measured: bool,
    /// What was noted since the last measure: commands, and nanoseconds.
    noted: (u64, u64),
}

/// A poll with fewer commands spends most of its time on other things than applying them.
const FULL: u64 = 32;
/// So much is one measure: what disturbs a poll disappears in it.
const MEASURE_COMMANDS: u64 = 1 << 14;
/// Or so long, where commands are slow.
const MEASURE_NANOS: u64 = Nanos::SECOND / 10;

impl Default for Rate {
    /// Before anything was measured: a million commands a second, slower than most logic.
    fn default() -> Self {
        Self { nanos_per_1024: 1024 * 1000, measured: false, noted: (0, 0) }
    }
}

impl Rate {
    fn took(&mut self, commands: u64, nanos: u64) {
        if commands < FULL {
            return;
        }
        self.noted = (self.noted.0 + commands, self.noted.1.saturating_add(nanos));
        let (commands, nanos) = self.noted;
        if commands >= MEASURE_COMMANDS || nanos >= MEASURE_NANOS {
            let fresh = nanos.saturating_mul(1024) / commands;
            let known = if self.measured { self.nanos_per_1024 } else { fresh };
            self.nanos_per_1024 = known.saturating_mul(3).saturating_add(fresh) / 4;
            (self.measured, self.noted) = (true, (0, 0));
        }
    }

    fn nanos(&self, commands: u64) -> u64 {
        let nanos = u128::from(commands) * u128::from(self.nanos_per_1024) / 1024;
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}
