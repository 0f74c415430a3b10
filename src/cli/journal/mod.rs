//! `ringframe journal …`: the tools that work on files and never need a running node.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ringframe_journal::MappedStorage;

use super::{Answer, Failure};

mod append;
mod diff;
mod dump;
mod info;
mod table;
mod verify;

/// Threads for a check that is not the command's main business.
const THREADS: usize = 2;
mod archive;
mod keeping;
mod prune;
mod repair;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    // Looking.
    Info(info::InfoArgs),
    Verify(verify::VerifyArgs),
    Dump(dump::DumpArgs),
    Tail(dump::TailArgs),
    Diff(diff::DiffArgs),
    // Writing.
    Append(append::AppendArgs),
    // Keeping.
    Repair(repair::RepairArgs),
    Archive(archive::ArchiveArgs),
    Prune(prune::PruneArgs),
}

pub(crate) fn run(command: Command, out: &mut dyn Write) -> Result<Answer, Failure> {
    match command {
        Command::Info(args) => info::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::Dump(args) => dump::run(&args, out),
        Command::Tail(args) => dump::run_tail(&args, out),
        Command::Diff(args) => diff::run(&args, out),
        Command::Append(args) => append::run(&args, out),
        Command::Repair(args) => repair::run(&args, out),
        Command::Archive(args) => archive::run(&args, out),
        Command::Prune(args) => prune::run(&args, out),
    }
}

/// Where the journal lies.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// The data directory; the journal lies in DIR/journal
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

impl DataArgs {
    /// The journal of the data directory, whether it is there or not: for whoever creates it.
    pub(crate) fn storage(&self) -> MappedStorage {
        storage_in(&self.data)
    }

    /// The journal that must be there.
    pub(crate) fn existing(&self) -> Result<MappedStorage, Failure> {
        existing_in(&self.data)
    }
}

fn storage_in(data: &Path) -> MappedStorage {
    MappedStorage::new(data.join("journal"))
}

/// The journal of a data directory that must be there.
pub(crate) fn existing_in(data: &Path) -> Result<MappedStorage, Failure> {
    let storage = storage_in(data);
    if storage.directory().is_dir() {
        return Ok(storage);
    }
    Err(Failure::Usage(format!(
        "{}: no journal there; --data takes the directory that holds `journal/`",
        storage.directory().display()
    )))
}
