//! One of the two nodes, as the routine sees it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Stop;
use crate::cli::Failure;
use crate::cli::operate::{Node, Said};

/// A node that answers at all says in this time what it is at.
const PATIENCE: Duration = Duration::from_secs(10);

/// A node, by its admin address.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) admin: SocketAddr,
    node: Node,
}

/// Why a node did not do something.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may not be asked so: the token, or the program, is another one.
    Stop(Stop),
    /// It refuses.
    Refused(String),
    /// It does not answer, or ends, or cannot.
    Away(String),
}

impl Trouble {
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Stop(stop) => stop.why(),
            Self::Refused(why) | Self::Away(why) => why,
        }
    }
}

/// Which start of a node it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Start {
    pid: u32,
    started: u64,
}

/// As much of a status as the routine needs.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Facts {
    pub(super) version: String,
    #[serde(flatten)]
    pub(super) start: Start,
    pub(super) state: String,
    pub(super) release: String,
    pub(super) replication: Option<Others>,
    pub(super) sequence: Option<u64>,
    rings: Option<Rings>,
    pub(super) snapshots: Snapshots,
    pub(super) disk: Disk,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Others {
    role: String,
    pub(super) epoch: u32,
    pub(super) wanted: String,
    leader: Option<String>,
    lag: u64,
    followers: Vec<Follower>,
}

#[derive(Clone, Debug, Deserialize)]
struct Follower {
    stands_by: bool,
    lag: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Rings {
    slots: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Snapshots {
    pub(super) taken: bool,
    pub(super) sequence: u64,
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Disk {
    pub(super) archive: Option<String>,
    pub(super) free_bytes: u64,
}

impl Facts {
    /// Whether it orders.
    pub(super) fn leads(&self) -> bool {
        let leads = self.replication.as_ref().is_some_and(|it| it.role == "leader");
        leads && self.state == "serving"
    }

    /// Why it is no leader, or no standby, to go on with; none where it is one.
    pub(super) fn lacks_as_leader(&self) -> Option<String> {
        let Some(others) = &self.replication else {
            return Some("it leads alone: replication, peer and standby_of are off".into());
        };
        if !self.leads() {
            return Some(format!("it is {}, and does not lead", self.state));
        }
        let mut standbys = others.followers.iter().filter(|it| it.stands_by);
        let Some(standby) = standbys.next() else {
            return Some("nobody stands by for it".into());
        };
        if standbys.next().is_some() {
            let why = "several stand by for it, and whichever has everything first would lead: \
                       let the others follow the standby";
            return Some(why.into());
        }
        if standby.lag > self.slots() {
            return Some(format!("its standby lacks {} commands", standby.lag));
        }
        (self.release != others.wanted)
            .then(|| format!("its replies mean {} and not {} now", self.release, others.wanted))
    }

    pub(super) fn lacks_as_standby(&self) -> Option<String> {
        match &self.replication {
            Some(others) if self.state == "following" => match &others.leader {
                None => Some("it follows nobody: its leader is not there for it".into()),
                Some(_) if others.lag > self.slots() => {
                    Some(format!("it is {} commands behind", others.lag))
                }
                Some(_) => None,
            },
            _ => Some(format!("it is {}, and stands by for nobody", self.state)),
        }
    }

    /// The term.
    pub(super) fn epoch(&self) -> u32 {
        self.replication.as_ref().map_or(0, |it| it.epoch)
    }

    /// Who lacks no more than this has caught up.
    fn slots(&self) -> u64 {
        self.rings.as_ref().map_or(0, |it| it.slots)
    }
}

impl Peer {
    pub(super) fn new(admin: SocketAddr, token_file: Option<PathBuf>) -> Self {
        Self { admin, node: Node::new(admin, token_file) }
    }

    pub(super) fn facts(&self) -> Result<Facts, Trouble> {
        let said = self.call("GET", "/status", PATIENCE)?;
        serde_json::from_value(said).map_err(|error| {
            let why = format!("the node at {} is of another version: {error}", self.admin);
            Trouble::Stop(Stop::Usage(why))
        })
    }

    /// The digest after a command, once the node knows it.
    pub(super) fn digest_at(&self, sequence: u64) -> Result<String, Trouble> {
        let said = self.call("GET", &format!("/digest?sequence={sequence}"), PATIENCE)?;
        Ok(said["digest"].as_str().unwrap_or_default().to_owned())
    }

    /// Whose token we have, and his role.
    pub(super) fn who(&self) -> Result<(String, String), Trouble> {
        let said = self.call("GET", "/who", PATIENCE)?;
        let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        Ok((text("name"), text("role")))
    }

    pub(super) fn operate(&self, path: &str, longest: Duration) -> Result<Value, Trouble> {
        self.call("POST", path, longest)
    }

    fn call(&self, method: &str, path: &str, longest: Duration) -> Result<Value, Trouble> {
        let said = self.node.call(method, path, "", Some(longest));
        let said = said.map_err(|failure| match failure {
            Failure::Usage(why) => Trouble::Stop(Stop::Usage(why)),
            other => Trouble::Away(other.to_string()),
        })?;
        let at = |why: String| format!("{method} {path} at {}: {why}", self.admin);
        match said {
            Said::Done(text) => serde_json::from_str(&text)
                .map_err(|_| Trouble::Away(at(format!("what came is no JSON: {text}")))),
            Said::Refused { status: 401 | 403, why } => {
                Err(Trouble::Stop(Stop::Usage(at(format!("{why}; --token-file FILE has it")))))
            }
            Said::Refused { status: 400..500, why } => Err(Trouble::Refused(at(why))),
            Said::Refused { why, .. } => Err(Trouble::Away(at(why))),
        }
    }
}
