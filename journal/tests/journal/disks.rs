//! Journals and archives for the tests of retention and repair.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::PathBuf;

use ringframe_journal::storage::Storage;
use ringframe_journal::{
    Append, ArchiveHome, Frame, Journal, Options, Reader, SimulatedStorage, Survival,
};
use tempfile::TempDir;

/// So many frames fill five segments and a part of the sixth.
pub(crate) const SEGMENTS: u64 = 1700;

pub(crate) fn quiet(_done: usize, _total: usize) {}

fn payload(sequence: u64, salt: u8) -> Vec<u8> {
    let byte = (sequence as u8).wrapping_mul(31) ^ salt;
    vec![byte; (sequence * 37 % 500) as usize]
}

pub(crate) fn options() -> Options {
    Options { segment_bytes: Options::SEGMENT_BYTES_MIN, ..Options::new("test", 1) }
}

/// Appends up to `last` and closes the journal.
pub(crate) fn grow<S: Storage>(storage: &S, last: u64) {
    grow_with(storage, last, 0, options());
}

pub(crate) fn grow_with<S: Storage>(storage: &S, last: u64, salt: u8, options: Options) {
    let mut journal = Journal::open(storage.clone(), options).unwrap();
    while journal.writer.next_sequence() <= last {
        let sequence = journal.writer.next_sequence();
        let payload = payload(sequence, salt);
        let epoch = 1 + (sequence / 400) as u32;
        let timestamp = 1_700_000_000_000_000_000 + sequence;
        let frame = Frame { sequence, timestamp, epoch, kind: 1, schema: 1, payload: &payload };
        while journal.writer.append(&frame).unwrap() == Append::Wait {
            journal.writer.publish().unwrap();
            journal.syncer.poll(sequence).unwrap();
            journal.keeper.poll(sequence).unwrap();
        }
        if sequence.is_multiple_of(50) {
            journal.writer.publish().unwrap();
            journal.syncer.poll(sequence).unwrap();
            while journal.keeper.poll(sequence).unwrap() > 0 {}
        }
    }
    journal.close(last).unwrap();
}

/// A closed journal on a simulated disk.
pub(crate) fn journal(last: u64) -> SimulatedStorage {
    journal_with(last, 0)
}

/// One with other payloads of the same sizes.
pub(crate) fn journal_with(last: u64, salt: u8) -> SimulatedStorage {
    let storage = SimulatedStorage::new();
    grow_with(&storage, last, salt, options());
    storage
}

pub(crate) fn copy_of(storage: &SimulatedStorage) -> SimulatedStorage {
    storage.after_crash(Survival::Everything)
}

pub(crate) fn names<S: Storage>(storage: &S) -> Vec<String> {
    let mut names = storage.list().unwrap();
    names.retain(|name| !name.ends_with("lock"));
    names.sort();
    names
}

/// All frames there are: sequence and payload.
pub(crate) fn frames<S: Storage>(storage: &S) -> Vec<(u64, Vec<u8>)> {
    let mut reader = Reader::open_first(storage.clone()).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        frames.push((frame.sequence(), frame.payload().to_vec()));
    }
    frames
}

/// An archive in a directory that goes away with it.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn place(&self) -> String {
        self.0.path().join("archive").to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("archive").join(name)
    }

    pub(crate) fn create(&self) -> ArchiveHome {
        ArchiveHome::create(&self.place()).unwrap()
    }

    pub(crate) fn open(&self) -> ArchiveHome {
        ArchiveHome::open(&self.place()).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.bytes(name);
        change(&mut bytes);
        self.write(name, &bytes);
    }

    /// Removes an object and returns what it held.
    pub(crate) fn remove(&self, name: &str) -> Vec<u8> {
        let bytes = self.bytes(name);
        std::fs::remove_file(self.path(name)).unwrap();
        bytes
    }
}
