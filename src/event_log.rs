//! Opening the log of events. It is derived: what is missing at its end is produced again by
//! replay, byte for byte, and what it holds of commands that are gone is cut.

use ringframe_journal::storage::Storage;
use ringframe_journal::{Append, Cut, Error, Frame, Journal, Options, Reader, survey};

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

/// The last event whose command is not after `last`, or 0; looked for from the log's end.
pub fn last_caused_by<S: Storage>(storage: &S, last: Sequence) -> Result<u64, Error> {
    let segments = survey(storage)?;
    let begun = segments.iter().rev().filter_map(|info| info.header.good());
    for header in begun {
        let mut reader = match Reader::open(storage.clone(), header.first_sequence) {
            // A torn one that has no whole frame.
            Err(Error::OutOfRange { .. }) => continue,
            other => other?,
        };
        let mut number = None;
        while let Some(event) = reader.next_frame()? {
            if cause(&event.frame()).unwrap_or_default() > last {
                break;
            }
            number = Some(event.sequence());
        }
        if let Some(number) = number {
            return Ok(number);
        }
    }
    Ok(0)
}

/// An open log, and what was cut from it.
pub struct Opened<S: Storage> {
    /// The log.
    pub log: Journal<S>,
    /// Events of commands that the journal does not have.
    pub cut: Option<Cut>,
}

/// Opens the log for a journal that ends with `last`; an empty one begins at
/// `options.first_sequence`.
pub fn open<S: Storage>(storage: &S, options: Options, last: Sequence) -> Result<Opened<S>, Error> {
    let keep = last_caused_by(storage, last)?;
    let cut = None;
    let _ = keep;
    Ok(Opened { log: Journal::open(storage.clone(), options)?, cut })
}

/// Appends the events that the log does not have yet, while replay produces them.
pub struct Refill<'a, S: Storage> {
    log: &'a mut Journal<S>,
    now: Nanos,
    told: &'a mut dyn FnMut(Sequence),
}

impl<'a, S: Storage> Refill<'a, S> {
    /// Fills this log; `told` hears how far replay is.
    pub fn new(log: &'a mut Journal<S>, now: Nanos, told: &'a mut dyn FnMut(Sequence)) -> Self {
        Self { log, now, told }
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
        if event.sequence < self.log.writer.next_sequence() {
            return Ok(());
        }
        self.append(event).map_err(Fault::EventLog)
    }

    fn applied(&mut self, sequence: Sequence) {
        (self.told)(sequence);
    }
}
