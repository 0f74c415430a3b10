//! `ringframe demo`: kills a writer in the middle of its work, again and again, and counts.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;
use ringframe_journal::helpers::now;
use ringframe_journal::{
    Append, Frame, Helpers, Journal, MappedStorage, Options, Reader, Writer, verify,
};

use super::{Answer, Failure};

/// Small, so that kills also hit rolls and seals.
const SEGMENT_BYTES: u64 = 4 << 20;
/// More lines than any writer appends before it is killed.
const LINES: u64 = 1_000_000;
/// A writer is killed at a random moment between these, counted from its first promise.
const KILL_AFTER_NANOS: Range<u64> = 10_000_000..400_000_000;
/// The load for the latency figures: so many frames …
const LATENCY_FRAMES: u64 = 20_000;
/// … one in this time, whether the journal keeps up or not.
const LATENCY_PERIOD_NANOS: u64 = 100_000;
const LOGIC: &str = "demo";

/// Kill a writer under load, recover, and count what it promised; in under a minute
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ringframe demo --cycles 10")]
pub(crate) struct DemoArgs {
    /// How often to kill
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    cycles: u16,
}

pub(crate) fn run(args: &DemoArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let directory = tempfile::tempdir().map_err(fault("create a temporary directory"))?;
    let input = directory.path().join("lines");
    write_lines(&input).map_err(fault("write the demo's input"))?;
    let data = directory.path().join("data");
    writeln!(out, "A writer appends under load, and is killed (SIGKILL) at a random moment.\n")?;
    writeln!(
        out,
        "{:>5}  {:>10}  {:>10}  {:>10}  {:>10}  {:>11}  verdict",
        "cycle", "promised", "journaled", "found", "cut bytes", "recovery ms"
    )?;
    let (mut lost, mut starts) = (0, Vec::new());
    for cycle in 1..=args.cycles {
        let killed = kill_one(&data, &input)?;
        let found = recover(&data, &mut starts, &killed)?;
        let good = found.whole && killed.journaled <= found.last && killed.synced <= found.last;
        lost += u32::from(!good);
        writeln!(
            out,
            "{cycle:>5}  {:>10}  {:>10}  {:>10}  {:>10}  {:>11.1}  {}",
            killed.synced,
            killed.journaled,
            found.last,
            found.cut_bytes,
            found.nanos as f64 / 1e6,
            if good { "all there, once, in order" } else { "LOST" }
        )?;
        out.flush()?;
    }
    latencies(&directory.path().join("latency"), out)?;
    if lost == 0 {
        writeln!(out, "\nNothing was lost: {} kills, every promised frame is there.", args.cycles)?;
        return Ok(Answer::Yes);
    }
    writeln!(out, "\nLOST: {lost} of {} kills left less than was promised.", args.cycles)?;
    Ok(Answer::No)
}

fn fault(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::Fault(format!("cannot {what}: {error}"))
}

fn line(number: u64) -> String {
    format!("order {number} buy {} AAPL at {}", number % 900 + 100, number % 5_000 + 15_000)
}

fn write_lines(path: &Path) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..LINES {
        writeln!(file, "{}", line(number))?;
    }
    file.flush()
}

/// What a writer said before it died.
#[derive(Debug, Default)]
struct Promises {
    journaled: u64,
    synced: u64,
}

/// Starts this program as a writer and kills it.
fn kill_one(data: &Path, input: &Path) -> Result<Promises, Failure> {
    let program = std::env::current_exe().map_err(fault("find this program"))?;
    let mut writer = Command::new(program)
        .args(["journal", "append", "--report", "--quiet", "--logic", LOGIC, "--segment-bytes"])
        .arg(SEGMENT_BYTES.to_string())
        .arg("--data")
        .arg(data)
        .stdin(File::open(input).map_err(fault("open the demo's input"))?)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(fault("start the writer"))?;
    let said = BufReader::new(writer.stdout.take().expect("its output is piped"));
    let Range { start, end } = KILL_AFTER_NANOS;
    let wait = start + fastrand::u64(0..end - start);
    let (mut promises, mut kill_at) = (Promises::default(), None);
    // What it said before it died it has said, so its output is read to the end.
    for text in said.lines() {
        let text = text.map_err(fault("read the writer's promises"))?;
        match text.split_once(' ').map(|(what, number)| (what, number.parse())) {
            Some(("journaled", Ok(number))) => promises.journaled = number,
            Some(("synced", Ok(number))) => promises.synced = number,
            _ => return Err(Failure::Fault(format!("the writer said '{text}'"))),
        }
        if now() >= *kill_at.get_or_insert_with(|| now() + wait) {
            writer.kill().map_err(fault("kill the writer"))?;
        }
    }
    writer.wait().map_err(fault("wait for the writer"))?;
    Ok(promises)
}

/// What a killed writer left.
struct Found {
    last: u64,
    cut_bytes: u64,
    nanos: u64,
    whole: bool,
}

/// Opens the journal like the next writer would, then reads all of it and verifies it.
fn recover(data: &Path, starts: &mut Vec<u64>, killed: &Promises) -> Result<Found, Failure> {
    let storage = MappedStorage::new(data.join("journal"));
    let begun = now();
    let journal = Journal::open(storage.clone(), options())?;
    let nanos = now() - begun;
    let cut_bytes = journal.recovery.cut.as_ref().map_or(0, |cut| cut.to - cut.from);
    let last = journal.recovery.next - 1;
    journal.close(now())?;
    starts.push(last + 1);
    let mut whole = verify(&storage, 2, |_, _| {})?.findings().next().is_none();
    whole &= killed.synced <= killed.journaled;
    let mut reader = Reader::open(storage, 1)?;
    let (mut expected, mut start, mut cycle) = (1, 1, 0);
    while let Some(frame) = reader.next_frame()? {
        // Every writer began with the first line again.
        while starts.get(cycle) == Some(&frame.sequence()) {
            (start, cycle) = (frame.sequence(), cycle + 1);
        }
        let text = line(frame.sequence() - start);
        whole &= frame.sequence() == expected && frame.payload() == text.as_bytes();
        expected += 1;
    }
    Ok(Found { last, cut_bytes, nanos, whole: whole && expected == last + 1 })
}

fn options() -> Options {
    Options { segment_bytes: SEGMENT_BYTES, ..Options::new(LOGIC, 1) }
}

/// The time from append to synced, at a steady rate.
fn latencies(directory: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let Journal { mut writer, syncer, keeper, .. } =
        Journal::open(MappedStorage::new(directory), options())?;
    let helpers = Helpers::spawn(syncer, keeper).map_err(fault("start the journal's helpers"))?;
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)
        .map_err(|error| Failure::Fault(format!("cannot make a histogram: {error}")))?;
    let begun = now();
    let due = |sequence: u64| begun + (sequence - 1) * LATENCY_PERIOD_NANOS;
    let mut synced = 0;
    while synced < LATENCY_FRAMES {
        let next = writer.next_sequence();
        if next <= LATENCY_FRAMES && now() >= due(next) {
            append_one(&mut writer)?;
        } else {
            std::thread::yield_now();
        }
        writer.publish()?;
        let reached = writer.positions().synced();
        for sequence in synced + 1..=reached {
            // From when it was due, not from when we came to it: no coordinated omission.
            histogram.saturating_record(now() - due(sequence));
        }
        synced = reached;
    }
    helpers.close(writer)?;
    let rate = 1_000_000_000 / LATENCY_PERIOD_NANOS;
    write!(out, "\nappend to synced at {rate} frames/s, in µs:")?;
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
        let micros = histogram.value_at_quantile(quantile) as f64 / 1e3;
        write!(out, "  {name} {micros:.0}")?;
    }
    writeln!(out)?;
    Ok(())
}

fn append_one(writer: &mut Writer<MappedStorage>) -> Result<(), Failure> {
    let sequence = writer.next_sequence();
    let text = line(sequence);
    let payload = text.as_bytes();
    let frame = Frame { sequence, timestamp: now(), epoch: 1, kind: 1, schema: 1, payload };
    while writer.append(&frame)? == Append::Wait {
        writer.publish()?;
        #[expect(clippy::disallowed_methods, reason = "the demo paces its own load")]
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}
