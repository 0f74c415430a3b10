//! `journal prune`: deletes old segments that a snapshot and the archive make superfluous.

use std::io::Write;

use clap::Args;
use ringframe_journal::{ArchiveHome, Fate, Snapshotted, prune};

use super::DataArgs;
use super::keeping::Bar;
use crate::cli::{Answer, Failure};

/// Delete old segments that a snapshot covers and the archive holds
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  ringframe journal prune --data /var/lib/ringframe --below 1200000 --archive /mnt/archive --dry-run

Every archived copy is fetched and compared before its segment goes. Works beside a running node.
Exit code 1: a segment below the snapshot stays; the table says why.")]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The sequence of a verified snapshot: segments that end before it may go, but for the last
    #[arg(long, value_name = "SEQ")]
    below: u64,
    /// The archive: a directory, or a URL such as `s3://bucket/prefix`
    #[arg(long, value_name = "PLACE")]
    archive: String,
    /// Say what would be done, change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &PruneArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let storage = args.data.existing()?;
    let home = ArchiveHome::open(&args.archive)?;
    let mut bar = Bar::new("segments");
    let below = Snapshotted(args.below);
    let pruned = prune(&storage, &home, below, args.dry_run, &mut bar.on_progress())?;
    drop(bar);
    let (mut gone, mut bytes, mut kept_back) = (0, 0, false);
    for segment in &pruned {
        let fate = match &segment.fate {
            Fate::Deleted => "deleted".to_owned(),
            Fate::WouldDelete => "would be deleted".to_owned(),
            Fate::Refused(refusal) => {
                kept_back |= refusal.is_about_the_archive();
                format!("stays: {refusal}")
            }
        };
        if !matches!(segment.fate, Fate::Refused(_)) {
            gone += 1;
            bytes += segment.bytes;
        }
        let last = segment.last_sequence.map_or_else(|| "-".to_owned(), |last| last.to_string());
        writeln!(out, "{:>10}  up to {last:>12}  {fate}", segment.number)?;
    }
    let done = if args.dry_run { "would be deleted" } else { "deleted" };
    writeln!(out, "{gone} of {} segments {done}, {bytes} bytes", pruned.len())?;
    Ok(if kept_back { Answer::No } else { Answer::Yes })
}
