//! `journal archive`: copies sealed segments to an archive, checks one, brings segments back.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use ringframe_journal::{ArchiveHome, archive, restore, verify_archive};

use super::Log;
use super::keeping::Bar;
use crate::cli::{Answer, Failure};

/// Copy sealed segments to an archive; check an archive; restore from it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringframe journal archive --data /var/lib/ringframe --to /mnt/archive
  ringframe journal archive --data /var/lib/ringframe --to s3://bucket/ringframe
  ringframe journal archive --to /mnt/archive --verify
  ringframe journal archive --to /mnt/archive --restore --into /var/lib/restored

S3 takes AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for other stores that speak its
protocol, AWS_ENDPOINT from the environment. Copying works beside a running node, skips what is
archived already and may be interrupted.")]
pub(crate) struct ArchiveArgs {
    /// The data directory; the journal lies in DIR/journal
    #[arg(long, value_name = "DIR", required_unless_present_any = ["verify", "restore"])]
    data: Option<PathBuf>,
    #[command(flatten)]
    log: Log,
    /// The archive: a directory, or a URL such as `s3://bucket/prefix`
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// Check every archived segment instead: fetch it, unpack it, compare its digest
    #[arg(long, conflicts_with_all = ["data", "restore"])]
    verify: bool,
    /// Bring all archived segments back instead, byte for byte
    #[arg(long, requires = "into", conflicts_with = "data")]
    restore: bool,
    /// The data directory to restore into
    #[arg(long, value_name = "DIR", requires = "restore")]
    into: Option<PathBuf>,
}

pub(crate) fn run(args: &ArchiveArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let mut bar = Bar::new("segments");
    let place = args.log.place(&args.to);
    if args.verify {
        return verify(&ArchiveHome::open(&place)?, out, &mut bar);
    }
    if let Some(into) = args.into.as_ref().filter(|_| args.restore) {
        let storage = args.log.storage_in(into);
        let home = ArchiveHome::open(&place)?;
        let restored = restore(&home, None, &storage, &mut bar.on_progress())?;
        let directory = storage.directory().display();
        writeln!(out, "{} segments restored into {directory}", restored.len())?;
        return Ok(Answer::Yes);
    }
    let Some(data) = &args.data else {
        return Err(Failure::Usage("--data is missing".into()));
    };
    let storage = args.log.existing_in(data)?;
    let home = ArchiveHome::create(&place)?;
    let archived = archive(&storage, &home, &mut bar.on_progress())?;
    for segment in archived.iter().filter(|segment| segment.copied) {
        let manifest = &segment.manifest;
        writeln!(
            out,
            "{:>10}  sequences {}..={}  {} bytes, {} archived",
            manifest.number,
            manifest.first_sequence,
            manifest.last_sequence,
            manifest.segment_bytes,
            manifest.compressed_bytes
        )?;
    }
    let copied = archived.iter().filter(|segment| segment.copied).count();
    let present = archived.len() - copied;
    writeln!(out, "{copied} segments archived in {}, {present} were there already", home.place())?;
    Ok(Answer::Yes)
}

fn verify(home: &ArchiveHome, out: &mut dyn Write, bar: &mut Bar) -> Result<Answer, Failure> {
    let verified = verify_archive(home, &mut bar.on_progress())?;
    let mut bad = 0;
    for segment in &verified {
        if let Some(problem) = &segment.problem {
            writeln!(out, "{:>10}  {problem}", segment.number)?;
            bad += 1;
        }
    }
    if bad > 0 {
        writeln!(out, "DAMAGED: {bad} of {} archived segments", verified.len())?;
        return Ok(Answer::No);
    }
    writeln!(out, "whole: {} archived segments in {}", verified.len(), home.place())?;
    Ok(Answer::Yes)
}
