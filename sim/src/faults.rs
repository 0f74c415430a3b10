//! What goes wrong and what operators do, drawn up front as a list: a seed without some of it is
//! still a run, so a failing list can be made short.

use std::fmt;

use fastrand::Rng;
use ringframe::types::Nanos;
use ringframe_journal::Refused;

use crate::net::CLIENTS;
use crate::settings::Settings;

/// So many kinds there are.
pub(crate) const KINDS: usize = 18;
const MILLISECOND: u64 = 1_000_000;

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mishap {
    pub(crate) at: Nanos,
    pub(crate) what: What,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A process dies, so many disk steps later, and comes back.
    Crash { node: usize, steps: u64, back_nanos: u64 },
    /// A machine loses power, likewise.
    PowerLoss { node: usize, steps: u64, back_nanos: u64, seed: u64 },
    /// Both do, at once.
    Blackout { back_nanos: [u64; 2], seed: u64 },
    /// Nothing gets from one host to another; both ways if so.
    Partition { from: usize, to: usize, both: bool, nanos: u64 },
    /// The connections between two hosts break.
    Cut { one: usize, other: usize },
    /// A process stands still.
    Stall { node: usize, nanos: u64 },
    /// One of its stages does: a slow disk, or a busy core.
    StallStage { node: usize, stage: usize, nanos: u64 },
    /// A clock is somewhere else when the next process starts.
    Clock { node: usize, ahead: u64 },
    /// A disk is full for a while.
    Full { node: usize, disk: usize, nanos: u64 },
    /// A sync fails, so many disk steps later.
    SyncFails { node: usize, disk: usize, steps: u64 },
    /// A disk refuses to write, so many disk steps later.
    WritesFail { node: usize, disk: usize, steps: u64 },
    /// For so long a process is refused to read a disk, or to open files of any, after so many that
    /// it may; likewise those that start meanwhile, and it is ended for that, or not.
    Refuses { node: usize, disk: usize, of: Refused, looks: u64, nanos: u64, restarts: bool },
    /// A bit is another one when the next process starts.
    Flip { node: usize, disk: usize, seed: u64 },
    /// The operator lets the follower lead, without asking the leader.
    Promote,
    /// The leader gives its place to the follower, which was away for so long, and comes back as
    /// one.
    HandOver { away_nanos: u64 },
    /// A process ends orderly and comes back.
    Restart { node: usize },
    /// The operator asks for a snapshot.
    Snapshot { node: usize },
    /// The operator archives a journal and deletes what a snapshot covers.
    Prune { node: usize },
    /// The operator begins the nightly routine.
    Nightly,
    /// The operator begins the upgrade that this seed draws.
    Upgrade { seed: u64 },
    /// The operator closes all instruments, ends the day and opens them, with pauses in between.
    EndDay { pauses: [u64; 2] },
    /// The operator archives journal and event log and deletes what nobody needs; the process dies
    /// so many disk steps into that, perhaps with the machine's power.
    Keep { node: usize, steps: u64, power: Option<u64> },
    /// A process dies, and how far its sessions were counted is lost.
    Forget { node: usize },
    /// A machine with nothing on it comes in the place of a standby.
    Renew { node: usize },
}

/// A list, in the order of time, after `from`.
pub(crate) fn draw(rng: &mut Rng, settings: &Settings, from: Nanos) -> Vec<Mishap> {
    let kinds: Vec<usize> = (0..KINDS)
        .flat_map(|kind| std::iter::repeat_n(kind, settings.weights[kind].into()))
        .collect();
    if kinds.is_empty() {
        return Vec::new();
    }
    let mut list: Vec<Mishap> = (0..settings.faults)
        .map(|_| Mishap {
            at: from.after(rng.u64(0..settings.faults_nanos)),
            what: what(kinds[rng.usize(0..kinds.len())], rng),
        })
        .collect();
    // What a disk that failed has lost is seen only where its machine loses power afterwards.
    let failed = list.iter().filter_map(|mishap| match mishap.what {
        What::SyncFails { node, .. } => Some((mishap.at, node)),
        _ => None,
    });
    let failed: Vec<_> = failed.collect();
    for (at, node) in failed {
        if rng.bool() {
            let at = at.after(MILLISECOND * rng.u64(400..3_000));
            let (back_nanos, seed) = (MILLISECOND * rng.u64(5..1_000), rng.u64(..));
            list.push(Mishap { at, what: What::PowerLoss { node, steps: 0, back_nanos, seed } });
        }
    }
    list.sort_by_key(|mishap| mishap.at);
    list
}

fn what(kind: usize, rng: &mut Rng) -> What {
    let node = rng.usize(0..2);
    let back_nanos = MILLISECOND * if rng.bool() { rng.u64(5..300) } else { rng.u64(300..4_000) };
    let steps = if rng.bool() { 0 } else { rng.u64(0..60) };
    let nanos = MILLISECOND * if rng.bool() { rng.u64(1..400) } else { rng.u64(400..3_000) };
    match kind {
        0 => What::Crash { node, steps, back_nanos },
        1 => What::PowerLoss { node, steps, back_nanos, seed: rng.u64(..) },
        2 => What::Blackout {
            back_nanos: [back_nanos, MILLISECOND * rng.u64(5..2_000)],
            seed: rng.u64(..),
        },
        3 => {
            let to = if rng.u8(0..4) == 0 { CLIENTS } else { 1 - node };
            What::Partition { from: node, to, both: rng.bool(), nanos }
        }
        4 => {
            let other = if rng.bool() { CLIENTS } else { 1 - node };
            What::Cut { one: node, other }
        }
        5 => What::Stall { node, nanos },
        6 => What::StallStage { node, stage: rng.usize(0..16), nanos },
        7 => What::Clock { node, ahead: rng.u64(0..5_000) * MILLISECOND },
        8 => What::Full { node, disk: rng.usize(0..4), nanos },
        9 => What::SyncFails { node, disk: rng.usize(0..4), steps },
        10 => What::Promote,
        11 => {
            let away = if rng.bool() { rng.u64(500..4_000) } else { 0 };
            What::HandOver { away_nanos: MILLISECOND * away }
        }
        12 => What::Restart { node },
        13 => What::Snapshot { node },
        14 => What::Prune { node },
        15 => What::Nightly,
        16 => What::WritesFail { node, disk: rng.usize(0..4), steps },
        _ => What::Flip { node, disk: rng.usize(0..4), seed: rng.u64(..) },
    }
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10} us  {:?}", self.at.0 / 1_000, self.what)
    }
}
