//! The operator ends the day while clients trade: he closes all instruments, ends it, and opens
//! them again. What was told before that day goes to the archive and from the disks, as `POST
//! /archive?prune=true` does it, and then something happens that has to do without it.

use std::sync::atomic::AtomicBool;

use fastrand::Rng;
use ringframe::exchange::command::{ChangeState, Command, EndDay, State};
use ringframe::exchange::ids::Symbol;
use ringframe::node::Stores;
use ringframe::retention;
use ringframe::snapshot;
use ringframe::types::Nanos;
use ringframe_journal::{
    ArchiveHome, Error, Fate, NeededFrom, Options, Pruned, Reader, SimulatedStorage, archive,
    prune, restore,
};

use crate::client::Wrong;
use crate::disks::Disks;
use crate::faults::{Mishap, What};
use crate::node::Order;
use crate::settings::{SYMBOLS, Saves, Settings};
use crate::world::{BACK, Ending, MILLISECOND, World};

/// Which worlds have days is drawn apart from all else, so that the others are what they were. This
/// number leaves the seeds that docs/SIMULATOR.md tells of without them.
const APART: u64 = 381;
/// So many snapshots are asked for after a day's end: none of the day before is left then.
const SNAPSHOTS: usize = 3;
/// So often he opens the instruments: who leads may have died meanwhile.
const OPENS: u32 = 3;

/// An end of a day that is on its way.
pub(crate) struct Evening {
    step: Step,
    at: Nanos,
    /// Until he ends the day, and until he opens the next one.
    pauses: [u64; 2],
}

enum Step {
    Close,
    End,
    Open { left: u32 },
}

/// Where a node's segments are archived.
pub(crate) struct Homes {
    journal: ArchiveHome,
    events: ArchiveHome,
}

/// In every fourth world days end: when, and what happens then. There is enough to tell in them for
/// the log to have segments of days before.
pub(crate) fn draw(seed: u64, settings: &mut Settings, from: Nanos) -> Vec<Mishap> {
    let mut rng = Rng::with_seed(seed ^ APART);
    if rng.u8(0..4) > 0 {
        return Vec::new();
    }
    let days = rng.usize(1..4);
    settings.ends_days = true;
    settings.event_segment_bytes = Options::SEGMENT_BYTES_MIN;
    settings.orders = settings.orders.max(900 * (days + 1));
    settings.unanswered_max = settings.unanswered_max.max(20);
    settings.pause_nanos = settings.pause_nanos.min(rng.u64(200_000..3_000_000));
    if settings.saves == Saves::Never {
        settings.saves = if rng.bool() { Saves::Inline } else { Saves::Shadow };
    }
    let (mut list, mut at) = (Vec::new(), from);
    let mut pause = |rng: &mut Rng, least: u64, most: u64| {
        at = at.after(MILLISECOND * rng.u64(least..most));
        at
    };
    for _ in 0..days {
        let until_end = if rng.bool() { 0 } else { rng.u64(0..600) * MILLISECOND };
        let until_open = if rng.bool() { 0 } else { rng.u64(0..600) * MILLISECOND };
        let what = What::EndDay { pauses: [until_end, until_open] };
        list.push(Mishap { at: pause(&mut rng, 400, 2_000), what });
        for _ in 0..SNAPSHOTS {
            let at = pause(&mut rng, 150, 900);
            list.extend([0, 1].map(|node| Mishap { at, what: What::Snapshot { node } }));
        }
        let first = rng.usize(0..2);
        for node in [first, 1 - first] {
            let at = pause(&mut rng, 50, 400);
            // Mostly nothing happens meanwhile.
            let steps = if rng.u8(0..3) == 0 { rng.u64(1..80) } else { 0 };
            let power = rng.bool().then(|| rng.u64(..));
            list.push(Mishap { at, what: What::Keep { node, steps, power } });
        }
        list.extend(after(&mut rng).map(|what| Mishap { at: pause(&mut rng, 1, 300), what }));
    }
    list
}

/// What happens to a log that was just pruned.
fn after(rng: &mut Rng) -> Option<What> {
    let (node, back_nanos) = (rng.usize(0..2), MILLISECOND * rng.u64(5..2_000));
    match rng.u8(0..8) {
        0 => Some(What::HandOver { away_nanos: 0 }),
        1 => Some(What::Crash { node, steps: 0, back_nanos }),
        2 => Some(What::PowerLoss { node, steps: 0, back_nanos, seed: rng.u64(..) }),
        3 => Some(What::Promote),
        4 => Some(What::Renew { node }),
        5 | 6 => Some(What::Forget { node }),
        _ => None,
    }
}

impl World {
    pub(crate) fn begin_evening(&mut self, pauses: [u64; 2]) {
        if self.evening.is_none() {
            self.evening = Some(Evening { step: Step::Close, at: self.now, pauses });
        }
    }

    /// Goes on with it, where somebody leads.
    pub(crate) fn look_at_evening(&mut self) {
        while let Some(evening) = &self.evening
            && evening.at <= self.now
            && let Some(leader) = self.leader()
        {
            let Some(Evening { step, pauses, .. }) = self.evening.take() else { return };
            let (commands, next, pause) = match step {
                Step::Close => (all(State::Closed), Some(Step::End), pauses[0]),
                Step::End => (vec![EndDay.into()], Some(Step::Open { left: OPENS }), pauses[1]),
                Step::Open { left } => {
                    let commands = [all(State::PreOpen), all(State::Open)].concat();
                    let next = (left > 1).then_some(Step::Open { left: left - 1 });
                    (commands, next, 500 * MILLISECOND)
                }
            };
            self.say(|| format!("op: n{leader} is to do {commands:?}"));
            if let Some(running) = self.nodes[leader].running() {
                for command in commands {
                    running.order(Order::Command(command));
                }
            }
            let at = self.now.after(pause);
            self.evening = next.map(|step| Evening { step, at, pauses });
        }
    }

    /// Archives, and deletes what nobody needs any more: of the event log what is from before the
    /// day of the oldest snapshot. Perhaps the process dies so many disk steps into that.
    pub(crate) fn keep(
        &mut self,
        node: usize,
        steps: u64,
        power: Option<u64>,
    ) -> Result<(), Wrong> {
        if self.nodes[node].running().is_none() {
            return Ok(());
        }
        if steps > 0 {
            self.stop_after(node, steps, Ending { power, back_nanos: BACK });
        }
        let homes = self.homes[node].get_or_insert_with(|| Homes {
            journal: ArchiveHome::in_memory(),
            events: ArchiveHome::in_memory(),
        });
        let kept = keep(&self.nodes[node].seen(), homes, forgets(self.polls));
        let machine = &self.nodes[node];
        if machine.disks.are_off() {
            self.say(|| format!("op: n{node} dies while it archives"));
            self.look_at_disks(node);
            return Ok(());
        }
        match kept {
            Ok([commands, events]) => {
                let stores = &machine.disks.stores;
                are_archived(&stores.journal, &homes.journal, &commands)?;
                are_archived(&stores.events, &homes.events, &events)?;
                let (commands, events) = (commands.len(), events.len());
                self.say(|| {
                    format!(
                        "op: n{node} keeps its log: {commands} and {events} segments are pruned"
                    )
                });
            }
            // What is wrong with its disk it finds out itself. A log that was cut, or came with a
            // copy, wants a home of its own.
            Err(why) => {
                self.homes[node] = None;
                self.say(|| format!("op: n{node} keeps all of its log: {why}"));
            }
        }
        Ok(())
    }

    /// The counts of a node's sessions are lost, as they stood last.
    pub(crate) fn forget(&mut self, node: usize) {
        self.end(node, Ending { power: None, back_nanos: BACK });
        self.nodes[node].disks.lose_counts();
        self.say(|| format!("n{node} has no sessions/streams any more"));
    }

    /// Another machine comes in the place of a standby, with nothing on it.
    pub(crate) fn renew_standby(&mut self, node: usize) {
        let is_sound = self.fates.iter().all(|fate| fate.flip.is_none());
        if self.leader() == Some(1 - node) && is_sound && self.checker.must_have_all(1 - node) {
            self.replace_machine(node);
        }
    }
}

fn all(state: State) -> Vec<Command> {
    let change = |symbol: &str| {
        let symbol = Symbol::new(symbol).expect("up to eight letters");
        ChangeState { symbol, state, reserved: [0; 7] }.into()
    };
    SYMBOLS.into_iter().map(change).collect()
}

/// As a node does it that is asked to; which segments went, of the journal and of the event log.
fn keep(disks: &Disks, homes: &Homes, forgets: bool) -> Result<[Vec<u64>; 2], Wrong> {
    let stores = &disks.stores;
    let Stores { journal, events, snapshots } = stores;
    archive_unless(forgets, journal, &homes.journal).map_err(told)?;
    let oldest = snapshot::oldest_good(snapshots).map_err(told)?.ok_or("there is no snapshot")?;
    let commands = gone(journal, &homes.journal, NeededFrom(oldest.sequence.0))?;
    archive_unless(forgets, events, &homes.events).map_err(told)?;
    let goes_on = AtomicBool::new(false);
    let wanted = retention::events(stores, &disks.sessions, &oldest, false, &goes_on);
    Ok([commands, gone(events, &homes.events, wanted.map_err(told)?)?])
}

fn gone(log: &SimulatedStorage, home: &ArchiveHome, below: NeededFrom) -> Result<Vec<u64>, Wrong> {
    prune(log, home, below, false, &mut |_, _| ()).map(|pruned| deleted(&pruned)).map_err(told)
}

/// Whether the operator prunes without having archived: what the archive lacks has to stay.
pub(crate) fn forgets(polls: u64) -> bool {
    polls.is_multiple_of(4)
}

/// Archives, unless he forgets it.
pub(crate) fn archive_unless(
    forgets: bool,
    log: &SimulatedStorage,
    home: &ArchiveHome,
) -> Result<(), Error> {
    if forgets { Ok(()) } else { archive(log, home, &mut |_, _| ()).map(drop) }
}

/// The archive gives back what was deleted of a log, up to what is left.
pub(crate) fn are_archived(
    log: &SimulatedStorage,
    home: &ArchiveHome,
    deleted: &[u64],
) -> Result<(), Wrong> {
    let (Some(first), Some(last)) = (deleted.first(), deleted.last()) else { return Ok(()) };
    let failed = |error| format!("pruned, and what the archive has is of no use: {error}");
    let restored = SimulatedStorage::new();
    restore(home, Some(*first..=*last), &restored, &mut |_, _| ()).map_err(failed)?;
    let left = Reader::open_first(log.clone()).map_err(failed)?.next_sequence();
    let mut back = Reader::open(restored, left - 1).map_err(failed)?;
    back.next_frame().map(drop).map_err(failed)
}

/// Which segments went.
pub(crate) fn deleted(pruned: &[Pruned]) -> Vec<u64> {
    let gone = pruned.iter().filter(|segment| segment.fate == Fate::Deleted);
    gone.map(|segment| segment.number).collect()
}

fn told(why: impl std::fmt::Display) -> Wrong {
    why.to_string()
}
