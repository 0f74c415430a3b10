//! The one encoding of commands, events and rejects. What the ring carries, the journal keeps and
//! the standby receives are the same bytes: a kind, a schema version and a payload, which are also
//! three fields of a journal frame.

/// A command, an event or a reject.
///
/// A type whose versions changed lists its older ones in [`Record::OLDER`]: each row turns bytes of
/// that version into today's value, so nothing else ever sees an old one.
pub trait Record: Clone + PartialEq + std::fmt::Debug + Sized + Send + 'static {
    /// What errors call it.
    const NAME: &'static str;
    /// The schema version that [`Record::encode`] writes.
    const VERSION: u16;
    /// No payload is longer.
    const BYTES_MAX: usize;
    /// How to read what earlier versions wrote, oldest first.
    const OLDER: &'static [Upcast<Self>] = &[];

    /// Which of the type's kinds this is; below [`KIND_LIMIT`].
    fn kind(&self) -> u16;

    /// Writes the payload at the start of `into`, which has [`Record::BYTES_MAX`] bytes, and says
    /// how long it is.
    fn encode(&self, into: &mut [u8]) -> usize;

    /// Reads a payload of the current version; `None` when the bytes are not of this kind.
    fn read(kind: u16, bytes: &[u8]) -> Option<Self>;

    /// Reads a payload of any version that this build knows.
    #[inline]
    fn decode(kind: u16, version: u16, bytes: &[u8]) -> Result<Self, RecordError> {
        if version == Self::VERSION {
            return Self::read(kind, bytes).ok_or_else(|| malformed::<Self>(kind, version, bytes));
        }
        decode_older(kind, version, bytes)
    }
}

/// Kinds are below this; the rest of the range is the node's own.
pub const KIND_LIMIT: u16 = 0x4000;

/// How to read one earlier version of `T`.
pub struct Upcast<T> {
    /// The version whose bytes it reads.
    pub version: u16,
    /// From those bytes to today's value; `None` when they are not of this kind.
    pub read: fn(kind: u16, bytes: &[u8]) -> Option<T>,
}

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// A version that this build does not know.
    UnknownVersion {
        /// The type's name.
        name: &'static str,
        /// The version found.
        version: u16,
        /// The newest version that this build reads.
        newest: u16,
    },
    /// Bytes that are not of the kind and version they claim.
    Malformed {
        /// The type's name.
        name: &'static str,
        /// The kind claimed.
        kind: u16,
        /// The version claimed.
        version: u16,
        /// How many bytes there were.
        bytes: usize,
    },
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownVersion { name, version, newest } => write!(
                f,
                "{name} of schema version {version}: this build reads up to {newest}; \
                 use the build that wrote it, or a newer one"
            ),
            Self::Malformed { name, kind, version, bytes } => write!(
                f,
                "{bytes} bytes are no {name} of kind {kind}, schema version {version}; \
                 they were written by another logic, or damaged before they were journaled"
            ),
        }
    }
}

impl std::error::Error for RecordError {}

#[cold]
fn malformed<T: Record>(kind: u16, version: u16, bytes: &[u8]) -> RecordError {
    RecordError::Malformed { name: T::NAME, kind, version, bytes: bytes.len() }
}

#[cold]
fn decode_older<T: Record>(kind: u16, version: u16, bytes: &[u8]) -> Result<T, RecordError> {
    match T::OLDER.iter().find(|older| older.version == version) {
        Some(older) => {
            (older.read)(kind, bytes).ok_or_else(|| malformed::<T>(kind, version, bytes))
        }
        None => Err(RecordError::UnknownVersion { name: T::NAME, version, newest: T::VERSION }),
    }
}
