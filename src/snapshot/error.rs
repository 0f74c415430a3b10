//! What can go wrong with a snapshot.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::codec::StateError;
use crate::types::{Applied, Sequence};

/// Why a snapshot was not written, or cannot be used.
#[derive(Clone, Debug)]
pub enum SnapshotError {
    /// The operating system refused an operation on a file.
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// Another process writes snapshots here.
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// The file is no snapshot, or no whole one.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It was written by a newer build than this one.
    Newer {
        /// The file.
        path: PathBuf,
        /// The logic.
        name: &'static str,
        /// The version of the build that wrote it.
        found: u32,
        /// The version of this build.
        newest: u32,
    },
    /// In it a version of the logic is active that this build does not have.
    Active {
        /// The file.
        path: PathBuf,
        /// The logic.
        name: &'static str,
        /// The active version.
        active: u32,
        /// The oldest that this build has …
        oldest: u32,
        /// … and the newest.
        newest: u32,
    },
    /// Its state is not for this logic.
    State {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: StateError,
    },
    /// Loaded again, it was another state than the one that was saved.
    Differs {
        /// The logic.
        name: &'static str,
        /// Where the state stands.
        sequence: Sequence,
    },
    /// The node ended while it was written.
    GivenUp,
    /// What it tells of did not become durable in time, so it does not count.
    NotSynced {
        /// Where its state stands.
        applied: Applied,
        /// How much of the journal is durable …
        commands: u64,
        /// … and of the event log.
        events: u64,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { operation, path, source } => {
                write!(f, "cannot {operation} {}: {source}{}", path.display(), advice(source))
            }
            Self::Busy { path } => write!(
                f,
                "{}: another process writes a snapshot here; let it finish, or stop it",
                path.display()
            ),
            Self::Damaged { path, why } => write!(
                f,
                "{}: {why}; use an older snapshot, the journal holds what came after it",
                path.display()
            ),
            Self::Newer { path, name, found, newest } => write!(
                f,
                "{}: written by version {found} of '{name}', this build is version {newest}; \
                 start the newer build, or use an older snapshot",
                path.display()
            ),
            Self::Active { path, name, active, oldest, newest } => write!(
                f,
                "{}: version {active} of '{name}' is active in it, this build has {oldest} to \
                 {newest}; use a build that has it",
                path.display()
            ),
            Self::State { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Differs { name, sequence } => write!(
                f,
                "the state of '{name}' at sequence {} is another one when it is saved and loaded, \
                 so no snapshot was kept: its Serialize and Deserialize disagree, which \
                 `kit::survives_snapshots` shows",
                sequence.0
            ),
            Self::GivenUp => f.write_str(
                "the snapshot was not done when the node ended: what was written of it is removed, \
                 older ones are as they were, and the next start replays the journal after them; \
                 give it more drain_seconds, or take snapshots more often",
            ),
            Self::NotSynced { applied, commands, events } => write!(
                f,
                "the snapshot of sequence {}, event {} was dropped: the journal is durable up to \
                 {commands}, the event log up to {events}, for too long: nothing is released \
                 while a promised standby is away (`ringframe status` says so), or a disk is slow \
                 or has failed",
                applied.sequence.0, applied.events
            ),
        }
    }
}

/// What to do about an error of the system, where one thing is likely.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space or keep fewer snapshots: older ones were not touched"
        }
        io::ErrorKind::PermissionDenied => "; check owner and mode of the directory",
        io::ErrorKind::ReadOnlyFilesystem => "; mount it for writing",
        _ => "",
    }
}

impl std::error::Error for SnapshotError {}

/// Names the operation and the file in an `io::Error`.
pub(super) trait Context<T> {
    fn context(self, operation: &'static str, path: PathBuf) -> Result<T, SnapshotError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, operation: &'static str, path: PathBuf) -> Result<T, SnapshotError> {
        let io = |source| SnapshotError::Io { operation, path, source: Arc::new(source) };
        self.map_err(io)
    }
}
