//! An archive in an object store that speaks S3. `tests/s3_archive.sh` starts one and runs this.

mod disks;

use disks::{grow_with, options, quiet};
use ringframe_journal::{
    ArchiveHome, Fate, MappedStorage, Options, Snapshotted, archive, prune, restore, segment,
    verify_archive,
};

#[test]
fn an_object_store_keeps_segments() {
    let Ok(url) = std::env::var("RINGFRAME_TEST_S3") else {
        eprintln!("SKIPPED: no RINGFRAME_TEST_S3; run tests/s3_archive.sh");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let storage = MappedStorage::new(directory.path().join("one"));
    grow_with(&storage, 40_000, 0, Options { segment_bytes: 2 << 20, ..options() });
    let home = ArchiveHome::create(&url).unwrap();
    let archived = archive(&storage, &home, &mut quiet).unwrap();
    assert!(archived.len() >= 3);
    assert!(archive(&storage, &home, &mut quiet).unwrap().iter().all(|one| !one.copied));
    let verified = verify_archive(&home, &mut quiet).unwrap();
    assert_eq!(verified.len(), archived.len());
    assert!(verified.iter().all(|one| one.problem.is_none()), "{verified:?}");
    let other = MappedStorage::new(directory.path().join("two"));
    for number in restore(&home, None, &other, &mut quiet).unwrap() {
        let name = segment::file_name(number);
        let read = |from: &str| std::fs::read(directory.path().join(from).join(&name)).unwrap();
        assert!(read("one") == read("two"), "{name}");
    }
    let pruned = prune(&storage, &home, Snapshotted(u64::MAX), false, &mut quiet).unwrap();
    assert_eq!(pruned[0].fate, Fate::Deleted);
}
