//! A disk in memory that misbehaves the way disks do, on demand and repeatably.
//!
//! Every file has the bytes that programs see (the page cache) and the bytes that would survive a
//! power cut. Each effect counts as one step; a test runs a workload once to count its steps, then
//! again for every step with [`SimulatedStorage::crash_at`], and looks at what
//! [`SimulatedStorage::after_crash`] leaves for every [`Survival`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Access, Region, Storage, StorageFile, long_sync};

const PAGE: usize = 4096;
const SECTOR: usize = 512;
const EIO: i32 = 5;
const EMFILE: i32 = 24;

/// A directory on the simulated disk. Clones share the disk.
#[derive(Clone, Debug)]
pub struct SimulatedStorage {
    disk: Arc<Mutex<Disk>>,
    /// As the disk says it: asked for after every step of a simulation.
    is_off: Arc<AtomicBool>,
    /// What this handle, and the files that it opens, may not read.
    refusals: Option<Arc<Refusals>>,
}

/// When whoever has a handle is refused to look at what is on the disk; see
/// [`SimulatedStorage::refusing`].
#[derive(Debug)]
pub struct Refusals {
    /// So many looks succeed before.
    left: AtomicU64,
    /// Files that are open can be read all the same.
    opens_only: AtomicBool,
}

/// What is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Whatever opens, maps, lists or reads answers EIO: the disk is bad.
    Reads,
    /// Whatever opens, makes or lists answers EMFILE: the process has too many files open.
    Opens,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { left: AtomicU64::new(u64::MAX), opens_only: AtomicBool::new(false) }
    }
}

impl Refusals {
    /// All looks of this kind, after so many more.
    pub fn begin(&self, of: Refused, looks: u64) {
        self.opens_only.store(of == Refused::Opens, Ordering::Relaxed);
        self.left.store(looks, Ordering::Relaxed);
    }

    /// None any more.
    pub fn end(&self) {
        self.left.store(u64::MAX, Ordering::Relaxed);
    }

    fn look(&self, opens: bool) -> io::Result<()> {
        let opens_only = self.opens_only.load(Ordering::Relaxed);
        if opens_only && !opens {
            return Ok(());
        }
        let count = |left: u64| if left == u64::MAX { Some(left) } else { left.checked_sub(1) };
        let errno = if opens_only { EMFILE } else { EIO };
        let counted = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        counted.map(drop).map_err(|_| io::Error::from_raw_os_error(errno))
    }
}

#[derive(Debug, Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// How often they were synced.
    directory_syncs: u64,
    locks: BTreeSet<String>,
    /// Bytes still free, if limited.
    free: Option<u64>,
    steps: u64,
    crash_at: Option<u64>,
    /// The crash asked for has happened.
    is_off: Arc<AtomicBool>,
    /// Syncs fail from this step on.
    sync_fails_at: Option<u64>,
    /// Changes of files and of the directory do.
    change_fails_at: Option<u64>,
    read_only: bool,
}

/// Its bytes are copied when one who shares them writes: what a crash leaves shares all of them,
/// and most files are never written again.
#[derive(Clone, Debug, Default)]
struct Inode {
    cached: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    dirty: BTreeSet<usize>,
    /// How often it was synced.
    syncs: u64,
}

/// What a file was when a sync of some of its pages began.
struct Syncing {
    cached: Arc<Vec<u8>>,
    pages: Vec<usize>,
    syncs: u64,
}

/// Which of the pages (and names and lengths) that were never synced a power cut leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// The process died, the machine did not: everything is still there, and what was not synced
    /// can still be lost by the next crash.
    Everything,
    /// Nothing that was not synced.
    Nothing,
    /// Every second unsynced page, the even ones.
    Even,
    /// Every second unsynced page, the odd ones.
    Odd,
    /// All but the first unsynced page of each file: a hole with good data behind it.
    AllButFirst,
    /// Only the last unsynced page of each file.
    OnlyLast,
    /// A coin for each page, name and length.
    Random(u64),
    /// A coin for each sector: pages are torn.
    Torn(u64),
}

impl Default for SimulatedStorage {
    fn default() -> Self {
        Self::of(Disk::default())
    }
}

impl SimulatedStorage {
    /// An empty disk without limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many effects there were so far.
    pub fn steps(&self) -> u64 {
        self.disk().steps
    }

    /// The effect with this number, and all after it, do not happen.
    pub fn crash_at(&self, step: u64) {
        self.disk().crash_at = Some(step);
    }

    /// From this step on every sync answers EIO, and what it should have written is lost.
    pub fn fail_syncs_at(&self, step: u64) {
        self.disk().sync_fails_at = Some(step);
    }

    /// From this step on whatever writes, makes, moves or removes a file answers EIO; stores to
    /// mapped memory go on.
    pub fn fail_changes_at(&self, step: u64) {
        self.disk().change_fails_at = Some(step);
    }

    /// Another handle to the same disk, which is refused to look at it when `refusals` say so: who
    /// watches a process looks at what it has by a handle of his own.
    pub fn refusing(&self, refusals: &Arc<Refusals>) -> Self {
        Self { refusals: Some(Arc::clone(refusals)), ..self.clone() }
    }

    fn look(&self, opens: bool) -> io::Result<()> {
        self.refusals.as_ref().map_or(Ok(()), |refusals| refusals.look(opens))
    }

    /// Limits the room for files from now on.
    pub fn limit_free_bytes(&self, bytes: u64) {
        self.disk().free = Some(bytes);
    }

    /// Refuses every change from now on.
    pub fn make_read_only(&self) {
        self.disk().read_only = true;
    }

    /// Flips bits in a file, durably: `mask` is XOR-ed onto the byte.
    pub fn flip(&self, name: &str, offset: u64, mask: u8) {
        self.edit(name, |bytes| bytes[offset as usize] ^= mask);
    }

    /// Changes a file's bytes at will, durably.
    pub fn edit(&self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut disk = self.disk();
        let inode = disk.names[name];
        change(Arc::make_mut(&mut disk.inodes[inode].cached));
        change(Arc::make_mut(&mut disk.inodes[inode].durable));
    }

    /// A file's bytes as programs see them.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let disk = self.disk();
        disk.names.get(name).map(|&inode| disk.inodes[inode].cached.to_vec())
    }

    /// Whether the crash asked for has happened.
    pub fn is_off(&self) -> bool {
        self.is_off.load(Ordering::Relaxed)
    }

    /// Another disk with the same contents, all of them durable.
    pub fn copy(&self) -> Self {
        let copy = self.after_crash(Survival::Everything);
        let mut disk = copy.disk();
        disk.durable_names = disk.names.clone();
        for inode in &mut disk.inodes {
            inode.durable = Arc::clone(&inode.cached);
            inode.dirty.clear();
        }
        drop(disk);
        copy
    }

    /// The disk that the next start finds.
    pub fn after_crash(&self, survival: Survival) -> Self {
        let disk = self.disk();
        if survival == Survival::Everything {
            let (inodes, names) = (disk.inodes.clone(), disk.names.clone());
            let durable_names = disk.durable_names.clone();
            let disk = Disk { inodes, names, durable_names, ..Disk::default() };
            return Self::of(disk);
        }
        let mut coin = Coin::new(survival);
        let mut names = disk.durable_names.clone();
        let touched: BTreeSet<_> = disk.names.keys().chain(disk.durable_names.keys()).collect();
        for name in touched {
            if disk.names.get(name) != disk.durable_names.get(name) && coin.flip() {
                match disk.names.get(name) {
                    Some(&inode) => names.insert(name.clone(), inode),
                    None => names.remove(name),
                };
            }
        }
        let inodes = disk.inodes.iter().map(|inode| inode.survivor(survival, &mut coin)).collect();
        let disk = Disk { inodes, durable_names: names.clone(), names, ..Disk::default() };
        Self::of(disk)
    }

    fn of(disk: Disk) -> Self {
        let is_off = Arc::clone(&disk.is_off);
        Self { is_off, disk: Arc::new(Mutex::new(disk)), refusals: None }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("a panicking test has poisoned the disk")
    }
}

impl Inode {
    fn survivor(&self, survival: Survival, coin: &mut Coin) -> Self {
        let mut shared = Arc::clone(&self.durable);
        if self.cached.len() != shared.len() && coin.flip() {
            Arc::make_mut(&mut shared).resize(self.cached.len(), 0);
        }
        for (index, &page) in self.dirty.iter().enumerate() {
            let torn = matches!(survival, Survival::Torn(_));
            let kept = match survival {
                Survival::Everything => true,
                Survival::Nothing => false,
                Survival::Even => index % 2 == 0,
                Survival::Odd => index % 2 == 1,
                Survival::AllButFirst => index > 0,
                Survival::OnlyLast => index + 1 == self.dirty.len(),
                Survival::Random(_) | Survival::Torn(_) => coin.flip(),
            };
            for sector in 0..PAGE / SECTOR {
                let from = page * PAGE + sector * SECTOR;
                let to = (from + SECTOR).min(self.cached.len()).min(shared.len());
                if from < to && (if torn { coin.flip() } else { kept }) {
                    let bytes = Arc::make_mut(&mut shared);
                    bytes[from..to].copy_from_slice(&self.cached[from..to]);
                }
            }
        }
        Self { cached: Arc::clone(&shared), durable: shared, ..Self::default() }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let cached = Arc::make_mut(&mut self.cached);
        if cached.len() < offset + bytes.len() {
            cached.resize(offset + bytes.len(), 0);
        }
        cached[offset..offset + bytes.len()].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(offset / PAGE..=(offset + bytes.len() - 1) / PAGE);
        }
    }

    /// What a sync that begins now makes durable: nothing that is written after it has begun.
    fn begin_sync(&self, pages: std::ops::Range<usize>) -> Syncing {
        let pages = self.dirty.range(pages).copied().collect();
        Syncing { cached: Arc::clone(&self.cached), pages, syncs: self.syncs }
    }

    /// The same pages as they are now, but for those that are durable by now.
    fn begin_again(&self, begun: Syncing) -> Syncing {
        let pages = begun.pages.into_iter().filter(|page| self.dirty.contains(page)).collect();
        Syncing { cached: Arc::clone(&self.cached), pages, ..begun }
    }

    fn end_sync(&mut self, Syncing { cached, pages, .. }: Syncing, lost: bool) {
        let is_as_it_was = Arc::ptr_eq(&cached, &self.cached);
        for page in pages {
            let from = page * PAGE;
            let of = |bytes: &[u8]| from..(from + PAGE).min(bytes.len());
            if is_as_it_was || self.cached.get(of(&self.cached)) == cached.get(of(&cached)) {
                self.dirty.remove(&page);
            }
            let to = of(&cached).end.min(self.durable.len());
            if !lost && from < to {
                let durable = Arc::make_mut(&mut self.durable);
                durable[from..to].copy_from_slice(&cached[from..to]);
            }
        }
    }
}

impl Disk {
    /// Counts an effect; fails if the machine is off.
    fn step(&mut self) -> io::Result<()> {
        if self.crash_at.is_some_and(|at| self.steps >= at) {
            self.is_off.store(true, Ordering::Relaxed);
        }
        if self.is_off.load(Ordering::Relaxed) {
            return Err(io::Error::other("the simulated machine is off"));
        }
        self.steps += 1;
        if self.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }

    /// The same for what the system may refuse.
    fn change(&mut self) -> io::Result<()> {
        self.step()?;
        match self.change_fails_at {
            Some(at) if self.steps > at => Err(io::Error::from_raw_os_error(EIO)),
            _ => Ok(()),
        }
    }

    /// Finds room for a file that is to be so long.
    fn take_room(&mut self, inode: usize, bytes: u64) -> io::Result<()> {
        let grown = bytes.saturating_sub(self.inodes[inode].cached.len() as u64);
        if let Some(free) = &mut self.free {
            *free = free.checked_sub(grown).ok_or(io::ErrorKind::StorageFull)?;
        }
        Ok(())
    }

    fn syncs_fail(&self) -> bool {
        self.sync_fails_at.is_some_and(|at| self.steps >= at)
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Held until dropped.
#[derive(Debug)]
pub struct SimulatedLock {
    storage: SimulatedStorage,
    name: String,
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.storage.disk().locks.remove(&self.name);
    }
}

impl Storage for SimulatedStorage {
    type File = SimulatedFile;
    type Lock = SimulatedLock;

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("simulated").join(name)
    }

    fn lock(&self, name: &str) -> io::Result<Option<SimulatedLock>> {
        self.look(true)?;
        let free = self.disk().locks.insert(name.to_owned());
        Ok(free.then(|| SimulatedLock { storage: self.clone(), name: name.to_owned() }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.look(true)?;
        Ok(self.disk().names.keys().cloned().collect())
    }

    fn open(&self, name: &str, _access: Access) -> io::Result<SimulatedFile> {
        self.look(true)?;
        let inode = self.disk().find(name)?;
        Ok(SimulatedFile { storage: self.clone(), inode })
    }

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        self.look(true)?;
        let mut disk = self.disk();
        disk.change()?;
        if disk.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = disk.inodes.len();
        disk.inodes.push(Inode::default());
        disk.names.insert(name.to_owned(), inode);
        Ok(SimulatedFile { storage: self.clone(), inode })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.change()?;
        let inode = disk.find(from)?;
        disk.names.remove(from);
        disk.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.change()?;
        disk.find(name)?;
        disk.names.remove(name);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let disk = self.disk();
        let (names, syncs) = (disk.names.clone(), disk.directory_syncs);
        drop(disk);
        long_sync::pass();
        let mut disk = self.disk();
        disk.step()?;
        if disk.syncs_fail() {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        // One that has come in between began later.
        if disk.directory_syncs == syncs {
            disk.durable_names = names;
        }
        disk.directory_syncs += 1;
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.disk().free.unwrap_or(u64::MAX))
    }
}

/// A file on the simulated disk.
#[derive(Debug)]
pub struct SimulatedFile {
    storage: SimulatedStorage,
    inode: usize,
}

impl SimulatedFile {
    fn sync_pages(&self, pages: std::ops::Range<usize>, length_too: bool) -> io::Result<()> {
        let begun = self.storage.disk().inodes[self.inode].begin_sync(pages);
        long_sync::pass();
        let mut disk = self.storage.disk();
        disk.step()?;
        let lost = disk.syncs_fail();
        let inode = &mut disk.inodes[self.inode];
        // Where another sync has come in between, this one takes nothing back.
        let is_newest = inode.syncs == begun.syncs;
        let begun = if is_newest { begun } else { inode.begin_again(begun) };
        inode.syncs += 1;
        if length_too && !lost {
            Arc::make_mut(&mut inode.durable).resize(begun.cached.len(), 0);
        }
        // A failed sync leaves the pages clean and unwritten, as Linux does: a retry would lie.
        inode.end_sync(begun, lost);
        if lost { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }
}

impl StorageFile for SimulatedFile {
    type Region = SimulatedRegion;

    fn bytes(&self) -> io::Result<u64> {
        self.storage.look(false)?;
        Ok(self.storage.disk().inodes[self.inode].cached.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.storage.look(false)?;
        let disk = self.storage.disk();
        let cached = &disk.inodes[self.inode].cached;
        let from = (offset as usize).min(cached.len());
        let bytes = into.len().min(cached.len() - from);
        into[..bytes].copy_from_slice(&cached[from..from + bytes]);
        Ok(bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.storage.disk();
        disk.change()?;
        disk.take_room(self.inode, offset + bytes.len() as u64)?;
        disk.inodes[self.inode].write(offset as usize, bytes);
        Ok(())
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let mut disk = self.storage.disk();
        disk.change()?;
        disk.take_room(self.inode, bytes)?;
        let inode = &mut disk.inodes[self.inode];
        let length = inode.cached.len().max(bytes as usize);
        Arc::make_mut(&mut inode.cached).resize(length, 0);
        Ok(())
    }

    fn zero(&self, from: u64, to: u64) -> io::Result<()> {
        self.write_at(from, &vec![0; (to - from) as usize])
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_pages(0..usize::MAX, true)
    }

    fn sync_range(&self, from: u64, to: u64) -> io::Result<()> {
        self.sync_pages(from as usize / PAGE..(to as usize).div_ceil(PAGE), false)
    }

    fn map(self: &Arc<Self>, _bytes: u64) -> io::Result<SimulatedRegion> {
        self.storage.look(false)?;
        Ok(SimulatedRegion { file: Arc::clone(self) })
    }

    fn prefault(&self, _from: u64, _to: u64) -> io::Result<()> {
        Ok(())
    }
}

/// A file's memory on the simulated disk: each store is a step of its own.
#[derive(Debug)]
pub struct SimulatedRegion {
    file: Arc<SimulatedFile>,
}

impl Region for SimulatedRegion {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut disk = self.file.storage.disk();
        // A store by a machine that is off does not happen; the next call that can fail says so.
        if disk.step().is_ok() {
            disk.inodes[self.file.inode].write(offset as usize, bytes);
        }
    }

    fn publish(&mut self, offset: u64, word: u64) {
        self.write(offset, &word.to_le_bytes());
    }
}

/// A small seeded generator: splitmix64.
#[derive(Debug)]
struct Coin(u64, bool);

impl Coin {
    fn new(survival: Survival) -> Self {
        match survival {
            Survival::Random(seed) | Survival::Torn(seed) => Self(seed, true),
            // The other classes keep no unsynced name or length: the harshest case.
            _ => Self(0, false),
        }
    }

    fn flip(&mut self) -> bool {
        if !self.1 {
            return false;
        }
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) & 1 == 1
    }
}
