//! What the command line says of itself, for shells and for `man`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Answer, Cli, Failure};

/// Write what a shell needs to complete commands and flags
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ringframe completions bash > ~/.local/share/bash-completion/completions/ringframe")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Write manual pages, one for each command
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ringframe man ~/.local/share/man/man1")]
pub(super) struct ManArgs {
    /// A directory for them; it is made where it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Prints them.
pub(super) fn completions(args: &CompletionsArgs, out: &mut impl Write) -> Result<Answer, Failure> {
    // It takes a writer that never says no.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ringframe", &mut text);
    out.write_all(&text)?;
    Ok(Answer::Yes)
}

/// Writes them.
pub(super) fn man(args: &ManArgs) -> Result<Answer, Failure> {
    let directory = &args.directory;
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), directory))
        .map_err(|error| {
            let place = directory.display();
            Failure::Fault(format!("cannot write manual pages to {place}: {error}"))
        })?;
    Ok(Answer::Yes)
}
