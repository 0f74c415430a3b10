//! Disks that cannot be read for a while, and processes that have too many files open: at their
//! start, and while they run. A node says what it could not read, and stops or goes on; with what
//! it was not shown nothing is wrong, and it starts from that once it may look again.

use fastrand::Rng;
use ringframe::stage::Fault;
use ringframe::types::Nanos;
use ringframe_journal::Refused;

use crate::faults::{Mishap, What};
use crate::settings::Settings;
use crate::world::{MILLISECOND, World};

/// Which worlds have them is drawn apart from all else, as those are that have days.
const APART: u64 = 951;

/// What the processes of a machine may not look at, and until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) disk: usize,
    pub(crate) of: Refused,
    /// So many looks succeed first; each process that starts has one less.
    pub(crate) looks: u64,
    pub(crate) until: Nanos,
}

/// In every fourth world there are some.
pub(crate) fn draw(seed: u64, settings: &Settings, from: Nanos) -> Vec<Mishap> {
    let mut rng = Rng::with_seed(seed ^ APART);
    if rng.u8(0..4) > 0 {
        return Vec::new();
    }
    (0..rng.usize(1..8))
        .map(|_| {
            let at = from.after(rng.u64(0..settings.faults_nanos));
            let of = if rng.u8(0..3) == 0 { Refused::Opens } else { Refused::Reads };
            // A start looks at a few files, or at as many as it has segments, some times each.
            let most = 1 << rng.u64(0..9);
            let what = What::Refuses {
                node: rng.usize(0..2),
                disk: rng.usize(0..4),
                of,
                looks: rng.u64(0..most),
                nanos: MILLISECOND * rng.u64(1..2_000),
                restarts: rng.u8(0..3) > 0,
            };
            Mishap { at, what }
        })
        .collect()
}

/// Whether an error says which file it is about, and what the system said, or that a disk is full.
pub(crate) fn is_named(fault: &Fault) -> bool {
    let said = fault.to_string();
    // Nothing that is numbered has to be brought back: it is there.
    let is_refused = said.contains("os error") && !said.contains("cannot be numbered");
    let is_full = ["free some space", "no storage space"].iter().any(|full| said.contains(full));
    said.contains("simulated") && (is_refused || is_full)
}

impl World {
    pub(crate) fn refuse(&mut self, node: usize, refusal: Refusal) {
        self.lift_refusal(node);
        self.fates[node].refusal = Some(refusal);
        self.apply_refusal(node);
    }

    /// It begins for this process.
    pub(crate) fn apply_refusal(&mut self, node: usize) {
        let fate = &mut self.fates[node];
        let Some(refusal) = &mut fate.refusal else { return };
        for (disk, refusals) in self.nodes[node].refusals.iter().enumerate() {
            // A process opens files of all directories.
            if refusal.of == Refused::Opens || disk == refusal.disk {
                refusals.begin(refusal.of, refusal.looks);
            }
        }
        refusal.looks = refusal.looks.saturating_sub(1);
        fate.may_fail = true;
    }

    /// A process that was refused may be about to say so.
    pub(crate) fn lift_refusal(&mut self, node: usize) {
        self.nodes[node].refusals.iter().for_each(|refusals| refusals.end());
        self.fates[node].may_fail |= self.fates[node].refusal.take().is_some();
    }
}
