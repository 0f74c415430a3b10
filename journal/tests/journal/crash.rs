//! The machine stops at every step of a workload, keeps any class of what was not yet durable, and
//! the journal that is found is a prefix of what was appended with everything that was reported
//! synced; appending goes on from there. A step is one system call or one store to mapped memory.
//!
//! The default run covers every step with a rotating choice of classes, and all classes where
//! something other than a frame is written (rolls, syncs, seals, preparations). All steps with all
//! classes: `RINGFRAME_CRASH=all cargo test --release -p ringframe-journal --test journal crash`.

use crate::common::{Outcome, Run, check_seals, life, read_all, survivals};
use ringframe_journal::{Append, Frame, Journal, SimulatedStorage, Survival};

const FRAMES: u64 = 240;
/// How seldom the syncer is polled: so often that a segment is made durable in many pieces, …
const BUSY: u64 = 6;
/// … and so seldom that whole segments wait for it.
const LAZY: u64 = 50;

fn all() -> bool {
    std::env::var("RINGFRAME_CRASH").is_ok_and(|value| value == "all")
}

/// Runs the workload on a fresh disk until a step.
fn crashed(lazy: u64, step: u64) -> (SimulatedStorage, Outcome) {
    let disk = SimulatedStorage::new();
    disk.crash_at(step);
    let outcome = life(&disk, 1, FRAMES, lazy);
    (disk, outcome)
}

/// Opens what a crash left and checks the promise; returns the last sequence and the open journal.
fn recover(disk: &SimulatedStorage, outcome: &Outcome, survival: Survival) -> Run {
    let run = Run::open(disk, 2).unwrap_or_else(|error| panic!("{survival:?}: {error}"));
    let last = run.journal.recovery.next - 1;
    let least = if survival == Survival::Everything { outcome.published } else { outcome.synced };
    assert!(least <= last && last <= outcome.begun, "{survival:?}: {last} of {outcome:?}");
    read_all(disk, &[(last, 1)]).unwrap_or_else(|error| panic!("{survival:?}: {error}"));
    run
}

/// Appends enough for a roll, closes, opens again and reads everything.
fn go_on(mut run: Run, seed: u64) {
    let disk = run.disk.clone();
    let last = run.journal.recovery.next - 1;
    run.work(60, &mut crate::common::Random(seed), BUSY).unwrap();
    let outcome = run.close().map_err(|failed| failed.1).unwrap();
    assert_eq!((outcome.published, outcome.synced), (last + 60, last + 60));
    let again = Journal::open(disk.clone(), crate::common::options()).unwrap();
    assert_eq!((again.recovery.next, &again.recovery.cut), (last + 61, &None));
    read_all(&disk, &[(last, 1), (last + 60, 2)]).unwrap();
    check_seals(&disk);
}

fn every_step(lazy: u64) {
    let (disk, outcome) = crashed(lazy, u64::MAX);
    let steps = disk.steps();
    let turns = outcome.turns;
    assert!(turns.len() > 100 && outcome.begun == FRAMES);
    for step in 0..=steps {
        let (disk, outcome) = crashed(lazy, step);
        assert_eq!(disk.is_off(), step < steps);
        let turn = all() || turns.contains(&step);
        for (index, survival) in survivals(step).into_iter().enumerate() {
            if !turn && !(index as u64 + step).is_multiple_of(6) {
                continue;
            }
            let left = disk.after_crash(survival);
            let run = recover(&left, &outcome, survival);
            if all() || (index as u64 + step).is_multiple_of(11) {
                go_on(run, step);
            }
        }
    }
}

#[test]
fn a_crash_at_every_step_leaves_a_prefix_with_everything_synced() {
    every_step(BUSY);
}

#[test]
fn a_crash_during_recovery_is_recovered_from() {
    let steps = crashed(LAZY, u64::MAX).0.steps();
    let stride = if all() { 3 } else { 37 };
    for step in (0..=steps).step_by(stride) {
        let (disk, outcome) = crashed(LAZY, step);
        for (index, survival) in survivals(step).into_iter().enumerate() {
            if !all() && !(index as u64 + step).is_multiple_of(4) {
                continue;
            }
            recover_twice(&disk, &outcome, survival, step);
        }
    }
}

/// Crashes at every step of the recovery of what a crash left.
fn recover_twice(disk: &SimulatedStorage, outcome: &Outcome, survival: Survival, seed: u64) {
    let left = disk.after_crash(survival);
    drop(recover(&left, outcome, survival));
    let opened = left.steps();
    for second in 0..=opened {
        let left = disk.after_crash(survival);
        left.crash_at(second);
        let mut outcome = outcome.clone();
        if let Ok(run) = Run::open(&left, 2) {
            // Recovery was done, and said what is durable from then on.
            outcome.synced = run.journal.recovery.next - 1;
        }
        for (index, again) in survivals(seed ^ second << 32).into_iter().enumerate() {
            if !all() && !(index as u64 + second).is_multiple_of(4) {
                continue;
            }
            let left = left.after_crash(again);
            let worst = if survival == Survival::Everything { again } else { survival };
            let run = recover(&left, &outcome, worst);
            if all() || (index as u64 + second).is_multiple_of(24) {
                go_on(run, second);
            }
        }
    }
}

/// The seals that a recovery makes are the bytes that the keeper would have made.
#[test]
fn recovery_seals_as_the_keeper_does() {
    let disk = SimulatedStorage::new();
    let mut journal = Journal::open(disk.clone(), crate::common::options()).unwrap();
    let mut now = 0;
    for sequence in 1..=120 {
        let payload = vec![7; 1500];
        // Time may stand still, also at zero.
        let timestamp = if sequence < 60 { 0 } else { sequence };
        let frame = Frame { sequence, timestamp, epoch: 1, kind: 1, schema: 1, payload: &payload };
        while journal.writer.append(&frame).unwrap() == Append::Wait {
            journal.keeper.poll(now).unwrap();
            now += 1_000_000;
        }
        journal.writer.publish().unwrap();
    }
    let crashed = disk.after_crash(Survival::Everything);
    journal.close(now).unwrap();
    let recovered = Journal::open(crashed.clone(), crate::common::options()).unwrap();
    assert_eq!(recovered.recovery.sealed.len(), 2);
    for number in 1..=2 {
        let name = ringframe_journal::segment::file_name(number);
        assert!(crate::common::seal_of(&disk, number).is_some());
        assert!(disk.contents(&name) == crashed.contents(&name), "segment {number} differs");
    }
}
