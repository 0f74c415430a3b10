//! Frames taken off the end: what is left is what would be there without them, at every crash on
//! the way something opens, and truncating again finishes.

use crate::common::{Random, Run, check_seals, life, logic, options, read_all, survivals};
use ringframe_journal::segment::file_name;
use ringframe_journal::storage::Storage;
use ringframe_journal::{
    Error, Journal, Reader, SimulatedStorage, Survival, Truncation, survey, truncate,
};

const FRAMES: u64 = 240;

/// A journal that was closed, with several sealed segments.
fn closed() -> SimulatedStorage {
    let disk = SimulatedStorage::new();
    assert_eq!(life(&disk, 1, FRAMES, 6).synced, FRAMES);
    disk
}

fn cut(disk: &SimulatedStorage, last: u64) -> Result<Option<Truncation>, Error> {
    truncate(disk, &logic("test", 1), last)
}

/// The last sequences of the segments that have an end.
fn ends(disk: &SimulatedStorage) -> Vec<u64> {
    let segments = survey(disk).unwrap();
    segments.iter().filter_map(|info| Some(info.seal.good()?.last_sequence)).collect()
}

/// The places worth a cut: in the first, a middle and the last segment, and around a roll.
fn places(disk: &SimulatedStorage) -> Vec<u64> {
    let ends = ends(disk);
    assert!(ends.len() > 2);
    vec![0, 1, ends[0] - 1, ends[0], ends[0] + 1, ends[1], FRAMES - 1]
}

/// Appends other frames behind a cut, through a roll, and reads everything.
fn go_on(disk: &SimulatedStorage, last: u64) {
    let mut run = Run::open(disk, 2).unwrap();
    assert_eq!((run.journal.recovery.next, &run.journal.recovery.cut), (last + 1, &None));
    run.work(100, &mut Random(last), 6).unwrap();
    run.close().map_err(|failed| failed.1).unwrap();
    read_all(disk, &[(last, 1), (last + 100, 2)]).unwrap();
    check_seals(disk);
}

#[test]
fn what_is_left_is_what_would_be_there_without_the_frames() {
    let whole = closed();
    for last in places(&whole) {
        let disk = whole.copy();
        let taken = cut(&disk, last).unwrap().expect("there were frames to take off");
        assert_eq!((taken.sequence, taken.last), (last + 1, FRAMES));
        assert!(taken.to_string().contains(".cut"), "{taken}");
        read_all(&disk, &[(last, 1)]).unwrap();
        assert_eq!(cut(&disk, last).unwrap(), None, "again");

        let without = SimulatedStorage::new();
        drop(Run::open(&without, 1).unwrap().journal);
        if last > 0 {
            life(&without, 1, last, 6);
        }
        let names = (1..FRAMES).map(file_name).take_while(|name| disk.contents(name).is_some());
        for (disk, without) in names.map(|name| (disk.contents(&name), without.contents(&name))) {
            assert!(disk == without, "after {last} a segment differs");
        }
        go_on(&disk, last);
    }
}

#[test]
fn the_bytes_are_kept_aside() {
    let disk = closed();
    let last = ends(&disk)[0];
    let before: Vec<_> = survey(&disk).unwrap();
    let bytes = |disk: &SimulatedStorage, name: &str| disk.contents(name).unwrap();
    let second = bytes(&disk, &file_name(2));
    let taken = cut(&disk, last).unwrap().unwrap();
    let kept: Vec<String> = taken
        .kept_in
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(kept.len() + 1 >= before.len(), "{kept:?}");
    // Of the first segment only its End frame went, the others as they stood.
    assert!(bytes(&disk, &kept[0]).len() <= 32, "to the last byte that is not zero");
    assert!(bytes(&disk, &kept[1]) == second);
}

/// Crashes at every step of a truncation; what is found opens, and can be truncated once more.
fn every_step(whole: &SimulatedStorage, last: u64) {
    let disk = whole.copy();
    let before = disk.steps();
    cut(&disk, last).unwrap();
    let steps = disk.steps();
    for step in before..=steps {
        let disk = whole.copy();
        disk.crash_at(step);
        assert_eq!(cut(&disk, last).is_ok(), step == steps, "step {step}");
        for (index, survival) in survivals(step).into_iter().enumerate() {
            let at = format!("cut after {last}, crash at step {step}, {survival:?}");
            let left = disk.after_crash(survival);
            let run = Run::open(&left, 2).unwrap_or_else(|error| panic!("{at}: {error}"));
            let next = run.journal.recovery.next;
            assert!((last + 1..=FRAMES + 1).contains(&next), "{at}: next is {next}");
            read_all(&left, &[(next - 1, 1)]).unwrap_or_else(|error| panic!("{at}: {error}"));
            if step == steps {
                assert_eq!(next, last + 1, "{at}: it was done");
            }

            if (index as u64 + step).is_multiple_of(72) {
                a_crash_in_the_second_attempt(&disk.after_crash(survival), last, &at);
            }
            let left = disk.after_crash(survival);
            cut(&left, last).unwrap_or_else(|error| panic!("{at}: {error}"));
            let left = left.after_crash(Survival::Nothing);
            let run = Run::open(&left, 2).unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_eq!(run.journal.recovery.next, last + 1, "{at}");
            drop(run);
            if survival == Survival::Random(step) {
                go_on(&left, last);
            }
        }
    }
}

/// The process died in the first attempt and the machine in the second: what the first left in
/// memory alone is not taken for done.
fn a_crash_in_the_second_attempt(found: &SimulatedStorage, last: u64, at: &str) {
    let whole = found.after_crash(Survival::Everything);
    cut(&whole, last).unwrap();
    for second in 0..whole.steps() {
        let disk = found.after_crash(Survival::Everything);
        disk.crash_at(second);
        let _ = cut(&disk, last);
        for survival in [Survival::Nothing, Survival::OnlyLast, Survival::Random(second)] {
            let at = format!("{at}, second crash at step {second}, {survival:?}");
            let left = disk.after_crash(survival);
            let run = Run::open(&left, 2).unwrap_or_else(|error| panic!("{at}: {error}"));
            let next = run.journal.recovery.next;
            assert!((last + 1..=FRAMES + 1).contains(&next), "{at}: next is {next}");
            read_all(&left, &[(next - 1, 1)]).unwrap_or_else(|error| panic!("{at}: {error}"));
        }
    }
}

#[test]
fn a_crash_at_every_step_leaves_a_journal_that_opens() {
    let whole = closed();
    for last in places(&whole) {
        every_step(&whole, last);
    }
}

/// The process died: frames are only in the page cache, segments complete and not yet sealed.
#[test]
fn a_crash_of_what_was_never_synced_too() {
    let disk = SimulatedStorage::new();
    let mut run = Run::open(&disk, 1).unwrap();
    run.work(FRAMES, &mut Random(3), 50).unwrap();
    run.publish().unwrap();
    drop(run);
    let left = disk.after_crash(Survival::Everything);
    for last in [1, FRAMES / 2, FRAMES - 10] {
        let before = left.steps();
        let probe = disk.after_crash(Survival::Everything);
        cut(&probe, last).unwrap();
        for step in before..=probe.steps() {
            let disk = disk.after_crash(Survival::Everything);
            disk.crash_at(step);
            let _ = cut(&disk, last);
            for survival in survivals(step) {
                let left = disk.after_crash(survival);
                let at = format!("cut after {last}, crash at step {step}, {survival:?}");
                let run = Run::open(&left, 2).unwrap_or_else(|error| panic!("{at}: {error}"));
                let next = run.journal.recovery.next;
                assert!(next <= FRAMES + 1, "{at}: next is {next}");
                read_all(&left, &[(next - 1, 1)]).unwrap_or_else(|error| panic!("{at}: {error}"));
            }
        }
    }
}

#[test]
fn nothing_to_take_off_changes_nothing() {
    let disk = closed();
    let before = disk.copy();
    for last in [FRAMES, FRAMES + 7] {
        assert_eq!(cut(&disk, last).unwrap(), None);
    }
    for info in survey(&before).unwrap() {
        let name = file_name(info.number);
        assert!(disk.contents(&name) == before.contents(&name), "{name} was changed");
    }
    assert_eq!(cut(&SimulatedStorage::new(), 0).unwrap(), None);
}

#[test]
fn what_must_not_be_cut_is_refused_by_name() {
    let disk = closed();
    let journal = Journal::open(disk.clone(), options()).unwrap();
    assert!(matches!(cut(&disk, 5), Err(Error::Locked { .. })));
    drop(journal);
    let other = truncate(&disk, &logic("ledger", 1), 5);
    assert!(matches!(other, Err(Error::OtherLogic { .. })));

    // A pruned journal: the first frames are gone, and the oldest seal holds the chain.
    let pruned = closed();
    let first = ends(&pruned)[0] + 1;
    pruned.remove(&file_name(1)).unwrap();
    match cut(&pruned, first - 2) {
        Err(Error::OutOfRange { sequence, first: found, .. }) => {
            assert_eq!((sequence, found), (first - 2, first));
        }
        other => panic!("{other:?}"),
    }
    let error = cut(&pruned, first).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert!(error.to_string().contains("restore the segment before it"), "{error}");
    assert!(Reader::open(pruned, FRAMES).unwrap().next_frame().unwrap().is_some());

    // Damage before the cut.
    disk.flip(&file_name(1), 5000, 1);
    let error = cut(&disk, ends(&disk)[0] - 1).unwrap_err();
    assert!(matches!(error, Error::Damaged(_)), "{error}");
    assert!(survey(&disk).unwrap()[0].seal.good().is_some(), "it was changed");
}
