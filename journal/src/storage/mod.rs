//! The one effect of this crate: a directory of files. It has two homes, real files
//! ([`mapped`]) and a simulated disk with faults ([`simulated`]); all other code is the same.

pub mod long_sync;
pub mod mapped;
pub mod simulated;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only: never creates, changes or locks anything.
    Read,
    /// Reading and writing.
    Write,
}

/// A directory.
pub trait Storage: Clone + Send + Sync + 'static {
    /// An open file.
    type File: StorageFile;
    /// Held as long as the directory is ours.
    type Lock: Send + Sync + 'static;

    /// The path of a name, for messages.
    fn path(&self, name: &str) -> PathBuf;
    /// Creates the directory if need be and takes the named lock, or says that another holds it.
    fn lock(&self, name: &str) -> io::Result<Option<Self::Lock>>;
    /// The names of the files there are, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that is there.
    fn open(&self, name: &str, access: Access) -> io::Result<Self::File>;
    /// Creates a file that must not be there, for writing.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Renames a file over whatever has the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_directory(&self) -> io::Result<()>;
    /// Bytes that may still be written.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// A file; all methods take `&self`, so that a helper may sync while the writer appends.
pub trait StorageFile: Send + Sync + 'static {
    /// The file's memory, for the one who appends.
    type Region: Region;

    /// The file's length.
    fn bytes(&self) -> io::Result<u64>;
    /// Reads until `into` is full or the file ends; returns how many bytes were read.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes`, growing the file if need be; not durable before a sync.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Gives the file this length with all its blocks reserved, or fails without a half measure.
    fn reserve(&self, bytes: u64) -> io::Result<()>;
    /// Writes zeros for real, so that later writes to the range need no metadata, and leaves them
    /// in the page cache in small pieces, so that a small commit writes few bytes.
    fn zero(&self, from: u64, to: u64) -> io::Result<()>;
    /// Makes data and length durable.
    fn sync(&self) -> io::Result<()>;
    /// Makes this range's data durable; the length must have been synced before.
    fn sync_range(&self, from: u64, to: u64) -> io::Result<()>;
    /// Maps the file's first `bytes` for appending. At most once per open file.
    fn map(self: &Arc<Self>, bytes: u64) -> io::Result<Self::Region>;
    /// Makes the range of a mapped file writable without page faults.
    fn prefault(&self, from: u64, to: u64) -> io::Result<()>;
}

/// All bytes of a small file; none where there is no such file.
pub fn read_whole<S: Storage>(storage: &S, name: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match storage.open(name, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = vec![0; file.bytes()? as usize];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Puts a small file in the place of the one with this name: a crash leaves the old one or the new
/// one, and it is the new one, durably, when this returns.
pub fn replace_whole<S: Storage>(storage: &S, name: &str, bytes: &[u8]) -> io::Result<()> {
    let scratch = format!("{name}.new");
    // What a crash left of an attempt before this one.
    let _ = storage.remove(&scratch);
    let file = storage.create(&scratch)?;
    file.reserve(bytes.len() as u64)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    storage.rename(&scratch, name)?;
    storage.sync_directory()
}

/// A file's mapped memory. There is one per mapped file and writing takes `&mut`, so no two writers
/// can exist; readers and the sync helper go through the file.
pub trait Region: Send + 'static {
    /// Copies bytes into the range.
    fn write(&mut self, offset: u64, bytes: &[u8]);
    /// Stores a word (little-endian, `offset` a multiple of 8) after everything written so far:
    /// whoever sees it sees that too.
    fn publish(&mut self, offset: u64, word: u64);
}
