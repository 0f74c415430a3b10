//! The bare limit of group commit: a thread that takes all bytes there are, writes them with
//! `pwrite` into a file of written zeros and calls `fdatasync`, and idles as the journal's syncer
//! does. No frame boundaries, no segments, no recovery.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ringframe_journal::MappedStorage;
use ringframe_journal::storage::{Storage, StorageFile};

use crate::MIB;

/// As in the journal's helpers.
const SPINS: u32 = 1_000;
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// Written round and round.
const FILE_BYTES: u64 = 64 * MIB;

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    appended: AtomicU64,
    synced: AtomicU64,
    asleep: AtomicBool,
    stop: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    last: u64,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Bare {
    shared: Arc<Shared>,
    committer: JoinHandle<()>,
    batch: Vec<u8>,
    last: u64,
}

impl Bare {
    pub(crate) fn open(directory: &Path) -> Self {
        let storage = MappedStorage::new(directory);
        let file = storage.create("bare").expect("a new file");
        file.reserve(FILE_BYTES).expect("room");
        file.zero(0, FILE_BYTES).expect("room");
        file.sync().expect("a disk");
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let committer = std::thread::spawn(move || commit(&theirs, &file));
        Self { shared, committer, batch: Vec::new(), last: 0 }
    }

    /// Checksums and copies, as every journal must.
    pub(crate) fn append(&mut self, encoded: &mut [u8]) {
        self.last += 1;
        encoded[8..16].copy_from_slice(&self.last.to_le_bytes());
        let crc = crc32c::crc32c(&encoded[4..]);
        encoded[..4].copy_from_slice(&crc.to_le_bytes());
        self.batch.extend_from_slice(encoded);
    }

    pub(crate) fn publish(&mut self) {
        let mut waiting = self.shared.waiting();
        waiting.bytes.extend_from_slice(&self.batch);
        waiting.last = self.last;
        drop(waiting);
        self.batch.clear();
        self.shared.appended.store(self.last, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.shared.asleep.store(false, Ordering::SeqCst);
            self.committer.thread().unpark();
        }
    }

    pub(crate) fn synced(&self) -> u64 {
        self.shared.synced.load(Ordering::Acquire)
    }

    pub(crate) fn close(self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.committer.thread().unpark();
        self.committer.join().expect("the committer ends");
    }
}

fn commit<F: StorageFile>(shared: &Shared, file: &F) {
    let (mut taken, mut offset, mut spins) = (Waiting::default(), 0, 0);
    let idle = || shared.appended.load(Ordering::SeqCst) == shared.synced.load(Ordering::SeqCst);
    while !shared.stop.load(Ordering::SeqCst) {
        if !idle() {
            taken.bytes.clear();
            std::mem::swap(&mut taken, &mut *shared.waiting());
            if offset + taken.bytes.len() as u64 > FILE_BYTES {
                offset = 0;
            }
            file.write_at(offset, &taken.bytes).expect("a disk");
            file.sync().expect("a disk");
            offset += taken.bytes.len() as u64;
            shared.synced.store(taken.last, Ordering::Release);
            spins = 0;
        } else if spins < SPINS {
            spins += 1;
            std::hint::spin_loop();
        } else {
            shared.asleep.store(true, Ordering::SeqCst);
            if idle() {
                std::thread::park_timeout(SLEEP_MAX);
            }
            shared.asleep.store(false, Ordering::SeqCst);
        }
    }
}
