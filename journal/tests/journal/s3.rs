//! An archive in an object store that speaks S3. `tests/s3_archive.sh` starts one and runs this.

use crate::common::Random;
use crate::disks::{grow_with, options, quiet};
use ringframe_journal::storage::Storage;
use ringframe_journal::{
    Append, ArchiveHome, Fate, Frame, Journal, MappedStorage, NeededFrom, Options, archive, prune,
    restore, segment, verify_archive,
};

/// The archive's objects go up in parts of this size.
const PART_BYTES: u64 = 8 << 20;

/// The URL of this test's own place in the store, if there is a store.
fn place(name: &str) -> Option<String> {
    let url = std::env::var("RINGFRAME_TEST_S3").ok();
    if url.is_none() {
        eprintln!("SKIPPED: no RINGFRAME_TEST_S3; run tests/s3_archive.sh");
    }
    url.map(|url| format!("{url}/{name}"))
}

/// Archives, checks, restores and prunes; returns the sizes of the objects.
fn there_and_back(storage: &MappedStorage, url: &str) -> Vec<u64> {
    let home = ArchiveHome::create(url).unwrap();
    let archived = archive(storage, &home, &mut quiet).unwrap();
    assert!(archive(storage, &home, &mut quiet).unwrap().iter().all(|one| !one.copied));
    let verified = verify_archive(&home, &mut quiet).unwrap();
    assert_eq!(verified.len(), archived.len());
    assert!(verified.iter().all(|one| one.problem.is_none()), "{verified:?}");
    let directory = tempfile::tempdir().unwrap();
    let other = MappedStorage::new(directory.path());
    for number in restore(&home, None, &other, &mut quiet).unwrap() {
        let name = segment::file_name(number);
        let read = |storage: &MappedStorage| std::fs::read(storage.path(&name)).unwrap();
        assert!(read(storage) == read(&other), "{name}");
    }
    let pruned = prune(storage, &home, NeededFrom(u64::MAX), false, &mut quiet).unwrap();
    assert_eq!(pruned[0].fate, Fate::Deleted);
    archived.iter().map(|one| one.manifest.compressed_bytes).collect()
}

#[test]
fn an_object_store_keeps_segments() {
    let Some(url) = place("small") else { return };
    let directory = tempfile::tempdir().unwrap();
    let storage = MappedStorage::new(directory.path());
    grow_with(&storage, 40_000, 0, Options { segment_bytes: 2 << 20, ..options() });
    let sizes = there_and_back(&storage, &url);
    assert!(sizes.len() >= 3 && sizes.iter().all(|&size| size < PART_BYTES), "{sizes:?}");
}

#[test]
fn an_object_of_several_parts_comes_back_whole() {
    let Some(url) = place("large") else { return };
    let directory = tempfile::tempdir().unwrap();
    let storage = MappedStorage::new(directory.path());
    let options = Options { segment_bytes: 20 << 20, ..options() };
    let mut journal = Journal::open(storage.clone(), options).unwrap();
    let mut random = Random(1);
    for sequence in 1..=700 {
        // Nothing that a compressor could make smaller.
        let payload: Vec<u8> = (0..7500).flat_map(|_| random.next().to_le_bytes()).collect();
        let (timestamp, epoch, kind, schema) = (sequence, 1, 1, 1);
        let frame = Frame { sequence, timestamp, epoch, kind, schema, payload: &payload };
        while journal.writer.append(&frame).unwrap() == Append::Wait {
            journal.writer.publish().unwrap();
            journal.syncer.poll(sequence).unwrap();
            journal.keeper.poll(sequence).unwrap();
        }
    }
    journal.close(700).unwrap();
    let sizes = there_and_back(&storage, &url);
    assert!(sizes.len() == 2 && sizes.iter().all(|&size| size > 2 * PART_BYTES), "{sizes:?}");
}
