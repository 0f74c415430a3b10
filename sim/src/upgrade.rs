//! The operator upgrades the logic: each machine gets the newer build, and once that runs he
//! activates the second version; sometimes he goes back, and forth again. Mostly he keeps to the
//! runbook: the standby first, the leader by a hand-over, and nothing is activated before the newer
//! build runs everywhere. Sometimes he does not. Then the older build must stop by itself where it
//! meets what it does not know, say so, and lose nothing: the newer one goes on from there.

use std::collections::VecDeque;

use crossbeam_channel::{Receiver, TryRecvError};
use fastrand::Rng;
use ringframe::machine::Standing;
use ringframe::stage::Fault;
use ringframe::types::{Applied, Nanos};

use crate::client::Wrong;
use crate::net::THIRD;
use crate::newer::{Build, SECOND, is_of_newer};
use crate::node::{Machine, Order, Process};
use crate::world::{BACK, Ending, MILLISECOND, World};

/// Which worlds have an upgrade is drawn apart from all else, so that the others draw what they
/// drew before. This number leaves the seeds that docs/SIMULATOR.md tells of without one.
const APART: u64 = 73;

/// What he is about.
pub(crate) struct Upgrade {
    rng: Rng,
    /// The standby first, then the leader by a hand-over; otherwise as it comes.
    is_orderly: bool,
    /// Nothing is activated before the newer build runs everywhere.
    is_patient: bool,
    /// One that has the older build still is to be replaced by a machine without anything.
    renews: bool,
    /// A snapshot was asked for before that.
    is_saved: bool,
    /// One that has the newer build is to get the older one back.
    takes_back: bool,
    /// When he does the next thing, and how long he waits after it at most.
    next_at: Nanos,
    pause_nanos: u64,
    /// The versions that are to be active, one after the other; the last one stays.
    wanted: VecDeque<u32>,
    /// What is active, as a leader said last.
    active: u32,
    /// Which leader was asked, and where it answers.
    asked: Option<(usize, Receiver<Standing>)>,
    /// Whether the naive exchange is asked in the end.
    pub(crate) asks_naive: bool,
}

impl Upgrade {
    /// In every fourth world there is one.
    pub(crate) fn draw(seed: u64, begins: Nanos) -> Option<Self> {
        let mut rng = Rng::with_seed(seed ^ APART);
        if rng.u8(0..4) > 0 {
            return None;
        }
        let is_orderly = rng.bool();
        let is_patient = is_orderly || rng.u8(0..3) == 0;
        let renews = !is_orderly && rng.bool();
        let next_at = begins.after(rng.u64(200..2_000) * MILLISECOND);
        let pause_nanos = rng.u64(1..3_000) * MILLISECOND;
        let wanted =
            if rng.u8(0..4) == 0 { vec![SECOND, SECOND - 1, SECOND] } else { vec![SECOND] };
        let (wanted, asks_naive) = (wanted.into(), rng.bool());
        Some(Self {
            rng,
            is_orderly,
            is_patient,
            renews,
            is_saved: false,
            takes_back: !is_orderly && !renews,
            next_at,
            pause_nanos,
            wanted,
            active: 0,
            asked: None,
            asks_naive,
        })
    }
}

impl World {
    /// He goes on with it.
    pub(crate) fn look_at_upgrade(&mut self) -> Result<(), Wrong> {
        let Some(mut upgrade) = self.upgrade.take() else { return Ok(()) };
        self.look_at_version(&mut upgrade);
        if (self.is_closing || self.now >= upgrade.next_at) && self.go_on(&mut upgrade)? {
            let pause = upgrade.rng.u64(upgrade.pause_nanos / 2..=upgrade.pause_nanos);
            upgrade.next_at = self.now.after(pause);
        }
        self.upgrade = Some(upgrade);
        Ok(())
    }

    /// Whether it is done, or none is to be.
    pub(crate) fn is_upgraded(&self) -> bool {
        let Some(upgrade) = &self.upgrade else { return true };
        self.all_newer() && upgrade.wanted.len() == 1 && upgrade.active == SECOND
    }

    fn all_newer(&self) -> bool {
        let machines = self.nodes.iter().chain(self.third.as_ref().map(|third| &third.machine));
        machines.into_iter().all(runs_newer)
    }

    /// Asks the leader what is active there.
    fn look_at_version(&mut self, upgrade: &mut Upgrade) {
        let leader = self.leader();
        match upgrade.asked.take() {
            Some((node, told)) if leader == Some(node) => match told.try_recv() {
                Ok(standing) => {
                    if upgrade.active != standing.applied.version {
                        let Applied { version, sequence, .. } = standing.applied;
                        upgrade.active = version;
                        self.say(|| {
                            format!("op: n{node} is at version {version}, at {}", sequence.0)
                        });
                    }
                }
                Err(TryRecvError::Empty) => return upgrade.asked = Some((node, told)),
                Err(TryRecvError::Disconnected) => {}
            },
            _ => {}
        }
        if upgrade.wanted.len() > 1 && upgrade.active == upgrade.wanted[0] {
            upgrade.wanted.pop_front();
        }
        upgrade.asked =
            leader.and_then(|node| Some((node, self.nodes[node].running()?.ask_standing())));
    }

    /// Does the next thing, if it is time for one.
    fn go_on(&mut self, upgrade: &mut Upgrade) -> Result<bool, Wrong> {
        if self.renew(upgrade)? || (!upgrade.is_patient && self.activate(upgrade)) {
            return Ok(true);
        }
        let installs = if upgrade.is_orderly || self.is_closing {
            self.install_in_order()
        } else if upgrade.takes_back && upgrade.rng.u8(0..3) == 0 {
            self.take_back(upgrade)
        } else {
            self.install_any(&mut upgrade.rng)
        };
        Ok(installs || self.activate(upgrade))
    }

    /// The third node, the standby, the leader: each once the one before it is back.
    fn install_in_order(&mut self) -> bool {
        if self.third.as_ref().is_some_and(|third| third.machine.installed == Build::Older) {
            self.install_third();
            return true;
        }
        let Some(leader) = self.leader() else { return false };
        let standby = 1 - leader;
        if !runs_newer(&self.nodes[standby]) {
            return self.replace(standby, false);
        }
        self.nodes[leader].build == Build::Older
            && self.is_followed_by(standby)
            && self.replace(leader, true)
    }

    /// The leader, and then whichever; it is ended, dies, or goes on as it is until something else
    /// ends it.
    fn install_any(&mut self, rng: &mut Rng) -> bool {
        let older = |machine: &Machine| machine.installed == Build::Older;
        let mut nodes: Vec<usize> = (0..2).filter(|&node| older(&self.nodes[node])).collect();
        let is_first = nodes.len() == 2;
        nodes.extend(self.third.as_ref().filter(|third| older(&third.machine)).map(|_| THIRD));
        if nodes.is_empty() {
            return false;
        }
        let node = nodes[rng.usize(0..nodes.len())];
        let leader = self.leader();
        let leader = leader.filter(|leader| nodes.contains(leader) && (is_first || rng.bool()));
        let node = leader.unwrap_or(node);
        match rng.u8(0..if is_first { 2 } else { 3 }) {
            _ if node == THIRD => self.install_third(),
            0 => drop(self.replace(node, false)),
            1 => {
                self.install(node);
                if !matches!(self.nodes[node].process, Process::Off) {
                    self.end(node, Ending { power: None, back_nanos: BACK });
                }
            }
            _ => self.install(node),
        }
        true
    }

    /// The leader has the newer build, its journal loses what a snapshot covers, and a machine that
    /// has nothing and the older build is to stand by it.
    fn renew(&mut self, upgrade: &mut Upgrade) -> Result<bool, Wrong> {
        let Some(leader) = self.leader().filter(|_| upgrade.renews) else { return Ok(false) };
        let standby = 1 - leader;
        let is_mixed =
            runs_newer(&self.nodes[leader]) && self.nodes[standby].installed == Build::Older;
        let is_sound = self.fates.iter().all(|fate| fate.flip.is_none());
        if !is_mixed || !is_sound || !self.checker.must_have_all(leader) {
            return Ok(false);
        }
        if !upgrade.is_saved {
            upgrade.is_saved = true;
            let running = self.nodes[leader].running();
            if let Some(snapshots) = running.and_then(|it| it.snapshots.as_ref()) {
                drop(snapshots.request());
            }
            return Ok(true);
        }
        upgrade.renews = false;
        self.prune(leader)?;
        self.replace_machine(standby);
        Ok(true)
    }

    /// A node that has written as the newer build comes back as the older one.
    fn take_back(&mut self, upgrade: &mut Upgrade) -> bool {
        let newer: Vec<usize> = (0..2).filter(|&node| runs_newer(&self.nodes[node])).collect();
        if newer.is_empty() {
            return false;
        }
        upgrade.takes_back = false;
        let node = newer[upgrade.rng.usize(0..newer.len())];
        self.say(|| format!("op: n{node} gets the older build back"));
        self.nodes[node].installed = Build::Older;
        self.end(node, Ending { power: None, back_nanos: BACK });
        true
    }

    /// The next process there is the newer build.
    pub(crate) fn install(&mut self, node: usize) {
        self.say(|| format!("op: n{node} gets the newer build"));
        self.nodes[node].installed = Build::Newer;
    }

    /// The same of the third node, which dies for it.
    pub(crate) fn install_third(&mut self) {
        let Some(third) = &mut self.third else { return };
        if third.machine.installed == Build::Older {
            third.machine.installed = Build::Newer;
            self.say(|| format!("op: n{THIRD} gets the newer build"));
            self.end_third(None);
        }
    }

    /// A node gets the newer build, and is ended for it, if that is not on its way.
    fn replace(&mut self, node: usize, hands_over: bool) -> bool {
        if self.nodes[node].installed == Build::Older {
            self.install(node);
        }
        let is_older = self.nodes[node].build == Build::Older;
        let ends = self.nodes[node].running().is_some_and(|it| it.drain.is_none());
        if is_older && ends {
            self.say(|| format!("op: n{node} is to start as the newer build"));
            self.drain(Some(node).filter(|_| !hands_over));
        }
        is_older && ends
    }

    fn activate(&mut self, upgrade: &Upgrade) -> bool {
        let Some(leader) = self.leader() else { return false };
        let version = upgrade.wanted[0];
        // Who is not patient says --force.
        let is_known = || {
            let running = self.nodes[leader].running();
            running.is_some_and(|it| it.facts().lacking(version).is_none())
        };
        let may = runs_newer(&self.nodes[leader])
            && (!upgrade.is_patient || self.all_newer() && is_known());
        if !may || upgrade.active == version {
            return false;
        }
        self.say(|| format!("op: n{leader} is to activate version {version}"));
        if let Some(running) = self.nodes[leader].running() {
            running.order(Order::Activate(version));
        }
        true
    }

    /// Whether a node that stops needs the newer build, and says so.
    pub(crate) fn wants_newer(&self, who: usize, fault: &Fault) -> bool {
        let third = self.third.as_ref().filter(|_| who == THIRD).map(|third| &third.machine);
        let build = third.unwrap_or_else(|| &self.nodes[who]).build;
        self.upgrade.is_some() && build == Build::Older && is_of_newer(fault)
    }
}

fn runs_newer(machine: &Machine) -> bool {
    machine.build == Build::Newer && machine.running().is_some()
}
