//! Where in the event log the messages of each stream come from: not every one, but one now and
//! then, so that making old messages again begins near them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Day, Stream};
use crate::dialect::itch::Market;

/// The next message of a stream comes from this event.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Which stream.
    pub stream: Stream,
    /// The event.
    pub event: u64,
    /// The message's number.
    pub number: u64,
    /// For the feed: what the market knew then.
    pub market: Option<Arc<Market>>,
}

/// The marks of a day.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Index {
    day: Day,
    marks: Vec<Vec<Place>>,
    /// From which event on the market knew what.
    markets: Vec<(u64, Market)>,
    #[serde(skip)]
    newest: Option<Arc<Market>>,
}

/// A message and the event that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) event: u64,
    pub(super) number: u64,
}

impl Index {
    /// The day whose marks these are.
    pub fn day(&self) -> &Day {
        &self.day
    }

    /// Forgets the day before, but for what the market knows from it.
    pub fn new_day(&mut self, day: Day, market: Market) {
        *self = Self { day, markets: vec![(day.event, market)], ..Self::default() };
    }

    /// Keeps a mark; they come in the order of the log.
    pub fn add(&mut self, mark: &Mark) {
        let place = mark.stream.place();
        if place >= self.marks.len() {
            self.marks.resize(place + 1, Vec::new());
        }
        self.marks[place].push(Place { event: mark.event, number: mark.number });
        let Some(market) = &mark.market else { return };
        if !self.newest.as_ref().is_some_and(|newest| Arc::ptr_eq(newest, market)) {
            self.markets.push((mark.event, Market::clone(market)));
            self.newest = Some(Arc::clone(market));
        }
    }

    /// The last mark at or before a message; without one, the day's beginning.
    pub(super) fn before(&self, stream: Stream, number: u64) -> Place {
        let marks = self.marks.get(stream.place()).map_or(&[][..], Vec::as_slice);
        let after = marks.partition_point(|mark| mark.number <= number);
        let begin = Place { event: self.day.event.max(1), number: 1 };
        after.checked_sub(1).map_or(begin, |last| marks[last])
    }

    /// What the market knew before this event.
    pub(super) fn market(&self, event: u64) -> Market {
        let after = self.markets.partition_point(|(since, _)| *since <= event);
        after.checked_sub(1).map_or_else(Market::default, |last| self.markets[last].1.clone())
    }
}
