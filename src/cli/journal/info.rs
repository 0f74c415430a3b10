//! `journal info`: what lies in a journal, from its headers, seals and frames.

use std::io::Write;

use clap::Args;
use ringframe_journal::segment::LogicId;
use ringframe_journal::{MappedStorage, SegmentState, Verification, survey, verify};
use serde_json::json;

use super::{DataArgs, table};
use crate::cli::{Answer, Failure};

/// Show segments, positions and the watermark
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe journal info --data /var/lib/ringframe
  ringframe journal info --data /var/lib/ringframe --json | jq .synced")]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &InfoArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let storage = args.data.existing()?;
    let logic = logic(&storage)?;
    let writer = storage.writer();
    // Counting frames means reading them, so this is the whole check without its verdict.
    let verification = verify(&storage, super::THREADS, |_, _| {})?;
    if args.json {
        let json = as_json(&storage, &verification, logic.as_ref(), writer);
        writeln!(out, "{json:#}")?;
        return Ok(Answer::Yes);
    }
    writeln!(out, "journal    {}", storage.directory().display())?;
    match &logic {
        Some(LogicId { name, version }) => writeln!(out, "logic      {name}, version {version}")?,
        None => writeln!(out, "logic      not known yet")?,
    }
    match verification.sequences() {
        Some((first, last)) => writeln!(out, "frames     {first}..={last}")?,
        None => writeln!(out, "frames     none")?,
    }
    writeln!(out, "watermark  {}", verification.synced)?;
    writeln!(out, "bytes      {}", verification.bytes())?;
    match writer {
        Some(pid) => writeln!(out, "writer     process {pid}")?,
        None => writeln!(out, "writer     none seen on this host")?,
    }
    writeln!(out)?;
    table::segments(&verification.segments, out)?;
    if let Some(torn) = verification.torn() {
        writeln!(out, "\n{torn}")?;
    }
    let findings = verification.findings().count();
    if findings > 0 {
        writeln!(out, "\n{findings} damaged ranges: `ringframe journal verify` lists them")?;
    }
    Ok(Answer::Yes)
}

/// Whose commands these are, by the newest header.
fn logic(storage: &MappedStorage) -> Result<Option<LogicId>, Failure> {
    let segments = survey(storage)?;
    let newest = segments.iter().rev().find_map(|info| info.header.good());
    Ok(newest.map(|header| header.logic.clone()))
}

fn as_json(
    storage: &MappedStorage,
    verification: &Verification,
    logic: Option<&LogicId>,
    writer: Option<u32>,
) -> serde_json::Value {
    let sealed = verification.segments.iter().filter(|one| one.state == SegmentState::Sealed);
    json!({
        "journal": storage.directory(),
        "logic": logic.map(|logic| json!({ "name": logic.name, "version": logic.version })),
        "first": verification.sequences().map(|(first, _)| first),
        "last": verification.sequences().map(|(_, last)| last),
        "frames": verification.frames(),
        "bytes": verification.bytes(),
        "synced": verification.synced,
        "sealed_segments": sealed.count(),
        "writer": writer,
        "segments": table::segments_json(&verification.segments),
        "damaged": verification.findings().count(),
        "torn": verification.torn().map(ToString::to_string),
    })
}
