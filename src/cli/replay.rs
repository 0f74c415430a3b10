//! `ringframe replay`: the state at any moment of a journal, what was emitted on the way, and
//! whether another build of the program would have done the same.

use std::io::Write;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;
use ringframe::embed::Outcome;
use ringframe::event_log;
use ringframe::exchange::Exchange;
use ringframe::exchange_json::{View, write_event};
use ringframe::logic::Logic;
use ringframe::machine::{Machine, Unchecked};
use ringframe::recovery::{self, Cores, Nobody, Watch};
use ringframe::snapshot;
use ringframe::stage::Fault;
use ringframe::types::{Nanos, Sequence};
use ringframe_journal::{Error, Frame, MappedStorage, Options, Reader, check_logic, survey};

use super::progress::Progress;
use super::{Answer, Failure, against};

/// Apply a journal's commands again: the state at any sequence or time, and its digest
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe replay --data data --digest
  ringframe replay --data data --until 2026-01-02T15:00:00Z --print 'book AAPL'
  ringframe replay --data data --events 1000..1010
  ringframe replay --data data --verify
  ringframe replay --data data --against target/release/ringframe")]
pub(crate) struct ReplayArgs {
    /// The data directory; it is only read, also while a node writes it
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Stop after this sequence, or after the last command at or before this time (RFC 3339)
    #[arg(long, value_name = "SEQ|TIME")]
    until: Option<String>,
    /// Say the digest of everything emitted up to there (the default)
    #[arg(long)]
    digest: bool,
    /// Compare with every digest in the journal and every event in the log, from the beginning;
    /// exit code 1 on a difference
    #[arg(long, conflicts_with = "against")]
    verify: bool,
    /// Show what commands A to B emitted, as JSON lines
    #[arg(long, value_name = "A..B", conflicts_with_all = ["verify", "against"])]
    events: Option<String>,
    /// Show a view of the state: 'book SYMBOL', 'account PARTICIPANT', 'session NUMBER', 'books' or
    /// 'sessions'
    #[arg(long, value_name = "VIEW")]
    print: Vec<String>,
    /// Let another build of this program replay the same commands, and say where its events differ;
    /// exit code 1 if they do
    #[arg(long, value_name = "BINARY")]
    against: Option<PathBuf>,
    /// Use no snapshot
    #[arg(long)]
    from_start: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Write all events as frames to standard output: for --against
    #[arg(long, hide = true)]
    frames: bool,
    /// Begin with the snapshot at this sequence, and no other: for --against
    #[arg(long, hide = true, value_name = "SEQ", requires = "frames")]
    from_snapshot: Option<u64>,
}

/// What is replayed.
#[derive(Clone)]
pub(super) struct Task {
    journal: MappedStorage,
    snapshots: MappedStorage,
    pub(super) until: Sequence,
}

pub(crate) fn run(args: &ReplayArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let journal = super::journal::existing_in(&args.data)?;
    let Options { logic, .. } = Options::new(Exchange::NAME, Exchange::VERSION);
    check_logic(&journal, &logic)?;
    let until = until(args, &journal)?;
    let snapshots = MappedStorage::new(args.data.join("snapshots"));
    let task = Task { journal, snapshots, until };
    if let Some(binary) = &args.against {
        return against::run(&task, &args.data, binary, out);
    }
    if args.frames {
        let mut machine = match args.from_snapshot {
            Some(sequence) => task.snapshot(Sequence(sequence))?,
            None => task.beginning()?,
        };
        task.replay(&mut machine, &mut Frames(out))?;
        return Ok(Answer::Yes);
    }
    if let Some(range) = &args.events {
        return events(&task, args, range, out);
    }
    if args.verify {
        return verify(&task, args, out);
    }
    let mut machine = if args.from_start { task.beginning()? } else { task.newest()? };
    task.replay(&mut machine, &mut Nobody)?;
    for view in &args.print {
        let (what, whose) = view.split_once(' ').unwrap_or((view, ""));
        let view = View::parse(what, whose).map_err(Failure::Usage)?;
        let exchange = machine.logic();
        let text = if args.json { view.json(exchange) } else { view.text(exchange) };
        let text = text.map_err(Failure::Usage)?;
        writeln!(out, "{}", text.trim_end())?;
    }
    if args.digest || args.print.is_empty() {
        say(&machine, args, out)?;
    }
    Ok(Answer::Yes)
}

fn verify(task: &Task, args: &ReplayArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let mut machine = task.beginning()?;
    let log = MappedStorage::new(args.data.join("events"));
    let next = machine.applied().events + 1;
    // A log that was begun later, after a snapshot, is compared from its beginning on.
    let log = Reader::open(log.clone(), next).or_else(|_| Reader::open_first(log))?;
    let mut against = Logged { log, compared: 0, missing: 0 };
    match task.replay(&mut machine, &mut against) {
        Err(
            found @ (Failure::Node(
                Fault::Diverged { .. }
                | Fault::OtherEvent { .. }
                | Fault::EventLog(Error::Damaged(_)),
            )
            | Failure::Journal(Error::Damaged(_))),
        ) => return differs(&found.to_string(), args, out),
        other => other?,
    }
    if let Some(surplus) = against.surplus(task.until)? {
        return differs(&surplus, args, out);
    }
    let Logged { compared, missing, .. } = against;
    let unchecked = machine.unchecked();
    if args.json {
        let mut facts = facts(&machine);
        facts["agrees"] = true.into();
        facts["digests_unchecked"] = (unchecked.before + unchecked.unknown).into();
        facts["events_compared"] = compared.into();
        facts["events_missing"] = missing.into();
        writeln!(out, "{facts}")?;
        return Ok(Answer::Yes);
    }
    say(&machine, args, out)?;
    say_unchecked(unchecked, out)?;
    writeln!(out, "{compared} events are as in the log, {missing} are not in it yet")?;
    Ok(Answer::Yes)
}

/// What is not said to agree was not looked at, and why.
fn say_unchecked(unchecked: Unchecked, out: &mut dyn Write) -> Result<(), Failure> {
    let Unchecked { before, unknown } = unchecked;
    if before > 0 {
        writeln!(
            out,
            "{before} digests of the journal could not be compared: they are of commands before \
             the snapshot that replay began with; restore the older segments from an archive"
        )?;
    }
    if unknown > 0 {
        writeln!(
            out,
            "{unknown} digests of the journal could not be compared: they are of commands after \
             which this build takes none, or of such as came too long before them; replay with the \
             build that wrote them"
        )?;
    }
    Ok(())
}

fn differs(what: &str, args: &ReplayArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "agrees": false, "differs": what }))?;
    } else {
        writeln!(out, "{what}")?;
    }
    Ok(Answer::No)
}

/// Compares what replay emits with the event log.
struct Logged {
    log: Reader<MappedStorage>,
    compared: u64,
    missing: u64,
}

impl Logged {
    /// What the log has of the same commands when replay has no more.
    fn surplus(&mut self, until: Sequence) -> Result<Option<String>, Failure> {
        if self.missing > 0 {
            return Ok(None);
        }
        let event = self.log.next_frame().map_err(Fault::EventLog)?;
        let surplus = event.map(|event| (event.sequence(), event_log::cause(&event.frame())));
        let Some((number, Some(cause))) = surplus else { return Ok(None) };
        // A node that writes it is further by now.
        Ok((cause <= until).then(|| {
            format!(
                "event {number} of the log is of command {}, which emits no such event",
                cause.0
            )
        }))
    }
}

impl Watch for Logged {
    fn event(&mut self, ours: &Frame<'_>) -> Result<(), Fault> {
        if ours.sequence < self.log.next_sequence() {
            return Ok(());
        }
        if self.missing > 0 {
            // Where a node writes the log meanwhile, what it adds is behind ours for good.
            self.missing += 1;
            return Ok(());
        }
        match self.log.next_frame().map_err(Fault::EventLog)? {
            Some(logged) if logged.frame() == *ours => self.compared += 1,
            Some(logged) => {
                let logged = logged.frame();
                event_log::same_schema::<Exchange>(&logged)?;
                return Err(Fault::OtherEvent {
                    number: ours.sequence,
                    logged: show(&logged),
                    ours: show(ours),
                });
            }
            None => self.missing += 1,
        }
        Ok(())
    }
}

fn say(machine: &Machine<Exchange>, args: &ReplayArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let applied = machine.applied();
    if args.json {
        writeln!(out, "{}", facts(machine))?;
        return Ok(());
    }
    writeln!(
        out,
        "sequence {}, {} events, logic version {}, {} digests of the journal compared\ndigest {}",
        applied.sequence.0,
        applied.events,
        applied.version,
        machine.compared(),
        machine.digest()
    )?;
    Ok(())
}

fn facts(machine: &Machine<Exchange>) -> serde_json::Value {
    let applied = machine.applied();
    serde_json::json!({
        "sequence": applied.sequence.0,
        "digest": machine.digest().to_string(),
        "events": applied.events,
        "time": applied.time.0,
        "logic_version": applied.version,
        "digests_compared": machine.compared(),
    })
}

fn events(
    task: &Task,
    args: &ReplayArgs,
    range: &str,
    out: &mut dyn Write,
) -> Result<Answer, Failure> {
    let asked = range;
    let range = parse_range(asked)?;
    if *range.start() > task.until.0 {
        return Err(Failure::Usage(format!(
            "--events {asked}: the last command to look at is {}",
            task.until.0
        )));
    }
    let before = Task { until: Sequence(range.start() - 1), ..task.clone() };
    let mut machine = if args.from_start { before.beginning()? } else { before.newest()? };
    let until = Sequence(*range.end()).min(task.until);
    let mut shown = Shown { range, out, written: Ok(()) };
    let replayed = Task { until, ..task.clone() }.replay(&mut machine, &mut shown);
    // Why it cannot be written says more than that it cannot.
    shown.written?;
    replayed.map(|()| Answer::Yes)
}

fn parse_range(text: &str) -> Result<RangeInclusive<u64>, Failure> {
    let parse = || {
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let (from, to) = (from.parse().ok()?, to.parse().ok()?);
        (1..=to).contains(&from).then_some(from..=to)
    };
    parse().ok_or_else(|| {
        Failure::Usage(format!(
            "--events {text}: give the first and the last command, as 1000..1010"
        ))
    })
}

/// Shows the events of some commands.
struct Shown<'a> {
    range: RangeInclusive<u64>,
    out: &'a mut dyn Write,
    written: std::io::Result<()>,
}

impl Watch for Shown<'_> {
    fn event(&mut self, event: &Frame<'_>) -> Result<(), Fault> {
        let outcome = Outcome::<Exchange>::decode(event)?;
        if self.range.contains(&outcome.cause.0) {
            self.written = writeln!(self.out, "{}", line(&outcome));
            if self.written.is_err() {
                return Err(Fault::Node("standard output is closed".into()));
            }
        }
        Ok(())
    }
}

/// An event as a line of JSON.
pub(super) fn line(outcome: &Outcome<Exchange>) -> String {
    let mut line = String::new();
    let Outcome { number, cause, time, result } = outcome;
    write_event(&mut line, *number, *cause, *time, result.as_ref());
    line
}

/// As JSON where this build can read it.
pub(super) fn show(event: &Frame<'_>) -> String {
    match Outcome::<Exchange>::decode(event) {
        Ok(outcome) => line(&outcome),
        Err(_) => format!(
            "event {} of command {}: kind {}, schema version {}, {} bytes",
            event.sequence,
            event_log::cause(event).unwrap_or_default().0,
            event.kind,
            event.schema,
            event_log::payload(event).len()
        ),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn output(error: std::io::Error) -> Fault {
    Fault::Node(format!("cannot write to standard output: {error}"))
}

fn until(args: &ReplayArgs, journal: &MappedStorage) -> Result<Sequence, Failure> {
    let last = || Ok(recovery::last_sequence(journal)?.unwrap_or_default());
    let Some(text) = &args.until else { return last() };
    if let Ok(sequence) = text.parse() {
        let last = last()?;
        if sequence > last.0 {
            return Err(Failure::Usage(format!(
                "--until {sequence}: the journal ends with command {}",
                last.0
            )));
        }
        return Ok(Sequence(sequence));
    }
    let time: jiff::Timestamp = text.parse().map_err(|error| {
        Failure::Usage(format!("--until {text}: neither a sequence nor a time: {error}"))
    })?;
    let nanos = u64::try_from(time.as_nanosecond())
        .map_err(|_| Failure::Usage(format!("--until {text}: before 1970")))?;
    Ok(recovery::last_until(journal, Nanos(nanos))?.unwrap_or_default())
}

impl Task {
    /// An empty state, for a journal that has its beginning; the oldest snapshot for one that lost
    /// it.
    pub(super) fn beginning(&self) -> Result<Machine<Exchange>, Failure> {
        let segments = survey(&self.journal)?;
        let first = segments.iter().find_map(|info| Some(info.header.good()?.first_sequence));
        if first.is_none_or(|first| first == 1) {
            return Ok(Machine::default());
        }
        let candidates = snapshot::candidates(&self.snapshots, self.until.0, u64::MAX);
        for info in candidates.unwrap_or_default().iter().rev() {
            match snapshot::load::<Exchange, _>(&self.snapshots, info) {
                Ok(machine) if Some(machine.applied().sequence.next().0) >= first => {
                    return Ok(machine);
                }
                Ok(_) => {}
                Err(error) => say!("{error}"),
            }
        }
        Err(Failure::Usage(format!(
            "the journal begins with command {}, and no snapshot goes on from there: restore the \
             older segments from an archive",
            first.unwrap_or(1)
        )))
    }

    /// The snapshot at this sequence, which another build begins with.
    fn snapshot(&self, sequence: Sequence) -> Result<Machine<Exchange>, Failure> {
        let candidates = snapshot::candidates(&self.snapshots, self.until.0, u64::MAX);
        let infos = candidates.unwrap_or_default();
        let wanted = infos.iter().find(|info| info.sequence() == Some(sequence));
        let loaded = wanted.map(|info| snapshot::load(&self.snapshots, info));
        let refused = |why: &str| {
            Failure::Usage(format!(
                "--from-snapshot {}: {why}; both builds have to begin with it, because the journal \
                 before it is gone: restore the older segments from an archive, or compare from a \
                 snapshot on that both can load",
                sequence.0
            ))
        };
        let loaded = loaded.ok_or_else(|| refused("there is no such snapshot"))?;
        loaded.map_err(|error| refused(&error.to_string()))
    }

    /// The newest snapshot, or the beginning.
    fn newest(&self) -> Result<Machine<Exchange>, Failure> {
        let candidates = snapshot::candidates(&self.snapshots, self.until.0, u64::MAX);
        for info in candidates.unwrap_or_default() {
            match snapshot::load(&self.snapshots, &info) {
                Ok(machine) => return Ok(machine),
                Err(error) => say!("{error}"),
            }
        }
        self.beginning()
    }

    pub(super) fn replay(
        &self,
        machine: &mut Machine<Exchange>,
        watch: &mut impl Watch,
    ) -> Result<(), Failure> {
        let progress = Progress::new("commands", machine.applied().sequence.0, self.until.0);
        let mut watch = Told { watch, progress };
        recovery::replay(&self.journal, machine, self.until, Cores::Two, &mut watch)?;
        Ok(())
    }
}

/// Shows how far it is.
struct Told<'a, W> {
    watch: &'a mut W,
    progress: Progress,
}

impl<W: Watch> Watch for Told<'_, W> {
    fn event(&mut self, event: &Frame<'_>) -> Result<(), Fault> {
        self.watch.event(event)
    }

    fn applied(&mut self, sequence: Sequence) {
        self.progress.reached(sequence.0);
        self.watch.applied(sequence);
    }
}

/// Writes frames as they stand in the event log.
struct Frames<'a>(&'a mut dyn Write);

impl Watch for Frames<'_> {
    fn event(&mut self, event: &Frame<'_>) -> Result<(), Fault> {
        let mut bytes = Vec::with_capacity(event.stored_bytes());
        event.encode(&mut bytes);
        self.0.write_all(&bytes).map_err(output)
    }
}
