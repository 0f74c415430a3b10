//! The streams' newest messages, and who listens to them.

use std::collections::VecDeque;

use super::{BACKLOG, EVENTS};
use crate::dialect::itch::Market;
use crate::history::Remark;
use crate::streams::{Day, Listener, Mark, Stream, Window};
use crate::types::Nanos;

/// A window for each stream that was used since the start.
pub(super) struct Rooms {
    feed: Window,
    feed_bytes: usize,
    feed_listeners: Vec<u64>,
    feed_is_dirty: bool,
    sessions: Vec<Option<Room>>,
    session_bytes: usize,
    /// Sessions that have something to send to someone.
    dirty: Vec<u16>,
    /// For the history, in the order of the events.
    pub(super) remarks: VecDeque<Remark>,
    ended: Vec<Ended>,
}

/// What ended with a day.
pub(super) struct Ended {
    pub(super) stream: Stream,
    /// The end of it.
    pub(super) window: Window,
    /// Who was listening.
    pub(super) listeners: Vec<u64>,
    /// The day that began.
    pub(super) next: Day,
}

struct Room {
    window: Window,
    listener: Option<u64>,
    is_dirty: bool,
    /// When the next packet may come without being early, where the session is held to a rate.
    due: Nanos,
}

impl Room {
    fn new(next: u64, bytes: usize) -> Self {
        Self {
            window: Window::new(next, bytes),
            listener: None,
            is_dirty: false,
            due: Nanos::default(),
        }
    }
}

impl Rooms {
    pub(super) fn new(feed_next: u64, feed_bytes: usize, session_bytes: usize) -> Self {
        Self {
            feed: Window::new(feed_next, feed_bytes),
            feed_bytes,
            feed_listeners: Vec::new(),
            feed_is_dirty: false,
            sessions: Vec::new(),
            session_bytes,
            dirty: Vec::new(),
            // No poll asks for memory: with less than the backlog one takes in a batch at most.
            remarks: VecDeque::with_capacity(BACKLOG + EVENTS as usize),
            ended: Vec::new(),
        }
    }

    pub(super) fn window(&self, stream: Stream) -> Option<&Window> {
        match stream {
            Stream::Feed => Some(&self.feed),
            Stream::Session(session) => {
                Some(&self.sessions.get(usize::from(session))?.as_ref()?.window)
            }
        }
    }

    /// Who has the session.
    pub(super) fn listener(&self, session: u16) -> Option<u64> {
        self.sessions.get(usize::from(session))?.as_ref()?.listener
    }

    /// Listens from now on; `next` is the number of the stream's next message.
    pub(super) fn join(&mut self, stream: Stream, next: u64, token: u64) {
        match stream {
            Stream::Feed => self.feed_listeners.push(token),
            Stream::Session(session) => self.room(session, next).listener = Some(token),
        }
    }

    pub(super) fn leave(&mut self, stream: Stream, token: u64) {
        match stream {
            Stream::Feed => self.feed_listeners.retain(|it| *it != token),
            Stream::Session(session) => {
                if let Some(Some(room)) = self.sessions.get_mut(usize::from(session))
                    && room.listener == Some(token)
                {
                    room.listener = None;
                }
            }
        }
    }

    /// When the session may speak again, whatever connection it has.
    pub(super) fn due(&self, session: u16) -> Nanos {
        let room = self.sessions.get(usize::from(session)).and_then(Option::as_ref);
        room.map_or(Nanos::default(), |room| room.due)
    }

    /// It spoke now, and may do so again every so many nanoseconds.
    pub(super) fn spoke(&mut self, session: u16, now: Nanos, every: u64) {
        if let Some(Some(room)) = self.sessions.get_mut(usize::from(session)) {
            room.due = room.due.max(now).after(every);
        }
    }

    fn room(&mut self, session: u16, next: u64) -> &mut Room {
        let place = usize::from(session);
        if place >= self.sessions.len() {
            self.sessions.resize_with(place + 1, || None);
        }
        let bytes = self.session_bytes;
        self.sessions[place].get_or_insert_with(|| Room::new(next, bytes))
    }

    /// Takes those who have something to get since the last time; `into` is emptied before.
    pub(super) fn take_dirty(&mut self, into: &mut Vec<u64>) {
        into.clear();
        for session in self.dirty.drain(..) {
            if let Some(Some(room)) = self.sessions.get_mut(usize::from(session)) {
                room.is_dirty = false;
                into.extend(room.listener);
            }
        }
        if std::mem::take(&mut self.feed_is_dirty) {
            into.extend_from_slice(&self.feed_listeners);
        }
    }

    /// Takes what ended with a day.
    pub(super) fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }
}

impl Listener for Rooms {
    #[inline]
    fn message(&mut self, stream: Stream, number: u64, bytes: &[u8]) {
        match stream {
            Stream::Feed => {
                self.feed.push(bytes);
                self.feed_is_dirty = true;
            }
            Stream::Session(session) => {
                let room = self.room(session, number);
                room.window.push(bytes);
                if room.listener.is_some() && !room.is_dirty {
                    room.is_dirty = true;
                    self.dirty.push(session);
                }
            }
        }
    }

    fn mark(&mut self, mark: Mark) {
        self.remarks.push_back(Remark::Mark(mark));
    }

    /// Who listens gets the rest of the old day from the old windows.
    fn new_day(&mut self, day: &Day, market: &Market) {
        self.remarks.push_back(Remark::NewDay(*day, Box::new(market.clone())));
        let feed = std::mem::replace(&mut self.feed, Window::new(1, self.feed_bytes));
        let listeners = std::mem::take(&mut self.feed_listeners);
        self.ended.push(Ended { stream: Stream::Feed, window: feed, listeners, next: *day });
        for (session, room) in (0..).zip(self.sessions.drain(..)) {
            let Some(Room { window, listener, .. }) = room else { continue };
            let stream = Stream::Session(session);
            let listeners = listener.into_iter().collect();
            self.ended.push(Ended { stream, window, listeners, next: *day });
        }
        self.dirty.clear();
        self.feed_is_dirty = false;
    }
}
