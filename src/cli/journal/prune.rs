//! `journal prune`: deletes old segments that a snapshot and the archive make superfluous.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use clap::Args;
use ringframe::exchange::Exchange;
use ringframe::logic::Logic;
use ringframe::snapshot;
use ringframe::streams::needed_from;
use ringframe_journal::{
    ArchiveHome, Fate, MappedStorage, Options, Snapshotted, check_logic, prune,
};

use super::keeping::Bar;
use super::{DataArgs, existing_in};
use crate::cli::{Answer, Failure};

/// Delete old segments that a snapshot covers and the archive holds
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringframe journal prune --data /var/lib/ringframe --below 1200000 --archive /mnt/archive --dry-run
  ringframe journal prune --data /var/lib/ringframe --events --archive /mnt/archive

Of the event log goes what is from before the day of the oldest whole snapshot: clients ask for what
they were told today. Every archived copy is fetched and compared before its segment goes. Works
beside a running node. Exit code 1: a segment below the snapshot stays; the table says why.")]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The sequence of a verified snapshot: segments that end before it may go, but for the last
    #[arg(long, value_name = "SEQ", required_unless_present = "events", conflicts_with = "events")]
    below: Option<u64>,
    /// The archive: a directory, or a URL such as `s3://bucket/prefix`
    #[arg(long, value_name = "PLACE")]
    archive: String,
    /// Say what would be done, change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &PruneArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let storage = args.data.existing()?;
    let home = ArchiveHome::open(&args.data.log.place(&args.archive))?;
    let mut bar = Bar::new("segments");
    let below = Snapshotted(match args.below {
        Some(below) => below,
        None => day(&args.data.data, &storage, args.dry_run)?,
    });
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

/// The first event of the day of the oldest snapshot that is whole.
fn day(data: &Path, events: &MappedStorage, dry_run: bool) -> Result<u64, Failure> {
    let oldest = snapshot::oldest_good(&MappedStorage::new(data.join("snapshots")))
        .map_err(|error| Failure::Fault(error.to_string()))?;
    let Some(oldest) = oldest else {
        let why = "nothing is pruned without a snapshot: `ringframe snapshot` takes one";
        return Err(Failure::Usage(why.into()));
    };
    let sessions = MappedStorage::new(data.join("sessions"));
    // Only the exchange has days.
    let Options { logic, .. } = Options::new(Exchange::NAME, Exchange::VERSION);
    check_logic(&existing_in(data)?, &logic)?;
    Ok(needed_from(&sessions, events, oldest.events, dry_run, &AtomicBool::new(false))?)
}
