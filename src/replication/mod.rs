//! The way of the journal to another node, and what comes back.
//!
//! ```text
//!  leader                                                follower
//!  journal ──► Downstream ──► frames, as they stand ──► Upstream ──► ring ──► journal, logic …
//!                   ▲                                       │
//!  positions ◄──────┴───── how far it has them ◄────────────┘
//! ```
//!
//! A follower that lacks a day and one that lacks a microsecond are served by the same few lines:
//! the leader's end reads the journal from where the follower's ends. The follower's end publishes
//! to its ring what comes, in the place of a sequencer's own commands; behind the ring everything
//! is as on the leader. Both ends are polled and never wait.
//!
//! A follower whose end the leader's journal does not reach any more begins with a copy of what the
//! leader has, from its newest snapshot on.
//!
//! Read in this order: [`epochs`], `word`, `link`, [`downstream`], [`upstream`], `cut`, `copy` and
//! `arrival`; then the stage that has both ends, `replicator`, with its `herald`, what is seen of
//! it, [`crate::peers`], how a node begins, `start`, and who answers until it has, [`Porter`].

use std::fmt;
use std::io;

pub use arrival::Arrival;
pub use copy::Holdings;
pub use cut::{Cut, cut, leaves_a_beginning};
pub use downstream::{Downstream, Have, Leading};
pub use epochs::{Epochs, HistoryId, Term};
pub use link::Link;
pub use porter::Porter;
pub use replicator::{Replicator, ReplicatorOptions};
pub use start::{Asking, Beginning, Other, beginning, decide};
pub use upstream::Upstream;

use crate::types::{Epoch, Nanos, Sequence};

mod arrival;
mod bed;
mod copy;
mod cut;
pub mod downstream;
pub mod epochs;
mod herald;
mod link;
mod porter;
mod replicator;
mod start;
pub mod upstream;
mod word;

/// Why a link ended.
#[derive(Debug)]
pub enum Parted {
    /// The other node went away, or cannot be reached.
    Gone(io::Error),
    /// It said nothing for too long.
    Silent,
    /// What it sent makes no sense.
    Wrong(String),
    /// It does not want this node, or this node not it.
    Refused(String),
    /// It asked who leads, and has its answer.
    Answered,
    /// There is a later term: whoever leads an earlier one leads no more.
    Fenced {
        /// The later one.
        by: Epoch,
    },
    /// The follower has commands that the leader does not have: they are to be cut first.
    Surplus {
        /// The last that both have.
        agreed: Sequence,
    },
    /// The leader's journal does not go back to where the follower's ends.
    Behind {
        /// The first command that the leader has.
        first: Sequence,
    },
    /// The leader gives its place to this node, which has all that was ordered.
    HandedOver,
    /// This node cannot go on.
    Fault(crate::stage::Fault),
}

impl Parted {
    /// The other node is there, and not at home.
    fn recovers() -> Self {
        Self::Gone(io::Error::other("the other node recovers"))
    }
}

impl From<io::Error> for Parted {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Wrong(error.to_string()),
            _ => Self::Gone(error),
        }
    }
}

impl fmt::Display for Parted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the other node ended the link")
            }
            Self::Gone(error) => write!(f, "the link broke: {error}"),
            Self::Silent => {
                write!(
                    f,
                    "the other node said nothing for {} s",
                    link::SILENCE_NANOS / Nanos::SECOND
                )
            }
            Self::Wrong(why) => write!(f, "the other node sent what makes no sense: {why}"),
            Self::Refused(why) => f.write_str(why),
            Self::Answered => f.write_str("it knows who leads"),
            Self::Fenced { by } => write!(f, "there is a later term, {}", by.0),
            Self::Surplus { agreed } => write!(
                f,
                "the leader has other commands, or none, after {}: ours behind it are to be cut",
                agreed.0
            ),
            Self::Behind { first } => {
                write!(f, "the leader's journal begins with command {}", first.0)
            }
            Self::HandedOver => f.write_str("the leader gave its place to this node"),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}
