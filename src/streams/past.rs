//! Old messages of a stream, made again from the event log.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringframe_journal::storage::Storage;
use ringframe_journal::{Bookmark, Error, Reader};

use super::{Index, Said, Stream, Teller};
use crate::dialect::Names;
use crate::embed::Outcome;
use crate::stage::Fault;
use crate::wire::soup;

/// A piece is done when it has so many bytes …
const PIECE_BYTES: usize = 64 << 10;
/// … or so many events were looked at for it.
const PIECE_EVENTS: u64 = 1 << 14;
/// So often it looks whether it can jump to a mark.
const JUMP_EVENTS: u64 = 1 << 10;
/// A way back into the log is kept for one of so many events.
const BOOKMARK_EVENTS: u64 = 1 << 12;
/// So many streams that are being read again go on where they stopped.
const READINGS: usize = 64;

/// Some messages of a stream, as packets of `wire::soup`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// The packets; none when the log does not have the message yet.
    pub packets: Vec<u8>,
    /// The number of the message after them.
    pub next: u64,
}

/// Reads a log again, for whoever asks.
pub struct Past<S: Storage> {
    reader: Reader<S>,
    /// The day that is read: what is from before it may be gone from the log.
    day: u64,
    bookmarks: BTreeMap<u64, Bookmark>,
    /// The newest last.
    readings: Vec<Reading>,
}

/// A stream that is being read again.
struct Reading {
    stream: Stream,
    /// The next event to look at …
    event: u64,
    /// … and the number of the first message that it gives.
    number: u64,
    teller: Teller,
    /// The stream's day is over.
    ended: bool,
}

impl<S: Storage> Past<S> {
    /// Reads this log.
    pub fn open(log: S) -> Result<Self, Fault> {
        let reader = Reader::open_first(log).map_err(Fault::EventLog)?;
        Ok(Self { reader, day: 0, bookmarks: BTreeMap::new(), readings: Vec::new() })
    }

    /// The next messages of a stream of the index's day, from `number` on.
    pub fn read(
        &mut self,
        index: &Index,
        names: &Arc<Names>,
        stream: Stream,
        number: u64,
    ) -> Result<Piece, Fault> {
        if self.day != index.day().event {
            self.day = index.day().event;
            self.bookmarks.clear();
            self.readings.clear();
        }
        let mut reading = self.reading(index, names, stream, number);
        let mut packets = Vec::new();
        // Something must come of it, or the same events would be looked at again and again.
        let is_enough = |looked: u64, packets: &Vec<u8>| {
            packets.len() >= PIECE_BYTES || (looked >= PIECE_EVENTS && !packets.is_empty())
        };
        for looked in 0.. {
            if looked % JUMP_EVENTS == 0 {
                // A stream that says little has marks far apart, and nothing between them and here.
                let ahead = index.before(stream, reading.number);
                if ahead.number == reading.number && ahead.event > reading.event {
                    reading.event = ahead.event;
                }
            }
            if is_enough(looked, &packets)
                || !self.event(index, &mut reading, number, &mut packets)?
            {
                break;
            }
        }
        let next = reading.number.max(number);
        self.readings.push(reading);
        if self.readings.len() > READINGS {
            self.readings.remove(0);
        }
        Ok(Piece { packets, next })
    }

    /// Goes on with what was read for this stream before, or begins at the nearest mark.
    fn reading(
        &mut self,
        index: &Index,
        names: &Arc<Names>,
        stream: Stream,
        number: u64,
    ) -> Reading {
        let mark = index.before(stream, number);
        let goes_on = |reading: &Reading| {
            reading.stream == stream && reading.number <= number && reading.number >= mark.number
        };
        if let Some(at) = self.readings.iter().position(goes_on) {
            return self.readings.remove(at);
        }
        let teller = Teller { names: Names::clone(names), market: index.market(mark.event) };
        Reading { stream, event: mark.event, number: mark.number, teller, ended: false }
    }

    /// Looks at one event; false where the log has no more.
    fn event(
        &mut self,
        index: &Index,
        reading: &mut Reading,
        from: u64,
        packets: &mut Vec<u8>,
    ) -> Result<bool, Fault> {
        if reading.ended {
            return Ok(false);
        }
        if self.reader.next_sequence() != reading.event {
            self.seek(reading.event).map_err(Fault::EventLog)?;
        }
        if reading.event.is_multiple_of(BOOKMARK_EVENTS)
            && let Some(bookmark) = self.reader.bookmark()
        {
            self.bookmarks.insert(reading.event, bookmark);
        }
        let Some(event) = self.reader.next_frame().map_err(Fault::EventLog)? else {
            return Ok(false);
        };
        let frame = event.frame();
        let told = Outcome::decode(&frame)?;
        let begins_day = frame.sequence == index.day().event;
        let (kept, first) = (packets.len(), reading.number);
        let Reading { stream, number, ended, .. } = reading;
        reading.teller.tell(&told, |said| match said {
            Said::Message(of, message) if of == *stream && !*ended => {
                if *number >= from {
                    push(packets, message);
                }
                *number += 1;
            }
            Said::Message(..) => {}
            // What was said up to here belongs to the day before.
            Said::NewDay(_) if begins_day => {
                packets.truncate(kept);
                *number = first;
            }
            Said::NewDay(_) => *ended = true,
        });
        reading.event += 1;
        Ok(true)
    }

    fn seek(&mut self, event: u64) -> Result<(), Error> {
        if let Some((_, bookmark)) = self.bookmarks.range(..=event).next_back() {
            self.reader.go_to(bookmark)?;
            while self.reader.next_sequence() < event && self.reader.next_frame()?.is_some() {}
            if self.reader.next_sequence() == event {
                return Ok(());
            }
        }
        self.reader.seek(event)
    }
}

pub(super) fn push(packets: &mut Vec<u8>, message: &[u8]) {
    let at = packets.len();
    packets.resize(at + soup::HEADER_BYTES + message.len(), 0);
    let written = soup::FromServer::Data(message).encode(&mut packets[at..]);
    assert_eq!(written, Some(packets.len() - at), "a message fits a packet");
}
