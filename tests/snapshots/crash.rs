//! The machine stops before every step of writing two snapshots and deleting the old ones, and
//! keeps any part of what was not yet durable.

use ringframe::journal::storage::Storage;
use ringframe::journal::{SimulatedStorage, Survival};
use ringframe::machine::Machine;
use ringframe::snapshot::{self, SnapshotError};

use crate::{Counter1, counted, newest};

const SURVIVALS: [Survival; 11] = [
    Survival::Everything,
    Survival::Nothing,
    Survival::Even,
    Survival::Odd,
    Survival::AllButFirst,
    Survival::OnlyLast,
    Survival::Random(1),
    Survival::Random(2),
    Survival::Random(3),
    Survival::Torn(1),
    Survival::Torn(2),
];

/// States of several pages.
fn machine(step: u64) -> Machine<Counter1> {
    counted(3000 + step)
}

fn base() -> SimulatedStorage {
    let disk = SimulatedStorage::new();
    snapshot::write(&disk, &machine(1)).expect("room");
    disk
}

/// Says which snapshot was reported last.
fn work(disk: &SimulatedStorage, reported: &mut u64) -> Result<(), SnapshotError> {
    for step in 2..=3 {
        snapshot::write(disk, &machine(step))?;
        *reported = step;
        snapshot::retain::<Counter1, _>(disk, 1, None)?;
    }
    Ok(())
}

#[test]
fn a_crash_at_every_step_leaves_what_was_reported() {
    let whole = base().copy();
    work(&whole, &mut 0).expect("no crash");
    let steps = whole.steps();
    assert!(steps > 12, "{steps}");
    for step in 0..=steps {
        let disk = base().copy();
        disk.crash_at(step);
        let mut reported = 1;
        let outcome = work(&disk, &mut reported);
        assert_eq!(outcome.is_err(), step < steps, "{step}: {outcome:?}");
        for survival in SURVIVALS {
            let left = disk.after_crash(survival);
            started(&left, reported, &format!("step {step}, {survival:?}"));
            // What the start relies on survives the next power cut.
            let again = left.after_crash(Survival::Nothing);
            started(&again, reported, &format!("step {step}, {survival:?}, then a power cut"));
        }
    }
}

/// What the next start finds: everything listed is whole, and nothing that was reported is gone.
fn started(disk: &SimulatedStorage, reported: u64, when: &str) {
    snapshot::clean(disk).expect("a directory");
    for info in snapshot::list(disk).expect("a directory") {
        snapshot::load::<Counter1, _>(disk, &info)
            .unwrap_or_else(|error| panic!("{when}: {error}"));
    }
    let scratch: Vec<_> = disk.list().expect("a directory");
    assert!(scratch.iter().all(|name| name.ends_with(".snapshot")), "{when}: {scratch:?}");
    let found: Machine<Counter1> = newest(disk).unwrap_or_else(|| panic!("{when}: none left"));
    let sequence = found.applied().sequence.0;
    assert!((3000 + reported..=3003).contains(&sequence), "{when}: {sequence}");
    assert_eq!(found.logic().numbers.len() as u64, sequence, "{when}");
}
