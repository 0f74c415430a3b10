//! `journal dump` and `journal tail`: frames for eyes and for scripts, also as they come.

use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use ringframe_journal::segment::Stored;
use ringframe_journal::{FrameRef, MappedStorage, Reader, survey};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::json;

use super::DataArgs;
use super::table::hex;
use crate::cli::{Answer, Failure};

/// How often a follower looks for the next frame: soon after the last one, …
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// … and less and less often, so that following an idle journal costs next to nothing.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Print frames, by sequence or by time
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe journal dump --data /var/lib/ringframe --from 1000 --to 1999
  ringframe journal dump --data /var/lib/ringframe --since 2026-03-01T09:30:00Z --format json

TIME is RFC 3339 with an offset, or nanoseconds since 1970. Works while a node writes.")]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The first sequence
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// The last sequence
    #[arg(long, value_name = "SEQ")]
    to: Option<u64>,
    /// No frames before this time
    #[arg(long, value_name = "TIME", value_parser = nanoseconds)]
    since: Option<u64>,
    /// No frames after this time
    #[arg(long, value_name = "TIME", value_parser = nanoseconds)]
    until: Option<u64>,
    /// One line for each frame, as text or as a JSON object
    #[arg(long, default_value = "text")]
    format: Format,
    /// Go on with new frames as they come
    #[arg(long)]
    follow: bool,
}

/// Print the last frames, then new ones as they come
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ringframe journal tail --data /var/lib/ringframe -n 100")]
pub(crate) struct TailArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Begin with so many frames that are there already
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: u64,
    /// One line for each frame, as text or as a JSON object
    #[arg(long, default_value = "text")]
    format: Format,
}

/// How a frame is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// Aligned fields and the payload as text if it is printable
    Text,
    /// One JSON object on each line
    Json,
}

/// What to print.
struct Range {
    from: u64,
    to: u64,
    since: u64,
    until: u64,
    follow: bool,
    format: Format,
}

pub(crate) fn run(args: &DumpArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let storage = args.data.existing()?;
    let (first, _) = bounds(&storage)?;
    let range = Range {
        from: args.from.unwrap_or(first),
        to: args.to.unwrap_or(u64::MAX),
        since: args.since.unwrap_or(0),
        until: args.until.unwrap_or(u64::MAX),
        follow: args.follow,
        format: args.format,
    };
    if range.from > range.to || range.since > range.until {
        return Err(Failure::Usage("the range ends before it begins".into()));
    }
    print(storage, &range, out)
}

pub(crate) fn run_tail(args: &TailArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let storage = args.data.existing()?;
    let (first, begun) = bounds(&storage)?;
    // Only the last segments are read to find the end.
    let mut reader = Reader::open(storage.clone(), begun)?;
    while reader.next_frame()?.is_some() {}
    let range = Range {
        from: reader.next_sequence().saturating_sub(args.lines).max(first),
        to: u64::MAX,
        since: 0,
        until: u64::MAX,
        follow: true,
        format: args.format,
    };
    print(storage, &range, out)
}

/// The first sequence there is, and the first of the newest segment that has begun.
fn bounds(storage: &MappedStorage) -> Result<(u64, u64), Failure> {
    let segments = survey(storage)?;
    let mut firsts = segments.iter().filter_map(|info| match &info.header {
        Stored::Good(header) => Some(header.first_sequence),
        Stored::Blank | Stored::Bad(_) => None,
    });
    let first = firsts.next().unwrap_or(1);
    Ok((first, firsts.next_back().unwrap_or(first)))
}

fn print(storage: MappedStorage, range: &Range, out: &mut dyn Write) -> Result<Answer, Failure> {
    let mut reader = Reader::open(storage, range.from)?;
    let mut pause = PAUSE_MIN;
    while reader.next_sequence() <= range.to {
        match reader.next_frame() {
            Ok(Some(frame)) => {
                pause = PAUSE_MIN;
                // Not the end: nobody promises that timestamps never fall.
                if (range.since..=range.until).contains(&frame.timestamp()) {
                    range.format.write(frame, out)?;
                }
            }
            Ok(None) if range.follow => {
                out.flush()?;
                if !has_listener(pause)? {
                    break;
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Ok(None) => break,
            Err(error) => {
                // What was whole before the damage has been asked for.
                out.flush()?;
                return Err(Failure::Journal(error));
            }
        }
    }
    Ok(Answer::Yes)
}

/// A polite pause between two looks; says whether anyone still reads the output. Only a write would
/// tell otherwise, and the next frame may never come.
fn has_listener(pause: Duration) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(pause.subsec_nanos()) };
    let stdout = rustix::stdio::stdout();
    // Of no events that are asked for, those that are always told are left: hang-up and error.
    let mut output = [PollFd::from_borrowed_fd(stdout, PollFlags::empty())];
    match poll(&mut output, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(output[0].revents().is_empty()),
        Err(error) => Err(error.into()),
    }
}

/// A time: RFC 3339 or nanoseconds since 1970.
fn nanoseconds(text: &str) -> Result<u64, String> {
    if let Ok(nanoseconds) = text.parse() {
        return Ok(nanoseconds);
    }
    let time: Timestamp = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    u64::try_from(time.as_nanosecond()).map_err(|_| "times begin in 1970".into())
}

/// A frame's time, to the nanosecond.
fn time(nanoseconds: u64) -> String {
    match Timestamp::from_nanosecond(i128::from(nanoseconds)) {
        Ok(time) => format!("{time:.9}"),
        Err(_) => nanoseconds.to_string(),
    }
}

/// The payload as text, if that loses nothing and a terminal would survive it.
fn printable(payload: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(payload).ok()?;
    text.chars().all(|char| !char.is_control() || char == '\t').then_some(text)
}

impl Format {
    /// One line.
    pub(crate) fn write(self, frame: FrameRef<'_>, out: &mut dyn Write) -> io::Result<()> {
        let payload = frame.payload();
        match self {
            Self::Text => {
                write!(
                    out,
                    "{:>10}  {}  epoch {}  kind {}.{}  {:>5} bytes  ",
                    frame.sequence(),
                    time(frame.timestamp()),
                    frame.epoch(),
                    frame.kind(),
                    frame.schema(),
                    payload.len()
                )?;
                match printable(payload) {
                    Some(text) => writeln!(out, "{text}"),
                    None => writeln!(out, "0x{}", hex(payload)),
                }
            }
            Self::Json => {
                let json = json!({
                    "sequence": frame.sequence(),
                    "timestamp": frame.timestamp(),
                    "time": time(frame.timestamp()),
                    "epoch": frame.epoch(),
                    "kind": frame.kind(),
                    "schema": frame.schema(),
                    "payload": hex(payload),
                    "text": printable(payload),
                });
                writeln!(out, "{json}")
            }
        }
    }
}
