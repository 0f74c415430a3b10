//! `ringframe user`: the list of those who may log in.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use ringframe::users::{Users, UsersError};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::{Answer, Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    Add(AddArgs),
    List(ListArgs),
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
struct List {
    /// The file with the list; a server reads it with the setting users = "FILE"
    #[arg(long, value_name = "FILE", default_value = "users")]
    users: PathBuf,
}

/// Add a user; the password comes from the terminal, or is a line of standard input
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe user add ALICE --users users
  echo \"$PASSWORD\" | ringframe user add ALICE --session 7 --users users

Names have at most 6 letters and digits, passwords at most 10 letters; case does not matter. A
server that runs goes on with the list that it has read.")]
pub(crate) struct AddArgs {
    name: String,
    /// The session of the exchange [default: the lowest that nobody has]
    #[arg(long, value_name = "N")]
    session: Option<u16>,
    /// Do not let the user read market data
    #[arg(long)]
    orders_only: bool,
    #[command(flatten)]
    list: List,
}

/// List the users
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    list: List,
}

/// Remove a user
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    name: String,
    #[command(flatten)]
    list: List,
}

impl From<UsersError> for Failure {
    fn from(error: UsersError) -> Self {
        Self::Usage(error.to_string())
    }
}

pub(crate) fn run(command: &UserCommand, out: &mut dyn Write) -> Result<Answer, Failure> {
    match command {
        UserCommand::Add(args) => {
            let password = new_password()?;
            let path = &args.list.users;
            let user = Users::add(path, &args.name, &password, args.session, !args.orders_only)?;
            let path = path.display();
            writeln!(out, "added {} with session {} to {path}", user.name, user.session)?;
        }
        UserCommand::List(args) => {
            for user in Users::read(&args.list.users)?.iter() {
                let access = if user.market_data { "market-data" } else { "orders-only" };
                writeln!(out, "{:6} {:5} {access}", user.name.to_string(), user.session)?;
            }
        }
        UserCommand::Remove(args) => {
            if !Users::remove(&args.list.users, &args.name)? {
                writeln!(out, "{} has no user {}", args.list.users.display(), args.name)?;
                return Ok(Answer::No);
            }
            writeln!(out, "removed {} from {}", args.name, args.list.users.display())?;
        }
    }
    Ok(Answer::Yes)
}

fn new_password() -> Result<String, Failure> {
    let password = ask("Password: ")?;
    if io::stdin().is_terminal() && ask("Again: ")? != password {
        return Err(Failure::Usage("these are two passwords: nothing was changed".into()));
    }
    Ok(password)
}

/// A line of standard input; on a terminal after a question, and not shown while it is typed.
pub(super) fn ask(question: &str) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::Fault(format!("standard input: {error}"));
    let mut line = String::new();
    if io::stdin().is_terminal() {
        eprint!("{question}");
        let quiet = Quiet::begin().map_err(|error| failed(error.into()))?;
        io::stdin().lock().read_line(&mut line).map_err(failed)?;
        drop(quiet);
        eprintln!();
    } else {
        io::stdin().lock().read_line(&mut line).map_err(failed)?;
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// While it lives, the terminal does not show what is typed.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> rustix::io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
