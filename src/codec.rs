//! The one home of bincode: a logic's whole state as bytes, and records that are no fixed layout.
//! Integers are little-endian and as wide as their types, so a state's bytes can be read with a hex
//! dump and a list of its fields; `docs/FORMATS.md` draws the header before them.

use std::fmt::Debug;
use std::io::{self, BufWriter, Read, Write};

use bincode::config::{Config, Configuration, Fixint, Limit, LittleEndian};
use bincode::error::EncodeError;
use bincode::serde::{
    decode_from_slice, decode_from_std_read, encode_into_slice, encode_into_std_write,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::logic::Logic;
use crate::record::{Record, Upcast};

const STATE: Configuration<LittleEndian, Fixint> =
    bincode::config::standard().with_fixed_int_encoding();
/// No record claims to hold more than fits a frame, whatever length its bytes pretend.
const RECORD: Configuration<LittleEndian, Fixint, Limit<{ 1 << 16 }>> =
    STATE.with_limit::<{ 1 << 16 }>();

const MAGIC: &[u8; 8] = b"RINGSTAT";
const NAME_BYTES: usize = 48;
/// What stands before a state: see `docs/FORMATS.md`.
const HEADER_BYTES: usize = 16 + NAME_BYTES;
/// Large enough for the hash to work on many blocks at once.
const BUFFER_BYTES: usize = 1 << 17;

/// Writes the whole state, with a header that says whose it is. It flushes, and does not sync.
pub fn save<L: Logic>(logic: &L, into: impl Write) -> io::Result<()> {
    let mut into = BufWriter::with_capacity(BUFFER_BYTES, into);
    into.write_all(&header::<L>())?;
    match encode_into_std_write(logic, &mut into, STATE) {
        Ok(_) => into.flush(),
        Err(EncodeError::Io { inner, .. }) => Err(inner),
        Err(why) => Err(io::Error::other(format!("{}: its state has no bytes: {why}", L::NAME))),
    }
}

/// Reads what [`save`] wrote, or what [`Logic::migrate`] can make of it. Verify the bytes before,
/// by the checksum or digest that travels with them: a damaged length can ask for any memory.
pub fn load<L: Logic>(bytes: &[u8]) -> Result<L, StateError> {
    let (version, schema, state) = open::<L>(bytes)?;
    if (version, schema) == (L::VERSION, L::SCHEMA) {
        return decode_all(state, STATE).map_err(|why| StateError::Malformed {
            name: L::NAME,
            bytes: state.len(),
            why,
        });
    }
    migrate(version, schema, state)
}

/// As [`load`], from a source that ends with the state after `bytes` bytes, which take no memory of
/// their own unless they are to be migrated. Values are read one by one: buffer the source.
pub fn load_from<L: Logic>(from: &mut impl Read, bytes: usize) -> Result<L, StateError> {
    let mut header = [0; HEADER_BYTES];
    let none = |_| StateError::NoState { name: L::NAME, bytes };
    from.read_exact(&mut header).map_err(none)?;
    let (version, schema, _) = open::<L>(&header)?;
    let bytes = bytes.saturating_sub(HEADER_BYTES);
    let malformed = |why| StateError::Malformed { name: L::NAME, bytes, why };
    if (version, schema) != (L::VERSION, L::SCHEMA) {
        let mut state = Vec::with_capacity(bytes);
        from.read_to_end(&mut state).map_err(|why| malformed(why.to_string()))?;
        return migrate(version, schema, &state);
    }
    let logic = decode_from_std_read(from, STATE).map_err(|why| malformed(why.to_string()))?;
    match from.read(&mut [0]) {
        Ok(0) => Ok(logic),
        Ok(_) => Err(malformed("bytes too many".to_owned())),
        Err(why) => Err(malformed(why.to_string())),
    }
}

fn migrate<L: Logic>(version: u32, schema: u32, state: &[u8]) -> Result<L, StateError> {
    L::migrate(version, schema, state).ok_or(StateError::OtherVersion {
        name: L::NAME,
        version,
        schema,
        wanted_version: L::VERSION,
        wanted_schema: L::SCHEMA,
    })
}

/// BLAKE3 over the bytes that [`save`] writes, without keeping them.
///
/// # Panics
/// When the state cannot be serialised, which is a fault of its `Serialize`.
pub fn state_digest<L: Logic>(logic: &L) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    save(logic, &mut hasher).expect("a state that can be serialised");
    hasher.finalize().into()
}

/// The bytes of one value, for [`decode`].
///
/// # Panics
/// When the value cannot be serialised, which is a fault of its `Serialize`.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, STATE).expect("a value that can be serialised")
}

/// Reads one value that fills the bytes; `None` when they hold none.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    decode_all(bytes, STATE).ok()
}

fn decode_all<T: DeserializeOwned>(bytes: &[u8], config: impl Config) -> Result<T, String> {
    match decode_from_slice(bytes, config) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok((_, used)) => Err(format!("{} bytes too many", bytes.len() - used)),
        Err(why) => Err(why.to_string()),
    }
}

fn header<L: Logic>() -> [u8; HEADER_BYTES] {
    const { assert!(L::NAME.len() <= NAME_BYTES, "a logic's name has at most 48 bytes") }
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&L::VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&L::SCHEMA.to_le_bytes());
    header[16..16 + L::NAME.len()].copy_from_slice(L::NAME.as_bytes());
    header
}

/// Version, schema, and the state's own bytes.
fn open<L: Logic>(bytes: &[u8]) -> Result<(u32, u32, &[u8]), StateError> {
    let none = || StateError::NoState { name: L::NAME, bytes: bytes.len() };
    let (header, state) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or_else(none)?;
    let (magic, header) = header.split_first_chunk().ok_or_else(none)?;
    let (version, header) = header.split_first_chunk().ok_or_else(none)?;
    let (schema, name) = header.split_first_chunk().ok_or_else(none)?;
    if magic != MAGIC {
        return Err(none());
    }
    let found = String::from_utf8_lossy(name);
    let found = found.trim_end_matches('\0');
    if found != L::NAME {
        return Err(StateError::OtherLogic { found: found.to_owned(), wanted: L::NAME });
    }
    Ok((u32::from_le_bytes(*version), u32::from_le_bytes(*schema), state))
}

/// Why bytes are no state of a logic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateError {
    /// They do not begin as a state does.
    NoState {
        /// The logic that was to be loaded.
        name: &'static str,
        /// How many bytes there were.
        bytes: usize,
    },
    /// They are another logic's.
    OtherLogic {
        /// Whose they are.
        found: String,
        /// The logic that was to be loaded.
        wanted: &'static str,
    },
    /// They are of a version or schema that [`Logic::migrate`] does not know.
    OtherVersion {
        /// The logic.
        name: &'static str,
        /// The version found …
        version: u32,
        /// … the schema found …
        schema: u32,
        /// … the version of this build …
        wanted_version: u32,
        /// … and its schema.
        wanted_schema: u32,
    },
    /// They are not what they claim.
    Malformed {
        /// The logic.
        name: &'static str,
        /// How many bytes there were behind the header.
        bytes: usize,
        /// What is wrong with them.
        why: String,
    },
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoState { name, bytes } => write!(
                f,
                "{bytes} bytes are no saved state, wanted one of '{name}': name the file that \
                 `save` wrote"
            ),
            Self::OtherLogic { found, wanted } => write!(
                f,
                "the state of logic '{found}', wanted one of '{wanted}': use the binary that \
                 serves '{found}', or another data directory"
            ),
            Self::OtherVersion { name, version, schema, wanted_version, wanted_schema } => write!(
                f,
                "the state of '{name}' has version {version}, schema {schema}; this build has \
                 version {wanted_version}, schema {wanted_schema}, and no migration from there: \
                 use the build that wrote it, teach `Logic::migrate`, or, where the version is \
                 the same, replay the journal from its start"
            ),
            Self::Malformed { name, bytes, why } => write!(
                f,
                "{bytes} bytes are no state of '{name}': {why}; use an older snapshot, or raise \
                 `Logic::SCHEMA` when the state's fields were changed"
            ),
        }
    }
}

impl std::error::Error for StateError {}

/// A record of any shape that serde knows: these few lines make the type a [`Record`].
///
/// ```
/// use ringframe::codec::{SerdeRecord, upcast};
/// use ringframe::record::{Record, Upcast};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// enum Command {
///     Rename { id: u64, name: String },
/// }
///
/// impl SerdeRecord for Command {
///     const NAME: &'static str = "guest book command";
///     const VERSION: u16 = 2;
///     const BYTES_MAX: usize = 256; // the gateway takes no longer names
///     const OLDER: &'static [Upcast<Self>] = &[upcast::<Version1, Self>(1)];
/// }
///
/// /// Ids were narrower once.
/// #[derive(Deserialize)]
/// enum Version1 {
///     Rename { id: u32, name: String },
/// }
///
/// impl From<Version1> for Command {
///     fn from(Version1::Rename { id, name }: Version1) -> Self {
///         Self::Rename { id: id.into(), name }
///     }
/// }
///
/// let old = [0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'x'];
/// let command = Command::Rename { id: 7, name: "x".to_owned() };
/// assert_eq!(Command::decode(command.kind(), 1, &old), Ok(command));
/// ```
pub trait SerdeRecord:
    Serialize + DeserializeOwned + Clone + PartialEq + Debug + Send + 'static
{
    /// As [`Record::NAME`].
    const NAME: &'static str;
    /// As [`Record::VERSION`]: rises when a field or a variant comes, goes or moves.
    const VERSION: u16;
    /// As [`Record::BYTES_MAX`]; it must hold for every value, so bound texts where they come in.
    const BYTES_MAX: usize;
    /// As [`Record::OLDER`]; each row is an [`upcast`].
    const OLDER: &'static [Upcast<Self>] = &[];
}

/// Which variant a record is stands in its payload; its kind says nothing.
const SERDE_KIND: u16 = 1;

impl<T: SerdeRecord> Record for T {
    const NAME: &'static str = T::NAME;
    const VERSION: u16 = T::VERSION;
    const BYTES_MAX: usize = {
        assert!(T::BYTES_MAX < 1 << 16, "an emitted record has at most 65535 bytes");
        T::BYTES_MAX
    };
    const OLDER: &'static [Upcast<Self>] = T::OLDER;

    fn kind(&self) -> u16 {
        SERDE_KIND
    }

    fn encode(&self, into: &mut [u8]) -> usize {
        encode_into_slice(self, into, RECORD).unwrap_or_else(|why| {
            let name = <T as SerdeRecord>::NAME;
            panic!("a {name} longer than the {} bytes it may have: {why}: {self:?}", into.len())
        })
    }

    fn read(kind: u16, bytes: &[u8]) -> Option<Self> {
        read(kind, bytes)
    }
}

fn read<T: DeserializeOwned>(kind: u16, bytes: &[u8]) -> Option<T> {
    decode_all(bytes, RECORD).ok().filter(|_| kind == SERDE_KIND)
}

/// The row of [`SerdeRecord::OLDER`] that reads `Old`, the type as it was in `version`.
pub const fn upcast<Old: DeserializeOwned, New: From<Old>>(version: u16) -> Upcast<New> {
    Upcast { version, read: |kind, bytes| read::<Old>(kind, bytes).map(New::from) }
}
