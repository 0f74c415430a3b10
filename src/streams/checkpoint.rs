//! How far the streams were counted, kept aside so that a start counts only what came since. It
//! is derived, as the event log is: one that is lost or damaged is made again, from the beginning
//! of the log, or from the day that a pruned log begins with.

use std::sync::Arc;

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
const LOCK: &str = "lock";
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
        other => (known_day(store, log, last), other.err()),
    };
    let before = checkpoint.tally.event();
    let mut counted = 0;
    if before < last {
        let mut reader =
            Reader::open(log.clone(), before + 1).map_err(|error| begins_late(&error))?;
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

/// The counts as the day of event `upto` began: nobody asks for what was told before.
pub fn day_of<S: Storage>(store: &S, log: &S, upto: u64) -> Result<Checkpoint, Fault> {
    let mut day = known_day(store, log, upto);
    let mut tally = day.tally.clone();
    if tally.event() == upto {
        return Ok(day);
    }
    let from = tally.event() + 1;
    let mut reader = Reader::open(log.clone(), from).map_err(|error| begins_late(&error))?;
    while tally.event() < upto
        && let Some(event) = reader.next_frame().map_err(Fault::EventLog)?
    {
        // Of a day that begins with this event it has all.
        let mut index = Index::default();
        tally.on_event(&event.frame(), &mut index)?;
        if tally.day().event == tally.event() {
            day = Checkpoint { tally: tally.clone(), index, ..Checkpoint::default() };
        }
    }
    Ok(day)
}

/// Keeps the counts as the day of event `upto` began, durably when this returns, and says with
/// which event that was: a start can do without what the log has from before.
pub fn keep_day<S: Storage>(store: &S, log: &S, upto: u64) -> Result<u64, Fault> {
    let mut day = day_of(store, log, upto)?;
    day.write_as(DAY, store, log).map_err(Fault::EventLog)?;
    Ok(day.tally.event())
}

/// What was kept of a day's beginning; nothing counted where there is nothing of use.
fn known_day<S: Storage>(store: &S, log: &S, last: u64) -> Checkpoint {
    read(store, DAY, log, last).ok().flatten().unwrap_or_default()
}

fn begins_late(error: &Error) -> Fault {
    Fault::Node(format!(
        "the sessions' messages cannot be numbered: {error}; bring the older segments of events/ \
         back from the archive (`ringframe journal archive --events --restore`), or the files of \
         sessions/ that were written with them"
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
    let event = checkpoint.tally.event();
    let is_ours = event <= last
        && event_log::newest(log, event)
            .is_ok_and(|found| found.is_some_and(|frame| hash(&frame) == checkpoint.last));
    if is_ours { Ok(Some(checkpoint)) } else { Err(named(&"it is of another event log")) }
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
            // Makes the directory, too.
            let _lock = store.lock(LOCK)?;
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
