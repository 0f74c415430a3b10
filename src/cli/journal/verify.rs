//! `journal verify`: is every byte that matters what it was?

use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use ringframe_journal::{Verification, verify};
use serde_json::json;

use super::{DataArgs, table};
use crate::cli::{Answer, Failure};

/// Check every header, frame, digest and seal
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe journal verify --data /var/lib/ringframe
  ringframe journal verify --data /var/lib/ringframe --threads 1 --json

Exits with 1 when it finds damage. Works while a node writes. A torn tail is reported and is no
damage: it was never promised to anyone, and opening the journal for appending cuts it.")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Check so many segments at a time [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &VerifyArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let storage = args.data.existing()?;
    let threads = args.threads.or_else(|| std::thread::available_parallelism().ok());
    let bar = bar()?;
    let verification = verify(&storage, threads.map_or(1, NonZeroUsize::get), |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    if args.json {
        let findings: Vec<_> = verification.findings().map(table::finding_json).collect();
        let json = json!({
            "verdict": verdict(&verification),
            "whole": findings.is_empty(),
            "synced": verification.synced,
            "findings": findings,
            "torn": verification.torn().map(ToString::to_string),
            "segments": table::segments_json(&verification.segments),
        });
        writeln!(out, "{json:#}")?;
    } else {
        table::segments(&verification.segments, out)?;
        writeln!(out)?;
        for range in verification.findings() {
            writeln!(out, "damaged: {range}")?;
        }
        if let Some(torn) = verification.torn() {
            writeln!(out, "note: {torn}")?;
        }
        writeln!(out, "{}", verdict(&verification))?;
    }
    let whole = verification.findings().next().is_none();
    Ok(if whole { Answer::Yes } else { Answer::No })
}

fn verdict(verification: &Verification) -> String {
    let held = match verification.sequences() {
        Some((first, last)) => format!("{} frames, {first}..={last}", verification.frames()),
        None => "no frames".into(),
    };
    match verification.findings().count() {
        0 => format!("whole: {held}, synced to {}", verification.synced),
        count => format!(
            "DAMAGED: {count} range{}; {held} are whole; nothing was changed, `ringframe journal \
             repair` mends it",
            if count == 1 { "" } else { "s" }
        ),
    }
}

/// Shown on a terminal only.
fn bar() -> Result<ProgressBar, Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(style)
        .map_err(|error| Failure::Fault(format!("the progress bar's template: {error}")))?;
    Ok(ProgressBar::new(0).with_style(style))
}
