//! What can go wrong, said so that the reader of the message knows what, where and what to do next.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::frame::BadFrame;
use crate::segment::FORMAT;

/// Why a journal operation did not succeed. Cheap to clone: a fault is kept and told to everyone.
#[derive(Clone, Debug)]
pub enum Error {
    /// The operating system refused an operation on a file.
    Io {
        /// What was tried, as a verb: "sync", "open".
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// Another process writes this journal.
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The file system has too little room for the next segment.
    NoSpace {
        /// The journal's directory.
        path: PathBuf,
        /// Bytes that were needed.
        needed: u64,
        /// Bytes that were free.
        free: u64,
    },
    /// The journal belongs to another logic.
    OtherLogic {
        /// The journal's first segment.
        path: PathBuf,
        /// The name in its header.
        found: String,
        /// The name that was expected.
        expected: String,
    },
    /// The journal was written by a newer version of the logic than this one.
    NewerLogic {
        /// The segment.
        path: PathBuf,
        /// The logic's name.
        name: String,
        /// The version in the segment's header.
        found: u32,
        /// The newest version that this program knows.
        newest: u32,
    },
    /// Bytes that were known to be durable are gone or changed.
    Damaged(DamagedRange),
    /// The sequence asked for is no longer, or not yet, in the journal.
    OutOfRange {
        /// What was asked for.
        sequence: u64,
        /// The first sequence there is.
        first: u64,
        /// The sequence after the last.
        next: u64,
    },
    /// Another archive, prune or repair is at work on this journal.
    Maintained {
        /// The lock file.
        path: PathBuf,
    },
    /// An archive cannot be used, or does not hold what it should.
    Archive {
        /// The archive, or an object in it.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// A change was refused because it could do harm.
    Refused {
        /// The file that would have changed.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// An option makes no sense.
    Options(String),
    /// The caller broke the rules of appending (a bug in the caller, not in the data).
    Misuse(String),
}

/// A range of a segment that cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    /// The segment's file.
    pub path: PathBuf,
    /// The first damaged byte's frame or block begins here.
    pub from: u64,
    /// The first byte after the damage that is whole again, or the end of the file.
    pub to: u64,
    /// The first sequence that is lost, if the range holds frames.
    pub sequence_from: u64,
    /// The last sequence that is known to be lost.
    pub sequence_to: u64,
    /// What is wrong with the first bytes of the range.
    pub damage: Damage,
}

/// What is wrong with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The magic number is another.
    Magic,
    /// The checksum does not match.
    Checksum,
    /// The format version is not ours.
    Format(u32),
    /// Bytes that must be zero are not.
    Padding,
    /// Zeros where something durable stood.
    Missing,
    /// The file ends early.
    Truncated,
    /// A frame is not what belongs here.
    Frame(BadFrame),
    /// A seal or header disagrees with the frames or with its neighbours.
    Chain,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => write!(f, "wrong magic number"),
            Self::Checksum => write!(f, "checksum mismatch"),
            Self::Format(found) => {
                write!(f, "format version {found}, this program reads version {FORMAT}")
            }
            Self::Padding => write!(f, "padding is not zero"),
            Self::Missing => write!(f, "zeros where data stood"),
            Self::Truncated => write!(f, "file is too short"),
            Self::Frame(bad) => bad.fmt(f),
            Self::Chain => write!(f, "does not fit its neighbours"),
        }
    }
}

impl fmt::Display for DamagedRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: bytes {}..{}: {}", self.path.display(), self.from, self.to, self.damage)?;
        if self.sequence_from <= self.sequence_to {
            write!(f, ", sequences {}..={} lost", self.sequence_from, self.sequence_to)?;
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { operation, path, source } => {
                write!(f, "cannot {operation} {}: {source}{}", path.display(), advice(source))
            }
            Self::Locked { path } => write!(
                f,
                "{}: another process writes this journal; stop it first, or use another --data",
                path.display()
            ),
            Self::NoSpace { path, needed, free } => write!(
                f,
                "{}: {needed} bytes needed for the next segment, {free} free; \
                 free some space or archive and prune old segments",
                path.display()
            ),
            Self::OtherLogic { path, found, expected } => write!(
                f,
                "{}: this journal belongs to the logic '{found}', not to '{expected}'; \
                 check the data directory",
                path.display()
            ),
            Self::NewerLogic { path, name, found, newest } => write!(
                f,
                "{}: written by version {found} of '{name}', this program knows versions up to \
                 {newest}; start the newer program",
                path.display()
            ),
            Self::Damaged(range) => write!(
                f,
                "{range}; these bytes were durable, nothing was changed: run `ringframe journal \
                 repair --from SOURCE` with an archive or another node's journal"
            ),
            Self::OutOfRange { sequence, first, next } if first < next => write!(
                f,
                "sequence {sequence} is not in the journal, which holds {first} to {}; older \
                 frames may be in the archive",
                next - 1
            ),
            Self::OutOfRange { sequence, next, .. } => write!(
                f,
                "sequence {sequence} is not in the journal, which holds nothing and goes on with \
                 {next}; older frames may be in the archive"
            ),
            Self::Maintained { path } => write!(
                f,
                "{}: an archive, prune or repair is at work on these segments; let it finish",
                path.display()
            ),
            Self::Archive { place, why } => write!(f, "archive {place}: {why}"),
            Self::Refused { path, why } => {
                write!(f, "{}: {why}; this file was not changed", path.display())
            }
            Self::Options(why) | Self::Misuse(why) => f.write_str(why),
        }
    }
}

/// What to do about an error of the system, where one thing is likely.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; check owner and mode of the directory and its files, or run as their owner"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; mount it for writing, or use another --data",
        _ => "",
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Names the operation and the file in an `io::Error`.
pub(crate) trait Context<T> {
    fn context(self, operation: &'static str, path: impl Into<PathBuf>) -> Result<T, Error>;
    /// For calls that come often: the path is made only when it is needed.
    fn context_with(
        self,
        operation: &'static str,
        path: impl FnOnce() -> PathBuf,
    ) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, operation: &'static str, path: impl Into<PathBuf>) -> Result<T, Error> {
        self.context_with(operation, || path.into())
    }

    fn context_with(
        self,
        operation: &'static str,
        path: impl FnOnce() -> PathBuf,
    ) -> Result<T, Error> {
        self.map_err(|source| Error::Io { operation, path: path(), source: Arc::new(source) })
    }
}
