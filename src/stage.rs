//! A piece of the pipeline that is polled, and what may stop the node.

use std::fmt;
use std::time::Duration;

use crate::record::RecordError;
use crate::types::{Epoch, Nanos, Sequence};

/// A pollable piece. Only the runner loops over stages, and only it owns threads; a test or a
/// simulator polls them by hand, in any order it likes.
pub trait Stage: Send {
    /// What layouts, counters and faults call it.
    fn name(&self) -> &'static str;

    /// Does a bounded piece of work and says how much: 0 means that there is nothing to do now, or
    /// no room for it. It never sleeps, reads a clock or waits for another stage; only the helpers
    /// behind the journals and the shadow wait for a disk, on threads of their own. `Err` stops the
    /// node.
    fn poll(&mut self, now: Nanos) -> Result<usize, Fault>;

    /// When the oldest command was decided that the last poll took from a ring, if it took any: how
    /// long commands, or what they caused, were on their way to here. Whoever polls knows the time.
    fn oldest(&self) -> Option<Nanos> {
        None
    }

    /// How long the last poll took, where it did something: a stage has no clock to see that.
    fn took(&mut self, _nanos: u64) {}

    /// Where this stage's thread is to sleep, so that what the stage waits for outside of the
    /// process wakes it. Asked once, before the first poll; most stages wait for other stages only.
    fn sleeper(&mut self) -> Option<Box<dyn Sleeper>> {
        None
    }

    /// The last call, when nothing is polled any more: in the order of the pipeline, on one thread,
    /// and it may take its time.
    fn close(&mut self, _now: Nanos) -> Result<(), Fault> {
        Ok(())
    }
}

/// A sleep that the outside world ends: sockets that have something to read.
pub trait Sleeper: Send {
    /// Sleeps until there is something, or someone calls the waker, or so long.
    fn sleep(&mut self, longest: Duration);

    /// What ends the sleep, also one that has not begun yet.
    fn waker(&self) -> Box<dyn Fn() + Send + Sync>;
}

/// Why the node stops. What one client does wrong is a reject or a disconnect, never this.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The journal of commands.
    Journal(ringframe_journal::Error),
    /// The log of events.
    EventLog(ringframe_journal::Error),
    /// The journal holds bytes that this build cannot read as a command.
    Record {
        /// The frame's sequence.
        sequence: Sequence,
        /// What is wrong with it.
        error: RecordError,
    },
    /// The event log holds bytes that this build cannot read as an event.
    Event {
        /// The event's number.
        number: u64,
        /// What is wrong with it.
        error: RecordError,
    },
    /// The event log holds events of another schema version than this build writes, so that events
    /// which are derived again would get other bytes.
    EventSchema {
        /// The newest event's number.
        number: u64,
        /// What it is.
        name: &'static str,
        /// The version in the log …
        logged: u16,
        /// … and the one that this build writes.
        written: u16,
    },
    /// The event log says something else than replay.
    OtherEvent {
        /// The event's number.
        number: u64,
        /// What the log has.
        logged: String,
        /// What replay gives.
        ours: String,
    },
    /// The journal asks for a version of the logic that this build does not have.
    Version {
        /// The logic.
        name: &'static str,
        /// From which command on.
        sequence: Sequence,
        /// The version asked for.
        wanted: u32,
        /// The oldest that this build has …
        oldest: u32,
        /// … and the newest.
        newest: u32,
    },
    /// This node did something else than the one that wrote the journal.
    Diverged {
        /// The last command where both were known to agree.
        agreed: Sequence,
        /// The first where they are known to differ.
        differs: Sequence,
        /// The digest in the journal.
        journaled: u128,
        /// Ours.
        ours: u128,
    },
    /// A snapshot could not be written, read or trusted.
    Snapshot(String),
    /// A stage panicked.
    Panicked {
        /// Its name.
        stage: &'static str,
        /// What it said.
        message: String,
    },
    /// Another node leads a later term: this one leads no more, and may follow.
    Fenced {
        /// The later term.
        by: Epoch,
    },
    /// This node has commands that its leader does not have: they are to be cut before it follows.
    Surplus {
        /// The last that both have.
        agreed: Sequence,
    },
    /// The leader's journal does not go back to where this node's ends: a copy is to be taken.
    Behind {
        /// The first command that the leader has.
        first: Sequence,
    },
    /// This node's journal ends before its last term began: it must not lead before who has what is
    /// gone was looked for, and may follow.
    Short {
        /// The last command before that term.
        had: Sequence,
        /// The last that is left.
        has: Sequence,
    },
    /// Something else that this node cannot go on without.
    Node(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(error) => write!(f, "journal: {error}"),
            Self::EventLog(error @ ringframe_journal::Error::Damaged(_)) => write!(
                f,
                "event log: {error}, with --events; or, because it is derived, move events/ away \
                 and start again where the journal has its beginning"
            ),
            Self::EventLog(error) => write!(f, "event log: {error}"),
            Self::Record { sequence, error } => write!(f, "command {}: {error}", sequence.0),
            Self::Event { number, error } => write!(f, "event {number}: {error}"),
            Self::EventSchema { number, name, logged, written } => write!(
                f,
                "event {number} of the log is {name} of schema version {logged}, this build \
                 writes {written}: events that are derived again would get other bytes. Start the \
                 build that wrote them; what an event says in another way needs a kind of its own, \
                 see docs/FORMATS.md, Event log"
            ),
            Self::OtherEvent { number, logged, ours } => write!(
                f,
                "event {number} of the log is not what replay gives: the log has {logged}, replay \
                 {ours}. Another build wrote it, which `ringframe replay --against` with that \
                 build shows, or its bytes were changed: keep events/, and let a start write it \
                 anew"
            ),
            Self::Version { name, sequence, wanted, oldest, newest } => write!(
                f,
                "command {} activates version {wanted} of '{name}', this build has {oldest} to \
                 {newest}: use a build that has it",
                sequence.0
            ),
            Self::Diverged { agreed, differs, journaled, ours } => write!(
                f,
                "this node diverged after command {} and no later than {}: the journal says \
                 digest {journaled:032x}, ours is {ours:032x}; keep this data directory, and find \
                 the first difference with `ringframe replay --against` and `ringframe journal \
                 diff`",
                agreed.0, differs.0
            ),
            Self::Fenced { by } => write!(
                f,
                "another node leads term {}, which is later than ours: this one leads no more; \
                 with --peer or --standby-of it follows that one by itself",
                by.0
            ),
            Self::Surplus { agreed } => write!(
                f,
                "the leader has other commands, or none, after {}: those here are to be cut",
                agreed.0
            ),
            Self::Behind { first } => write!(
                f,
                "the leader's journal begins with command {}: this node begins with a copy of \
                 what the leader has",
                first.0
            ),
            Self::Short { had, has } => write!(
                f,
                "this node had commands up to {} when its last term began, and has lost those \
                 after {}, by a loss of power or an end right after its promotion: the other node \
                 may have them, and clients may have been told of them. This one does not lead by \
                 itself: it follows, until `ringframe promote` at one of both lets that one lead; \
                 let it be the one whose `sequence` in `ringframe status` is higher",
                had.0, has.0
            ),
            Self::Snapshot(why) | Self::Node(why) => f.write_str(why),
            Self::Panicked { stage, message } => write!(f, "stage {stage} panicked: {message}"),
        }
    }
}

impl std::error::Error for Fault {}
