//! A node: a machine with disks and a clock, and the process on it, which is built
//! from the lines that `ringframe serve` is built from.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use fastrand::Rng;
use ringframe::control::Control;
use ringframe::embed::{Assembled, Input, Saving, assemble, close};
use ringframe::exchange::command::Command;
use ringframe::exchange::{self, Exchange};
use ringframe::gateway::{Doors, GatewayOptions};
use ringframe::log::Note;
use ringframe::logic::Logic;
use ringframe::machine::{Question, Standing};
use ringframe::net::{Listener, Net};
use ringframe::node::{Node, NodeOptions, Start, Stores};
use ringframe::pair::{Pair, PairOptions};
use ringframe::peers::{Facts, Handle, Promoted};
use ringframe::pipeline::Positions;
use ringframe::recovery::Cores;
use ringframe::release::Release;
use ringframe::replication::{Arrival, Beginning, Epochs, cut, decide, leaves_a_beginning};
use ringframe::served::{Entrance, serve};
use ringframe::snapshot::schedule::{self, Triggers};
use ringframe::stage::{Fault, Stage};
use ringframe::types::{Nanos, Sequence};
use ringframe::users::Users;
use ringframe_journal::segment::file_number;
use ringframe_journal::{
    self as journal, DamagedRange, Refusals, SimulatedStorage, Source, SyncPolicy, repair,
};

use crate::disks::{Disks, Loss};
use crate::net::{SimListener, SimNet, SimStream, THIRD, address};
use crate::newer::{Build, Newer};
use crate::settings::{Saves, Settings};
use asks::Asks;
use away::{Absent, Away};

mod asks;
mod away;

/// Where clients and other nodes come.
pub(crate) const ORDERS: u16 = 9001;
pub(crate) const MARKET: u16 = 9002;
const REPLICATION: u16 = 9003;
pub(crate) const GLIMPSE: u16 = 9004;
/// A drain that takes longer is given up.
const DRAIN: u64 = 10 * Nanos::SECOND;

/// A machine and what runs on it.
pub(crate) struct Machine {
    pub(crate) number: usize,
    pub(crate) disks: Disks,
    pub(crate) process: Process,
    /// What its processes may not look at.
    pub(crate) refusals: [Arc<Refusals>; 4],
    net: SimNet,
    settings: Settings,
    /// Who never did anything begins as a standby.
    stands_by: bool,
    /// How far its clock is ahead.
    pub(crate) ahead: u64,
    /// What the next process is.
    pub(crate) installed: Build,
    /// What the last one was.
    pub(crate) build: Build,
}

/// What runs.
pub(crate) enum Process {
    Off,
    Asks(Box<Asks>),
    Copies(Box<Copies>),
    Runs(Box<Running>),
}

/// A node that begins with a copy of what the other one has.
pub(crate) struct Copies {
    prepared: Prepared,
    arrival: Arrival<SimulatedStorage, SimStream>,
    fresh: Disks,
    mends: Option<Mends>,
}

/// It wants one segment alone, because its own is damaged.
struct Mends {
    damaged: DamagedRange,
    /// What it begins as once that is mended.
    beginning: Beginning,
}

struct Prepared {
    /// What was damaged is mended: more is not tried.
    is_mended: bool,
    listener: SimListener,
    doors: Doors<SimNet>,
    options: GatewayOptions,
    epochs: Epochs<SimulatedStorage>,
}

/// A node that runs.
pub(crate) struct Running {
    /// The one of the stages that waits for its disk: it ends before the others do.
    away: Option<Away>,
    pub(crate) stages: Vec<Box<dyn Stage>>,
    pub(crate) positions: Arc<Positions>,
    pub(crate) release: Arc<Release>,
    pub(crate) handle: Handle,
    pub(crate) snapshots: Option<schedule::Handle>,
    pub(crate) start: Start,
    pub(crate) began_as: Beginning,
    questions: Sender<Question>,
    /// Takes what operators order; as long as it is there, more may come.
    orders: Option<Box<dyn Fn(Order)>>,
    ended: Arc<AtomicBool>,
    pub(crate) drain: Option<Drain>,
    pub(crate) notes: Receiver<Note>,
}

/// What an operator orders.
pub(crate) enum Order {
    Activate(u32),
    Command(Command),
    /// A digest after the command whose place it tells.
    Mark(Sender<Sequence>),
}

impl<L: exchange::AnyBuild> From<Order> for Input<L> {
    fn from(order: Order) -> Self {
        match order {
            Order::Activate(version) => {
                Self::Control { control: Control::Activate { version }, tell: bounded(1).0 }
            }
            Order::Mark(tell) => Self::Control { control: Control::Mark, tell },
            Order::Command(command) => Self::Command { command, tell: None },
        }
    }
}

/// An orderly end.
pub(crate) struct Drain {
    until: Nanos,
    hands_over: bool,
    asked: Option<Receiver<Result<(), String>>>,
}

/// How an orderly end stands.
pub(crate) enum Drained {
    NotYet,
    Done,
    Failed(String),
}

impl Machine {
    pub(crate) fn new(number: usize, net: SimNet, settings: Settings) -> Self {
        let (disks, process) = (Disks::new(), Process::Off);
        let (stands_by, installed) = (number != 0, Build::Older);
        let build = installed;
        let refusals = Default::default();
        let ahead = 0;
        Self { number, disks, process, refusals, net, settings, stands_by, ahead, installed, build }
    }

    /// Where the node is that it follows, or that follows it.
    fn other(&self) -> SocketAddr {
        address(if self.number == THIRD { 0 } else { 1 - self.number }, REPLICATION)
    }

    /// What its clock says.
    pub(crate) fn clock(&self, now: Nanos) -> Nanos {
        now.after(self.ahead)
    }

    pub(crate) fn running(&self) -> Option<&Running> {
        match &self.process {
            Process::Runs(running) => Some(running),
            _ => None,
        }
    }

    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.process {
            Process::Runs(running) => Some(running),
            _ => None,
        }
    }

    /// Its disks are thrown away: it comes back as a standby, or two would begin histories.
    pub(crate) fn wipe(&mut self) {
        self.disks = Disks::new();
        self.stands_by = true;
    }

    /// Its disks, as a process sees them.
    pub(crate) fn seen(&self) -> Disks {
        self.disks.refusing(&self.refusals)
    }

    /// The process is gone, and this is left of what it wrote.
    pub(crate) fn crash(&mut self, loss: Loss) {
        self.disks.turn_off();
        self.process = Process::Off;
        self.disks = self.disks.after(loss);
    }

    /// Whether what was taken off the journal is still there, and is something.
    pub(crate) fn are_kept(&self, kept_in: &[PathBuf]) -> Result<(), String> {
        let journal = &self.disks.stores.journal;
        let is_there = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            let bytes = name.and_then(|name| journal.contents(name));
            bytes.is_some_and(|bytes| bytes.iter().any(|&byte| byte != 0))
        };
        match kept_in.iter().find(|path| !is_there(path)) {
            None if !kept_in.is_empty() => Ok(()),
            None => Err("nothing of what was cut is kept".into()),
            Some(path) => Err(format!("what was cut is not in {}", path.display())),
        }
    }

    /// The terms of its journal, as an operator reads them.
    pub(crate) fn epochs(&self) -> Result<Epochs<SimulatedStorage>, Fault> {
        self.epochs_on(&self.disks)
    }

    fn epochs_on(&self, disks: &Disks) -> Result<Epochs<SimulatedStorage>, Fault> {
        // Two nodes have numbers of their own.
        Epochs::open(disks.stores.journal.clone(), self.number as u8 + 1)
    }

    /// Begins a process; after a fault that says so it follows at once.
    pub(crate) fn begin(&mut self, after: Option<&Fault>, now: Nanos) -> Result<(), Fault> {
        let broken = |error: std::io::Error| Fault::Node(format!("network: {error}"));
        let listener = self.net.bind(address(self.number, REPLICATION)).map_err(broken)?;
        listener.open(16).map_err(broken)?;
        let own = |port| address(self.number, port);
        let options = GatewayOptions {
            orders: own(ORDERS),
            market: own(MARKET),
            glimpse: own(GLIMPSE),
            window_bytes: self.settings.window_bytes,
            feed_window_bytes: self.settings.window_bytes,
            ..GatewayOptions::default()
        };
        let doors = Doors::bind_in(self.net.clone(), &options)?;
        let seen = self.seen();
        let mut epochs = self.epochs_on(&seen)?;
        if after.is_none() {
            self.build = self.installed;
        }
        let copies = after.map_or(Ok(false), |fault| copies_after(fault, &seen))?;
        if let Some(Fault::Surplus { agreed }) = after
            && !copies
        {
            let stores = &seen.stores;
            let cut = match self.build {
                Build::Older => cut::<Exchange, _>(stores, &mut epochs, *agreed)?,
                Build::Newer => cut::<Newer, _>(stores, &mut epochs, *agreed)?,
            };
            if let Some(commands) = cut.commands {
                self.are_kept(&commands.kept_in).map_err(Fault::Node)?;
            }
        }
        let prepared = Prepared { is_mended: false, listener, doors, options, epochs };
        if copies && let Ok(stream) = self.net.connect(self.other()) {
            return self.begin_copy(prepared, stream, None, now);
        }
        if after.is_some() {
            return self.open(prepared, Beginning::Follows, now);
        }
        let asks = Asks::begin(prepared, now);
        self.process = Process::Asks(Box::new(asks));
        Ok(())
    }

    /// What a node that starts begins as, once that is known.
    pub(crate) fn ask(&mut self, now: Nanos) -> Option<Result<Beginning, Fault>> {
        let other_at = self.other();
        let Process::Asks(asks) = &mut self.process else { return None };
        let other = asks.poll(&self.net, other_at, now)?;
        Some(decide(&mut asks.prepared.epochs, other, (true, self.stands_by)))
    }

    /// Goes on with a copy; whether it is whole, or why there is none.
    pub(crate) fn copy(&mut self, now: Nanos) -> Option<Result<(), String>> {
        let now = self.clock(now);
        let Process::Copies(copies) = &mut self.process else { return None };
        match copies.arrival.poll(now) {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(parted) => Some(Err(parted.to_string())),
        }
    }

    fn begin_copy(
        &mut self,
        prepared: Prepared,
        stream: SimStream,
        mends: Option<Mends>,
        now: Nanos,
    ) -> Result<(), Fault> {
        let fresh = Disks::new();
        let name = mends.as_ref().and_then(|mends| mends.damaged.path.file_name()?.to_str());
        let what = (Exchange::NAME, name.and_then(file_number));
        let holdings = fresh.holdings();
        let arrival = Arrival::new(stream, what, &prepared.epochs, holdings, self.clock(now))?;
        self.process = Process::Copies(Box::new(Copies { prepared, arrival, fresh, mends }));
        Ok(())
    }

    /// Opens what was copied, in the place of what was there, or of a damaged segment.
    pub(crate) fn settle(&mut self, now: Nanos) -> Result<(), Fault> {
        let Process::Copies(copies) = std::mem::replace(&mut self.process, Process::Off) else {
            unreachable!("it copied just now")
        };
        let Copies { mut prepared, arrival, fresh, mends } = *copies;
        drop(arrival);
        let Some(Mends { damaged, beginning }) = mends else {
            self.disks = fresh;
            prepared.epochs = self.epochs_on(&self.seen())?;
            return self.open(prepared, Beginning::Follows, now);
        };
        let donor = Source::Journal(fresh.stores.journal);
        let journal = self.seen().stores.journal;
        let done = repair(&journal, Some(&donor), false, &mut |_, _| ()).map_err(Fault::Journal)?;
        match done.refused {
            None => self.open(Prepared { is_mended: true, ..prepared }, beginning, now),
            Some(journal::Error::Damaged(next)) if next.path != damaged.path => {
                self.mend(prepared, Mends { damaged: next, beginning }, now)
            }
            Some(error) => Err(Fault::Journal(error)),
        }
    }

    /// What is damaged, where it waits for a segment of its journal.
    pub(crate) fn mends(&self) -> Option<&DamagedRange> {
        match &self.process {
            Process::Copies(copies) => copies.mends.as_ref().map(|mends| &mends.damaged),
            _ => None,
        }
    }

    /// Asks the other node for what is damaged.
    fn mend(&mut self, prepared: Prepared, mends: Mends, now: Nanos) -> Result<(), Fault> {
        match self.net.connect(self.other()) {
            Ok(stream) => self.begin_copy(prepared, stream, Some(mends), now),
            Err(_) => Err(Fault::Journal(journal::Error::Damaged(mends.damaged))),
        }
    }

    /// Goes on with a start that has asked.
    pub(crate) fn go_on(&mut self, beginning: Beginning, now: Nanos) -> Result<(), Fault> {
        match std::mem::replace(&mut self.process, Process::Off) {
            Process::Asks(asks) => self.open(asks.prepared, beginning, now),
            _ => unreachable!("it asked just now"),
        }
    }

    fn open(&mut self, prepared: Prepared, beginning: Beginning, now: Nanos) -> Result<(), Fault> {
        match self.build {
            Build::Older => self.open_as::<Exchange>(prepared, beginning, now),
            Build::Newer => self.open_as::<Newer>(prepared, beginning, now),
        }
    }

    fn open_as<L: exchange::AnyBuild>(
        &mut self,
        prepared: Prepared,
        beginning: Beginning,
        now: Nanos,
    ) -> Result<(), Fault> {
        let clock = self.clock(now);
        let Prepared { is_mended, listener, doors, options: gateway, epochs } = prepared;
        let options = PairOptions {
            other: Some(self.other()),
            stands_by: self.number != THIRD,
            release: self.settings.release,
            on_standby_loss: self.settings.on_standby_loss,
            activate: false,
        };
        let pair =
            Pair { net: self.net.clone(), listener: Some(listener), epochs, beginning, options };
        let leads = !pair.follows();
        let options = pair.node_options(&self.node_options());
        let seen = self.seen();
        let stores = &seen.stores;
        let mut node = match Node::<L, _>::open(stores, &options, clock, &mut |_, _| ()) {
            Err(Fault::Journal(journal::Error::Damaged(damaged))) if !is_mended => {
                let Pair { listener, epochs, beginning, .. } = pair;
                let listener = listener.expect("it was taken");
                let options = gateway;
                let prepared = Prepared { is_mended, listener, doors, options, epochs };
                return self.mend(prepared, Mends { damaged, beginning }, now);
            }
            opened => opened?,
        };
        let joined = pair.join(&mut node, seen.holdings(), &options, clock)?;
        let (replicator, handle) = joined.expect("there is another node");
        let saving = self.saving(&node, stores)?;
        let (positions, release) = (Arc::clone(&node.positions), Arc::clone(&node.release));
        let (questions, start) = (node.questions.clone(), node.start.clone());
        let entrance = Entrance { users: Users::demo(), options: gateway, doors };
        let (sessions, events) = (seen.sessions.clone(), stores.events.clone());
        let mut notes = None;
        let front = |front| {
            let served = serve(front, entrance, sessions, events, &mut |_| ())?;
            notes = Some(served.notes);
            Ok(served.stages)
        };
        let Assembled { stages, commands, ended, snapshots, .. } =
            assemble(front, node, Some(replicator), saving)?;
        if leads && start.applied.sequence <= Sequence(1) {
            for command in self.settings.opening() {
                let input = Order::Command(command).into();
                commands.try_send(input).expect("an empty queue has room");
            }
        }
        self.process = Process::Runs(Box::new(Running {
            away: None,
            stages,
            positions,
            release,
            handle,
            snapshots,
            start,
            began_as: beginning,
            questions,
            // Where the queue is full he sees that nothing came of it.
            orders: Some(Box::new(move |order| drop(commands.try_send(order.into())))),
            ended,
            drain: None,
            notes: notes.expect("it was built"),
        }));
        Ok(())
    }

    fn node_options(&self) -> NodeOptions {
        NodeOptions {
            ring_slots: self.settings.ring_slots,
            held_bytes: self.settings.held_bytes,
            segment_bytes: self.settings.segment_bytes,
            event_segment_bytes: self.settings.event_segment_bytes,
            sync: SyncPolicy::Always,
            event_sync: SyncPolicy::Every(Duration::from_millis(4)),
            cores: Cores::One,
            ..NodeOptions::default()
        }
    }

    fn saving<L: Logic>(
        &self,
        node: &Node<L, SimulatedStorage>,
        stores: &Stores<SimulatedStorage>,
    ) -> Result<Saving<L, SimulatedStorage>, Fault> {
        let every_commands = self.settings.snapshot_every;
        let triggers = Triggers { every_commands, ..Triggers::default() };
        let taker = || node.taker(stores, triggers, 2);
        Ok(match self.settings.saves {
            Saves::Never => Saving::Off,
            Saves::Inline => Saving::Inline(Box::new(taker()?)),
            Saves::Shadow => Saving::Shadow(Box::new(node.shadow(stores, taker()?))),
        })
    }
}

/// Whether a node begins with a copy then: also where a cut leaves nothing to start from.
pub(crate) fn copies_after(fault: &Fault, disks: &Disks) -> Result<bool, Fault> {
    match fault {
        Fault::Surplus { agreed } => Ok(!leaves_a_beginning(&disks.stores, *agreed)?),
        fault => Ok(matches!(fault, Fault::Behind { .. })),
    }
}

impl Running {
    /// Whether clients may be told what a start has recovered.
    pub(crate) fn is_tellable(&self) -> bool {
        self.release.tells_recovered(&self.positions)
    }

    pub(crate) fn facts(&self) -> Facts {
        self.handle.facts()
    }

    /// Everything that was accepted comes to its end.
    pub(crate) fn begin_drain(&mut self, hands_over: bool, now: Nanos) {
        self.orders = None;
        self.drain = Some(Drain { until: now.after(DRAIN), hands_over, asked: None });
    }

    /// Looks how an orderly end stands.
    pub(crate) fn drain(&mut self, now: Nanos) -> Drained {
        let is_quiet =
            self.positions.is_quiet() && self.positions.left() == self.positions.progress().emitted;
        let has_ended = self.ended.load(Ordering::Acquire) && is_quiet;
        let Some(drain) = &mut self.drain else { return Drained::NotYet };
        if now > drain.until {
            return Drained::Failed("it takes too long".into());
        }
        if !has_ended {
            return Drained::NotYet;
        }
        if !drain.hands_over {
            return Drained::Done;
        }
        let handle = &self.handle;
        let asked = match &drain.asked {
            Some(asked) => asked,
            None => match handle.hand_over() {
                Some(asked) => drain.asked.insert(asked),
                None => return Drained::NotYet,
            },
        };
        match asked.try_recv() {
            Ok(Ok(())) => Drained::Done,
            Ok(Err(why)) => Drained::Failed(why),
            Err(_) => Drained::NotYet,
        }
    }

    /// Whether it gives its place to the other node.
    pub(crate) fn hands_over(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| drain.hands_over)
    }

    /// Lets a stage have its turn. Where syncs take their time it may be away until later.
    pub(crate) fn poll(
        &mut self,
        chosen: usize,
        now: Nanos,
        slow_syncs: Option<&mut Rng>,
    ) -> Result<usize, Fault> {
        let Some(rng) = slow_syncs else { return self.stages[chosen].poll(now) };
        let mut away = match self.away.take() {
            Some(away) if away.number == chosen && now >= away.until => {
                away.go_on();
                away
            }
            None if Away::is_drawn(&*self.stages[chosen], &self.positions, rng) => {
                let absent = Box::new(Absent(self.stages[chosen].name()));
                let stage = std::mem::replace(&mut self.stages[chosen], absent);
                Away::begin(chosen, stage, now)
            }
            away => {
                self.away = away;
                return self.stages[chosen].poll(now);
            }
        };
        if let Some((stage, polled)) = away.wait(now, rng) {
            self.stages[chosen] = stage;
            return polled;
        }
        self.away = Some(away);
        Ok(1)
    }

    pub(crate) fn close(mut self, now: Nanos) -> Result<(), Fault> {
        if let Some(away) = self.away.take() {
            let number = away.number;
            let (stage, polled) = away.hurry();
            self.stages[number] = stage;
            polled?;
        }
        close(self.stages, now)
    }

    pub(crate) fn promote(&self, force: bool) -> Option<Receiver<Result<Promoted, String>>> {
        self.handle.promote(force)
    }

    /// Takes an operator's order, unless the node is about to end.
    pub(crate) fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            orders(order);
        }
    }

    /// Asks for the digest after a command that was marked.
    pub(crate) fn ask_digest_at(&self, sequence: Sequence) -> Receiver<Option<u128>> {
        let (tell, told) = bounded(1);
        let _ = self.questions.try_send(Question::DigestAt(sequence, tell));
        told
    }

    /// Asks where logic stands.
    pub(crate) fn ask_standing(&self) -> Receiver<Standing> {
        let (tell, told) = bounded(1);
        let _ = self.questions.try_send(Question::Standing(tell));
        told
    }
}
