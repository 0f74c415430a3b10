//! Snapshots: the state at a sequence, in a file that counts only when it is whole, verified and
//! durable.
//!
//! ```text
//! prepare: lock ─► scratch file: state, synced as it grows ─► header, sync ─► read back, load,
//!          compare digests          … wait until the journal and the event log are durable …
//! publish: rename to `<sequence>.snapshot` ─► sync the directory
//! ```
//!
//! A crash between any two steps leaves every older snapshot as it was, and at most the scratch
//! file, which [`clean`] or the next [`prepare`] removes. [`list`] reads headers only; [`load`]
//! reads the state twice, first to verify its hash, because damaged bytes that are decoded can ask
//! for any memory, then to decode it.

mod error;
mod header;
pub mod schedule;
pub mod taker;
mod write;

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use ringframe_journal::planted::{Bug, is_planted};
use ringframe_journal::storage::{Access, Storage, StorageFile};

use crate::codec;
use crate::logic::Logic;
use crate::machine::Machine;
use crate::types::{Applied, Sequence};
use error::Context;
pub use error::SnapshotError;
pub use header::{FORMAT, HEADER_BYTES, Header};
pub use write::{Prepared, clean, prepare, write};

/// A snapshot that is not finished: of no use to anyone.
const SCRATCH: &str = "snapshot.tmp";
/// Held while one is written; never removed.
const LOCK: &str = "lock";
/// Files are read and written in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;
/// For those who have time.
pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

/// Where bytes go by: work on a big state ends soon after it is given up.
fn go_on(given_up: &AtomicBool) -> io::Result<()> {
    match given_up.load(Ordering::Relaxed) {
        true => Err(io::Error::other("given up")),
        false => Ok(()),
    }
}

/// A file in the directory of snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its name.
    pub name: String,
    /// Its path, for messages.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What it says of itself, which is whole; the state behind it may still be damaged, which
    /// [`check`] and [`load`] find. Otherwise why it is no snapshot.
    pub header: Result<Header, String>,
}

impl Info {
    /// Where the state stands; none where the header is damaged.
    pub fn sequence(&self) -> Option<Sequence> {
        self.header.as_ref().ok().map(|header| header.applied.sequence)
    }

    fn header(&self) -> Result<&Header, SnapshotError> {
        self.header.as_ref().map_err(|why| self.damaged(why))
    }

    fn damaged(&self, why: &str) -> SnapshotError {
        SnapshotError::Damaged { path: self.path.clone(), why: why.to_owned() }
    }
}

/// The name of the snapshot at a sequence.
pub fn file_name(sequence: Sequence) -> String {
    format!("{:020}.snapshot", sequence.0)
}

fn parse_name(name: &str) -> Option<Sequence> {
    let digits = name.strip_suffix(".snapshot")?;
    let whole = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    Some(Sequence(digits.parse().ok().filter(|_| whole)?))
}

/// What the directory holds, newest first, then what is no snapshot by its name. Reads headers.
pub fn list<S: Storage>(storage: &S) -> Result<Vec<Info>, SnapshotError> {
    let mut names = match storage.list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.context("list", storage.path(""))?,
    };
    names.retain(|name| name != LOCK && name != SCRATCH);
    names.sort_unstable_by(|a, b| (parse_name(b), a).cmp(&(parse_name(a), b)));
    Ok(names.into_iter().map(|name| inspect(storage, name)).collect())
}

fn inspect<S: Storage>(storage: &S, name: String) -> Info {
    let path = storage.path(&name);
    let (bytes, header) = match storage.open(&name, Access::Read) {
        Ok(file) => {
            let header = parse_name(&name).ok_or("its name is not a snapshot's".to_owned());
            let header = header.and_then(|sequence| read_header(&file, sequence));
            (file.bytes().unwrap_or_default(), header)
        }
        Err(error) => (0, Err(format!("it cannot be opened: {error}"))),
    };
    Info { name, path, bytes, header }
}

fn read_header(file: &impl StorageFile, sequence: Sequence) -> Result<Header, String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    let mut bytes = [0; HEADER_BYTES];
    let read = file.read_at(0, &mut bytes).map_err(unreadable)?;
    let file_bytes = file.bytes().map_err(unreadable)?;
    if read < HEADER_BYTES {
        return Err(format!("its {file_bytes} bytes are too few for a snapshot"));
    }
    let header = Header::from_bytes(&bytes)?;
    if header.file_bytes() != Some(file_bytes) {
        let state = header.state_bytes;
        return Err(format!("its {file_bytes} bytes are not {HEADER_BYTES} and {state} of state"));
    }
    if header.applied.sequence != sequence {
        let found = header.applied.sequence.0;
        return Err(format!("it holds the snapshot of sequence {found}, and was renamed"));
    }
    Ok(header)
}

/// The snapshots that a start from this journal and this event log can use, newest first. The log
/// must reach the snapshot's last event, because replay from there produces none before. One whose
/// header is damaged is among them: [`load`] says what is wrong with it.
pub fn candidates<S: Storage>(
    storage: &S,
    journal_last: u64,
    events_last: u64,
) -> Result<Vec<Info>, SnapshotError> {
    let mut infos = list(storage)?;
    infos.retain(|info| {
        let fits = |header: &Header| {
            header.applied.sequence.0 <= journal_last && header.applied.events <= events_last
        };
        match &info.header {
            Ok(header) => fits(header),
            Err(_) => parse_name(&info.name).is_some_and(|sequence| sequence.0 <= journal_last),
        }
    });
    Ok(infos)
}

/// What the oldest snapshot that is whole tells of: nothing from before it is needed for a start.
/// Its name is durable then: who asks is about to delete the rest.
pub fn oldest_good<S: Storage>(storage: &S) -> Result<Option<Applied>, SnapshotError> {
    let infos = list(storage)?;
    storage.sync_directory().context("sync", storage.path(""))?;
    let mut good = infos.iter().rev().filter(|info| check(storage, info).is_ok());
    Ok(good.find_map(|info| Some(info.header.as_ref().ok()?.applied)))
}

/// Reads the whole file and compares its hash: whether it is what was written.
pub fn check<S: Storage>(storage: &S, info: &Info) -> Result<(), SnapshotError> {
    let header = info.header()?;
    let file = storage.open(&info.name, Access::Read).context("open", info.path.clone())?;
    check_state(&file, header, info, &NEVER)
}

fn check_state(
    file: &impl StorageFile,
    header: &Header,
    info: &Info,
    given_up: &AtomicBool,
) -> Result<(), SnapshotError> {
    let mut state = StateReader::new(file, header, given_up);
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; piece_bytes(header)];
    loop {
        match state.read(&mut piece).context("read", info.path.clone())? {
            0 => break,
            read => hasher.update(&piece[..read]),
        };
    }
    if hasher.finalize() == header.state_digest {
        Ok(())
    } else {
        Err(info.damaged("the checksum of its state does not match"))
    }
}

/// The machine as it stood then, to go on from there.
pub fn load<L: Logic, S: Storage>(storage: &S, info: &Info) -> Result<Machine<L>, SnapshotError> {
    load_unless(storage, info, &NEVER)
}

/// As [`load`]; once it is given up, it ends soon with an error.
pub(crate) fn load_unless<L: Logic, S: Storage>(
    storage: &S,
    info: &Info,
    given_up: &AtomicBool,
) -> Result<Machine<L>, SnapshotError> {
    let header = info.header()?;
    let mut logic = load_state::<L, S>(storage, info, given_up)?;
    let version = header.applied.version;
    // A state of another build may not know which version is active: there was only one perhaps.
    if version != 0 && (header.version, header.schema) != (L::VERSION, L::SCHEMA) {
        logic.activate(version);
    }
    if is_planted(Bug::ForgetVersion) {
        logic.activate(L::OLDEST);
    }
    Ok(Machine::resume(logic, header.applied, header.digest))
}

fn load_state<L: Logic, S: Storage>(
    storage: &S,
    info: &Info,
    given_up: &AtomicBool,
) -> Result<L, SnapshotError> {
    let header = info.header()?;
    admit::<L>(header, info)?;
    let file = storage.open(&info.name, Access::Read).context("open", info.path.clone())?;
    check_state(&file, header, info, given_up)?;
    let state = StateReader::new(&file, header, given_up);
    let mut state = BufReader::with_capacity(piece_bytes(header), state);
    let bytes = usize::try_from(header.state_bytes).unwrap_or(usize::MAX);
    let loaded = codec::load_from(&mut state, bytes);
    // What the system said, in the place of what the codec makes of it.
    state.get_mut().failed.take().map_or(Ok(()), Err).context("read", info.path.clone())?;
    loaded.map_err(|error| SnapshotError::State { path: info.path.clone(), error })
}

/// So much of a state is read at a time: a short one is not worth a whole piece of zeroed memory.
fn piece_bytes(header: &Header) -> usize {
    header.state_bytes.min(PIECE_BYTES as u64) as usize
}

/// Refuses by name what this build cannot go on from; what the state itself says comes later.
fn admit<L: Logic>(header: &Header, info: &Info) -> Result<(), SnapshotError> {
    let path = info.path.clone();
    if header.logic != L::NAME {
        let found = header.logic.clone();
        let error = codec::StateError::OtherLogic { found, wanted: L::NAME };
        return Err(SnapshotError::State { path, error });
    }
    let (name, newest) = (L::NAME, L::VERSION);
    if header.version > newest {
        return Err(SnapshotError::Newer { path, name, found: header.version, newest });
    }
    let active = header.applied.version;
    if active != 0 && !(L::OLDEST..=newest).contains(&active) {
        return Err(SnapshotError::Active { path, name, active, oldest: L::OLDEST, newest });
    }
    Ok(())
}

/// Deletes all but the newest `keep` good snapshots and the newest good one that is not after
/// `needed`, and says what it deleted. The last good one always stays. Good is what this build can
/// load as it is, and what was read whole just now; what is not good goes only with what is older
/// than all that is kept. Who retains again and again reads each of them once.
pub fn retain<L: Logic, S: Storage>(
    storage: &S,
    keep: usize,
    needed: Option<Sequence>,
) -> Result<Vec<Info>, SnapshotError> {
    retain_unless::<L, S>(storage, keep, needed, &mut Verified::default(), &NEVER)
}

/// Snapshots that this process has read whole.
#[derive(Debug, Default)]
struct Verified(BTreeSet<(Sequence, [u8; 32])>);

impl Verified {
    fn note(&mut self, header: &Header) {
        self.0.insert((header.applied.sequence, header.state_digest));
    }

    fn holds(&self, header: &Header) -> bool {
        self.0.contains(&(header.applied.sequence, header.state_digest))
    }

    fn forget(&mut self, sequence: Sequence) {
        self.0.retain(|(noted, _)| *noted != sequence);
    }
}

/// As [`retain`], and what was verified before is not read again; once it is given up, nothing more
/// is looked at or deleted.
fn retain_unless<L: Logic, S: Storage>(
    storage: &S,
    keep: usize,
    needed: Option<Sequence>,
    verified: &mut Verified,
    given_up: &AtomicBool,
) -> Result<Vec<Info>, SnapshotError> {
    let keep = keep.max(1);
    let mut kept = 0;
    let mut needed = needed;
    let mut deleted = Vec::new();
    for info in list(storage)? {
        // What is no snapshot by its name is none of our business.
        let Some(sequence) = parse_name(&info.name) else { continue };
        if given_up.load(Ordering::Relaxed) {
            break;
        }
        let serves = needed.is_some_and(|needed| sequence <= needed);
        if kept >= keep && !serves {
            storage.remove(&info.name).context("remove", info.path.clone())?;
            verified.forget(sequence);
            deleted.push(info);
        } else if is_good::<L, S>(storage, &info, verified, given_up) {
            kept += 1;
            needed = needed.filter(|_| !serves);
        }
    }
    if !deleted.is_empty() {
        storage.sync_directory().context("sync", storage.path(""))?;
    }
    Ok(deleted)
}

fn is_good<L: Logic, S: Storage>(
    storage: &S,
    info: &Info,
    verified: &mut Verified,
    given_up: &AtomicBool,
) -> bool {
    let Ok(header) = &info.header else { return false };
    let as_it_is = (header.version, header.schema) == (L::VERSION, L::SCHEMA);
    if !as_it_is || admit::<L>(header, info).is_err() {
        return false;
    }
    let is_whole = || {
        let file = storage.open(&info.name, Access::Read);
        file.is_ok_and(|file| check_state(&file, header, info, given_up).is_ok())
    };
    let good = verified.holds(header) || is_whole();
    if good {
        verified.note(header);
    }
    good
}

/// The bytes of a state in an open file.
struct StateReader<'a, F> {
    file: &'a F,
    at: u64,
    end: u64,
    given_up: &'a AtomicBool,
    /// Why the system did not give them.
    failed: Option<io::Error>,
}

impl<'a, F: StorageFile> StateReader<'a, F> {
    fn new(file: &'a F, header: &Header, given_up: &'a AtomicBool) -> Self {
        let at = HEADER_BYTES as u64;
        let end = at.saturating_add(header.state_bytes);
        Self { file, at, end, given_up, failed: None }
    }
}

impl<F: StorageFile> Read for StateReader<'_, F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        go_on(self.given_up)?;
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let want = into.len().min(left);
        let read = self.file.read_at(self.at, &mut into[..want]).inspect_err(|error| {
            let code = error.raw_os_error();
            self.failed =
                Some(code.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error));
        })?;
        self.at += read as u64;
        Ok(read)
    }
}
