//! What all clients are told, day by day, as the events say it.

use ringframe::dialect::itch::Market;
use ringframe::stage::Fault;
use ringframe::streams::{Day, Listener, Mark, Stream, Tally};
use ringframe::wire::soup::Session;
use ringframe_journal::Frame;

/// All messages of each stream of each day, from the first event on.
#[derive(Default)]
pub(crate) struct Told {
    tally: Tally,
    days: Days,
}

/// The first one gets its name with the first event.
type Days = Vec<ToldDay>;

/// What was told on one day.
pub(crate) struct ToldDay {
    pub(crate) session: Session,
    streams: Vec<(Stream, Vec<Vec<u8>>)>,
}

impl Told {
    /// The event that comes next.
    pub(crate) fn next(&self) -> u64 {
        self.tally.event() + 1
    }

    pub(crate) fn on_event(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        let mut days = Hears(&mut self.days);
        self.tally.on_event(frame, &mut days)?;
        if let [first] = &mut self.days[..] {
            first.session = self.tally.day().name();
        }
        Ok(())
    }

    pub(crate) fn days(&self) -> &[ToldDay] {
        &self.days
    }
}

impl ToldDay {
    pub(crate) fn messages(&self, of: Stream) -> &[Vec<u8>] {
        let found = self.streams.iter().find(|(stream, _)| *stream == of);
        found.map_or(&[], |(_, messages)| messages)
    }
}

struct Hears<'a>(&'a mut Days);

impl Hears<'_> {
    fn begin(&mut self, session: Session) {
        self.0.push(ToldDay { session, streams: Vec::new() });
    }
}

impl Listener for Hears<'_> {
    fn message(&mut self, stream: Stream, _number: u64, bytes: &[u8]) {
        if self.0.is_empty() {
            self.begin(Session::BLANK);
        }
        let streams = &mut self.0.last_mut().expect("one has begun").streams;
        let place = streams.iter().position(|(it, _)| *it == stream).unwrap_or_else(|| {
            streams.push((stream, Vec::new()));
            streams.len() - 1
        });
        streams[place].1.push(bytes.to_vec());
    }

    fn mark(&mut self, _mark: Mark) {}

    fn new_day(&mut self, day: &Day, _market: &Market) {
        self.begin(day.name());
    }
}
