//! The groups of settings, and what some of them may be.

use std::path::PathBuf;

use crate::snapshot::schedule::TimeOfDay;
use crate::spans::Collector;
use crate::tls::Identity;

/// A node's number in its pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeNumber {
    /// 2 for one that begins as a standby, 1 for any other.
    #[default]
    Auto,
    /// This.
    Is(u8),
}

/// Files in PEM; none for plain bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate …
    pub certificate: Option<PathBuf>,
    /// … and its key.
    pub key: Option<PathBuf>,
    /// Whose certificates clients must show.
    pub clients: Option<PathBuf>,
}

impl Tls {
    /// What the server shows, where it does.
    pub fn identity(&self) -> Option<Identity> {
        let (certificate, key) = self.certificate.clone().zip(self.key.clone())?;
        Some(Identity { certificate, key })
    }
}

/// How clients are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// What a second login to a session does.
    pub second_login: SecondLogin,
    /// The most connections at a time …
    pub connections: u64,
    /// … and from one address.
    pub connections_per_address: PerAddress,
    /// Messages per second and session, before it is read more slowly.
    pub rate: Option<u64>,
    /// How much of a session's newest messages is kept in memory.
    pub window_bytes: u64,
    /// Who has not logged in after this is cut off.
    pub login_seconds: u64,
    /// A client that said nothing for so long is cut off.
    pub silence_seconds: u64,
    /// After a start, so long may clients take to come back before their orders are canceled.
    pub grace_seconds: u64,
}

/// The most connections from one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PerAddress {
    /// A quarter of all, and from this machine any number.
    #[default]
    Auto,
    /// Any number.
    Off,
    /// So many, also from this machine.
    Most(u64),
}

/// What a second login to a session does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondLogin {
    /// It has the session from then on, and the first connection is closed.
    #[default]
    TakesOver,
    /// Nothing: it is refused while the first connection lives.
    Refused,
}

/// When states are saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshots {
    /// Who takes them.
    pub mode: SnapshotMode,
    /// After so many commands.
    pub every_commands: Option<u64>,
    /// After so much time.
    pub every_seconds: Option<u64>,
    /// Every day at this time.
    pub at: Option<TimeOfDay>,
    /// When a restart would take longer than this.
    pub recovery_target_seconds: Option<u64>,
    /// So many are kept.
    pub keep: u64,
    /// Once more when the node is told to end.
    pub at_drain: bool,
}

/// What memory a node of the exchange takes at its start, so that no order waits for it later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// For so many live orders.
    pub orders: u64,
    /// For so many tokens of a day.
    pub tokens: u64,
}

/// Who takes snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnapshotMode {
    /// A second instance of the logic that follows the journal: nobody waits.
    #[default]
    Shadow,
    /// The processor itself: all wait, but nothing is held in memory twice.
    Inline,
    /// Nobody: a restart replays the whole journal.
    Off,
}

/// What is told of sampled orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// To whom.
    pub to: Option<Collector>,
    /// Of so many orders at most.
    pub per_second: u64,
}

/// When a newer version of the logic takes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activate {
    /// When an operator says so.
    #[default]
    Manual,
    /// At the start of a build that has it.
    Start,
}
