//! Repair: what was damaged is as it was, to the byte, or nothing was touched.

use crate::disks::{
    Home, SEGMENTS, copy_of, frames, grow, grow_with, journal, journal_with, names, options, quiet,
};
use ringframe_journal::storage::Storage;
use ringframe_journal::{
    Error, Journal, Options, Reader, Repair, SimulatedStorage, Source, archive, inspect, repair,
    segment, survey, verify,
};

type Disk = SimulatedStorage;

fn from_journal(storage: &Disk) -> Source<Disk> {
    Source::Journal(storage.clone())
}

/// Every kind of damage to a sealed segment, by name.
type Hurt = (&'static str, fn(&Disk));

const SEALED: &[Hurt] = &[
    ("a flipped byte", |disk| disk.flip(&segment::file_name(2), 9001, 0x20)),
    ("flips in three places", |disk| {
        for offset in [4096, 30_000, 60_001] {
            disk.flip(&segment::file_name(3), offset, 0x80);
        }
    }),
    ("4 KiB of zeros", |disk| {
        disk.edit(&segment::file_name(2), |bytes| bytes[20_480..24_576].fill(0));
    }),
    ("the End frame", |disk| {
        let end = inspect(disk, 2).unwrap().seal.good().unwrap().end;
        disk.flip(&segment::file_name(2), end - 20, 1);
    }),
    ("bytes behind the End frame", |disk| {
        disk.edit(&segment::file_name(2), |bytes| *bytes.last_mut().unwrap() = 9);
    }),
    ("a missing file", |disk| disk.remove(&segment::file_name(3)).unwrap()),
    ("two missing files", |disk| {
        disk.remove(&segment::file_name(2)).unwrap();
        disk.remove(&segment::file_name(3)).unwrap();
    }),
    ("a truncated file", |disk| {
        disk.edit(&segment::file_name(2), |bytes| bytes.truncate(33_333));
    }),
    ("a file of no bytes", |disk| disk.edit(&segment::file_name(2), Vec::clear)),
    ("a damaged header", |disk| disk.flip(&segment::file_name(2), 20, 1)),
    ("the first header", |disk| disk.flip(&segment::file_name(1), 20, 1)),
    ("a damaged seal", |disk| disk.flip(&segment::file_name(2), 600, 1)),
    ("a blank seal", |disk| {
        disk.edit(&segment::file_name(2), |bytes| bytes[512..640].fill(0));
    }),
    ("the whole first block", |disk| {
        disk.edit(&segment::file_name(2), |bytes| bytes[..4096].fill(0xEE));
    }),
    ("stray bytes in the block", |disk| disk.flip(&segment::file_name(2), 300, 1)),
    ("block, frames and length", |disk| {
        disk.edit(&segment::file_name(2), |bytes| {
            bytes[..9000].fill(0);
            bytes[40_000] ^= 1;
            bytes.truncate(70_000);
        });
    }),
];

fn damaged(whole: &Disk, hurt: fn(&Disk)) -> Disk {
    let disk = copy_of(whole);
    hurt(&disk);
    disk
}

fn assert_same(disk: &Disk, whole: &Disk, what: &str) {
    for name in names(whole).iter().filter(|name| name.ends_with(segment::SUFFIX)) {
        assert!(disk.contents(name) == whole.contents(name), "{what}: {name} differs");
    }
}

fn state(disk: &Disk) -> Vec<(String, Vec<u8>)> {
    names(disk).into_iter().map(|name| (name.clone(), disk.contents(&name).unwrap())).collect()
}

fn mend(disk: &Disk, source: &Source<Disk>, what: &str) -> Repair {
    let before = state(disk);
    let dry = repair(disk, Some(source), true, &mut quiet).unwrap();
    assert!(state(disk) == before, "{what}: a dry run changed something");
    let done = repair(disk, Some(source), false, &mut quiet).unwrap();
    let ranges =
        |done: &Repair| done.mended.iter().flat_map(|one| one.ranges.clone()).collect::<Vec<_>>();
    assert_eq!(ranges(&dry), ranges(&done), "{what}");
    done
}

fn check_all(whole: &Disk, source: &Source<Disk>, kind: &str) {
    for (what, hurt) in SEALED {
        let what = format!("{what}, from {kind}");
        let disk = damaged(whole, *hurt);
        let done = mend(&disk, source, &what);
        assert!(done.refused.is_none(), "{what}: {:?}", done.refused);
        assert!(!done.mended.is_empty(), "{what}");
        assert_same(&disk, whole, &what);
        let again = repair(&disk, Some(source), false, &mut quiet).unwrap();
        assert!(again.mended.is_empty() && again.refused.is_none(), "{what}");
        grow(&disk, SEGMENTS + 20);
    }
}

#[test]
fn sealed_segments_are_mended_from_the_archive() {
    let (home, whole) = (Home::new(), journal(SEGMENTS));
    archive(&whole, &home.create(), &mut quiet).unwrap();
    check_all(&whole, &Source::Archive(home.open()), "the archive");
}

#[test]
fn sealed_segments_are_mended_from_another_journal() {
    let whole = journal(SEGMENTS);
    check_all(&whole, &from_journal(&copy_of(&whole)), "a standby");
}

#[test]
fn other_segment_boundaries_do_for_frames_and_headers() {
    let whole = journal(SEGMENTS);
    let other = Disk::new();
    let bytes = Options::SEGMENT_BYTES_MIN * 3;
    grow_with(&other, SEGMENTS, 0, Options { segment_bytes: bytes, ..options() });
    for (what, hurt) in SEALED {
        let disk = damaged(&whole, *hurt);
        if ["the first header", "two missing files"].contains(what) {
            // Nothing says any more where the first of the missing ends, or how long it was.
            let why = assert_refused(&disk, &from_journal(&other), what);
            assert!(why.contains("this very segment") || why.contains("digest"), "{what}: {why}");
            continue;
        }
        let done = mend(&disk, &from_journal(&other), what);
        assert!(done.refused.is_none(), "{what}: {:?}", done.refused);
        assert_same(&disk, &whole, what);
    }
}

#[test]
fn damaged_bytes_are_kept_aside() {
    let whole = journal(SEGMENTS);
    let disk = damaged(&whole, |disk| disk.flip(&segment::file_name(2), 9001, 0x20));
    let hurt = disk.contents(&segment::file_name(2)).unwrap();
    let done = mend(&disk, &from_journal(&whole), "a flip");
    let [mended] = &done.mended[..] else { panic!("{done:?}") };
    let (range, kept) = (&mended.ranges[0], mended.kept_in[0].file_name().unwrap());
    assert_eq!(range.sequence_from, range.sequence_to, "one frame is replaced, no more");
    let kept = disk.contents(kept.to_str().unwrap()).unwrap();
    assert_eq!(kept, hurt[range.from as usize..range.to as usize]);
    assert!(kept.len() < 600);
}

/// The active segment, and a place amid its frames.
fn active(disk: &Disk) -> (String, usize) {
    let last = survey(disk).unwrap().into_iter().rfind(|info| info.header.good().is_some());
    let number = last.unwrap().number;
    assert!(inspect(disk, number).unwrap().seal.good().is_none());
    let name = segment::file_name(number);
    let used = disk.contents(&name).unwrap().iter().rposition(|&byte| byte != 0).unwrap();
    assert!(used > 20_000, "{used}");
    (name, used)
}

#[test]
fn the_synced_part_of_the_active_segment_is_mended() {
    let whole = journal(SEGMENTS);
    let (name, used) = active(&whole);
    let cases: [(&str, std::ops::Range<usize>, u8); 6] = [
        ("a byte", 9000..9001, 1),
        ("4 KiB", 8192..12_288, 0),
        ("the last frame", used - 3..used + 1, 7),
        ("from the middle to the end", 10_000..used + 1, 0),
        ("the header", 0..128, 3),
        ("everything", 0..used + 1, 0),
    ];
    for (what, range, byte) in cases {
        let disk = copy_of(&whole);
        disk.edit(&name, |bytes| bytes[range.clone()].fill(byte));
        if disk.contents(&name) == whole.contents(&name) {
            disk.edit(&name, |bytes| bytes[range.clone()].fill(byte ^ 0x55));
        }
        assert!(matches!(Journal::open(copy_of(&disk), options()), Err(Error::Damaged(_))));
        let alone = repair(&disk, None, false, &mut quiet).unwrap();
        assert!(matches!(alone.refused, Some(Error::Damaged(_))), "{what}: {alone:?}");
        let done = mend(&disk, &from_journal(&whole), what);
        assert!(done.refused.is_none() && done.cut.is_none(), "{what}: {done:?}");
        assert_same(&disk, &whole, what);
        assert_eq!(frames(&disk).len() as u64, SEGMENTS);
        grow(&disk, SEGMENTS + 20);
    }
    // Its block has no more than a header, also where nobody vouches for its frames.
    for (attested, at) in [(true, 2565), (true, 631), (false, 2565), (false, 631)] {
        let what = format!("a stray bit in byte {at} of the block, attested: {attested}");
        let disk = copy_of(&whole);
        if !attested {
            disk.remove("synced").unwrap();
        }
        let sound = copy_of(&disk);
        disk.flip(&name, at, 0x10);
        assert!(verify(&disk, 1, |_, _| ()).unwrap().findings().next().is_some(), "{what}");
        assert!(mend(&disk, &from_journal(&whole), &what).refused.is_none());
        assert!(verify(&disk, 1, |_, _| ()).unwrap().findings().next().is_none(), "{what}");
        assert_same(&disk, &sound, &what);
        disk.flip(&name, at, 0x10);
        let alone = repair(&disk, None, false, &mut quiet).unwrap();
        assert!(alone.refused.is_none() && alone.mended.len() == 1, "{what}: {alone:?}");
        assert_same(&disk, &sound, &what);
    }
    let disk = copy_of(&whole);
    disk.remove(&name).unwrap();
    let done = mend(&disk, &from_journal(&whole), "the file");
    assert!(done.refused.is_none(), "{done:?}");
    assert_same(&disk, &whole, "the file");
}

/// As while a pair is upgraded: the frames are the same, the segments are of two builds.
#[test]
fn a_header_is_mended_from_what_an_older_build_wrote() {
    let whole = Disk::new();
    let segment_bytes = options().segment_bytes;
    grow_with(&whole, SEGMENTS, 0, Options { segment_bytes, ..Options::new("test", 2) });
    let older = journal(SEGMENTS);
    for name in [segment::file_name(2), active(&whole).0] {
        let disk = copy_of(&whole);
        disk.flip(&name, 20, 1);
        let done = mend(&disk, &from_journal(&older), &name);
        assert!(done.refused.is_none(), "{name}: {:?}", done.refused);
        assert_same(&disk, &whole, &name);
        assert!(verify(&disk, 1, |_, _| ()).unwrap().findings().next().is_none(), "{name}");
    }
}

fn assert_refused(disk: &Disk, source: &Source<Disk>, what: &str) -> String {
    let before = state(disk);
    let done = repair(disk, Some(source), false, &mut quiet).unwrap();
    let Some(Error::Refused { why, .. }) = done.refused else { panic!("{what}: {done:?}") };
    assert!(done.mended.is_empty(), "{what}");
    assert!(state(disk) == before, "{what}: something was changed");
    why
}

#[test]
fn a_source_that_does_not_fit_is_refused() {
    let whole = journal(SEGMENTS);
    let (name, _) = active(&whole);
    let disk = damaged(&whole, |disk| disk.flip(&segment::file_name(2), 9001, 0x20));
    // The same sizes, another content; in the sealed part and in the active segment.
    let other = from_journal(&journal_with(SEGMENTS, 9));
    assert_refused(&disk, &other, "another journal");
    let tail = copy_of(&whole);
    tail.flip(&name, 9000, 1);
    let why = assert_refused(&tail, &other, "another journal, active segment");
    assert!(why.contains("another frame"), "{why}");
    // One that ends too early.
    let why = assert_refused(&disk, &from_journal(&journal(100)), "a short source");
    assert!(why.contains("does not hold"), "{why}");
    let why = assert_refused(&tail, &from_journal(&journal(SEGMENTS - 300)), "a short source");
    assert!(why.contains("does not hold"), "{why}");
    // An archive never has the active segment.
    let home = Home::new();
    archive(&whole, &home.create(), &mut quiet).unwrap();
    let why = assert_refused(&tail, &Source::Archive(home.open()), "active, archive");
    assert!(why.contains("does not hold"), "{why}");
}

#[test]
fn neighbours_that_do_not_fit_are_refused() {
    // Segment 2 of another journal, whole in itself, in the place of ours.
    let (whole, other) = (journal(SEGMENTS), journal_with(SEGMENTS, 9));
    let disk = copy_of(&whole);
    let foreign = other.contents(&segment::file_name(2)).unwrap();
    disk.edit(&segment::file_name(2), |bytes| bytes.clone_from(&foreign));
    assert_refused(&disk, &from_journal(&other), "a foreign segment");
    // A missing segment whose source chains elsewhere.
    let disk = copy_of(&whole);
    disk.remove(&segment::file_name(2)).unwrap();
    assert_refused(&disk, &from_journal(&other), "a missing segment");
    // A damaged seal may not be made up: with another frame before it the chain is another.
    let disk = copy_of(&whole);
    disk.flip(&segment::file_name(2), 600, 1);
    disk.flip(&segment::file_name(2), 9001, 1);
    assert_refused(&disk, &from_journal(&other), "seal and frame");
}

#[test]
fn a_torn_tail_is_cut_without_a_source() {
    let whole = journal(SEGMENTS);
    let (name, used) = active(&whole);
    let disk = copy_of(&whole);
    let from = (used + 1).next_multiple_of(8);
    disk.edit(&name, |bytes| bytes[from + 8..from + 100].fill(0xAA));
    let before = state(&disk);
    let dry = repair(&disk, None, true, &mut quiet).unwrap();
    assert!(dry.cut.is_some() && state(&disk) == before);
    let done = repair(&disk, None, false, &mut quiet).unwrap();
    let cut = done.cut.expect("a cut");
    assert_eq!(cut.sequence, SEGMENTS + 1);
    assert_eq!(cut.kept_in.len(), 1);
    assert_same(&disk, &whole, "cut");
    let clean = repair(&disk, None, false, &mut quiet).unwrap();
    assert!(clean.cut.is_none() && clean.refused.is_none());
}

/// The mark stands behind the header, and a header is made again where no frame is lost with it.
#[test]
fn a_header_that_is_hurt_before_the_first_frame_is_cut() {
    let disk = journal(0);
    // The next opening knows that the header is durable.
    grow(&disk, 0);
    disk.flip(&segment::file_name(1), 30, 0x20);
    assert_eq!(verify(&disk, 1, |_, _| ()).unwrap().findings().next(), None);
    let done = repair(&disk, Some(&from_journal(&journal(0))), false, &mut quiet).unwrap();
    assert!(done.refused.is_none() && done.cut.is_some(), "{done:?}");
    assert_eq!(verify(&disk, 1, |_, _| ()).unwrap().findings().next(), None);
    grow(&disk, 1);
    assert_eq!(frames(&disk).len(), 1);
}

#[test]
fn a_crash_at_any_step_of_a_repair_can_be_repaired() {
    let whole = journal(SEGMENTS);
    let source = from_journal(&whole);
    let hurt: fn(&Disk) = |disk| disk.flip(&segment::file_name(2), 9001, 0x20);
    let counted = damaged(&whole, hurt);
    let begun = counted.steps();
    repair(&counted, Some(&source), false, &mut quiet).unwrap();
    for step in 0..counted.steps() - begun {
        let disk = damaged(&whole, hurt);
        disk.crash_at(disk.steps() + step);
        assert!(repair(&disk, Some(&source), false, &mut quiet).is_err(), "step {step}");
        for survival in [
            ringframe_journal::Survival::Everything,
            ringframe_journal::Survival::Nothing,
            ringframe_journal::Survival::Random(step),
        ] {
            let after = disk.after_crash(survival);
            let done = repair(&after, Some(&source), false, &mut quiet).unwrap();
            assert!(done.refused.is_none(), "step {step}, {survival:?}: {done:?}");
            assert_same(&after, &whole, &format!("step {step}, {survival:?}"));
        }
    }
}

#[test]
fn a_journal_in_use_is_not_repaired() {
    let whole = journal(SEGMENTS);
    let open = Journal::open(whole.clone(), options()).unwrap();
    let refused = repair(&whole, None, false, &mut quiet);
    assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
    drop(open);
    assert!(Reader::open_first(whole).is_ok());
}
