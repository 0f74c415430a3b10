//! How a world ends: nothing goes wrong any more, everything comes to rest, and clients ask for all
//! that they were told once more.

use ringframe::types::Nanos;

use crate::client::{Client, Wrong};
use crate::late::Late;
use crate::node::Process;
use crate::world::World;

/// Without a fault a world comes to rest in this time; a copy over the slowest link takes most.
const PATIENCE: u64 = 300 * Nanos::SECOND;

impl World {
    /// From the last fault to the last message.
    pub(crate) fn come_to_rest(&mut self) -> Result<(), Wrong> {
        self.heal()?;
        self.settle()?;
        self.clients.iter_mut().for_each(Client::ask_again);
        self.late.iter_mut().for_each(Late::ask_again);
        self.settle()?;
        // What is still on its way to a client arrives.
        let mut told = self.told();
        let mut end = self.now.after(3 * Nanos::SECOND);
        while self.now < end {
            self.step()?;
            // Over a slow link it may be more than goes through it in that time.
            if told != self.told() {
                (told, end) = (self.told(), self.now.after(3 * Nanos::SECOND));
            }
        }
        Ok(())
    }

    /// How many messages all clients have.
    pub(crate) fn told(&self) -> usize {
        self.clients.iter().map(Client::told).sum()
    }

    /// Nothing goes wrong any more.
    fn heal(&mut self) -> Result<(), Wrong> {
        self.say(|| "all faults end".into());
        self.is_closing = true;
        self.net.wires().clear_up();
        (self.night, self.evening, self.hand_over_at) = (None, None, None);
        for node in 0..2 {
            self.lift_full(node);
            self.lift_refusal(node);
            self.nodes[node].disks.heal();
            self.scrub(node)?;
            let fate = &mut self.fates[node];
            (fate.stalled, fate.stalled_stage.1) = (Nanos(0), Nanos(0));
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Wrong> {
        let give_up = self.now.after(PATIENCE);
        while !self.is_at_rest() {
            self.step()?;
            if self.now > give_up {
                return Err(format!("it does not come to rest: {}", self.state()));
            }
        }
        Ok(())
    }

    /// Everything is answered, and both nodes have the same.
    fn is_at_rest(&self) -> bool {
        let [Some(one), Some(other)] = [self.nodes[0].running(), self.nodes[1].running()] else {
            return false;
        };
        let settings = &self.settings;
        one.positions.published() == other.positions.published()
            && self.fates[0].leads != self.fates[1].leads
            && [one, other]
                .iter()
                .zip(&self.fates)
                .all(|(it, fate)| !fate.leads || it.release.policy() == settings.release)
            && self.clients.iter().all(|it| it.is_done(settings, self.is_closing) && it.is_whole())
            && one.positions.is_quiet()
            && other.positions.is_quiet()
            && one.drain.is_none()
            && other.drain.is_none()
            && self.late.as_ref().is_none_or(Late::has_all)
            && self.third_has_all()
            && self.is_upgraded()
    }

    /// For who asks why nothing goes on.
    pub(crate) fn state(&self) -> String {
        let mut text = String::new();
        for (machine, fate) in self.nodes.iter().zip(&self.fates) {
            let is = match &machine.process {
                Process::Off => "off".into(),
                Process::Asks(_) => "asks".into(),
                Process::Copies(_) => "copies".into(),
                Process::Runs(running) => {
                    format!("{:?}, {:?}", running.facts(), running.positions)
                }
            };
            text += &format!("\n  n{}: {is}; {fate:?}", machine.number);
        }
        for client in &self.clients {
            text += &format!("\n  {}", client.state());
        }
        text + &format!("\n  released {}", self.checker.released())
    }
}
