//! All machines, their clients, the network between them and the time: what happens next is the
//! seed's choice alone.

use std::sync::Arc;

use crossbeam_channel::Receiver;
use fastrand::Rng;
use ringframe::peers::{OnStandbyLoss, Promoted};
use ringframe::replication::Beginning;
use ringframe::stage::Fault;
use ringframe::types::Nanos;
use ringframe_journal::ArchiveHome;

use crate::checker::{Checker, keeps_what_is_synced};
use crate::client::{Client, Wrong};
use crate::days::{self, Evening, Homes};
use crate::disks::{NO_LOSS, power_loss};
use crate::faults::{self, Mishap, What};
use crate::flips::Flip;
use crate::late::Late;
use crate::net::{CLIENTS, SimNet, THIRD};
use crate::newer::{Build, names_newer};
use crate::nightly::Nightly;
use crate::node::{Drained, Machine, Process, Running, copies_after};
use crate::refusals::{self, Refusal};
use crate::settings::Settings;
use crate::third::Third;
use crate::trace::Trace;
use crate::upgrade::Upgrade;

pub(crate) const MILLISECOND: u64 = 1_000_000;
/// When a world begins.
const BEGINNING: Nanos = Nanos(1_767_364_200 * Nanos::SECOND);
/// Polls without anything to do, after which time goes on faster.
const IDLE: u32 = 24;
/// The same while something lies there that nobody has taken: who would has had his turn.
const IDLE_BUSY: u32 = 250;
/// Where a syncer has one of so many turns it is looked at what a loss of power would leave, …
const LOOKS: u64 = 512;
/// … and where syncs take their time.
const LOOKS_SLOW: u64 = 32;
/// A node whose process ended without a fault of its own comes back after so long.
pub(crate) const BACK: u64 = 200 * MILLISECOND;

/// How a machine stops when its disks do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// With its power, and what that leaves.
    pub(crate) power: Option<u64>,
    pub(crate) back_nanos: u64,
}

/// What is true of one machine besides what it does itself.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    /// When a process begins.
    pub(crate) back_at: Option<Nanos>,
    pub(crate) stalled: Nanos,
    pub(crate) stalled_stage: (usize, Nanos),
    /// Its disk is full: which, and until when.
    pub(crate) full: Option<(usize, Nanos)>,
    /// What it may not look at.
    pub(crate) refusal: Option<Refusal>,
    /// A sync of this process fails, so it may stop.
    pub(crate) may_fail: bool,
    /// What becomes of it when its disks stop.
    pub(crate) ending: Option<Ending>,
    pub(crate) leads: bool,
    /// What it says to who promotes it.
    pub(crate) promoted: Option<Receiver<Result<Promoted, String>>>,
    /// So far ahead its clock is when the next process begins.
    pub(crate) ahead: u64,
    /// What flips a bit before the next process begins: on which disk.
    pub(crate) flips: Option<(usize, u64)>,
    /// One that has flipped, and nobody has found it yet.
    pub(crate) flip: Option<Flip>,
}

/// Everything.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) rng: Rng,
    pub(crate) now: Nanos,
    pub(crate) net: SimNet,
    pub(crate) nodes: [Machine; 2],
    pub(crate) third: Option<Third>,
    pub(crate) fates: [Fate; 2],
    pub(crate) clients: Vec<Client>,
    pub(crate) checker: Checker,
    pub(crate) list: std::collections::VecDeque<Mishap>,
    pub(crate) archives: [Option<Arc<ArchiveHome>>; 2],
    pub(crate) homes: [Option<Homes>; 2],
    pub(crate) trace: Trace,
    pub(crate) tend_at: Nanos,
    pub(crate) night: Option<Nightly>,
    pub(crate) evening: Option<Evening>,
    pub(crate) hand_over_at: Option<Nanos>,
    pub(crate) upgrade: Option<Upgrade>,
    /// Nobody orders any more.
    pub(crate) is_closing: bool,
    /// The naive exchange takes as long as all the rest, so it is not asked each time.
    pub(crate) asks_naive: bool,
    /// In some worlds one comes late to the market.
    pub(crate) late: Option<Late>,
    /// Where syncs take their time: how long.
    slow_syncs: Option<Rng>,
    idle: u32,
    pub(crate) polls: u64,
}

impl World {
    /// As a seed draws it; `list` is what happens instead of what it draws.
    pub(crate) fn new(seed: u64, list: Option<Vec<Mishap>>, trace: Trace) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut settings = Settings::draw(&mut rng);
        let from = BEGINNING.after(Nanos::SECOND);
        let mut drawn = faults::draw(&mut rng.fork(), &settings, from);
        drawn.extend(days::draw(seed, &mut settings, from));
        drawn.extend(refusals::draw(seed, &settings, from));
        let net = SimNet::new(rng.fork(), settings.weather, 0);
        let nodes = [0, 1].map(|node| Machine::new(node, net.of(node), settings.clone()));
        let third = Machine::new(THIRD, net.of(THIRD), settings.clone());
        // Every fourth world has one.
        let third = (seed % 4 == 1).then(|| Third::new(third, BEGINNING));
        let upgrade = Upgrade::draw(seed, BEGINNING);
        let asks_naive = upgrade.as_ref().is_some_and(|upgrade| upgrade.asks_naive);
        drawn.extend(upgrade.map(|_| Mishap { at: BEGINNING, what: What::Upgrade { seed } }));
        drawn.sort_by_key(|mishap| mishap.at);
        let traders = settings.traders;
        let clients =
            (1..=traders + 1).map(|user| Client::new(user, &settings, net.of(CLIENTS), rng.fork()));
        let clients = clients.collect();
        // Here and below: no world that tests/seeds.rs tells of is another one because of it.
        let comes_late = matches!(seed % 32, 12 | 14 | 16 | 30);
        let late = comes_late.then(|| Late::new(traders + 1, net.of(CLIENTS), seed));
        Self {
            clients,
            checker: Checker::new(&settings),
            settings,
            rng,
            now: BEGINNING,
            net,
            nodes,
            third,
            fates: Default::default(),
            list: list.unwrap_or(drawn).into(),
            archives: Default::default(),
            homes: Default::default(),
            trace,
            tend_at: Nanos(0),
            night: None,
            evening: None,
            hand_over_at: None,
            upgrade: None,
            is_closing: false,
            asks_naive: asks_naive || seed.is_multiple_of(8),
            late,
            slow_syncs: matches!(seed % 16, 9 | 14).then(|| Rng::with_seed(!seed)),
            idle: 0,
            polls: 0,
        }
    }

    /// Whether a leader without a standby releases nothing.
    pub(crate) fn halts(&self) -> bool {
        self.settings.release.is_replicated()
            && self.settings.on_standby_loss == OnStandbyLoss::Halt
    }

    pub(crate) fn say(&mut self, what: impl FnOnce() -> String) {
        let at = self.now.0 - BEGINNING.0;
        self.trace.say(at, what);
    }

    /// From the first start to the end, where all is as it should be.
    pub(crate) fn run(&mut self) -> Result<(), Wrong> {
        let settings = self.settings.clone();
        self.say(|| format!("settings {settings:?}"));
        if self.slow_syncs.is_some() {
            self.say(|| "syncs take their time".into());
        }
        self.fates[0].back_at = Some(self.now);
        self.fates[1].back_at = Some(self.now.after(50 * MILLISECOND));
        let faults_end = BEGINNING.after(Nanos::SECOND + self.settings.faults_nanos);
        while self.now < faults_end || !self.list.is_empty() {
            while self.list.front().is_some_and(|mishap| mishap.at <= self.now) {
                let mishap = self.list.pop_front().expect("just looked at");
                self.befall(mishap.what)?;
            }
            self.step()?;
            if self.list.is_empty() && self.clients.iter().all(|it| it.has_all_sent(&settings)) {
                break;
            }
        }
        self.come_to_rest()?;
        self.compare()
    }

    /// A little time goes by, and somebody has his turn.
    pub(crate) fn step(&mut self) -> Result<(), Wrong> {
        let is_awake = |fate: &Fate| fate.stalled <= self.now && fate.stalled_stage.1 <= self.now;
        let [one, other] = self.fates.each_ref().map(is_awake);
        let mut wires = self.net.wires();
        let goes_on = u64::from(IDLE_BUSY) * self.settings.step_nanos;
        let is_idle = self.idle >= IDLE_BUSY
            || self.idle >= IDLE && !wires.is_busy([one, other, true, true], goes_on);
        let step = if is_idle { 20 * MILLISECOND } else { self.settings.step_nanos };
        let mut now = self.now.after(self.rng.u64(0..=step));
        if is_idle {
            now = now.min(wires.next_at().max(self.now));
        }
        self.now = now;
        wires.set_now(now);
        let arrived = wires.deliver();
        drop(wires);
        let work = arrived + self.turn()? + self.poll_late()?;
        self.idle = if work > 0 { 0 } else { self.idle + 1 };
        if self.now >= self.tend_at {
            self.tend_at = self.now.after(50 * MILLISECOND);
            self.tend()?;
        }
        Ok(())
    }

    fn poll_late(&mut self) -> Result<usize, Wrong> {
        let Some(late) = &mut self.late else { return Ok(0) };
        let (work, got) = late.poll(self.now)?;
        if let Some(got) = got {
            self.say(|| got);
        }
        Ok(work)
    }

    fn turn(&mut self) -> Result<usize, Wrong> {
        self.polls += 1;
        if self.third.is_some() && self.rng.u8(0..6) == 0 {
            return self.poll_third();
        }
        let who = self.rng.usize(0..4);
        if who >= 2 || matches!(self.nodes[who].process, Process::Off) {
            let one = self.rng.usize(0..self.clients.len());
            let polled = self.clients[one].poll(&self.settings, self.is_closing, self.now);
            if let Some(login) = self.clients[one].login.take() {
                self.say(|| login);
            }
            return polled;
        }
        if self.now < self.fates[who].stalled {
            return Ok(0);
        }
        match &mut self.nodes[who].process {
            Process::Off => Ok(0),
            Process::Asks(_) => self.ask(who),
            Process::Copies(_) => self.copy(who),
            Process::Runs(_) => self.poll(who),
        }
    }

    /// Lets one stage of a node have its turn, and looks at what came of it.
    fn poll(&mut self, who: usize) -> Result<usize, Wrong> {
        let machine = &mut self.nodes[who];
        let clock = machine.clock(self.now);
        let Process::Runs(running) = &mut machine.process else { return Ok(0) };
        let chosen = self.rng.usize(0..running.stages.len());
        let (stalled, until) = self.fates[who].stalled_stage;
        if chosen == stalled && self.now < until {
            return Ok(0);
        }
        let name = running.stages[chosen].name();
        let polled = running.poll(chosen, clock, self.slow_syncs.as_mut());
        if machine.disks.are_off() {
            // What it did since then never happened.
            self.look_at_disks(who);
            return Ok(1);
        }
        self.checker.on_poll(who, running)?;
        if !self.fates[who].leads && running.handle.leads() && running.is_tellable() {
            self.on_lead(who)?;
        }
        let looks = if self.slow_syncs.is_some() { LOOKS_SLOW } else { LOOKS };
        if name == "syncer" && self.polls.is_multiple_of(looks) {
            self.unflipped(who, |world| {
                let machine = &world.nodes[who];
                let looked = machine.running().map(|running| {
                    keeps_what_is_synced(who, running, &machine.disks.stores.journal)
                });
                looked.unwrap_or(Ok(()))
            })?;
        }
        if self.fates[who].leads {
            match name {
                "processor" => self.unflipped(who, |world| {
                    let stores = world.nodes.each_ref().map(|node| &node.disks.stores);
                    match world.nodes[who].running() {
                        Some(running) => world.checker.on_processor(who, running, stores),
                        None => Ok(()),
                    }
                })?,
                "event_log" => self.unflipped(who, |world| {
                    let stores = world.nodes.each_ref().map(|node| &node.disks.stores);
                    world.checker.on_events(who, stores)
                })?,
                _ => {}
            }
        }
        match polled {
            Ok(work) => Ok(work),
            Err(fault) => self.stopped(who, &fault).map(|()| 1),
        }
    }

    /// A follower leads from now on.
    fn on_lead(&mut self, who: usize) -> Result<(), Wrong> {
        self.fates[who].leads = true;
        let epochs = self.nodes[who].epochs().map_err(|fault| fault.to_string())?;
        let term = epochs.terms().last().copied().ok_or("a leader without a term")?;
        self.say(|| format!("n{who} leads term {:#x} from {}", term.epoch.0, term.first.0));
        // Who promotes one that has nothing is told no, or its history would be another one.
        let other = self.nodes[1 - who].epochs();
        if other.is_ok_and(|other| epochs.history().is_another(other.history())) {
            return Err(format!("n{who} leads another history than the other node's"));
        }
        let last = term.first.0 - 1;
        if self.checker.lacks(last) {
            return Err(format!(
                "n{who} leads behind {last}, and {} were released",
                self.checker.released()
            ));
        }
        self.unflipped(who, |world| {
            let stores = world.nodes.each_ref().map(|node| &node.disks.stores);
            match world.nodes[who].running() {
                Some(running) => world.checker.on_lead(who, running, &term, stores),
                None => Ok(()),
            }
        })
    }

    /// A disk may have stopped in the middle of a poll.
    pub(crate) fn look_at_disks(&mut self, who: usize) {
        if self.nodes[who].disks.are_off() {
            let ending = self.fates[who].ending.take();
            self.end(who, ending.unwrap_or(Ending { power: None, back_nanos: BACK }));
        }
    }

    /// A process stops by a fault of its own.
    fn stopped(&mut self, who: usize, fault: &Fault) -> Result<(), Wrong> {
        if self.nodes[who].disks.are_off() {
            self.look_at_disks(who);
            return Ok(());
        }
        let may_stop = self.fates[who].may_fail || self.fates[who].full.is_some();
        let hands_over = self.nodes[who].running().is_some_and(Running::hands_over);
        self.say(|| format!("n{who} stops: {fault}"));
        match fault {
            Fault::Fenced { .. } if hands_over => {
                self.finish(who);
                Ok(())
            }
            Fault::Fenced { .. }
            | Fault::Surplus { .. }
            | Fault::Behind { .. }
            | Fault::Short { .. } => {
                let agreed = match fault {
                    Fault::Surplus { agreed } => Some(agreed.0),
                    _ => None,
                };
                self.end(who, Ending { power: None, back_nanos: u64::MAX });
                self.begin(who, Some((fault, agreed)))
            }
            // It says itself what the operator has to do.
            Fault::Node(why)
                if why.contains("Let that one lead")
                    || (why.contains("let that one lead")
                        && self.checker.must_have_all(1 - who)) =>
            {
                self.end(who, Ending { power: None, back_nanos: BACK });
                Ok(())
            }
            fault if self.wants_newer(who, fault) => {
                self.end(who, Ending { power: None, back_nanos: BACK });
                self.install(who);
                Ok(())
            }
            _ if self.fates[who].flip.is_some() => {
                self.end(who, Ending { power: None, back_nanos: BACK });
                self.scrub(who).map(drop)
            }
            _ if self.fates[who].refusal.is_some() && !refusals::is_named(fault) => {
                Err(format!("n{who} does not say what it cannot read: {fault}"))
            }
            _ if may_stop => {
                self.end(who, Ending { power: None, back_nanos: BACK });
                Ok(())
            }
            fault => Err(format!("n{who} stops without a reason: {fault}")),
        }
    }

    /// A process, or its machine, is gone.
    pub(crate) fn end(&mut self, who: usize, ending: Ending) {
        let checker = &self.checker;
        let other = 1 - who;
        let is_elsewhere = self.settings.release.is_replicated() && checker.must_have_all(other);
        let allowed = checker.keeps_all_without_power(who) || is_elsewhere;
        let power = ending.power.filter(|_| allowed);
        let kept = match (ending.power, power) {
            (_, Some(_)) => "loses power",
            (Some(_), None) => "dies (its power stays: nobody else has what was released)",
            (None, None) => "dies",
        };
        self.say(|| format!("n{who} {kept}"));
        if power.is_some() {
            self.net.wires().power_off(who);
        }
        self.nodes[who].crash(power.map_or(NO_LOSS, power_loss));
        self.checker.on_crash(who, power.is_some());
        let fate = &mut self.fates[who];
        fate.back_at = Some(self.now.after(ending.back_nanos));
        (fate.ending, fate.leads, fate.may_fail) = (None, false, false);
        (fate.stalled, fate.stalled_stage.1) = (Nanos(0), Nanos(0));
    }

    /// A process comes to its orderly end.
    pub(crate) fn finish(&mut self, who: usize) {
        let clock = self.nodes[who].clock(self.now);
        let process = std::mem::replace(&mut self.nodes[who].process, Process::Off);
        let Process::Runs(running) = process else { return };
        let closed = running.close(clock);
        if let Err(fault) = closed {
            self.say(|| format!("n{who} ends with: {fault}"));
        }
        self.say(|| format!("n{who} has ended"));
        self.end(who, Ending { power: None, back_nanos: BACK });
    }

    /// A process begins.
    pub(crate) fn begin(
        &mut self,
        who: usize,
        after: Option<(&Fault, Option<u64>)>,
    ) -> Result<(), Wrong> {
        self.fates[who].back_at = None;
        self.net.wires().power_on(who);
        self.nodes[who].ahead = self.fates[who].ahead;
        if let Some((_, Some(agreed))) = after {
            self.checker.on_cut(who, agreed);
        }
        self.apply_full(who);
        self.apply_refusal(who);
        if after.is_none() {
            self.flip(who);
        } else if let Some((fault, _)) = after
            && copies_after(fault, &self.nodes[who].disks).is_ok_and(|copies| copies)
            && self.scrub(1 - who)?
        {
            // It comes for its copy later.
            self.fates[who].back_at = Some(self.now.after(BACK));
            return Ok(());
        }
        let begun = self.nodes[who].begin(after.map(|(fault, _)| fault), self.now);
        match begun {
            Err(fault) => self.stopped(who, &fault),
            Ok(()) => self.opened(who),
        }
    }

    /// A node that starts goes on asking.
    fn ask(&mut self, who: usize) -> Result<usize, Wrong> {
        let beginning = match self.nodes[who].ask(self.now) {
            None => return Ok(0),
            Some(Ok(beginning)) => beginning,
            Some(Err(fault)) => return self.stopped(who, &fault).map(|()| 1),
        };
        self.say(|| format!("n{who} begins as {beginning:?}"));
        let leads = matches!(beginning, Beginning::Leads { other_has } if other_has.0 == 0);
        if leads && !self.halts() && !self.may_lead(who) && self.checker.released() > 0 {
            // Where a leader alone releases, an operator lets none lead that was replaced, or may
            // be in a moment.
            self.say(|| format!("n{who} may not lead: the operator ends it"));
            self.end(who, Ending { power: None, back_nanos: BACK });
            return Ok(1);
        }
        match self.nodes[who].go_on(beginning, self.now) {
            Ok(()) => self.opened(who)?,
            Err(fault) => self.stopped(who, &fault)?,
        }
        Ok(1)
    }

    /// A node that copies goes on with that.
    fn copy(&mut self, who: usize) -> Result<usize, Wrong> {
        match self.nodes[who].copy(self.now) {
            None => Ok(0),
            Some(Err(why)) => {
                self.say(|| format!("n{who} has no copy: {why}"));
                self.end(who, Ending { power: None, back_nanos: BACK });
                self.scrub(who)?;
                Ok(1)
            }
            Some(Ok(())) => {
                self.say(|| format!("n{who} has a copy"));
                if self.nodes[who].mends().is_none() {
                    self.checker.on_wipe(who);
                }
                match self.nodes[who].settle(self.now) {
                    Ok(()) => self.opened(who)?,
                    Err(fault) => self.stopped(who, &fault)?,
                }
                Ok(1)
            }
        }
    }

    fn opened(&mut self, who: usize) -> Result<(), Wrong> {
        if self.nodes[who].disks.are_off() {
            self.look_at_disks(who);
            return Ok(());
        }
        if let Some(damaged) = self.nodes[who].mends().cloned() {
            if self.fates[who].flip.is_none() {
                return Err(format!("n{who} finds damage that nobody did: {damaged}"));
            }
            self.say(|| format!("n{who} asks for what is damaged: {damaged}"));
        }
        let Some(running) = self.nodes[who].running() else { return Ok(()) };
        let applied = running.start.applied.sequence.0;
        let leads = running.began_as != Beginning::Follows && running.is_tellable();
        if let Some(cut) = &running.start.journal.cut {
            self.nodes[who].are_kept(&cut.kept_in).map_err(|why| format!("n{who}: {why}"))?;
        }
        let is_older = self.nodes[who].build == Build::Older;
        let refused = running.start.from.refused.iter();
        let (newer, refused): (Vec<_>, Vec<_>) =
            refused.partition(|why| is_older && names_newer(why));
        if let (Some(why), None, None) =
            (refused.first(), &self.fates[who].flip, &self.fates[who].refusal)
        {
            return Err(format!("n{who} does not begin with its newest snapshot: {why}"));
        }
        self.checker.on_open(who, running, &self.nodes[who].disks.stores.journal)?;
        if let Some(why) = newer.first().map(ToString::to_string) {
            self.say(|| format!("n{who} passes a snapshot over: {why}"));
        }
        if leads {
            self.on_lead(who)?;
        }
        self.say(|| format!("n{who} opened with {applied}"));
        Ok(())
    }

    /// Looks after drains.
    pub(crate) fn look_at_drain(&mut self, who: usize) {
        let now = self.now;
        let Some(running) = self.nodes[who].running_mut() else { return };
        match running.drain(now) {
            Drained::NotYet => {}
            Drained::Done => self.finish(who),
            Drained::Failed(why) => {
                self.say(|| format!("n{who} gives its end up: {why}"));
                self.end(who, Ending { power: None, back_nanos: BACK });
            }
        }
    }
}
