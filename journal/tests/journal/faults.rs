//! Disks that refuse: failing syncs, no room, nothing writable; and journals that are not ours.

use crate::common::{
    MARKS, Outcome, Random, Run, life, logic, options, payload, read_all, rewrite_header, survivals,
};
use ringframe_journal::segment::file_name;
use ringframe_journal::storage::Storage;
use ringframe_journal::{
    Append, Damage, Error, Journal, Options, Reader, SimulatedStorage, Survival,
};

/// Runs until something fails; the error that the caller saw.
fn fail(disk: &SimulatedStorage) -> (Outcome, Option<Error>) {
    let mut run = match Run::open(disk, 1) {
        Ok(run) => run,
        Err(error) => return (Outcome::default(), Some(error)),
    };
    match run.work(150, &mut Random(5), 6) {
        Ok(()) => match run.close() {
            Ok(outcome) => (outcome, None),
            Err(failed) => (failed.0, Some(failed.1)),
        },
        Err(error) => {
            // Nothing is reported after the fault, however often anyone asks.
            let told = run.journal.writer.positions().synced();
            for _ in 0..3 {
                run.now += 1_000_000_000;
                assert!(run.sync().is_err() && run.keep().is_err());
                assert!(run.journal.writer.publish().is_err());
                assert_eq!(run.journal.writer.positions().synced(), told);
            }
            run.outcome.synced = told;
            (run.outcome, Some(error))
        }
    }
}

#[test]
fn a_failed_sync_is_final_and_nothing_after_it_is_reported() {
    let disk = SimulatedStorage::new();
    assert!(fail(&disk).1.is_none());
    for step in 1..=disk.steps() {
        let disk = SimulatedStorage::new();
        disk.fail_syncs_at(step);
        let (outcome, error) = fail(&disk);
        match error.as_ref().expect("a sync must have failed") {
            Error::Io { path, source, .. } => {
                assert_eq!(source.raw_os_error(), Some(5), "step {step}: {error:?}");
                assert!(path.starts_with("simulated"), "step {step}: {error:?}");
            }
            other => panic!("step {step}: {other}"),
        }
        for survival in survivals(step) {
            if !step.is_multiple_of(5) && survival != Survival::Nothing {
                continue;
            }
            let left = disk.after_crash(survival);
            let run = Run::open(&left, 2).unwrap_or_else(|error| panic!("{step}: {error}"));
            let last = run.journal.recovery.next - 1;
            assert!((outcome.synced..=outcome.begun).contains(&last), "{step}: {last} {outcome:?}");
            read_all(&left, &[(last, 1)]).unwrap();
        }
    }
}

#[test]
fn what_a_start_after_a_failed_sync_reports_survives_a_loss_of_power() {
    let disk = SimulatedStorage::new();
    assert!(fail(&disk).1.is_none());
    for step in 1..=disk.steps() {
        let disk = SimulatedStorage::new();
        disk.fail_syncs_at(step);
        fail(&disk);
        // The process is gone; its pages are in the cache, and clean.
        let restarted = disk.after_crash(Survival::Everything);
        let run = Run::open(&restarted, 2).unwrap_or_else(|error| panic!("{step}: {error}"));
        let synced = run.journal.writer.positions().synced();
        drop(run);
        let left = restarted.after_crash(Survival::Nothing);
        let run = Run::open(&left, 3).unwrap_or_else(|error| panic!("step {step}: {error}"));
        assert_eq!(run.journal.recovery.next - 1, synced, "step {step}");
    }
}

#[test]
fn a_full_disk_holds_up_the_roll_and_nothing_else() {
    let disk = SimulatedStorage::new();
    disk.limit_free_bytes(Options::SEGMENT_BYTES_MIN + MARKS + 9000);
    let mut run = Run::open(&disk, 1).unwrap();
    for _ in 0..10 {
        run.now += 1_000_000;
        run.keep().unwrap();
    }
    let error = loop {
        match run.append().and_then(|()| run.publish()) {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    let Error::NoSpace { needed, free, .. } = error else { panic!("{error}") };
    assert_eq!((needed, free), (Options::SEGMENT_BYTES_MIN, 9000));
    let full = run.journal.writer.next_sequence() - 1;
    assert!(full > 3);
    run.sync().unwrap();
    assert_eq!(run.journal.writer.positions().synced(), full);
    read_all(&disk, &[(full, 1)]).unwrap();
    read_all_after(&disk, Survival::Nothing, full);

    disk.limit_free_bytes(u64::MAX);
    run.now += 2_000_000_000;
    run.keep().unwrap();
    run.work(200, &mut Random(1), 6).unwrap();
    assert!(run.journal.writer.positions().shortage().is_none());
    run.close().map_err(|failed| failed.1).unwrap();
    read_all(&disk, &[(full + 200, 1)]).unwrap();
}

fn read_all_after(disk: &SimulatedStorage, survival: Survival, last: u64) {
    let left = disk.after_crash(survival);
    assert_eq!(Run::open(&left, 2).unwrap().journal.recovery.next, last + 1);
    read_all(&left, &[(last, 1)]).unwrap();
}

#[test]
fn a_read_only_disk_is_a_named_fault_and_can_be_read() {
    let disk = SimulatedStorage::new();
    let mut run = Run::open(&disk, 1).unwrap();
    run.work(20, &mut Random(1), 6).unwrap();
    run.publish().unwrap();
    disk.make_read_only();
    let told = run.journal.writer.positions().synced();
    let error = run.sync().unwrap_err();
    assert!(error.to_string().contains(&file_name(1)), "{error}");
    assert_eq!(run.journal.writer.positions().synced(), told);
    drop(run);
    let Err(error) = Journal::open(disk.clone(), options()) else { panic!("opened") };
    assert!(error.to_string().contains("simulated"), "{error}");
    read_all(&disk, &[(20, 1)]).unwrap();
}

#[test]
fn a_keeper_that_outruns_the_syncer_waits_for_it() {
    let disk = SimulatedStorage::new();
    let mut run = Run::open(&disk, 1).unwrap();
    let mut waited = false;
    for _ in 0..2000 {
        let sequence = run.journal.writer.next_sequence();
        let payload = payload(sequence, 1);
        let frame = crate::common::frame(sequence, 1, &payload);
        waited = run.journal.writer.append(&frame).unwrap() == Append::Wait;
        run.publish().unwrap();
        run.now += 1_000_000;
        run.keep().unwrap();
    }
    assert!(waited, "segments were prepared without end");
    run.work(300, &mut Random(2), 6).unwrap();
    let outcome = run.close().map_err(|failed| failed.1).unwrap();
    read_all(&disk, &[(outcome.synced, 1)]).unwrap();
    crate::common::check_seals(&disk);
}

#[test]
fn two_writers_are_refused() {
    let disk = SimulatedStorage::new();
    let first = Journal::open(disk.clone(), options()).unwrap();
    assert!(matches!(Journal::open(disk.clone(), options()), Err(Error::Locked { .. })));
    drop(first);
    Journal::open(disk, options()).unwrap();
}

#[test]
fn a_journal_of_another_logic_is_refused_by_name() {
    let disk = SimulatedStorage::new();
    life(&disk, 1, 20, 6);
    let other = Options { logic: logic("ledger", 1), ..options() };
    let Err(error) = Journal::open(disk.clone(), other) else { panic!("opened") };
    assert!(error.to_string().contains("'test', not to 'ledger'"), "{error}");
    rewrite_header(&disk, 1, |header| header.logic.version = 7);
    let Err(error) = Journal::open(disk.clone(), options()) else { panic!("opened") };
    let text = error.to_string();
    assert!(text.contains("version 7 of 'test'") && text.contains("up to 1"), "{text}");
}

#[test]
fn a_newer_format_is_refused_even_without_a_watermark() {
    let disk = SimulatedStorage::new();
    life(&disk, 1, 20, 6);
    disk.remove("synced").unwrap();
    disk.edit(&file_name(1), |bytes| {
        bytes[8] = 2;
        let crc = crc_fast::crc32_iscsi(&bytes[..124]);
        bytes[124..128].copy_from_slice(&crc.to_le_bytes());
    });
    let before = disk.contents(&file_name(1));
    match Journal::open(disk.clone(), options()) {
        Err(Error::Damaged(range)) => assert_eq!(range.damage, Damage::Format(2)),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("a journal of a newer format was opened"),
    }
    assert!(disk.contents(&file_name(1)) == before, "it was changed");
}

#[test]
fn a_journal_that_begins_late_and_is_still_empty_has_lost_nothing() {
    let disk = SimulatedStorage::new();
    let late = Options { first_sequence: 100, ..options() };
    drop(Journal::open(disk.clone(), late).unwrap());
    // The header was never synced.
    let left = disk.after_crash(Survival::Nothing);
    assert!(Reader::open(left.clone(), 1).unwrap().next_frame().unwrap().is_none());
    assert_eq!(Journal::open(left, options()).unwrap().recovery.next, 1);
}

#[test]
fn frames_behind_a_lost_header_are_kept_aside() {
    // The first segment is torn, the second lost its header block but not its frames.
    let disk = SimulatedStorage::new();
    let mut run = Run::open(&disk, 1).unwrap();
    while run.disk.contents(&file_name(2)).is_none_or(|bytes| bytes[5000] == 0) {
        run.append().unwrap();
        run.keep().unwrap();
    }
    drop(run);
    let left = disk.copy();
    left.remove("synced").unwrap();
    left.edit(&file_name(1), |bytes| bytes[4096..].fill(0));
    left.edit(&file_name(2), |bytes| bytes[..4096].fill(0));
    let torn = left.contents(&file_name(2)).unwrap();
    // The reader does not show what stands behind the hole either.
    assert!(Reader::open(left.clone(), 1).unwrap().next_frame().unwrap().is_none());
    let cut = Journal::open(left.clone(), options()).unwrap().recovery.cut.expect("a cut");
    assert_eq!((cut.sequence, cut.kept_in.len()), (1, 1));
    let kept = cut.kept_in[0].file_name().unwrap().to_str().unwrap();
    let kept = left.contents(kept).unwrap();
    assert!(kept.iter().any(|&byte| byte != 0) && torn.starts_with(&kept));
}

#[test]
fn a_reader_does_not_jump_over_a_torn_hole() {
    let disk = SimulatedStorage::new();
    let mut run = Run::open(&disk, 1).unwrap();
    while disk.contents(&file_name(2)).is_none_or(|bytes| bytes[5000] == 0) {
        run.append().unwrap();
        run.keep().unwrap();
    }
    let next = run.journal.writer.next_sequence();
    drop(run);
    disk.remove("synced").unwrap();
    disk.edit(&file_name(1), |bytes| bytes[8192..12288].fill(0));
    match Reader::open(disk, next - 1) {
        Err(Error::OutOfRange { next: found, .. }) => assert!(found < next - 1),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("stands behind the hole"),
    }
}
