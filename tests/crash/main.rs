//! A short part of a node's life, stopped before every step of its disks in turn, while segments
//! roll, snapshots are written, old ones deleted, the journal is pruned, and the node is opened and
//! closed. Whatever the disks keep of what was not durable yet, the node opens again with every
//! released event, and ends as if nothing had happened: nothing is lost, nothing is applied twice.
//!
//! `./test` takes some of the steps, each with one class of loss. All steps with all classes:
//! `RINGFRAME_CRASH=all cargo test --release --test crash`.

use ringframe::digest::Digest;
use ringframe::journal::{SimulatedStorage, Survival, survey, verify};
use ringframe::node::Start;
use ringframe::release::ReleasePolicy;
use ringframe::snapshot::{self, Info};
use ringframe::types::Sequence;

use disks::{Disks, frames};
use life::{Life, Plan, after_crash, are_off, each, map};

mod disks;
mod life;
mod logic;

/// The part begins after so many commands, just before it is time to roll and to save, …
const FIRST: u64 = 640;
/// … and ends after so many.
const LAST: u64 = 730;
/// The first commands ever.
const OPENING: u64 = 20;

fn all() -> bool {
    std::env::var("RINGFRAME_CRASH").is_ok_and(|value| value == "all")
}

/// What survives of the three disks: nothing is lost, or each loses something of its own.
type Loss = [Survival; 3];
const NONE: Loss = [Survival::Everything; 3];

fn losses(seed: u64) -> [Loss; 11] {
    let classes = [
        Survival::Nothing,
        Survival::Even,
        Survival::Odd,
        Survival::AllButFirst,
        Survival::OnlyLast,
        Survival::Random(seed),
        Survival::Random(!seed),
        Survival::Torn(seed),
        Survival::Torn(!seed),
        Survival::Everything,
    ];
    let other = |index: usize| classes[(index + seed as usize % 10) % 10];
    std::array::from_fn(|index| match index {
        10 => NONE,
        _ => [classes[index], other(index), other(3 * index + 1)],
    })
}

/// One of them, another one for each seed.
fn loss(seed: u64) -> Loss {
    losses(seed)[seed as usize % 11]
}

/// A part of a node's life, and what is true of it when nothing happens.
struct Story {
    plan: Plan,
    /// What it begins with.
    base: Disks,
    /// The event log at its end, …
    log: Vec<Vec<u8>>,
    /// … the digests, …
    end: (Digest, [u8; 32]),
    /// … and how many steps each disk took.
    steps: [u64; 3],
    /// What openings after a crash found.
    found: Found,
}

/// How many openings after a crash …
#[derive(Debug, Default)]
struct Found {
    openings: u32,
    /// … had to cut a torn tail of the journal, …
    torn: u32,
    /// … or events whose commands were lost, …
    surplus: u32,
    /// … had to write events again, …
    refilled: u32,
    /// … began with a snapshot, …
    from_snapshot: u32,
    /// … or with another one than the newest.
    refused: u32,
}

impl Found {
    fn count(&mut self, start: &Start) {
        self.openings += 1;
        self.torn += u32::from(start.journal.cut.is_some());
        self.surplus += u32::from(start.events_cut.is_some());
        self.refilled += u32::from(start.events_refilled > 0);
        self.from_snapshot += u32::from(start.from.snapshot > Sequence(0));
        self.refused += u32::from(!start.from.refused.is_empty());
    }
}

impl Story {
    /// From one command to another, or from nothing.
    fn new(release: ReleasePolicy, first: u64, last: u64) -> Self {
        let disk = SimulatedStorage::new;
        let base = Disks { journal: disk(), events: disk(), snapshots: disk() };
        let mut plan = Plan::new(release, first);
        if first > 0 {
            Life::open(&base, &plan).and_then(|mut life| life.live()).expect("no crash");
        }
        (plan.last, plan.prunes) = (Sequence(last), true);
        let disks = map(&base, |_, disk| disk.copy());
        let mut life = Life::open(&disks, &plan).expect("no crash");
        life.live().expect("no crash");
        let (log, end) = (frames(&disks.events), life.digests());
        assert!(log == life.heard, "everything is told");
        if first > 0 {
            assert!(life.pruned > 0, "segments are pruned");
            let (before, after) = (newest(&base), newest(&disks));
            assert!((0..3).all(|disk| before[disk] < after[disk]), "{before:?} {after:?}");
        }
        let steps = each(&disks).map(SimulatedStorage::steps);
        Self { plan, base, log, end, steps, found: Found::default() }
    }

    /// Lives until a step of a disk: what is on the disks, and what was heard.
    fn until(&self, disk: usize, step: u64) -> (Disks, usize) {
        let disks = map(&self.base, |_, disk| disk.copy());
        each(&disks)[disk].crash_at(step);
        let mut heard = 0;
        match Life::open(&disks, &self.plan) {
            Ok(mut life) if !are_off(&disks) => {
                let lived = life.live();
                assert!(are_off(&disks), "it has come so far: {lived:?}");
                assert!(self.log.starts_with(&life.heard), "it tells what did not happen");
                heard = life.heard.len();
            }
            Ok(_) => {}
            Err(fault) => assert!(are_off(&disks), "{fault}"),
        }
        (disks, heard)
    }

    /// Opens what is left, which holds what was heard if that was promised.
    fn recover(&mut self, left: &Disks, heard: Option<usize>, when: &str) -> Life {
        let life = Life::open(left, &self.plan).unwrap_or_else(|fault| panic!("{when}: {fault}"));
        self.found.count(&life.start);
        let there = &life.heard;
        assert!(self.log.starts_with(there), "{when}: the log is not what it was");
        assert_eq!(there.len(), life.emitted(), "{when}: events in the log");
        assert!(Some(there.len()) >= heard, "{when}: released events are gone");
        life
    }

    /// Whether what was heard is there after such losses.
    fn promised(&self, losses: &[Loss], heard: usize) -> Option<usize> {
        let without_power = losses.iter().any(|loss| *loss != NONE);
        (self.plan.release == ReleasePolicy::Synced || !without_power).then_some(heard)
    }

    /// Goes on to the same end.
    fn go_on(&self, mut life: Life, left: &Disks, when: &str) {
        life.live().unwrap_or_else(|fault| panic!("{when}: {fault}"));
        assert!(frames(&left.events) == self.log, "{when}: another event log");
        assert!(life.digests() == self.end, "{when}: another state");
        for journal in [&left.journal, &left.events] {
            let verified = verify(journal, 1, |_, _| ()).expect("a journal");
            assert!(verified.findings().next().is_none(), "{when}: {verified:?}");
        }
    }

    /// Crashes at every step, or at every `some`-th.
    fn crash_everywhere(mut self, some: usize) -> Found {
        for (disk, steps) in self.steps.into_iter().enumerate() {
            for step in (0..steps).step_by(if all() { 1 } else { some }) {
                let (disks, heard) = self.until(disk, step);
                let losses = if all() { losses(step).to_vec() } else { vec![loss(step)] };
                for loss in losses {
                    let when = format!("disk {disk}, step {step}, {loss:?}");
                    let left = after_crash(&disks, loss);
                    let life = self.recover(&left, self.promised(&[loss], heard), &when);
                    assert_eq!(self.found.refused, 0, "{when}: a crash leaves no bad snapshot");
                    self.go_on(life, &left, &when);
                }
            }
        }
        println!("{} steps: {:?}", self.steps.iter().sum::<u64>(), self.found);
        self.found
    }

    /// Crashes at every `some`-th step with a loss, then at every step of the opening that follows
    /// (`./test`: at every third), and once more in the opening after that. `harm` is done to what
    /// the first crash leaves.
    fn crash_while_opening(
        mut self,
        some: usize,
        loss: fn(u64) -> Loss,
        harm: fn(&Disks),
    ) -> Found {
        for (disk, steps) in self.steps.into_iter().enumerate() {
            for step in (0..steps).step_by(if all() { 5 } else { some }) {
                let (disks, heard) = self.until(disk, step);
                let loss = loss(step);
                let left = || {
                    let left = after_crash(&disks, loss);
                    harm(&left);
                    left
                };
                let opened = left();
                let when = format!("disk {disk}, step {step}, {loss:?}");
                drop(self.recover(&opened, self.promised(&[loss], heard), &when));
                for (second, steps) in
                    each(&opened).map(SimulatedStorage::steps).into_iter().enumerate()
                {
                    for at in (0..=steps).filter(|at| all() || (at + step).is_multiple_of(3)) {
                        let when = format!("{when}, then disk {second}, step {at}");
                        self.crash_twice(&left(), (second, at), (loss, heard), &when);
                    }
                }
            }
        }
        println!("crashes while it opens: {:?}", self.found);
        self.found
    }

    fn crash_twice(
        &mut self,
        left: &Disks,
        at: (usize, u64),
        (first, mut heard): (Loss, usize),
        when: &str,
    ) {
        let (disk, step) = at;
        each(left)[disk].crash_at(step);
        match Life::open(left, &self.plan) {
            // Who reconnects is told all that there is.
            Ok(life) if !are_off(left) => heard = life.heard.len(),
            Ok(_) => {}
            Err(fault) => assert!(are_off(left), "{when}: {fault}"),
        }
        let (second, third) = (loss(step), loss(step + 3));
        let left = after_crash(left, second);
        each(&left)[disk].crash_at(step / 2);
        let opened = Life::open(&left, &self.plan);
        assert!(opened.is_ok() || are_off(&left), "{when}, {second:?}: {:?}", opened.err());
        let left = after_crash(&left, third);
        let when = format!("{when}, {second:?}, then step {}, {third:?}", step / 2);
        let life = self.recover(&left, self.promised(&[first, second, third], heard), &when);
        if step.is_multiple_of(5) {
            self.go_on(life, &left, &when);
        }
    }
}

/// The last segments begun, and the last snapshot.
fn newest(disks: &Disks) -> [u64; 3] {
    let segment = |disk| {
        let segments = survey(disk).expect("a journal");
        let mut begun = segments.iter().rev().filter(|info| info.header.good().is_some());
        begun.next().map_or(0, |info| info.number)
    };
    let snapshots = snapshot::list(&disks.snapshots).expect("a directory");
    let snapshot = snapshots.first().and_then(Info::sequence);
    [segment(&disks.journal), segment(&disks.events), snapshot.map_or(0, |sequence| sequence.0)]
}

fn no_harm(_: &Disks) {}

/// The newest of two snapshots is damaged: the node starts from the other.
fn spoil_snapshot(left: &Disks) {
    let snapshots = snapshot::list(&left.snapshots).expect("a directory");
    if let [newest, _, ..] = &snapshots[..] {
        left.snapshots.flip(&newest.name, newest.bytes - 1, 1);
    }
}

#[test]
fn a_crash_at_any_step_changes_nothing_when_replies_mean_synced() {
    let found = Story::new(ReleasePolicy::Synced, FIRST, LAST).crash_everywhere(7);
    assert!(found.torn > 0 && found.refilled > 0 && found.from_snapshot > 0, "{found:?}");
    assert_eq!(found.surplus, 0, "only what is synced is released");
}

#[test]
fn a_crash_at_any_step_changes_nothing_when_replies_mean_journaled() {
    let found = Story::new(ReleasePolicy::Journaled, FIRST, LAST).crash_everywhere(10);
    assert!(found.torn > 0 && found.surplus > 0 && found.from_snapshot > 0, "{found:?}");
}

#[test]
fn a_crash_of_the_first_start_ever_changes_nothing() {
    Story::new(ReleasePolicy::Synced, 0, OPENING).crash_everywhere(3);
    Story::new(ReleasePolicy::Journaled, 0, OPENING).crash_while_opening(16, loss, no_harm);
}

#[test]
fn a_crash_while_it_opens_changes_nothing() {
    let found =
        Story::new(ReleasePolicy::Synced, FIRST, LAST).crash_while_opening(97, loss, no_harm);
    assert!(found.refilled > 0 && found.from_snapshot > 0, "{found:?}");
    // Events whose commands are lost.
    let loss = |_| [Survival::Nothing, Survival::Everything, Survival::Everything];
    let story = Story::new(ReleasePolicy::Journaled, FIRST, LAST);
    let found = story.crash_while_opening(61, loss, no_harm);
    assert!(found.surplus > 0, "{found:?}");
}

#[test]
fn a_crash_while_it_opens_from_an_older_snapshot_changes_nothing() {
    let story = Story::new(ReleasePolicy::Synced, FIRST, LAST);
    let found = story.crash_while_opening(97, loss, spoil_snapshot);
    assert!(found.refused > 0, "{found:?}");
}
