//! `journal prune`: deletes old segments that a snapshot and the archive make superfluous.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use clap::Args;
use ringframe::node::Stores;
use ringframe::retention::{self, NO_SNAPSHOT};
use ringframe::snapshot;
use ringframe_journal::{ArchiveHome, Fate, MappedStorage, NeededFrom, prune};

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
    let below = match args.below {
        Some(below) => NeededFrom(below),
        None => needed_events(&args.data.data, args.dry_run)?,
    };
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

/// What of the event log is needed where this is the oldest snapshot that is whole.
fn needed_events(data: &Path, dry_run: bool) -> Result<NeededFrom, Failure> {
    existing_in(data)?;
    let stores = Stores::mapped(data);
    let oldest = snapshot::oldest_good(&stores.snapshots)
        .map_err(|error| Failure::Fault(error.to_string()))?;
    let Some(oldest) = oldest else { return Err(Failure::Usage(NO_SNAPSHOT.into())) };
    let sessions = MappedStorage::new(data.join("sessions"));
    let never = AtomicBool::new(false);
    Ok(retention::events(&stores, &sessions, &oldest, dry_run, &never)?)
}
