//! Real files. The crate's only `unsafe` code: writing through a shared mapping.
//!
//! The mapping is private to this module. Appending needs the one [`MappedRegion`] of a file and
//! `&mut` on it, everything else goes through the file descriptor, which the kernel keeps coherent
//! with the mapping; so no Rust reference to mapped memory ever exists.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use memmap2::{Advice, MmapRaw, UncheckedAdvice};
use rustix::fs::{Advice as FileAdvice, FallocateFlags};
use rustix::io::Errno;

use super::{Access, Region, Storage, StorageFile};

/// A directory of real files.
#[derive(Clone, Debug)]
pub struct MappedStorage {
    directory: PathBuf,
}

impl MappedStorage {
    /// Names a directory; nothing is touched yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The process that writes this journal, as far as the kernel shows it to us. Trying the lock
    /// would tell for certain, and would refuse a writer that starts in just that moment.
    pub fn writer(&self) -> Option<u32> {
        let inode = std::fs::metadata(self.path(crate::open::LOCK)).ok()?.ino();
        // A line is like "1: FLOCK  ADVISORY  WRITE 4711 08:02:131 0 EOF".
        std::fs::read_to_string("/proc/locks").ok()?.lines().find_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [_, "FLOCK", "ADVISORY", "WRITE", pid, file, ..] = fields[..] else { return None };
            let same = file.rsplit(':').next()?.parse() == Ok(inode);
            if same { pid.parse().ok() } else { None }
        })
    }
}

/// Creates a directory and its parents, each entry durable: a journal whose directory vanishes in
/// a power cut has lost everything that it promised.
fn create_durably(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_durably(parent)?;
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

/// A held `flock`: the kernel frees it when the process dies, in a container or not.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl Storage for MappedStorage {
    type File = MappedFile;
    type Lock = FileLock;

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn lock(&self, name: &str) -> io::Result<Option<FileLock>> {
        create_durably(&self.directory)?;
        let file =
            OpenOptions::new().create(true).write(true).truncate(false).open(self.path(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(FileLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str, access: Access) -> io::Result<MappedFile> {
        let path = self.path(name);
        let file = OpenOptions::new().read(true).write(access == Access::Write).open(&path)?;
        Ok(MappedFile::new(file))
    }

    fn create(&self, name: &str) -> io::Result<MappedFile> {
        let path = self.path(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(MappedFile::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.directory)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// A real file and, once it is mapped, its memory.
#[derive(Debug)]
pub struct MappedFile {
    file: File,
    memory: OnceLock<MmapRaw>,
}

impl MappedFile {
    fn new(file: File) -> Self {
        Self { file, memory: OnceLock::new() }
    }
}

impl MappedFile {
    /// Takes the whole pages of a range out of the mapping, in one go. The appender is done with
    /// them, and their bytes stay in the page cache. Otherwise the sync makes each page read-only
    /// by itself, each time with an interrupt to the appender's core: for many pages that takes
    /// longer than the device does. Where the kernel refuses (locked memory), only that is lost.
    fn unmap_whole_pages(memory: &MmapRaw, from: usize, to: usize) {
        let (from, to) = (from & !(PAGE_BYTES - 1), to & !(PAGE_BYTES - 1));
        if to < from + 2 * PAGE_BYTES {
            return;
        }
        // SAFETY: the mapping is shared and of a file, so its pages come back with all that was
        // stored when somebody touches them again.
        let _ =
            unsafe { memory.unchecked_advise_range(UncheckedAdvice::DontNeed, from, to - from) };
    }

    /// Lets the device begin with a range, without a flush and without waiting: a big sync later
    /// would hold up everyone else's small ones. An error shows at that sync.
    fn start_writing(&self, from: u64, to: u64) {
        let (from, bytes) = (from.cast_signed(), (to - from).cast_signed());
        // SAFETY: the call takes a descriptor that `self` keeps open, and numbers.
        unsafe {
            libc::sync_file_range(self.file.as_raw_fd(), from, bytes, libc::SYNC_FILE_RANGE_WRITE);
        }
    }
}

/// The unit of mappings and of the page cache.
const PAGE_BYTES: usize = 4096;
/// Zeros are written in pieces of this size: a page.
const ZERO_BYTES: usize = PAGE_BYTES;
static ZEROS: [u8; ZERO_BYTES] = [0; ZERO_BYTES];

impl StorageFile for MappedFile {
    type Region = MappedRegion;

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < into.len() {
            match self.file.read_at(&mut into[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
            // A file system without preallocation: writing the zeros reserves just as well.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.file.set_len(bytes),
            other => Ok(other?),
        }
    }

    fn zero(&self, from: u64, to: u64) -> io::Result<()> {
        // The kernel keeps a file's pages in folios of the size in which they came: large writes
        // and read-ahead make large ones, and then a commit of one frame writes a whole folio to
        // the device (up to 256 times the bytes, measured). So whatever was read in is dropped, and
        // the zeros go in page by page. They stay cached: prefaulting reads nothing from a device.
        if let Some(length) = NonZeroU64::new(to - from) {
            rustix::fs::fadvise(&self.file, from, Some(length), FileAdvice::DontNeed)?;
        }
        let mut at = from;
        while at < to {
            let bytes = (ZERO_BYTES as u64 - at % ZERO_BYTES as u64).min(to - at) as usize;
            self.file.write_all_at(&ZEROS[..bytes], at)?;
            at += bytes as u64;
        }
        self.start_writing(from, to);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_range(&self, from: u64, to: u64) -> io::Result<()> {
        let memory = self.memory.get().expect("only mapped files are synced by range");
        let (from, to) = (usize::try_from(from).expect("fits"), usize::try_from(to).expect("fits"));
        Self::unmap_whole_pages(memory, from, to);
        // Only this range: a sync of the whole file would write all prefaulted pages as well.
        memory.flush_range(from, to - from)
    }

    fn map(self: &Arc<Self>, bytes: u64) -> io::Result<MappedRegion> {
        // A mapping longer than its file dies of SIGBUS at the first touch.
        if self.bytes()? < bytes {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "file is shorter than its mapping",
            ));
        }
        let length = usize::try_from(bytes).map_err(io::Error::other)?;
        let memory = memmap2::MmapOptions::new().len(length).map_raw(&self.file)?;
        let base = memory.as_mut_ptr();
        if self.memory.set(memory).is_err() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "file is mapped already"));
        }
        Ok(MappedRegion { base, bytes: length, _file: Arc::clone(self) })
    }

    fn prefault(&self, from: u64, to: u64) -> io::Result<()> {
        let memory = self.memory.get().expect("only mapped files are prefaulted");
        let to = usize::try_from(to).expect("fits").min(memory.len());
        let from = usize::try_from(from).expect("fits") & !(PAGE_BYTES - 1);
        if from >= to {
            return Ok(());
        }
        match memory.advise_range(Advice::PopulateWrite, from, to - from) {
            // Kernels before 5.14 do not know the advice: the appender then takes the page faults.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
            other => other,
        }
    }
}

/// The appender's half of a mapped file. Not `Clone`, and [`StorageFile::map`] makes at most one.
#[derive(Debug)]
pub struct MappedRegion {
    base: *mut u8,
    bytes: usize,
    /// Keeps the mapping alive.
    _file: Arc<MappedFile>,
}

// SAFETY: `base` points into the mapping that `_file` owns, which is not tied to a thread, and only
// this region writes through it.
unsafe impl Send for MappedRegion {}

impl MappedRegion {
    #[inline]
    fn pointer(&mut self, offset: u64, bytes: usize) -> *mut u8 {
        let offset = offset as usize;
        assert!(offset <= self.bytes && bytes <= self.bytes - offset);
        // SAFETY: `offset + bytes` is inside the mapping, asserted above.
        unsafe { self.base.add(offset) }
    }
}

impl Region for MappedRegion {
    #[inline]
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let target = self.pointer(offset, bytes.len());
        // SAFETY: the target range is inside the mapping, and this region is the only one of its
        // file and borrowed mutably, so no other thread of ours writes there; no reference to
        // mapped memory exists that this could alias.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) }
    }

    #[inline]
    fn publish(&mut self, offset: u64, word: u64) {
        assert!(offset.is_multiple_of(8));
        #[expect(clippy::cast_ptr_alignment, reason = "asserted above; mappings are page-aligned")]
        let target = self.pointer(offset, 8).cast::<AtomicU64>();
        // SAFETY: inside the mapping, and aligned: mappings are page-aligned, the offset is a
        // multiple of 8. Other processes read the word through the page cache.
        unsafe { (*target).store(word.to_le(), Ordering::Release) }
    }
}
