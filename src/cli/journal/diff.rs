//! `journal diff`: the first frame that two journals do not share.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use ringframe_journal::{Difference, Located, Side, diff};

use super::{dump, existing_in};
use crate::cli::{Answer, Failure};

/// Name the first frame that differs between two journals
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ringframe journal diff /var/lib/ringframe /mnt/standby/ringframe

Begins at the later first sequence, so a pruned journal can be compared with one that is not.
Exits with 1 when they differ or one of them ends first.")]
pub(crate) struct DiffArgs {
    /// A data directory
    a: PathBuf,
    /// The other data directory
    b: PathBuf,
}

pub(crate) fn run(args: &DiffArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let (a, b) = (existing_in(&args.a)?, existing_in(&args.b)?);
    match diff(a, b)? {
        Difference::Nothing { frames, next } => {
            writeln!(out, "equal: {frames} frames, both end before sequence {next}")?;
            Ok(Answer::Yes)
        }
        Difference::Ends { side, sequence, frames } => {
            let data = match side {
                Side::Left => &args.a,
                Side::Right => &args.b,
            };
            let data = data.display();
            writeln!(out, "{frames} frames are equal; {data} has no sequence {sequence}")?;
            Ok(Answer::No)
        }
        Difference::Frame { left, right } => {
            writeln!(out, "sequence {} differs", left.frame().sequence())?;
            for (data, located) in [(&args.a, &left), (&args.b, &right)] {
                let Located { number, offset, .. } = **located;
                writeln!(out, "{}: segment {number}, offset {offset}", data.display())?;
                write!(out, "  ")?;
                dump::Format::Text.write(located.frame(), out)?;
            }
            Ok(Answer::No)
        }
    }
}
