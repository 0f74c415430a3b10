//! Bytes to the other node and back. A link never waits; what it carries is whole frames, each with
//! its checksum: the journal's frames as they stand in a segment, and the words of [`super::word`].

use std::io::{self, ErrorKind};

use ringframe_journal::FrameRef;
use ringframe_journal::frame::{Decoded, FRAME_BYTES_MAX, decode};

use super::Parted;
use crate::net::{Interest, Stream, is_nothing};
use crate::types::Nanos;

/// Who has nothing else to say says so often that he is there.
const BEAT_NANOS: u64 = Nanos::SECOND / 10;
/// Who says nothing for so long is gone.
pub(super) const SILENCE_NANOS: u64 = Nanos::SECOND;
/// The same of who copies: its disk may take its time.
const COPY_NANOS: u64 = 60 * Nanos::SECOND;
/// What leaves and what comes is gathered here: several times the largest frame.
const BUFFER_BYTES: usize = 4 * FRAME_BYTES_MAX;

/// A way to the other node.
pub trait Link: Send {
    /// Takes what has come; 0 where nothing has. A link that has ended is an error.
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize>;
    /// Gives away as much as there is room for.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether something was given away and has not left: sending nothing tries again.
    fn holds_some(&self) -> bool {
        false
    }

    /// Whether it takes anything yet: two that do not know each other wait for what comes.
    fn is_open(&self) -> bool {
        true
    }
}

impl<S: Stream> Link for S {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.read(into) {
            Ok(0) if !into.is_empty() => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if is_nothing(&error) => Ok(0),
            other => other,
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.write(bytes) {
            Err(error) if is_nothing(&error) => Ok(0),
            other => other,
        }
    }

    fn holds_some(&self) -> bool {
        Stream::holds_some(self)
    }

    fn is_open(&self) -> bool {
        Stream::is_open(self)
    }
}

/// A link with what waits at either side of it.
pub(super) struct Line<K> {
    link: K,
    outbox: Vec<u8>,
    inbox: Box<[u8]>,
    /// What came and was not taken yet.
    from: usize,
    to: usize,
    /// When something came last …
    heard_at: Nanos,
    /// … and when something left.
    spoke_at: Nanos,
    silence_nanos: u64,
}

impl<K: Link> Line<K> {
    pub(super) fn new(link: K, now: Nanos) -> Self {
        Self {
            link,
            outbox: Vec::with_capacity(BUFFER_BYTES),
            inbox: vec![0; BUFFER_BYTES].into(),
            from: 0,
            to: 0,
            heard_at: now,
            spoke_at: now,
            silence_nanos: SILENCE_NANOS,
        }
    }

    /// A copy is on its way here.
    pub(super) fn wait_for_disks(&mut self) {
        self.silence_nanos = COPY_NANOS;
    }

    /// Whether it is time to say that this node is there.
    pub(super) fn is_beat_due(&self, now: Nanos) -> bool {
        now.0.saturating_sub(self.spoke_at.0) >= BEAT_NANOS
    }

    /// Whether another frame may be put into the outbox.
    pub(super) fn has_room(&self) -> bool {
        BUFFER_BYTES - self.outbox.len() >= FRAME_BYTES_MAX
    }

    /// Whether all that was put there has left.
    pub(super) fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// The way itself.
    pub(super) fn link(&self) -> &K {
        &self.link
    }

    /// What is to be waited for: what came, where there is room for it, and room for what waits.
    pub(super) fn interest(&self) -> Interest {
        let read = self.from > 0 || self.to < self.inbox.len();
        let wants = !self.outbox.is_empty() && self.link.is_open();
        Interest { read, write: wants || self.link.holds_some() }
    }

    /// Where frames are put that are to leave.
    pub(super) fn outbox(&mut self) -> &mut Vec<u8> {
        &mut self.outbox
    }

    /// Sends what it can; an other end that has said nothing for too long is given up.
    pub(super) fn flush(&mut self, now: Nanos) -> Result<(), Parted> {
        let mut sent = 0;
        if self.outbox.is_empty() && self.link.holds_some() {
            self.link.send(&[])?;
        }
        while sent < self.outbox.len() {
            match self.link.send(&self.outbox[sent..])? {
                0 => break,
                count => sent += count,
            }
        }
        self.outbox.drain(..sent);
        if sent > 0 {
            self.spoke_at = now;
        }
        if now.0.saturating_sub(self.heard_at.0) > self.silence_nanos {
            return Err(Parted::Silent);
        }
        Ok(())
    }

    /// Takes in what has come, as far as there is room.
    pub(super) fn fill(&mut self, now: Nanos) -> io::Result<()> {
        if self.from > 0 && self.inbox.len() - self.to < FRAME_BYTES_MAX {
            self.inbox.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        let came = self.link.receive(&mut self.inbox[self.to..])?;
        self.to += came;
        if came > 0 {
            self.heard_at = now;
        }
        Ok(())
    }

    /// The next whole frame, which is taken by [`Self::take`]; what is none ends the link.
    pub(super) fn frame(&self) -> io::Result<Option<FrameRef<'_>>> {
        let why = match decode(&self.inbox[self.from..self.to]) {
            Decoded::Frame(frame) => return Ok(Some(frame)),
            Decoded::Short { .. } => return Ok(None),
            Decoded::Blank => "zeros where a frame begins".to_owned(),
            Decoded::Bad(bad) => bad.to_string(),
        };
        Err(io::Error::new(ErrorKind::InvalidData, why))
    }

    /// The frame that [`Self::frame`] gave, of so many bytes, is done with.
    pub(super) fn take(&mut self, bytes: usize) {
        self.from += bytes;
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        }
    }
}
