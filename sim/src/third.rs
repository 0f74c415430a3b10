//! A third node, which nobody waits for: it follows the first one, whatever that one is, dies now
//! and then, and has the same as the others in the end.

use ringframe::log::Note;
use ringframe::stage::Fault;
use ringframe::types::Nanos;

use crate::client::Wrong;
use crate::disks::{NO_LOSS, power_loss};
use crate::net::THIRD;
use crate::node::{Machine, Process};
use crate::world::{BACK, World};

/// The node, and what is to become of it.
pub(crate) struct Third {
    pub(crate) machine: Machine,
    back_at: Nanos,
    dies_at: Nanos,
}

impl Third {
    pub(crate) fn new(machine: Machine, begins: Nanos) -> Self {
        Self { machine, back_at: begins, dies_at: begins.after(Nanos::SECOND) }
    }
}

impl World {
    /// Whether a third node has all that the first one has; true where there is none.
    pub(crate) fn third_has_all(&self) -> bool {
        let Some(third) = &self.third else { return true };
        let one = self.nodes[0].running().map(|one| one.positions.published());
        let running = third.machine.running().filter(|it| it.positions.is_quiet());
        running.map(|it| it.positions.published()) == one
    }

    /// It has its turn.
    pub(crate) fn poll_third(&mut self) -> Result<usize, Wrong> {
        let now = self.now;
        let Some(third) = &mut self.third else { return Ok(0) };
        if now >= third.dies_at && !self.is_closing {
            third.dies_at = now.after(self.rng.u64(0..8 * Nanos::SECOND));
            let power = self.rng.bool().then(|| self.rng.u64(..));
            self.end_third(power);
            return Ok(1);
        }
        let clock = third.machine.clock(now);
        let went = match &mut third.machine.process {
            Process::Off if now < third.back_at => return Ok(0),
            Process::Off => {
                self.net.wires().power_on(THIRD);
                third.machine.begin(None, now)
            }
            Process::Asks(_) => match third.machine.ask(now) {
                None => return Ok(0),
                Some(Ok(beginning)) => third.machine.go_on(beginning, now),
                Some(Err(fault)) => Err(fault),
            },
            Process::Copies(_) => match third.machine.copy(now) {
                None => return Ok(0),
                Some(Ok(())) => third.machine.settle(now),
                Some(Err(why)) => {
                    self.say(|| format!("n{THIRD} has no copy: {why}"));
                    self.end_third(None);
                    return Ok(1);
                }
            },
            Process::Runs(running) => {
                let chosen = self.rng.usize(0..running.stages.len());
                match running.stages[chosen].poll(clock) {
                    Ok(work) => return Ok(work),
                    Err(fault) => Err(fault),
                }
            }
        };
        match went {
            Ok(()) => Ok(1),
            Err(fault) => self.third_stopped(&fault).map(|()| 1),
        }
    }

    fn third_stopped(&mut self, fault: &Fault) -> Result<(), Wrong> {
        self.say(|| format!("n{THIRD} stops: {fault}"));
        self.end_third(None);
        match fault {
            // It must not get what is damaged.
            Fault::Behind { .. } if self.scrub(0)? => return Ok(()),
            Fault::Surplus { .. } | Fault::Behind { .. } => {}
            fault if self.wants_newer(THIRD, fault) => {
                self.install_third();
                return Ok(());
            }
            fault => return Err(format!("n{THIRD} stops without a reason: {fault}")),
        }
        let third = self.third.as_mut().expect("it stopped just now");
        let begun = third.machine.begin(Some(fault), self.now);
        begun.map_err(|fault| format!("n{THIRD} does not begin: {fault}"))
    }

    pub(crate) fn end_third(&mut self, power: Option<u64>) {
        let back_at = self.now.after(BACK);
        let Some(third) = &mut self.third else { return };
        third.machine.crash(power.map_or(NO_LOSS, power_loss));
        third.back_at = back_at;
        if power.is_some() {
            self.net.wires().power_off(THIRD);
        }
        self.say(|| format!("n{THIRD} {}", if power.is_some() { "loses power" } else { "dies" }));
    }

    /// What it says itself. Where it has what its leader lost it begins anew: nobody was told of
    /// that, or the standby has it.
    pub(crate) fn tell_third(&mut self) {
        let Some(running) = self.third.as_ref().and_then(|third| third.machine.running()) else {
            return;
        };
        let notes = running.handle.notes.clone();
        let mut is_advised = false;
        for Note { line: note, .. } in notes.try_iter() {
            is_advised |= note.starts_with("replication: no leader: the leader lost");
            self.say(|| format!("n{THIRD}: {note}"));
        }
        if is_advised {
            self.say(|| format!("op: n{THIRD} begins anew, from nothing"));
            self.end_third(None);
            self.third.as_mut().expect("it spoke just now").machine.wipe();
        }
    }
}
