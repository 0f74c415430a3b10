//! `journal append`: each line of standard input becomes a frame. A journal without a node: for
//! scripts, for trying things out, and for tests that kill it.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use ringframe_journal::helpers::now;
use ringframe_journal::{
    Append, Frame, Helpers, Journal, MappedStorage, Options, Recovery, SyncPolicy, Writer,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Log;
use crate::cli::{Answer, Failure};

/// So much input is read, appended and published in one go.
const BATCH_BYTES: usize = 64 * 1024;
/// Without input, signals are looked for this often, …
const IDLE_NANOS: i64 = 100_000_000;
/// … and a promise that is still owed this often.
const OWED_NANOS: i64 = 1_000_000;
/// How long to wait for room in the next segment before asking again.
const WAIT: Duration = Duration::from_micros(100);

/// Append the lines of standard input as frames
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  seq 1000 | ringframe journal append --data /tmp/try
  tail -f orders.log | ringframe journal append --data /tmp/try --sync 5 --report

Creates the journal if there is none, recovers it if it was not closed, and closes it at the end of
the input, at SIGINT and at SIGTERM. With --report it prints `journaled N` (survives this process)
and `synced N` (survives a power cut) as N grows.")]
pub(crate) struct AppendArgs {
    /// The data directory; the journal lies in DIR/journal
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The name of the logic that the journal belongs to
    #[arg(long, value_name = "NAME", default_value = "lines")]
    logic: String,
    /// The size of new segments, a multiple of 4096 from 73728
    #[arg(long, value_name = "BYTES", default_value_t = Options::new("", 1).segment_bytes)]
    segment_bytes: u64,
    /// When to sync: `always`, `segment` (when one is full) or at most once in so many milliseconds
    #[arg(long, value_name = "WHEN", default_value = "always", value_parser = sync_policy)]
    sync: SyncPolicy,
    /// Print what is journaled and what is synced as it advances
    #[arg(long)]
    report: bool,
    /// Say nothing about what opening found
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(args: &AppendArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| Failure::Fault(format!("cannot catch signal {signal}: {error}")))?;
    }
    let options = Options {
        segment_bytes: args.segment_bytes,
        sync: args.sync,
        ..Options::new(&args.logic, 1)
    };
    let journal = Journal::open(Log::default().storage_in(&args.data), options)?;
    if !args.quiet {
        tell(&journal.recovery);
    }
    let Journal { writer, syncer, keeper, .. } = journal;
    let helpers = Helpers::spawn(syncer, keeper)
        .map_err(|error| Failure::Fault(format!("cannot start the journal's helpers: {error}")))?;
    let positions = Arc::clone(writer.positions());
    // What is there already was promised by someone else.
    let (journaled, synced) = (positions.journaled(), positions.synced());
    let mut reporter = Reporter { on: args.report, journaled, synced };
    let mut lines = Lines { writer, count: 0 };
    let fed = feed(&mut lines, &mut reporter, &stop, out);
    // Whatever ended the feeding: what was taken is made durable.
    let closed = helpers.close(lines.writer);
    fed?;
    closed?;
    reporter.tell(positions.journaled(), positions.synced(), out)?;
    Ok(Answer::Yes)
}

/// What opening found, for whoever started us.
fn tell(recovery: &Recovery) {
    match recovery.first {
        Some(first) => eprintln!("journal holds {first}..={}", recovery.next - 1),
        None => eprintln!("journal is empty"),
    }
    for path in &recovery.sealed {
        eprintln!("sealed {}, which a crash had left complete", path.display());
    }
    if let Some(cut) = &recovery.cut {
        eprintln!("cut {cut}");
        for path in &cut.kept_in {
            eprintln!("the bytes are kept in {}", path.display());
        }
    }
}

/// Reads until the input ends or a signal says stop.
fn feed(
    lines: &mut Lines,
    reporter: &mut Reporter,
    stop: &AtomicBool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let broken = |errno: Errno| Failure::Fault(format!("cannot read standard input: {errno}"));
    let stdin = rustix::stdio::stdin();
    let mut pending = Vec::with_capacity(2 * BATCH_BYTES);
    let mut buffer = vec![0; BATCH_BYTES];
    while !stop.load(Ordering::Relaxed) {
        let positions = lines.writer.positions();
        reporter.tell(positions.journaled(), positions.synced(), out)?;
        let owed = reporter.on && positions.synced() < positions.journaled();
        // A fault shows itself here even if no line comes any more.
        lines.writer.publish()?;
        let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
        let nanos = if owed { OWED_NANOS } else { IDLE_NANOS };
        match poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: nanos })) {
            Ok(0) | Err(Errno::INTR) => continue,
            other => other.map_err(broken)?,
        };
        let read = match rustix::io::read(stdin, &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => continue,
            other => other.map_err(broken)?,
        };
        if read == 0 {
            if !pending.is_empty() {
                lines.append(&pending, stop)?;
            }
            return Ok(());
        }
        pending.extend_from_slice(&buffer[..read]);
        let mut taken = 0;
        while let Some(length) = pending[taken..].iter().position(|&byte| byte == b'\n') {
            lines.append(&pending[taken..taken + length], stop)?;
            taken += length + 1;
        }
        pending.drain(..taken);
        if pending.len() > ringframe_journal::frame::PAYLOAD_BYTES_MAX {
            // Refused by name instead of collected for ever.
            lines.append(&pending, stop)?;
        }
        lines.writer.publish()?;
    }
    Ok(())
}

/// Turns lines into frames.
struct Lines {
    writer: Writer<MappedStorage>,
    count: u64,
}

impl Lines {
    fn append(&mut self, line: &[u8], stop: &AtomicBool) -> Result<(), Failure> {
        self.count += 1;
        let max = ringframe_journal::frame::PAYLOAD_BYTES_MAX;
        if line.len() > max {
            return Err(Failure::Usage(format!(
                "standard input, line {}: longer than {max} bytes, the most that a frame holds; \
                 the lines before it are in the journal",
                self.count
            )));
        }
        let frame = Frame {
            sequence: self.writer.next_sequence(),
            timestamp: now().max(self.writer.last_timestamp()),
            epoch: self.writer.epoch().max(1),
            kind: 1,
            schema: 1,
            payload: line,
        };
        while self.writer.append(&frame)? == Append::Wait {
            // The helpers free room only for what they know of.
            self.writer.publish()?;
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            #[expect(clippy::disallowed_methods, reason = "a tool off every hot path waits")]
            std::thread::sleep(WAIT);
        }
        Ok(())
    }
}

/// Prints positions as they advance.
struct Reporter {
    on: bool,
    journaled: u64,
    synced: u64,
}

impl Reporter {
    fn tell(&mut self, journaled: u64, synced: u64, out: &mut dyn Write) -> Result<(), Failure> {
        if !self.on || (journaled, synced) == (self.journaled, self.synced) {
            return Ok(());
        }
        if journaled > self.journaled {
            writeln!(out, "journaled {journaled}")?;
        }
        if synced > self.synced {
            writeln!(out, "synced {synced}")?;
        }
        (self.journaled, self.synced) = (journaled, synced);
        Ok(out.flush()?)
    }
}

fn sync_policy(text: &str) -> Result<SyncPolicy, String> {
    match text {
        "always" => Ok(SyncPolicy::Always),
        "segment" => Ok(SyncPolicy::PerSegment),
        _ => match text.parse() {
            Ok(milliseconds) => Ok(SyncPolicy::Every(Duration::from_millis(milliseconds))),
            Err(_) => Err("use `always`, `segment` or a number of milliseconds".into()),
        },
    }
}
