//! Looks through an event log for people, piece by piece: no call reads much more than a segment,
//! and each says where the next one goes on.

use std::collections::{BTreeMap, VecDeque};

use ringframe_journal::storage::Storage;
use ringframe_journal::{Bookmark, Error, FrameRef, Reader, survey};

use crate::embed::Outcome;
use crate::event_log;
use crate::logic::Logic;
use crate::stage::Fault;
use crate::types::{Nanos, Sequence};

/// A call ends after so many bytes of frames, whatever it has found.
const WALK_BYTES: u64 = 64 << 20;
/// So many events are looked at in a piece, from its first to its last; a way back into the log is
/// kept for each piece that was passed.
const PIECE: u64 = 1 << 13;
/// So many ways back at most.
const BOOKMARKS_MAX: usize = 1 << 14;

/// Where a search begins, and which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With the last event, backwards.
    Newest,
    /// With the last event before this number, backwards.
    Before(u64),
    /// With this number, forwards.
    From(u64),
    /// With the first event of this command or a later one, forwards.
    Sequence(Sequence),
    /// With the first event of this time or a later one, forwards.
    Time(Nanos),
}

/// Which events are looked for.
pub type Filter<L> = Box<dyn Fn(&Outcome<L>) -> bool + Send>;

/// What is looked for.
pub struct Search<L: Logic> {
    /// Where.
    pub begin: Begin,
    /// Which events.
    pub filter: Filter<L>,
    /// So many at most.
    pub limit: usize,
}

/// What was found.
#[derive(Debug)]
pub struct Found<L: Logic> {
    /// In the order of the search.
    pub events: Vec<Outcome<L>>,
    /// The first event that the log has, and the last that was there to be looked at.
    pub has: (u64, u64),
    /// How much was read for it.
    pub walked_bytes: u64,
    /// Where to go on; nothing where a search backwards has reached the log's beginning.
    pub next: Option<Begin>,
}

impl<L: Logic> std::fmt::Debug for Outcome<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outcome").field("number", &self.number).finish_non_exhaustive()
    }
}

/// One who looks through a log. It remembers the ways that it went.
pub struct Browser<S: Storage> {
    log: S,
    reader: Option<Reader<S>>,
    bookmarks: BTreeMap<u64, Bookmark>,
    /// The first event of each segment, as this call found them.
    starts: Vec<u64>,
    walked_bytes: u64,
}

impl<S: Storage> Browser<S> {
    /// Looks through this log, which somebody may be writing.
    pub fn new(log: S) -> Self {
        let (bookmarks, starts) = (BTreeMap::new(), Vec::new());
        Self { log, reader: None, bookmarks, starts, walked_bytes: 0 }
    }

    /// Looks at events up to `last`, which the log has.
    pub fn find<L: Logic>(&mut self, search: &Search<L>, last: u64) -> Result<Found<L>, Fault> {
        self.walked_bytes = 0;
        let found = self.look(search, last);
        if found.is_err() {
            // A segment may have been pruned under it: the next search finds its ways anew.
            (self.reader, self.bookmarks) = (None, BTreeMap::new());
        }
        found
    }

    fn look<L: Logic>(&mut self, search: &Search<L>, last: u64) -> Result<Found<L>, Fault> {
        let segments = survey(&self.log).map_err(Fault::EventLog)?;
        let starts = segments.iter().filter_map(|info| Some(info.header.good()?.first_sequence));
        self.starts = starts.collect();
        let first = self.starts.first().map_or(last + 1, |first| *first);
        // What was pruned since is not there to go back to.
        self.bookmarks = self.bookmarks.split_off(&first);
        let (events, next) = match search.begin {
            Begin::Newest => self.backwards(search, first, last)?,
            Begin::Before(number) => {
                self.backwards(search, first, last.min(number.saturating_sub(1)))?
            }
            Begin::From(number) => self.forwards(search, number.max(first), last, &|_| true)?,
            Begin::Sequence(sequence) => {
                let is_there = |event: &FrameRef<'_>| {
                    event_log::cause(&event.frame()).unwrap_or_default() >= sequence
                };
                let from = self.before(first, is_there).map_err(Fault::EventLog)?;
                self.forwards(search, from, last, &is_there)?
            }
            Begin::Time(time) => {
                let is_there = |event: &FrameRef<'_>| event.timestamp() >= time.0;
                let from = self.before(first, is_there).map_err(Fault::EventLog)?;
                self.forwards(search, from, last, &is_there)?
            }
        };
        Ok(Found { events, has: (first, last), walked_bytes: self.walked_bytes, next })
    }

    fn backwards<L: Logic>(
        &mut self,
        search: &Search<L>,
        first: u64,
        mut last: u64,
    ) -> Result<(Vec<Outcome<L>>, Option<Begin>), Fault> {
        let mut events = Vec::new();
        loop {
            if last < first {
                return Ok((events, None));
            }
            let from = first.max((last + 1).saturating_sub(PIECE));
            self.seek(from).map_err(Fault::EventLog)?;
            let (mut found, room) = (VecDeque::new(), search.limit - events.len());
            while self.next_number() <= last
                && let Some(outcome) = self.next::<L>(&|_| true)?
            {
                if outcome.as_ref().is_some_and(&search.filter) {
                    found.extend(outcome);
                    if found.len() > room {
                        found.pop_front();
                    }
                }
            }
            events.extend(found.into_iter().rev());
            if events.len() >= search.limit {
                let oldest = events.last().map_or(from, |event: &Outcome<L>| event.number);
                return Ok((events, (oldest > first).then_some(Begin::Before(oldest))));
            }
            if self.walked_bytes >= WALK_BYTES {
                return Ok((events, (from > first).then_some(Begin::Before(from))));
            }
            last = from - 1;
        }
    }

    /// From `from` on; what comes before the first event that `is_there` is passed over.
    fn forwards<L: Logic>(
        &mut self,
        search: &Search<L>,
        from: u64,
        last: u64,
        is_there: &dyn Fn(&FrameRef<'_>) -> bool,
    ) -> Result<(Vec<Outcome<L>>, Option<Begin>), Fault> {
        let mut events = Vec::new();
        if from > last {
            return Ok((events, Some(Begin::From(from.min(last + 1)))));
        }
        self.seek(from).map_err(Fault::EventLog)?;
        while events.len() < search.limit
            && self.walked_bytes < WALK_BYTES
            && self.next_number() <= last
            && let Some(outcome) = self.next::<L>(is_there)?
        {
            events.extend(outcome.filter(&search.filter));
        }
        Ok((events, Some(Begin::From(self.next_number()))))
    }

    fn next_number(&self) -> u64 {
        self.reader.as_ref().map_or(1, Reader::next_sequence)
    }

    /// The next event, where it is one to look at; nothing at all where the log has no more.
    #[expect(clippy::option_option, reason = "passed over is not the end")]
    fn next<L: Logic>(
        &mut self,
        is_there: &dyn Fn(&FrameRef<'_>) -> bool,
    ) -> Result<Option<Option<Outcome<L>>>, Fault> {
        self.note();
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let Some(event) = reader.next_frame().map_err(Fault::EventLog)? else { return Ok(None) };
        self.walked_bytes += event.bytes().len() as u64;
        if !is_there(&event) {
            return Ok(Some(None));
        }
        Outcome::decode(&event.frame()).map(|outcome| Some(Some(outcome)))
    }

    /// Keeps the way back to here.
    fn note(&mut self) {
        let Some(reader) = &self.reader else { return };
        let next = reader.next_sequence();
        if next.is_multiple_of(PIECE)
            && let Some(bookmark) = reader.bookmark()
        {
            self.bookmarks.insert(next, bookmark);
            if self.bookmarks.len() > BOOKMARKS_MAX {
                self.bookmarks.pop_first();
            }
        }
    }

    /// Stands before this event, by the shortest way that is known.
    fn seek(&mut self, number: u64) -> Result<(), Error> {
        let known = self.bookmarks.range(..=number).next_back();
        let known = known.map(|(at, bookmark)| (*at, *bookmark));
        let after = self.starts.partition_point(|start| *start <= number);
        let start = after.checked_sub(1).map_or(number, |at| self.starts[at]);
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => self.reader.insert(Reader::open(self.log.clone(), start)?),
        };
        match known {
            Some((at, bookmark)) if at >= start => reader.go_to(&bookmark)?,
            _ => reader.seek(start)?,
        }
        while self.next_number() < number {
            self.note();
            let Some(reader) = &mut self.reader else { break };
            let Some(event) = reader.next_frame()? else { break };
            self.walked_bytes += event.bytes().len() as u64;
        }
        Ok(())
    }

    /// An event before which nothing is looked for, and not many come before what is: events are in
    /// the order of their commands and of time, so halving finds the segment.
    fn before(&self, first: u64, is_there: impl Fn(&FrameRef<'_>) -> bool) -> Result<u64, Error> {
        let starts = &self.starts;
        let (mut low, mut high) = (0, starts.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            // One that was just begun has no event yet.
            let begins_later = match Reader::open(self.log.clone(), starts[middle]) {
                Err(Error::OutOfRange { .. }) => true,
                other => other?.next_frame()?.is_none_or(|event| is_there(&event)),
            };
            if begins_later {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low.checked_sub(1).map_or(first, |at| starts[at]))
    }
}
