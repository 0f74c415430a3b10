//! What befalls the nodes, and what operators do about it. They keep the rules of the manual: a
//! node is promoted only where it has what was released, and where a leader without a standby
//! releases, none that was replaced leads again.

use std::sync::Arc;

use crossbeam_channel::TryRecvError;
use ringframe::log::Note;
use ringframe::peers::Role;
use ringframe::snapshot::schedule::Failed;
use ringframe::snapshot::{self, SnapshotError};
use ringframe_journal::{ArchiveHome, NeededFrom, prune};

use crate::client::Wrong;
use crate::days;
use crate::faults::What;
use crate::node::Process;
use crate::refusals::Refusal;
use crate::upgrade::Upgrade;
use crate::world::{BACK, Ending, MILLISECOND, World};

impl World {
    /// Lets something happen.
    pub(crate) fn befall(&mut self, what: What) -> Result<(), Wrong> {
        self.say(|| format!("{what:?}"));
        match what {
            What::Crash { node, steps, back_nanos } => {
                self.stop_after(node, steps, Ending { power: None, back_nanos });
            }
            What::PowerLoss { node, steps, back_nanos, seed } => {
                self.stop_after(node, steps, Ending { power: Some(seed), back_nanos });
            }
            What::Blackout { back_nanos, seed } => {
                for (node, back_nanos) in back_nanos.into_iter().enumerate() {
                    let power = Some(seed ^ node as u64);
                    self.stop_after(node, 0, Ending { power, back_nanos });
                }
            }
            What::Partition { from, to, both, nanos } => {
                let until = self.now.after(nanos);
                let mut wires = self.net.wires();
                wires.shut(from, to, until);
                if both {
                    wires.shut(to, from, until);
                }
            }
            What::Cut { one, other } => drop(self.net.wires().cut(one, other)),
            What::Stall { node, nanos } => self.fates[node].stalled = self.now.after(nanos),
            What::StallStage { node, stage, nanos } => {
                self.fates[node].stalled_stage = (stage, self.now.after(nanos));
            }
            What::Clock { node, ahead } => self.fates[node].ahead = ahead,
            What::Full { node, disk, nanos } => {
                self.fates[node].full = Some((disk, self.now.after(nanos)));
                self.apply_full(node);
            }
            What::SyncFails { node, disk, steps } => {
                let disk = self.nodes[node].disks.each()[disk].clone();
                disk.fail_syncs_at(disk.steps() + steps);
                self.fates[node].may_fail = true;
            }
            What::WritesFail { node, disk, steps } => {
                let disk = self.nodes[node].disks.each()[disk].clone();
                disk.fail_changes_at(disk.steps() + steps);
                self.fates[node].may_fail = true;
            }
            What::Refuses { node, disk, of, looks, nanos, restarts } => {
                self.refuse(node, Refusal { disk, of, looks, until: self.now.after(nanos) });
                if restarts {
                    self.end(node, Ending { power: None, back_nanos: MILLISECOND });
                }
            }
            What::Flip { node, disk, seed } => self.fates[node].flips = Some((disk, seed)),
            What::Promote => self.promote(true),
            What::HandOver { away_nanos } => self.hand_over_after(away_nanos),
            What::Restart { node } => self.drain(Some(node)),
            What::Snapshot { node } => {
                if let Some(snapshots) =
                    self.nodes[node].running().and_then(|it| it.snapshots.as_ref())
                {
                    drop(snapshots.request());
                }
            }
            What::Prune { node } => self.prune(node)?,
            What::Nightly => self.begin_night(),
            What::Upgrade { seed } => self.upgrade = Upgrade::draw(seed, self.now),
            What::EndDay { pauses } => self.begin_evening(pauses),
            What::Keep { node, steps, power } => self.keep(node, steps, power)?,
            What::Forget { node } => self.forget(node),
            What::Renew { node } => self.renew_standby(node),
        }
        Ok(())
    }

    /// At once, or when the follower was away for so long and is about to come back.
    fn hand_over_after(&mut self, away_nanos: u64) {
        let follower = self.leader().map(|leader| 1 - leader).filter(|_| away_nanos > 0);
        if let Some(follower) = follower.filter(|&node| self.nodes[node].running().is_some()) {
            let back_nanos = away_nanos + 200 * MILLISECOND;
            self.end(follower, Ending { power: None, back_nanos });
        }
        self.hand_over_at = Some(self.now.after(away_nanos));
    }

    /// The process stops so many disk steps later.
    pub(crate) fn stop_after(&mut self, node: usize, steps: u64, ending: Ending) {
        if matches!(self.nodes[node].process, Process::Off) {
            return;
        }
        if steps == 0 {
            return self.end(node, ending);
        }
        self.fates[node].ending = Some(ending);
        let disk = self.nodes[node].disks.each()[(steps % 4) as usize].clone();
        disk.crash_at(disk.steps() + steps / 4);
    }

    pub(crate) fn apply_full(&mut self, node: usize) {
        if let Some((disk, _)) = self.fates[node].full {
            self.nodes[node].disks.each()[disk].limit_free_bytes(10_000);
        }
    }

    pub(crate) fn lift_full(&mut self, node: usize) {
        if let Some((disk, _)) = self.fates[node].full.take() {
            self.nodes[node].disks.each()[disk].limit_free_bytes(u64::MAX);
            // It may be about to say that there was no room.
            self.fates[node].may_fail = true;
        }
    }

    /// What somebody does who looks at it all the time.
    pub(crate) fn tend(&mut self) -> Result<(), Wrong> {
        for node in 0..2 {
            if self.fates[node].full.is_some_and(|(_, until)| until <= self.now) {
                self.lift_full(node);
            }
            if let Some(at) = self.fates[node].back_at
                && at <= self.now
                && matches!(self.nodes[node].process, Process::Off)
                && self.may_start(node)
            {
                self.say(|| format!("n{node} starts"));
                self.begin(node, None)?;
            }
            if self.fates[node].refusal.is_some_and(|it| it.until <= self.now) {
                self.lift_refusal(node);
            }
            self.look_at_drain(node);
            self.look_at_promotion(node);
            self.look_at_snapshots(node)?;
            self.tell_notes(node)?;
        }
        self.tell_third();
        self.look_at_night()?;
        self.look_at_evening();
        self.look_at_upgrade()?;
        if self.hand_over_at.take_if(|at| *at <= self.now).is_some() {
            self.drain(None);
        }
        let leaders = (0..2).filter(|&node| self.leads(node) && !self.is_behind(node));
        if leaders.count() == 0 && (self.is_closing || self.rng.u8(0..8) == 0) {
            self.promote(self.halts());
        }
        Ok(())
    }

    /// Nothing is wrong with a snapshot unless something is with a disk.
    fn look_at_snapshots(&self, node: usize) -> Result<(), Wrong> {
        let fate = &self.fates[node];
        let is_sound = !fate.may_fail && fate.full.is_none() && fate.flip.is_none();
        let snapshots = self.nodes[node].running().and_then(|it| it.snapshots.as_ref());
        match snapshots.and_then(|snapshots| snapshots.status().failed) {
            // Events that wait for a standby are in no log yet.
            Some(Failed { error: SnapshotError::NotSynced { .. }, .. }) if self.halts() => Ok(()),
            Some(Failed { error, .. }) if is_sound && !matches!(error, SnapshotError::GivenUp) => {
                Err(format!("n{node} has no snapshot: {error}"))
            }
            _ => Ok(()),
        }
    }

    fn tell_notes(&mut self, node: usize) -> Result<(), Wrong> {
        let Some(running) = self.nodes[node].running() else { return Ok(()) };
        let (others, clients) = (running.handle.notes.clone(), running.notes.clone());
        let mut is_advised = false;
        for Note { line: note, .. } in others.try_iter().chain(clients.try_iter()) {
            if note.contains("what makes no sense") {
                return Err(format!("n{node} heard nonsense: {note}"));
            }
            // Who leads by now said so before.
            if !self.fates[node].leads
                && let Some(followed) =
                    note.strip_prefix("replication: follows the leader of term ")
            {
                let digits = followed.split(',').next().unwrap_or_default();
                self.checker.on_follow(node, digits.parse().map_err(|_| note.clone())?)?;
            }
            is_advised |= note.starts_with("replication: no leader: the leader lost");
            self.say(|| format!("n{node}: {note}"));
        }
        if is_advised { self.choose_history(node) } else { Ok(()) }
    }

    /// The leader lost what it ordered itself, and this follower has it. Nothing is lost where it
    /// leads; but where the leader has released others since, it begins anew.
    fn choose_history(&mut self, node: usize) -> Result<(), Wrong> {
        if !self.is_behind(node) && self.halts() {
            self.promote(true);
            return Ok(());
        }
        // From now on only the other one has all of it, unless that is damaged, and begins anew.
        self.scrub(1 - node)?;
        if self.is_behind(1 - node) {
            return Ok(());
        }
        self.say(|| format!("op: n{node} begins anew, from nothing"));
        self.end(node, Ending { power: None, back_nanos: 0 });
        self.nodes[node].wipe();
        self.fates[node].flip = None;
        self.checker.on_cut(node, 0);
        Ok(())
    }

    /// Whether a node says that it leads; it may not be able to tell anybody anything yet.
    fn leads(&self, node: usize) -> bool {
        self.nodes[node].running().is_some_and(|it| it.facts().role == Role::Leader)
    }

    /// Who leads, if one does.
    pub(crate) fn leader(&self) -> Option<usize> {
        (0..2).find(|&node| self.fates[node].leads && self.nodes[node].running().is_some())
    }

    /// Whose turn it is to lead, as far as all directories say.
    fn rightful(&self) -> Option<usize> {
        let term = |node: usize| {
            let epochs = self.nodes[node].epochs().ok()?;
            epochs.terms().iter().rfind(|term| epochs.is_own(term.epoch)).map(|term| term.epoch)
        };
        (0..2).filter_map(|node| Some((term(node)?, node))).max().map(|(_, node)| node)
    }

    /// Whether a machine lacks something that was released.
    pub(crate) fn is_behind(&self, node: usize) -> bool {
        !self.checker.must_have_all(node)
    }

    /// Whether a node may lead without having heard the other one, which may release alone, too.
    pub(crate) fn may_lead(&self, node: usize) -> bool {
        // Who was asked to lead, and has not said whether it does, may in a moment.
        let is_other_asked = self.fates[1 - node].promoted.is_some();
        self.rightful() == Some(node) && !self.is_behind(node) && !is_other_asked
    }

    fn may_start(&self, node: usize) -> bool {
        let leads = self.nodes[node].epochs().is_ok_and(|epochs| epochs.led_last());
        let other = 1 - node;
        let is_there = self.nodes[other].running().is_some()
            && self.fates[other].stalled <= self.now
            && self.net.wires().is_passable(node, other);
        self.halts() || !leads || self.may_lead(node) || is_there
    }

    /// Lets the follower lead, if it has all that was released; without asking the leader only
    /// where that one releases nothing alone.
    fn promote(&mut self, force: bool) {
        for node in 0..2 {
            let other = 1 - node;
            // Both may follow: who was to hand over gave way, and the other one never heard it.
            let follows = self.nodes[other].running().is_some() && !self.leads(other);
            let is_off = matches!(self.nodes[other].process, Process::Off);
            // Who was asked to lead may do so in a moment.
            let is_asked = self.fates[other].promoted.is_some();
            let is_safe = self.halts() || ((is_off || follows) && !is_asked);
            let Some(running) = self.nodes[node].running() else { continue };
            if self.leads(node) || self.is_behind(node) || !is_safe || running.drain.is_some() {
                continue;
            }
            let Some(told) = running.promote(force && self.halts()) else { continue };
            self.say(|| format!("op: promotes n{node}"));
            self.fates[node].promoted = Some(told);
            // Who has not followed yet has to refuse, and the other one is asked then.
            if !self.nodes[node].epochs().is_ok_and(|epochs| epochs.terms().is_empty()) {
                return;
            }
        }
    }

    /// What a node says that was to lead, and does not.
    fn look_at_promotion(&mut self, node: usize) {
        let Some(told) = self.fates[node].promoted.take() else { return };
        match told.try_recv() {
            Ok(Err(why)) => self.say(|| format!("n{node} does not lead: {why}")),
            Err(TryRecvError::Empty) => self.fates[node].promoted = Some(told),
            Ok(Ok(_)) | Err(TryRecvError::Disconnected) => {}
        }
    }

    /// An orderly end of a node; of the leader, for the other one, where none is named.
    pub(crate) fn drain(&mut self, node: Option<usize>) {
        let hands_over = node.is_none();
        let Some(node) = node.or_else(|| self.leader()) else { return };
        let now = self.now;
        if let Some(running) = self.nodes[node].running_mut()
            && running.drain.is_none()
        {
            running.begin_drain(hands_over, now);
        }
    }

    /// Another machine comes in a node's place, with nothing on it.
    pub(crate) fn replace_machine(&mut self, node: usize) {
        self.say(|| format!("op: n{node} is another machine now, with nothing on it"));
        self.end(node, Ending { power: None, back_nanos: BACK });
        self.nodes[node].wipe();
        self.checker.on_wipe(node);
    }

    /// Archives, and deletes what a snapshot covers and the other node has.
    pub(crate) fn prune(&mut self, node: usize) -> Result<(), Wrong> {
        if self.nodes[node].running().is_none() {
            return Ok(());
        }
        let home = self.archives[node].get_or_insert_with(|| Arc::new(ArchiveHome::in_memory()));
        let home = Arc::clone(home);
        let stores = &self.nodes[node].disks.stores;
        let infos = snapshot::list(&stores.snapshots).map_err(|error| error.to_string())?;
        let newest = infos.iter().filter_map(snapshot::Info::sequence).max();
        let Some(newest) = newest else { return Ok(()) };
        let below = newest.0.min(self.checker.synced(1 - node));
        let kept = days::archive_unless(days::forgets(self.polls), &stores.journal, &home)
            .and_then(|()| prune(&stores.journal, &home, NeededFrom(below), false, &mut |_, _| ()));
        match kept {
            Ok(pruned) => {
                let deleted = days::deleted(&pruned);
                days::are_archived(&stores.journal, &home, &deleted)?;
                let gone = deleted.len();
                self.say(|| format!("op: n{node} pruned below {below}: {gone} segments"));
            }
            // What is wrong with its disk it finds out itself.
            Err(error) => self.say(|| format!("op: n{node} is not pruned: {error}")),
        }
        Ok(())
    }
}
