//! What clients are told, numbered: one stream of messages for each session, one for the market.
//! All of it follows from the event log, so a message has the same bytes and the same number today,
//! after a restart, and on a standby. A stream lasts a day, from one `DayEnded` to the next.
//!
//! - [`Tally`] turns events into numbered messages; the gateway follows the live events with it.
//! - [`Window`] holds the newest messages of a stream; [`Index`] says where in the log older ones
//!   come from, and [`Teller`] makes them again.
//! - [`Spin`] is how all books stand, for those who come late.

use std::sync::Arc;

use ringframe_journal::Frame;
use serde::{Deserialize, Serialize};

use crate::dialect::itch::Market;
use crate::dialect::{Names, ouch};
use crate::embed::Outcome;
use crate::exchange::Exchange;
use crate::exchange::event::Event;
use crate::exchange::reject::{Reject, Why};
use crate::stage::Fault;
use crate::types::Nanos;
use crate::wire::soup;

mod checkpoint;
mod index;
mod past;
mod spin;
mod window;

pub use checkpoint::{Checkpoint, Opened, beginning, needed_from, open};
pub use index::{Index, Mark};
pub use past::{Past, Piece};
pub use spin::{Making, Snapshot, Spin};
pub use window::Window;

/// A stream of numbered messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stream {
    /// What the market sees.
    Feed,
    /// What one session is told.
    Session(u16),
}

impl Stream {
    fn place(self) -> usize {
        match self {
            Self::Feed => 0,
            Self::Session(session) => 1 + usize::from(session),
        }
    }
}

/// What streams last for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// The event that began it; 0 for the first day.
    pub event: u64,
    /// When that was, or a microsecond after the day before began, which is later where days are
    /// ended at once; of the first day, the time of the first event.
    pub time: Nanos,
}

impl Day {
    /// What clients call its streams: no two days of any journal have the same name, so nobody goes
    /// on with the numbers of another.
    pub fn name(&self) -> soup::Session {
        const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut name = soup::Session::BLANK;
        let mut micros = self.time.0 / 1_000;
        for letter in name.0.iter_mut().rev() {
            *letter = DIGITS[(micros % 36) as usize];
            micros /= 36;
        }
        name
    }
}

/// Longer than any message of a dialect.
const MESSAGE_BYTES_MAX: usize = 128;

/// What is told of events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Teller {
    names: Names,
    market: Market,
}

/// What a [`Teller`] says.
enum Said<'a> {
    Message(Stream, &'a [u8]),
    /// All streams end here and begin anew; the market knows this much from the day before.
    NewDay(&'a Market),
}

impl Teller {
    fn tell(&mut self, told: &Outcome<Exchange>, mut say: impl FnMut(Said<'_>)) {
        let time = told.time;
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut to_session = |session: u16, message: &crate::wire::ouch::Outbound| {
            let bytes = message.encode(&mut buffer).expect("it has room");
            say(Said::Message(Stream::Session(session), &buffer[..bytes]));
        };
        let event = match &told.result {
            Ok(event) => event,
            Err(reject) => {
                if let Some((session, message)) = ouch::rejected(reject, time) {
                    to_session(session, &message);
                }
                return;
            }
        };
        self.names.on_event(event);
        let names = &self.names;
        ouch::tell(event, time, names, |to, message| match to {
            ouch::To::Session(session) => to_session(session, &message),
            ouch::To::Everyone => {
                names.sessions().for_each(|(session, _)| to_session(session, &message));
            }
        });
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        self.market.on_event(event, time, |message| {
            let bytes = message.encode(&mut buffer).expect("it has room");
            say(Said::Message(Stream::Feed, &buffer[..bytes]));
        });
        if matches!(event, Event::DayEnded(_)) {
            say(Said::NewDay(&self.market));
            let bytes = ouch::start_of_day(time).encode(&mut buffer).expect("it has room");
            for (session, _) in self.names.sessions() {
                say(Said::Message(Stream::Session(session), &buffer[..bytes]));
            }
        }
    }
}

/// Who hears what a [`Tally`] numbers.
pub trait Listener {
    /// A stream's next message.
    fn message(&mut self, stream: Stream, number: u64, bytes: &[u8]);
    /// Where a stream's messages can be found again.
    fn mark(&mut self, mark: Mark);
    /// All streams end here, and begin again with number 1; the market knows this much already.
    fn new_day(&mut self, day: &Day, market: &Market);
}

/// Numbers the messages of all streams, event by event.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// The last event that is counted in.
    event: u64,
    day: Day,
    teller: Teller,
    streams: Vec<Count>,
    /// The market as the last mark of the feed said it, until it changes.
    #[serde(skip)]
    market: Option<Arc<Market>>,
    /// The names as they were last handed out, until they change.
    #[serde(skip)]
    names: Option<Arc<Names>>,
}

/// How far one stream is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Count {
    messages: u64,
    /// The event that its last mark names …
    marked: u64,
    /// … and how many messages there were before.
    marked_messages: u64,
}

/// A stream gets a mark after so many messages …
const MARK_MESSAGES: u64 = 64;
/// … or, with fewer, after so many events.
const MARK_EVENTS: u64 = 1 << 16;

impl Count {
    fn wants_mark(&self, event: u64) -> bool {
        self.marked == 0
            || self.messages >= self.marked_messages + MARK_MESSAGES
            || event >= self.marked + MARK_EVENTS
    }
}

impl Tally {
    /// The last event that is counted in.
    pub fn event(&self) -> u64 {
        self.event
    }

    /// What streams are called by now.
    pub fn day(&self) -> &Day {
        &self.day
    }

    /// Symbols and sessions, as far as events have named them.
    pub fn names(&mut self) -> Arc<Names> {
        let names = &self.teller.names;
        Arc::clone(self.names.get_or_insert_with(|| Arc::new(names.clone())))
    }

    /// Who speaks in a session, if there is one.
    pub fn account(&self, session: u16) -> Option<ouch::Account> {
        self.teller.names.account(session)
    }

    /// Whether there is such a stream.
    pub fn has(&self, stream: Stream) -> bool {
        stream == Stream::Feed || self.streams.get(stream.place()).is_some_and(|it| it.messages > 0)
    }

    /// The number of a stream's next message.
    pub fn next(&self, stream: Stream) -> u64 {
        self.streams.get(stream.place()).map_or(1, |count| count.messages + 1)
    }

    /// Counts in the next event of the log; says why where it is a refusal.
    pub fn on_event(
        &mut self,
        frame: &Frame<'_>,
        to: &mut impl Listener,
    ) -> Result<Option<Why>, Fault> {
        assert_eq!(frame.sequence, self.event + 1, "events come one by one");
        let told = Outcome::<Exchange>::decode(frame)?;
        if self.event == 0 {
            self.day.time = told.time;
        }
        let event = frame.sequence;
        self.event = event;
        let changes_market = changes_market(&told.result);
        if changes_market {
            self.market = None;
        }
        if matches!(&told.result, Ok(Event::InstrumentAdded(_) | Event::SessionSet(_))) {
            self.names = None;
        }
        let Self { day, teller, streams, market, .. } = self;
        // The market cannot be borrowed while it speaks; it is marked only where it stands still.
        let still = if changes_market { None } else { Some(&teller.market) };
        let is_first_feed = still.is_some_and(|_| wants_mark(streams, Stream::Feed, event));
        let marked = still
            .filter(|_| is_first_feed)
            .map(|still| Arc::clone(market.get_or_insert_with(|| Arc::new(still.clone()))));
        teller.tell(&told, |said| match said {
            Said::Message(stream, bytes) => {
                if stream.place() >= streams.len() {
                    streams.resize(stream.place() + 1, Count::default());
                }
                let count = &mut streams[stream.place()];
                let may_mark = stream != Stream::Feed || marked.is_some();
                if may_mark && count.wants_mark(event) && count.marked != event {
                    (count.marked, count.marked_messages) = (event, count.messages);
                    let market = if stream == Stream::Feed { marked.clone() } else { None };
                    to.mark(Mark { stream, event, number: count.messages + 1, market });
                }
                count.messages += 1;
                to.message(stream, count.messages, bytes);
            }
            Said::NewDay(market) => {
                // Commands may have one time; names of days may not.
                let time = told.time.max(day.time.after(1_000));
                *day = Day { event, time };
                streams.clear();
                to.new_day(day, market);
            }
        });
        Ok(told.result.err().map(|Reject::Rejected(refused)| refused.why))
    }
}

fn wants_mark(streams: &[Count], stream: Stream, event: u64) -> bool {
    streams.get(stream.place()).is_none_or(|count| count.wants_mark(event))
}

/// Whether the event changes what the market's later messages say.
fn changes_market(result: &Result<Event, Reject>) -> bool {
    let Ok(event) = result else { return false };
    matches!(
        event,
        Event::InstrumentAdded(_)
            | Event::InstrumentChanged(_)
            | Event::StateChanged(_)
            | Event::DayEnded(_)
    )
}
