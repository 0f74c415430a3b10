//! `journal repair`: cuts a torn tail, puts damaged ranges back from an archive or another journal.

use std::io::Write;
use std::path::Path;

use clap::Args;
use ringframe_journal::{ArchiveHome, MappedStorage, Repair, Source, repair, survey};

use super::keeping::Bar;
use super::{DataArgs, Log};
use crate::cli::{Answer, Failure};

/// Cut a torn tail; replace damaged ranges from an archive or another journal
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringframe journal repair --data /var/lib/ringframe
  ringframe journal repair --data /var/lib/ringframe --from /mnt/archive --dry-run
  ringframe journal repair --data /var/lib/ringframe --from s3://bucket/ringframe
  ringframe journal repair --data /var/lib/ringframe --from /mnt/standby-data

The node must be stopped. Damaged bytes are kept aside in *.damaged and *.cut files. Nothing is
replaced unless the result is proved to be what was there. Exit code 1: something stays damaged.")]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    data: DataArgs,
    /// An archive (a directory or URL), or the data directory of another node
    #[arg(long, value_name = "SOURCE")]
    from: Option<String>,
    /// Say what would be done, change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &RepairArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let storage = args.data.existing()?;
    let source = args.from.as_deref().map(|place| source(place, args.data.log)).transpose()?;
    let mut bar = Bar::new("segments");
    let done = repair(&storage, source.as_ref(), args.dry_run, &mut bar.on_progress())?;
    drop(bar);
    report(&done, args.dry_run, out)
}

/// A data directory has segments in it; an archive has manifests, of events too.
fn source(place: &str, log: Log) -> Result<Source<MappedStorage>, Failure> {
    let storage = log.storage_in(Path::new(place));
    if !survey(&storage)?.is_empty() {
        return Ok(Source::Journal(storage));
    }
    Ok(Source::Archive(ArchiveHome::open(&log.place(place))?))
}

fn report(done: &Repair, dry_run: bool, out: &mut dyn Write) -> Result<Answer, Failure> {
    let (verb, state) =
        if dry_run { ("would replace", "can be mended") } else { ("replaced", "mended") };
    for mended in &done.mended {
        for range in &mended.ranges {
            writeln!(out, "{verb} {range}")?;
        }
        for path in &mended.kept_in {
            writeln!(out, "  the damaged bytes are in {}", path.display())?;
        }
    }
    if let Some(cut) = &done.cut {
        writeln!(out, "{}{cut}", if dry_run { "would cut " } else { "cut " })?;
        for path in &cut.kept_in {
            writeln!(out, "  the torn bytes are in {}", path.display())?;
        }
    }
    if let Some(refused) = &done.refused {
        writeln!(out, "NOT REPAIRED: {refused}")?;
        return Ok(Answer::No);
    }
    match (done.mended.len(), &done.cut) {
        (0, None) => writeln!(out, "nothing to repair")?,
        (0, Some(_)) => {}
        (count, _) => writeln!(out, "{count} segments {state}")?,
    }
    Ok(Answer::Yes)
}
