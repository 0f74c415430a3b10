//! A node of the exchange in this process, as the settings say: what `serve` and `apply` share.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ringframe::admin::Admin;
use ringframe::clock::Clock;
use ringframe::config::{Activate, Config, Room, SnapshotMode};
use ringframe::control;
use ringframe::embed::{AtEnd, Embedded, Finished, Outcome, STAGES, Saving};
use ringframe::exchange::command::Command as ExchangeCommand;
use ringframe::exchange::{Exchange, demo};
use ringframe::host::Host;
use ringframe::net::Guarded;
use ringframe::net::Tcp;
use ringframe::node::{Node, NodeOptions, Start, Stores};
use ringframe::peers::Handle;
use ringframe::pipeline::Waiting;
use ringframe::record::Record;
use ringframe::recovery::Cores;
use ringframe::runner::Group;
use ringframe::served::Entrance;
use ringframe::snapshot::schedule::Triggers;
use ringframe::spans::Exporter;
use ringframe::stage::{Fault, Stage};
use ringframe::types::{Nanos, Sequence};
use ringframe::{layout, log};
use ringframe_journal::{Error, MappedStorage, Reader};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use super::operators::{self, Told};
use super::pair::{self, Door, Pair, arrive};
use super::progress::Progress;
use super::serve::NodeArgs;
use super::served::{self, Served};
use super::spans::Sampling;
use super::{Answer, Failure};

/// So many lines of the gateway at most stand in the log for a second.
const NOTES_PER_SECOND: u64 = 50;
/// So often it looks whether what the node begins with is done.
const LOOK: Duration = Duration::from_millis(1);

/// A running node.
pub(super) struct Local {
    pub(super) embedded: Embedded<Exchange>,
    /// What clients talk to.
    pub(super) served: Option<Served>,
    /// What other nodes talk to.
    pub(super) others: Option<Handle>,
    config: Config,
    admin: Option<Admin>,
    /// Who tells of sampled orders, for as long as the node lives.
    _spans: Option<Exporter>,
    /// Of the last snapshot, and of the last failure, that was reported.
    reported: (Nanos, Nanos),
    clock: Clock,
    /// The gateway's lines in a second: which second, and how many.
    noted: (u64, u64),
}

/// Who talks to the node.
pub(super) enum Talk {
    /// This program, by [`Embedded::submit`] and [`Embedded::next`].
    Program,
    /// Clients, over sockets.
    Clients,
}

impl Talk {
    /// Whether the layout has a place for each of its stages.
    fn has_room_in(&self, config: &Config, host: &Host) -> Result<(), Failure> {
        let names: &[&str] = match self {
            Self::Program => &STAGES,
            Self::Clients => &served::STAGES,
        };
        let placed = config.layout.resolve(names, host);
        placed.map(drop).map_err(|why| Failure::Usage(format!("layout: {why}")))
    }
}

/// Opens a node, and shows meanwhile how far it is.
fn recover(
    stores: &Stores<MappedStorage>,
    options: &NodeOptions,
    clock: Clock,
    admin: Option<&Admin>,
) -> Result<Node<Exchange, MappedStorage>, Fault> {
    let mut bar = None;
    let mut told = |applied: Sequence, last: Sequence| {
        let bar = bar.get_or_insert_with(|| Progress::new("commands replayed", applied.0, last.0));
        bar.reached(applied.0);
        if let Some(admin) = admin {
            admin.recovering(applied, last);
        }
    };
    Node::open(stores, options, clock.now(), &mut told)
}

/// The same, where a damaged journal can be mended with what the other node has.
fn recover_or_mend(
    stores: &Stores<MappedStorage>,
    options: &NodeOptions,
    config: &Config,
    clock: Clock,
    Around { admin, pair, .. }: &Around,
) -> Result<Node<Exchange, MappedStorage>, Failure> {
    let recover = || pair::patiently(|| Ok(recover(stores, options, clock, admin.as_ref())?));
    let recovered = recover();
    let (Err(Failure::Journal(Error::Damaged(range))), Some(pair)) = (&recovered, pair) else {
        return recovered;
    };
    let Some(other) = pair.options.other else { return recovered };
    arrive::mend((&pair.net, other), range, &pair.epochs, &config.data, clock)?;
    recover()
}

/// Takes the memory that is to be there before the first order comes.
fn take_room(node: &mut Node<Exchange, MappedStorage>, config: &Config) {
    let Room { orders, tokens } = config.room;
    node.processor.machine_mut().logic_mut().reserve(orders as usize, tokens as usize);
}

/// What a node that serves clients has around it.
#[derive(Default)]
struct Around {
    prepared: Option<Entrance<Tcp>>,
    admin: Option<Admin>,
    pair: Option<Pair>,
    door: Option<Door>,
}

impl Around {
    /// What is wrong with settings is known before the data is touched.
    fn prepare(
        talk: &Talk,
        config: &Config,
        stores: &Stores<MappedStorage>,
        after: Option<&Fault>,
        clock: Clock,
    ) -> Result<Self, Failure> {
        if let Talk::Program = talk {
            pair::is_alone(config, stores)?;
            return Ok(Self::default());
        }
        let prepared = served::prepare(config, clock.now())?;
        let admin = operators::start(config, clock)?;
        let (pair, door) = pair::prepare(config, stores, after, clock)?;
        Ok(Self { prepared: Some(prepared), admin, pair: Some(pair), door })
    }
}

impl Local {
    /// Recovers, says so on standard error, and starts.
    /// After a fault that says so it goes on as another node's follower.
    pub(super) fn start(
        args: &NodeArgs,
        talk: &Talk,
        after: Option<&Fault>,
    ) -> Result<Self, Failure> {
        ringframe::runner::install_panic_hook();
        let config = load(args)?;
        // What a person starts and waits for speaks to that person.
        if let Talk::Clients = talk {
            log::set_format(config.log);
        }
        let host = Host::look().map_err(|error| Failure::Fault(format!("this host: {error}")))?;
        talk.has_room_in(&config, &host)?;
        let clock = Clock::new();
        let stores = Stores::mapped(&config.data);
        let around = Around::prepare(talk, &config, &stores, after, clock)?;
        // Once: what begins again in this process goes on with that log.
        let begin_event_log = args.begin_event_log && after.is_none();
        let options = NodeOptions { begin_event_log, ..options(&config, &host) };
        let pair = around.pair.as_ref();
        let options = pair.map_or_else(|| options.clone(), |pair| pair.node_options(&options));
        let mut node = recover_or_mend(&stores, &options, &config, clock, &around)?;
        let Around { prepared, admin, pair, door } = around;
        take_room(&mut node, &config);
        say(&config, &node.start);
        let leads = !pair.as_ref().is_some_and(Pair::follows);
        let opening =
            if args.empty || !leads { Vec::new() } else { opening(&stores, &node.start)? };
        let holdings = arrive::holdings(&config.data);
        let listener = door.map(Door::give_way);
        let joined = pair
            .map(|pair| Pair { listener, ..pair }.join(&mut node, holdings, &options, clock.now()));
        let (replicator, others) = joined.transpose()?.flatten().unzip();
        let sampling = prepared.as_ref().and_then(|_| Sampling::prepare(&config, &node));
        let groups = |stages| groups(stages, &config, &host, sampling.as_ref());
        let saving = saving(&node, &stores, &config)?;
        let (mut embedded, served) = match prepared {
            None => (Embedded::start(node, saving, groups, config.idle, clock)?, None),
            Some(prepared) => {
                let mut served = None;
                let front = |front| {
                    let (stages, told) = served::front(front, &config, prepared)?;
                    served = Some(told);
                    Ok(stages)
                };
                let (idle, node) = (config.idle, node);
                let start = Embedded::start_behind::<MappedStorage, Guarded>;
                (start(front, node, replicator, saving, groups, idle, clock)?, served)
            }
        };
        // Who logs in now finds the session that he knows.
        let waits = leads && served.is_some();
        begin(&mut embedded, opening, waits, || tell_notes(others.as_ref()))?;
        let spans = sampling.and_then(|it| it.start(&config, &stores, others.clone(), clock));
        if let Some(admin) = &admin {
            let told = Told::by(served.as_ref(), others.as_ref(), spans.as_ref());
            admin.serving(operators::running(&embedded, stores.events, told));
        }
        Ok(Self {
            embedded,
            served,
            others,
            config,
            admin,
            _spans: spans,
            reported: Default::default(),
            clock,
            noted: (0, 0),
        })
    }

    /// Asks for a snapshot; what becomes of it is reported.
    pub(super) fn snapshot(&self) {
        if let Some(snapshots) = self.embedded.snapshots() {
            drop(snapshots.request());
        } else {
            say!("no snapshot: snapshots.mode is off");
        }
    }

    /// Reads certificates again.
    pub(super) fn reload(&self) {
        self.served.iter().for_each(|served| served.reload(self.clock.now()));
    }

    /// Says what became of snapshots since the last time.
    pub(super) fn report(&mut self) {
        let Some(snapshots) = self.embedded.snapshots() else { return };
        let status = snapshots.status();
        if let Some(taken) = status.taken.filter(|taken| taken.at > self.reported.0) {
            self.reported.0 = taken.at;
            say!(
                "snapshot {} ({} bytes) in {:.3} s",
                taken.info.path.display(),
                taken.info.bytes,
                taken.took_nanos as f64 / 1e9
            );
        }
        if let Some(failed) = status.failed.filter(|failed| failed.at > self.reported.1) {
            self.reported.1 = failed.at;
            tracing::warn!("a snapshot failed and will be tried again: {}", failed.error);
        }
    }

    /// Says what the gateway has to say: the first lines of each second, and how many others there
    /// were. Who misbehaves ten thousand times must not fill the disk.
    pub(super) fn report_notes(&mut self) {
        let second = self.clock.now().0 / Nanos::SECOND;
        let (of, told) = &mut self.noted;
        if *of != second {
            if *told > NOTES_PER_SECOND {
                say!("… and {} more such lines in that second", *told - NOTES_PER_SECOND);
            }
            (*of, *told) = (second, 0);
        }
        tell_notes(self.others.as_ref());
        for note in self.served.iter().flat_map(|served| served.notes.try_iter()) {
            *told += 1;
            if *told <= NOTES_PER_SECOND {
                note.say();
            }
        }
    }

    /// Whether this node can follow another one.
    pub(super) fn has_other(&self) -> bool {
        self.config.other().is_some()
    }

    /// Where operators ask.
    pub(super) fn admin(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// Whether an operator asked for the end.
    pub(super) fn is_asked_to_end(&self) -> bool {
        self.admin.as_ref().is_some_and(Admin::wants_end)
    }

    /// Says what each stage has done.
    pub(super) fn report_stages(&self) {
        self.served.iter().for_each(Served::report);
        for counters in self.embedded.counters() {
            let counts = counters.read();
            say!(
                "{:<12} {:>10} items, {:>5} at most in one of {} polls, busy {:.3} s",
                counters.stage(),
                counts.items,
                counts.largest,
                counts.worked,
                counts.busy_nanos as f64 / 1e9
            );
        }
        let Waiting { commands, events } = self.embedded.positions().waiting();
        let slots = self.config.ring_slots;
        say!(
            "rings of {slots} slots: {commands} commands and {events} events wait in \
             them"
        );
    }

    /// Takes no more commands, and lets the standby lead as soon as it has all of them.
    fn hand_over(&mut self, longest: Duration) -> Result<(), Failure> {
        self.embedded.drain(longest)?;
        let asked = self.others.as_ref().and_then(Handle::hand_over);
        let failed = |why: &str| {
            Failure::Fault(format!(
                "all is done and released, but not handed over: {why}; let the other node lead by \
                 `ringframe promote` there, or here, once it is started again"
            ))
        };
        match asked.map(|asked| asked.recv_timeout(longest)) {
            Some(Ok(Ok(()))) => {
                self.report_notes();
                say!("handed over: the other node leads");
                Ok(())
            }
            Some(Ok(Err(why))) => Err(failed(&why)),
            _ => Err(failed("the standby did not say in time that it leads")),
        }
    }

    /// Lets everything that was accepted come to its end, takes a snapshot if that is asked for,
    /// and stops. No, where the snapshot is missing; the rest is done then, too.
    pub(super) fn finish(mut self, told: impl FnMut(Outcome<Exchange>)) -> Result<Answer, Failure> {
        let longest = Duration::from_secs(self.config.drain_seconds);
        let asked = self.admin.as_ref().map(Admin::draining);
        let last = Arc::clone(self.embedded.positions());
        let saves = self.config.snapshots.at_drain || asked == Some(AtEnd::Snapshot);
        let at_end = if saves { AtEnd::Snapshot } else { AtEnd::Nothing };
        // Where it faults, the admin says so when it goes.
        if asked == Some(AtEnd::HandOver) {
            self.hand_over(longest)?;
        }
        let finished = match self.embedded.finish(longest, at_end, told) {
            // Whom it gave its place to says so.
            Err(Fault::Fenced { .. }) if asked == Some(AtEnd::HandOver) => {
                let (last, snapshot) = (last.published(), None);
                Finished { last, snapshot }
            }
            finished => finished?,
        };
        if let Some(admin) = self.admin {
            admin.ended(&finished);
        }
        match finished.snapshot {
            None => {}
            Some(Ok(info)) => {
                say!("snapshot {} ({} bytes)", info.path.display(), info.bytes);
            }
            Some(Err(error)) => {
                tracing::warn!("all is done and released, but not saved: {error}");
                return Ok(Answer::No);
            }
        }
        Ok(Answer::Yes)
    }
}

/// Which of them share a thread.
fn groups(
    stages: Vec<Box<dyn Stage>>,
    config: &Config,
    host: &Host,
    sampling: Option<&Sampling>,
) -> Result<Vec<Group>, Fault> {
    let names: Vec<&'static str> = stages.iter().map(|stage| stage.name()).collect();
    let places = config.layout.resolve(&names, host).map_err(Fault::Node)?;
    Ok(Sampling::of(sampling, layout::groups(&places, stages, host, config.release)))
}

fn saving(
    node: &Node<Exchange, MappedStorage>,
    stores: &Stores<MappedStorage>,
    config: &Config,
) -> Result<Saving<Exchange, MappedStorage>, Failure> {
    let settings = &config.snapshots;
    let nanos = |seconds: Option<u64>| seconds.map(|seconds| seconds * Nanos::SECOND);
    let triggers = Triggers {
        every_commands: settings.every_commands,
        every_nanos: nanos(settings.every_seconds),
        daily_at: settings.at,
        recovery_nanos: nanos(settings.recovery_target_seconds),
    };
    let taker = || node.taker(stores, triggers, settings.keep as usize);
    Ok(match settings.mode {
        SnapshotMode::Off => Saving::Off,
        SnapshotMode::Inline => Saving::Inline(Box::new(taker()?)),
        SnapshotMode::Shadow => Saving::Shadow(Box::new(node.shadow(stores, taker()?))),
    })
}

/// Submits what a new exchange begins with, and waits, if it is to, until all of it is done.
fn begin(
    embedded: &mut Embedded<Exchange>,
    opening: Vec<ExchangeCommand>,
    waits: bool,
    meanwhile: impl Fn(),
) -> Result<(), Fault> {
    let opened = embedded.positions().published().0 + opening.len() as u64;
    for command in opening {
        embedded.submit(command);
    }
    while waits && embedded.positions().progress().released.0 < opened {
        embedded.next(LOOK)?;
        meanwhile();
    }
    Ok(())
}

/// Says what there is to say about other nodes: few lines, and none of them may be missing.
fn tell_notes(others: Option<&Handle>) {
    others.iter().flat_map(|others| others.notes.try_iter()).for_each(|note| note.say());
}

/// The commands of the demo exchange that the journal does not have yet, if it holds nothing else:
/// whoever was stopped in the middle of them goes on.
fn opening(stores: &Stores<MappedStorage>, start: &Start) -> Result<Vec<ExchangeCommand>, Failure> {
    let mut left: VecDeque<ExchangeCommand> = demo::opening().into();
    // Besides them there is what the node itself said first.
    if start.applied.sequence.0 > 1 + left.len() as u64 {
        return Ok(Vec::new());
    }
    let mut reader = Reader::open_first(stores.journal.clone())?;
    while reader.next_sequence() <= start.applied.sequence.0
        && let Some(frame) = reader.next_frame()?
    {
        if control::is_control(frame.kind()) {
            continue;
        }
        let command = ExchangeCommand::decode(frame.kind(), frame.schema(), frame.payload()).ok();
        if command.is_none() || command != left.pop_front() {
            return Ok(Vec::new());
        }
    }
    Ok(left.into())
}

fn load(args: &NodeArgs) -> Result<Config, Failure> {
    let mut flags: Vec<(&str, &str)> = args.settings.given().collect();
    for setting in &args.set {
        flags.push(setting.split_once('=').ok_or_else(|| {
            Failure::Usage(format!("--set {setting}: give a name and a value, as idle=spin"))
        })?);
    }
    Config::load(args.config.as_deref(), &flags).map_err(|error| Failure::Usage(error.to_string()))
}

fn options(config: &Config, host: &Host) -> NodeOptions {
    NodeOptions {
        release: config.release,
        ring_slots: config.ring_slots,
        segment_bytes: config.segment_bytes,
        event_segment_bytes: config.event_segment_bytes,
        activate: config.activate == Activate::Start,
        cores: if host.usable_cores() > 1 { Cores::Two } else { Cores::One },
        ..NodeOptions::default()
    }
}

fn say(config: &Config, start: &Start) {
    let Start { journal, events_cut, events_refilled, from, applied } = start;
    for why in &from.refused {
        tracing::warn!("a snapshot was not used: {why}");
    }
    if let Some(cut) = &journal.cut {
        tracing::warn!("the journal had a torn tail: {cut}");
    }
    if let Some(cut) = events_cut {
        say!("the event log had events of commands that were lost: {cut}");
    }
    if *events_refilled > 0 {
        say!("{events_refilled} events were missing in the log: written again");
    }
    let origin = match from.snapshot {
        Sequence(0) => "from the beginning".to_owned(),
        Sequence(sequence) => format!("from the snapshot at {sequence}"),
    };
    say!(
        "{} at command {}, {} events, {origin}; a reply means: {}",
        config.data.display(),
        applied.sequence.0,
        applied.events,
        config.release
    );
}

/// Signals that came.
pub(super) struct Signals {
    end: Arc<AtomicBool>,
    snapshot: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    /// Notes them from here on, but for those that end the process: see [`Self::note_ends`].
    pub(super) fn note() -> Result<Self, Failure> {
        let signals =
            Self { end: Arc::default(), snapshot: Arc::default(), reload: Arc::default() };
        for (signal, flag) in [(SIGUSR1, &signals.snapshot), (SIGHUP, &signals.reload)] {
            signal_hook::flag::register(signal, Arc::clone(flag)).map_err(signal_failed)?;
        }
        Ok(signals)
    }

    /// From here on the first signal to end is noted, and the next one ends the process at once.
    pub(super) fn note_ends(&self) -> Result<(), Failure> {
        for signal in [SIGTERM, SIGINT] {
            let end = || Arc::clone(&self.end);
            // In this order: the one that sets the flag must not see it.
            signal_hook::flag::register_conditional_shutdown(signal, 3, end())
                .and_then(|_| signal_hook::flag::register(signal, end()))
                .map_err(signal_failed)?;
        }
        Ok(())
    }

    /// Whether it is to end.
    pub(super) fn is_ending(&self) -> bool {
        self.end.load(Ordering::Acquire)
    }

    /// Whether a snapshot was asked for since the last time.
    pub(super) fn take_snapshot(&self) -> bool {
        self.snapshot.swap(false, Ordering::AcqRel)
    }

    /// Whether files are to be read again since the last time.
    pub(super) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::AcqRel)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn signal_failed(error: std::io::Error) -> Failure {
    Failure::Fault(format!("cannot listen for signals: {error}"))
}
