//! Opening the log of events. It is derived: what is missing at its end is produced again by
//! replay, byte for byte, and what it holds of commands that are gone is cut.

use ringframe_journal::frame::{Decoded, decode};
use ringframe_journal::storage::Storage;
use ringframe_journal::{
    Append, Error, Frame, Journal, Options, Reader, Truncation, survey, truncate,
};

use crate::logic::{Logic, REJECT};
use crate::record::Record;
use crate::recovery::Watch;
use crate::stage::Fault;
use crate::types::{Nanos, Sequence};

/// The command that caused an event, from its frame in the log.
pub fn cause(event: &Frame<'_>) -> Option<Sequence> {
    let (sequence, _) = event.payload.split_first_chunk()?;
    Some(Sequence(u64::from_le_bytes(*sequence)))
}

/// The event's own payload, without its cause.
pub fn payload<'a>(event: &Frame<'a>) -> &'a [u8] {
    event.payload.get(8..).unwrap_or_default()
}

/// Where segments of the log are in an archive: beside the journal's.
pub fn archived_at(place: &str) -> String {
    format!("{}/events", place.trim_end_matches('/'))
}

/// How much of a log belongs to a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The last event whose command the journal has; the one before the first if there is none.
    pub last: u64,
    /// Whether events of other commands follow.
    pub surplus: bool,
}

/// Looks, from the log's end, how much of it belongs to a journal that ends with `last`.
pub fn extent<S: Storage>(storage: &S, last: Sequence) -> Result<Extent, Error> {
    let segments = survey(storage)?;
    let mut extent = Extent::default();
    for header in segments.iter().rev().filter_map(|info| info.header.good()) {
        let mut reader = match Reader::open(storage.clone(), header.first_sequence) {
            // A torn one, or one that was just begun: it has no whole frame.
            Err(Error::OutOfRange { .. }) => {
                extent.last = header.first_sequence - 1;
                continue;
            }
            other => other?,
        };
        extent.last = header.first_sequence - 1;
        let mut belongs = false;
        while let Some(event) = reader.next_frame()? {
            if cause(&event.frame()).unwrap_or_default() > last {
                extent.surplus = true;
                break;
            }
            extent.last = event.sequence();
            belongs = true;
        }
        if belongs {
            break;
        }
    }
    Ok(extent)
}

/// An open log, and what was cut from it.
pub struct Opened<S: Storage> {
    /// The log.
    pub log: Journal<S>,
    /// Events of commands that the journal does not have.
    pub cut: Option<Truncation>,
}

/// Opens the log, cut to the [`extent`] of it that belongs to the journal.
pub fn open<S: Storage>(storage: &S, options: Options, extent: Extent) -> Result<Opened<S>, Error> {
    let cut = match extent.surplus {
        true => truncate(storage, &options.logic, extent.last)?,
        false => None,
    };
    Ok(Opened { log: Journal::open(storage.clone(), options)?, cut })
}

/// The frame of an event, or nothing where the log begins after it.
pub fn newest<S: Storage>(storage: &S, number: u64) -> Result<Option<Vec<u8>>, Error> {
    let mut reader = match Reader::open(storage.clone(), number) {
        Err(Error::OutOfRange { .. }) => return Ok(None),
        other => other?,
    };
    Ok(reader.next_frame()?.map(|event| event.bytes().to_vec()))
}

/// Refuses to go on behind an event that this build would write in other bytes.
pub fn check_schema<L: Logic>(newest: Option<&[u8]>) -> Result<(), Fault> {
    let Some(Decoded::Frame(newest)) = newest.map(decode) else { return Ok(()) };
    same_schema::<L>(&newest.frame())
}

/// Whether this build would write an event of this kind in the schema version that it has.
pub fn same_schema<L: Logic>(event: &Frame<'_>) -> Result<(), Fault> {
    let (name, written) = match event.kind & REJECT {
        0 => (L::Event::NAME, L::Event::VERSION),
        _ => (L::Reject::NAME, L::Reject::VERSION),
    };
    match event.schema == written {
        true => Ok(()),
        false => {
            Err(Fault::EventSchema { number: event.sequence, name, logged: event.schema, written })
        }
    }
}

/// The fault of a log that is not this journal's.
pub fn of_another_history(logged: u64, produced: u64) -> Fault {
    Fault::Node(format!(
        "the event log is not this journal's: it ends with event {logged}, replay gives {produced} \
         events and not the same; keep it for `ringframe replay --verify`, then move events/ away \
         and start again where the journal has its beginning"
    ))
}

/// Appends the events that the log does not have yet, while replay produces them.
pub struct Refill<'a, S: Storage> {
    log: &'a mut Journal<S>,
    /// The last event that the log had before: the same must come again.
    newest: Option<Vec<u8>>,
    now: Nanos,
    told: &'a mut dyn FnMut(Sequence),
}

impl<'a, S: Storage> Refill<'a, S> {
    /// Fills this log; `told` hears how far replay is.
    pub fn new(
        log: &'a mut Journal<S>,
        newest: Option<Vec<u8>>,
        now: Nanos,
        told: &'a mut dyn FnMut(Sequence),
    ) -> Self {
        Self { log, newest, now, told }
    }

    fn append(&mut self, event: &Frame<'_>) -> Result<(), Error> {
        while self.log.writer.append(event)? == Append::Wait {
            // Nothing else runs yet that would prepare the next segment.
            self.log.syncer.poll(self.now.0)?;
            self.log.keeper.poll(self.now.0)?;
        }
        Ok(())
    }
}

impl<S: Storage> Watch for Refill<'_, S> {
    fn event(&mut self, event: &Frame<'_>) -> Result<(), Fault> {
        let next = self.log.writer.next_sequence();
        if event.sequence + 1 == next
            && let Some(newest) = self.newest.take()
        {
            let mut bytes = Vec::new();
            event.encode(&mut bytes);
            return match bytes == newest {
                true => Ok(()),
                false => Err(of_another_history(next - 1, event.sequence)),
            };
        }
        if event.sequence < next {
            return Ok(());
        }
        self.append(event).map_err(Fault::EventLog)
    }

    fn applied(&mut self, sequence: Sequence) {
        (self.told)(sequence);
    }
}
