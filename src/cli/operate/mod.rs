//! `ringframe status`, `snapshot`, `drain`, `command`, `activate`,
//! `promote` and `release`: what an operator
//! asks a running node, by its admin address.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ringframe::peers::OnStandbyLoss;
use ringframe::release::ReleasePolicy;
use ringframe::small_file::SmallFile;
use serde_json::Value;

use super::{Answer, Failure};

pub(super) mod http;
mod show;

/// A node that answers at all does so in this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// A command waits for its release.
const PATIENCE_RELEASE: Duration = Duration::from_secs(40);
/// The environment's name for a token.
const TOKEN: &str = "RINGFRAME_ADMIN_TOKEN";

/// Which node, and who asks.
#[derive(Debug, Args)]
pub(super) struct Node {
    /// The node's admin address
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    admin: SocketAddr,
    /// A file that holds a token of the node's `admin_tokens`; or set `RINGFRAME_ADMIN_TOKEN`
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// What a node says to a call.
#[derive(Debug)]
pub(super) enum Said {
    /// What came of it.
    Done(String),
    /// Why it did not do it.
    Refused {
        /// In the words of HTTP.
        status: u16,
        /// In its own.
        why: String,
    },
}

/// Show what a running node is at: positions, digest, clients, stages, snapshots, disk
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe status
  ringframe status --json --admin 127.0.0.1:9000

The digest is of the last applied command, and the same as `ringframe replay --digest --until` says
there.")]
pub(crate) struct StatusArgs {
    /// As the node says it: one object of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: Node,
}

/// Let a running node save its state, and wait until the snapshot counts
#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    #[command(flatten)]
    node: Node,
}

/// Let a running node finish what it accepted, and end; wait until it has
#[derive(Debug, Args)]
#[command(after_help = "It is what SIGTERM does. Exit code 1 says that the node ended well but \
without the snapshot that was asked for, or goes on because it has no standby to hand over to.")]
pub(crate) struct DrainArgs {
    /// Save the state, too
    #[arg(long)]
    snapshot: bool,
    /// Let the standby lead as soon as it has everything: nothing is lost, and clients reconnect
    #[arg(long, conflicts_with = "snapshot")]
    hand_over: bool,
    #[command(flatten)]
    node: Node,
}

/// Give a running node an operator's command, and show what came of it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe command '{\"change_state\":{\"symbol\":\"AAPL\",\"state\":\"halted\"}}'
  ringframe command - < commands.json
  ringframe command '{\"end_day\":{}}'

Commands are those of docs/JSON.md that are an operator's: mass_cancel, add_instrument,
change_instrument, change_state, set_participant, set_session, kill, end_day. Each answer is a line:
the command's sequence and its events, released. Exit code 1 when the exchange rejected one.")]
pub(crate) struct CommandArgs {
    /// The command, or - for one per line of standard input
    #[arg(value_name = "JSON")]
    command: String,
    #[command(flatten)]
    node: Node,
}

/// Let a newer version of the logic take over in a running node that has it
#[derive(Debug, Args)]
#[command(
    after_help = "Where a node follows whose program lacks the version it refuses, with exit \
code 1: that node would stop there. Where none follows it says so: nobody knows then."
)]
pub(crate) struct ActivateArgs {
    /// Which one [default: the newest that the node's program has]
    #[arg(value_name = "VERSION")]
    version: Option<u32>,
    /// Also where a node that follows lacks it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    node: Node,
}

/// Let a standby take over from its leader, and wait until it leads
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe promote --admin 127.0.0.1:9100

It takes over what it has. With the policies replicated and replicated+synced that is everything
that any client was told while the standby was there; with the others, and while the leader's policy
was degraded, what the former leader told its clients last may be missing, and is cut off its
journal and listed when it comes back as a follower.

A standby whose leader is alive refuses, with exit code 1; with --force it takes over all the same,
and the leader, as soon as it hears of it, leads no more. One that has never followed refuses in any
case: it would begin another history. It says how a first node is begun on purpose.")]
pub(crate) struct PromoteArgs {
    /// Also while the leader is alive
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    node: Node,
}

/// Change what a reply of a running node means, until its next start
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe release replicated+synced
  ringframe release replicated --on-standby-loss halt

A follower keeps it for when it leads; say it to both nodes. Nothing leaves meanwhile by less than
it could mean all along.")]
pub(crate) struct ReleaseArgs {
    /// journaled, synced, replicated or replicated+synced
    #[arg(value_name = "POLICY")]
    policy: ReleasePolicy,
    /// degrade or halt [default: as it is]
    #[arg(long, value_name = "LOSS")]
    on_standby_loss: Option<OnStandbyLoss>,
    #[command(flatten)]
    node: Node,
}

pub(crate) fn status(args: &StatusArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let text = args.node.ask("GET", "/status", "", Some(PATIENCE))?;
    if args.json {
        write!(out, "{text}")?;
    } else {
        show::status(&parsed(&text)?, out)?;
    }
    Ok(Answer::Yes)
}

pub(crate) fn snapshot(args: &SnapshotArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    // However long it takes to write.
    let said = parsed(&args.node.ask("POST", "/snapshot", "", None)?)?;
    writeln!(out, "snapshot {} ({} bytes)", show::text(&said["path"]), said["bytes"])?;
    Ok(Answer::Yes)
}

pub(crate) fn drain(args: &DrainArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let path = match (args.snapshot, args.hand_over) {
        (true, _) => "/drain?snapshot=true",
        (_, true) => "/drain?hand_over=true",
        _ => "/drain",
    };
    let said = match args.hand_over {
        true => args.node.ask_whether(path, None)?,
        false => args.node.ask("POST", path, "", None)?,
    };
    let said = parsed(&said)?;
    writeln!(out, "drained at command {}", said["last"])?;
    let snapshot = &said["snapshot"];
    if let Some(error) = snapshot["error"].as_str() {
        writeln!(out, "not saved: {error}")?;
        return Ok(Answer::No);
    }
    if !snapshot.is_null() {
        writeln!(out, "snapshot {} ({} bytes)", show::text(&snapshot["path"]), snapshot["bytes"])?;
    }
    Ok(Answer::Yes)
}

pub(crate) fn command(args: &CommandArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let mut text = args.command.clone();
    if text == "-" {
        text.clear();
        let read = io::stdin().read_to_string(&mut text);
        read.map_err(|error| Failure::Fault(format!("standard input: {error}")))?;
    }
    let mut answer = Answer::Yes;
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let said = args.node.ask("POST", "/command", line, Some(PATIENCE_RELEASE));
        let said = said.map_err(|failure| match failure {
            Failure::Usage(why) => {
                Failure::Usage(format!("line {number}: {why}; the lines before it are done"))
            }
            other => other,
        })?;
        write!(out, "{said}")?;
        if parsed(&said)?["accepted"] != true {
            answer = Answer::No;
        }
    }
    Ok(answer)
}

pub(crate) fn activate(args: &ActivateArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let version = args.version.map_or_else(String::new, |it| format!("&version={it}"));
    let path = format!("/activate?force={}{version}", args.force);
    let said = parsed(&args.node.ask_whether(&path, Some(PATIENCE))?)?;
    writeln!(out, "version {} from command {} on", said["version"], said["sequence"])?;
    if let Some(warning) = said["warning"].as_str() {
        writeln!(out, "{warning}")?;
    }
    Ok(Answer::Yes)
}

pub(crate) fn promote(args: &PromoteArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let path = if args.force { "/promote?force=true" } else { "/promote" };
    let said = parsed(&args.node.ask_whether(path, Some(PATIENCE))?)?;
    writeln!(out, "leads term {} from command {} on", said["epoch"], said["first"])?;
    if let Some(lacks) = said["lacks"].as_u64().filter(|&lacks| lacks > 0) {
        writeln!(out, "{lacks} commands of the former leader are not here")?;
    }
    Ok(Answer::Yes)
}

/// What was said by a node that did it.
fn refused(status: u16, why: String) -> Failure {
    match status {
        401 => Failure::Usage(format!("{why}; --token-file FILE, or {TOKEN} has it")),
        400..500 => Failure::Usage(why),
        _ => Failure::Fault(why),
    }
}

fn parsed(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|_| Failure::Fault(format!("what came is no JSON: {text}")))
}

impl Node {
    pub(super) fn new(admin: SocketAddr, token_file: Option<PathBuf>) -> Self {
        Self { admin, token_file }
    }

    /// What the node says to that, if it does it.
    fn ask(
        &self,
        method: &str,
        path: &str,
        body: &str,
        longest: Option<Duration>,
    ) -> Result<String, Failure> {
        match self.call(method, path, body, longest)? {
            Said::Done(said) => Ok(said),
            Said::Refused { status, why } => Err(refused(status, why)),
        }
    }

    /// The same for what is well asked of a node, which says no as long as it stands as it does.
    fn ask_whether(&self, path: &str, longest: Option<Duration>) -> Result<String, Failure> {
        match self.call("POST", path, "", longest)? {
            Said::Done(said) => Ok(said),
            Said::Refused { status: 409, why } => Err(Failure::No(why)),
            Said::Refused { status, why } => Err(refused(status, why)),
        }
    }

    /// The same, for a caller who knows what to do when it does not.
    pub(super) fn call(
        &self,
        method: &str,
        path: &str,
        body: &str,
        longest: Option<Duration>,
    ) -> Result<Said, Failure> {
        let to = self.admin;
        let token = self.token()?;
        let answer = http::ask(to, token.as_deref(), method, path, body, longest);
        let answer = answer.map_err(|error| {
            Failure::Fault(match error.kind() {
                io::ErrorKind::ConnectionRefused => format!(
                    "nobody listens at {to}: start a node with `ringframe serve`, which says where \
                     operators find it, and name that with --admin; admin = off has no such place"
                ),
                _ => format!("the node at {to}: {error}; look at its log"),
            })
        })?;
        if answer.status == 200 {
            return Ok(Said::Done(answer.body));
        }
        Ok(Said::Refused { status: answer.status, why: answer.why() })
    }

    fn token(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.token_file else { return Ok(std::env::var(TOKEN).ok()) };
        let text = SmallFile::read(path).and_then(SmallFile::text).map_err(|error| {
            Failure::Usage(format!("cannot read the token in {}: {error}", path.display()))
        })?;
        Ok(Some(text.trim().to_owned()))
    }
}

pub(crate) fn release(args: &ReleaseArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let loss = args.on_standby_loss.map_or_else(String::new, |it| format!("&on_standby_loss={it}"));
    let path = format!("/release?policy={}{loss}", args.policy);
    args.node.ask_whether(&path, Some(PATIENCE))?;
    writeln!(out, "a reply is to mean: {}", args.policy)?;
    Ok(Answer::Yes)
}
