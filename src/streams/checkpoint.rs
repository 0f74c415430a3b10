//! How far the streams were counted, kept aside so that a start counts only what came since. It
//! is derived, as the event log is: one that is lost or damaged is made again, from the beginning
//! of the log, or from the day that a pruned log begins with.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringframe_journal::planted::{Bug, is_planted};
use ringframe_journal::storage::{Storage, read_whole, replace_whole};
use ringframe_journal::{Error, Reader};
use serde::{Deserialize, Serialize};

use super::{Day, Index, Listener, Mark, Stream, Tally};
use crate::codec;
use crate::dialect::itch::Market;
use crate::event_log;
use crate::stage::Fault;

const FILE: &str = "streams";
/// The same as a day began: what there is to count from where the log was pruned up to there.
const DAY: &str = "day";
/// Raised with every change of what is in it: an older one is made again, not read. Where the log
/// was pruned it cannot be made again: whoever raises this reads the older one, too.
const MAGIC: &[u8; 8] = b"RINGSTR1";
const HASH_BYTES: usize = 32;

/// The counts of all streams, and where their messages come from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The counts.
    pub tally: Tally,
    /// The places.
    pub index: Index,
    /// The hash of the last event that is counted in: of this log, or of another one.
    last: [u8; HASH_BYTES],
}

/// What a start found.
#[derive(Debug, Default)]
pub struct Opened {
    /// The counts, up to the end of the log.
    pub checkpoint: Checkpoint,
    /// Why everything was counted again, if a checkpoint was there and of no use.
    pub refused: Option<String>,
    /// So many events were counted now.
    pub counted: u64,
}

/// Reads the checkpoint and counts the rest of the log, up to event `last`; `told` hears how far.
pub fn open<S: Storage>(
    store: &S,
    log: &S,
    last: u64,
    told: &mut dyn FnMut(u64),
) -> Result<Opened, Fault> {
    let (mut checkpoint, refused) = match read(store, FILE, log, last) {
        Ok(Some(found)) => (found, None),
        other => (known_day(store, log, last)?.unwrap_or_default(), other.err()),
    };
    let before = checkpoint.tally.event();
    let mut counted = 0;
    if before < last {
        let mut reader = Reader::open(log.clone(), before + 1).map_err(is_late)?;
        while checkpoint.tally.event() < last
            && let Some(event) = reader.next_frame().map_err(Fault::EventLog)?
        {
            checkpoint.tally.on_event(&event.frame(), &mut checkpoint.index)?;
            counted += 1;
            told(before + counted);
        }
    }
    Ok(Opened { checkpoint, refused, counted })
}

/// With which event the day of event `upto` began: nobody asks for what was told before, 0 where
/// nothing may go. The counts of that moment are kept, durably when this returns, unless it is to
/// change nothing: a start can do without what the log has from before then.
/// Once it is given up it ends with an error.
pub fn needed_from<S: Storage>(
    store: &S,
    log: &S,
    upto: u64,
    dry_run: bool,
    given_up: &AtomicBool,
) -> Result<u64, Fault> {
    let mut day = day_of(store, log, upto, given_up)?;
    if !dry_run && !is_planted(Bug::ForgetDay) {
        day.write_as(DAY, store, log).map_err(Fault::EventLog)?;
    }
    if is_planted(Bug::PruneToday) {
        return Ok(upto);
    }
    // A start may go back to that event, and a cut, too: these counts must not be of a later one.
    Ok(if day.tally.event() <= upto { day.tally.day().event } else { 0 })
}

/// The counts as the day of event `upto` began, or of a later moment where no others are left.
fn day_of<S: Storage>(
    store: &S,
    log: &S,
    upto: u64,
    given_up: &AtomicBool,
) -> Result<Checkpoint, Fault> {
    let mut day = match known_day(store, log, u64::MAX)? {
        Some(day) => day,
        None if first_of(log)? == 1 => Checkpoint::default(),
        None => read(store, FILE, log, u64::MAX).ok().flatten().unwrap_or_default(),
    };
    let mut tally = day.tally.clone();
    if tally.event() >= upto {
        return Ok(day);
    }
    let from = tally.event() + 1;
    let mut reader = Reader::open(log.clone(), from).map_err(is_late)?;
    while tally.event() < upto
        && let Some(event) = reader.next_frame().map_err(Fault::EventLog)?
    {
        if given_up.load(Ordering::Relaxed) {
            return Err(Fault::Node("what is needed was not counted to its end".into()));
        }
        // Anew for each event: if this one begins a day, its marks are all that the day has.
        let mut index = Index::default();
        tally.on_event(&event.frame(), &mut index)?;
        if tally.day().event == tally.event() {
            day = Checkpoint { tally: tally.clone(), index, ..Checkpoint::default() };
        }
    }
    Ok(day)
}

/// The counts that the log as it is begins with: none where it has its beginning, or those of its
/// first day.
pub fn beginning<S: Storage>(store: &S, log: &S) -> Result<Tally, Fault> {
    let first = first_of(log)?;
    if first == 1 {
        return Ok(Tally::default());
    }
    let day = known_day(store, log, u64::MAX)?;
    let tally = day.map(|day| day.tally).filter(|tally| tally.event() == tally.day().event);
    tally.ok_or_else(|| {
        let why = format!("the log begins with event {first}, and {DAY} is not of its first day");
        begins_late(&why)
    })
}

fn first_of<S: Storage>(log: &S) -> Result<u64, Fault> {
    let reader = Reader::open_first(log.clone()).map_err(Fault::EventLog)?;
    Ok(reader.next_sequence())
}

/// What was kept of a day's beginning, if it is of use. Where it cannot be looked at it may still
/// be: nothing comes in its place then.
fn known_day<S: Storage>(store: &S, log: &S, last: u64) -> Result<Option<Checkpoint>, Fault> {
    let path = store.path(DAY);
    let read = read_whole(store, DAY).map_err(|source| {
        let source = Arc::new(source);
        Fault::EventLog(Error::Io { operation: "read", path, source })
    });
    let Some(day) = read?.as_deref().and_then(unpack) else { return Ok(None) };
    let is_ours = day.is_of(log).map_err(Fault::EventLog)? && day.tally.event() <= last;
    Ok(is_ours.then_some(day))
}

/// The log does not have what is to be counted, or cannot be read.
fn is_late(error: Error) -> Fault {
    match error {
        Error::Io { .. } => Fault::EventLog(error),
        error => begins_late(&error),
    }
}

fn begins_late(error: &dyn std::fmt::Display) -> Fault {
    Fault::Node(format!(
        "the sessions' messages cannot be numbered: {error}; bring the older segments of events/ \
         back (`ringframe journal archive --events --to PLACE --restore --into OTHER`), or the \
         files of sessions/ that were written with them; {DAY} of the other node is as good as \
         this one's"
    ))
}

fn read<S: Storage>(
    store: &S,
    name: &str,
    log: &S,
    last: u64,
) -> Result<Option<Checkpoint>, String> {
    let named = |why: &dyn std::fmt::Display| format!("{}: {why}", store.path(name).display());
    let Some(bytes) = read_whole(store, name).map_err(|error| named(&error))? else {
        return Ok(None);
    };
    let checkpoint = unpack(&bytes).ok_or_else(|| named(&"damaged, or of another version"))?;
    let is_ours = checkpoint.is_of(log).map_err(|error| named(&error))?;
    if is_ours && checkpoint.tally.event() <= last {
        Ok(Some(checkpoint))
    } else {
        Err(named(&"it is of another event log"))
    }
}

fn hash(bytes: &[u8]) -> [u8; HASH_BYTES] {
    blake3::hash(bytes).into()
}

fn unpack(bytes: &[u8]) -> Option<Checkpoint> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (expected, value) = rest.split_first_chunk::<HASH_BYTES>()?;
    (hash(value) == *expected).then(|| codec::decode(value))?
}

impl Checkpoint {
    /// Whether it counts the events of this log.
    fn is_of<S: Storage>(&self, log: &S) -> Result<bool, Error> {
        let event = self.tally.event();
        match event_log::newest(log, event) {
            Ok(Some(frame)) => Ok(hash(&frame) == self.last),
            // The log was begun anew behind it: there is nothing to compare.
            Ok(None) => Ok(first_of(log).is_ok_and(|first| first == event + 1)),
            Err(error @ Error::Io { .. }) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Replaces the one in the store. It counts from the moment that it is there under its name.
    pub fn write<S: Storage>(&mut self, store: &S, log: &S) -> Result<(), Error> {
        self.write_as(FILE, store, log)
    }

    fn write_as<S: Storage>(&mut self, name: &str, store: &S, log: &S) -> Result<(), Error> {
        let event = self.tally.event();
        let Some(frame) = event_log::newest(log, event)? else { return Ok(()) };
        self.last = hash(&frame);
        let value = codec::encode(self);
        let bytes = [&MAGIC[..], &hash(&value), &value].concat();
        let put = || {
            // Makes the directory, too. Two who write would rename each other's halves.
            let Some(_lock) = store.lock(&format!("{name}.lock"))? else {
                return Err(io::Error::other("somebody else writes there: try again"));
            };
            replace_whole(store, name, &bytes)
        };
        let path = store.path(name);
        put().map_err(|source| Error::Io { operation: "write", path, source: Arc::new(source) })
    }
}

impl Listener for Index {
    fn message(&mut self, _stream: Stream, _number: u64, _bytes: &[u8]) {}

    fn mark(&mut self, mark: Mark) {
        self.add(&mark);
    }

    fn new_day(&mut self, day: &Day, market: &Market) {
        Self::new_day(self, *day, market.clone());
    }
}
