//! The directories of one machine, on simulated disks that lose power together.

use std::sync::Arc;

use fastrand::Rng;
use ringframe::node::Stores;
use ringframe::replication::Holdings;
use ringframe_journal::storage::Storage;
use ringframe_journal::{Refusals, SimulatedStorage, Survival};

/// What survives a loss of power on each of the four.
pub(crate) type Loss = [Survival; 4];

/// A machine's directories.
#[derive(Clone, Debug)]
pub(crate) struct Disks {
    pub(crate) stores: Stores<SimulatedStorage>,
    pub(crate) sessions: SimulatedStorage,
}

impl Disks {
    pub(crate) fn new() -> Self {
        let disk = SimulatedStorage::new;
        let stores = Stores { journal: disk(), events: disk(), snapshots: disk() };
        Self { stores, sessions: disk() }
    }

    pub(crate) fn each(&self) -> [&SimulatedStorage; 4] {
        let Stores { journal, events, snapshots } = &self.stores;
        [journal, events, snapshots, &self.sessions]
    }

    /// As the link between nodes wants them.
    pub(crate) fn holdings(&self) -> Holdings<SimulatedStorage> {
        Holdings { stores: self.stores.clone(), sessions: self.sessions.clone() }
    }

    /// As a process sees them, which may be refused to look at each.
    pub(crate) fn refusing(&self, refusals: &[Arc<Refusals>; 4]) -> Self {
        self.map(refusals, SimulatedStorage::refusing)
    }

    /// From here on nothing happens to them any more.
    pub(crate) fn turn_off(&self) {
        self.each().iter().for_each(|disk| disk.crash_at(disk.steps()));
    }

    /// What was to go wrong with them later does not.
    pub(crate) fn heal(&self) {
        for disk in self.each() {
            disk.crash_at(u64::MAX);
            disk.fail_syncs_at(u64::MAX);
            disk.fail_changes_at(u64::MAX);
        }
    }

    /// How far sessions were counted is not there any more.
    pub(crate) fn lose_counts(&self) {
        let _ = self.sessions.remove("streams").and_then(|()| self.sessions.sync_directory());
    }

    /// Whether one of them has stopped by itself.
    pub(crate) fn are_off(&self) -> bool {
        self.each().iter().any(|disk| disk.is_off())
    }

    /// What the next process finds.
    pub(crate) fn after(&self, loss: Loss) -> Self {
        self.map(&loss, |disk, loss| disk.after_crash(*loss))
    }

    fn map<T>(
        &self,
        by: &[T; 4],
        each: impl Fn(&SimulatedStorage, &T) -> SimulatedStorage,
    ) -> Self {
        let [journal, events, snapshots, sessions] = self.each();
        let [first, second, third, fourth] = by;
        let stores = Stores {
            journal: each(journal, first),
            events: each(events, second),
            snapshots: each(snapshots, third),
        };
        Self { stores, sessions: each(sessions, fourth) }
    }
}

/// The process dies, the machine does not.
pub(crate) const NO_LOSS: Loss = [Survival::Everything; 4];

/// What a loss of power may leave.
pub(crate) fn power_loss(seed: u64) -> Loss {
    let mut rng = Rng::with_seed(seed);
    std::array::from_fn(|_| match rng.u8(0..8) {
        0 | 1 => Survival::Nothing,
        2 => Survival::Even,
        3 => Survival::Odd,
        4 => Survival::AllButFirst,
        5 => Survival::OnlyLast,
        6 => Survival::Random(rng.u64(..)),
        _ => Survival::Torn(rng.u64(..)),
    })
}
