//! `ringframe journal …`: the tools that work on files and never need a running node. The event log
//! is such files, too.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ringframe::event_log::archived_at;
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

/// Where the segments lie.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// The data directory; the journal lies in DIR/journal
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) log: Log,
}

impl DataArgs {
    /// Those that must be there.
    pub(crate) fn existing(&self) -> Result<MappedStorage, Failure> {
        self.log.existing_in(&self.data)
    }
}

/// Which of the two logs of a data directory: their files are alike.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Log {
    /// The event log instead of the journal: DIR/events, and PLACE/events in an archive
    #[arg(long)]
    events: bool,
}

impl Log {
    fn name(self) -> &'static str {
        if self.events { "events" } else { "journal" }
    }

    /// Its segments, whether they are there or not.
    fn storage_in(self, data: &Path) -> MappedStorage {
        MappedStorage::new(data.join(self.name()))
    }

    /// Its segments, which must be there.
    fn existing_in(self, data: &Path) -> Result<MappedStorage, Failure> {
        let storage = self.storage_in(data);
        if storage.directory().is_dir() {
            return Ok(storage);
        }
        Err(Failure::Usage(format!(
            "{}: no {} there; --data takes the directory that holds `{}/`",
            storage.directory().display(),
            if self.events { "event log" } else { "journal" },
            self.name(),
        )))
    }

    /// Its part of an archive.
    fn place(self, archive: &str) -> String {
        if self.events { archived_at(archive) } else { archive.to_owned() }
    }
}

/// The journal of a data directory that must be there.
pub(crate) fn existing_in(data: &Path) -> Result<MappedStorage, Failure> {
    Log::default().existing_in(data)
}
