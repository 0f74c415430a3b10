//! What operators ask a running node, by HTTP, on a thread of its own. It reads positions, counters
//! and handles that are there anyway, so whoever asks costs an order nothing.
//!
//! | route | role | does |
//! |---|---|---|
//! | `GET /`, `/assets/…` | none | the page that shows all this in a browser |
//! | `GET /openapi.json` | none | all of this, for programs |
//! | `GET /healthz` | none | the process is there |
//! | `GET /readyz` | none | 200 once it has recovered and serves, 503 before and while it drains |
//! | `GET /status` | read | everything that is known, in JSON |
//! | `GET /metrics` | read | the same for Prometheus |
//! | `GET /digest?sequence=N` | read | the digest after a command that was marked |
//! | `GET /who` | read | whose token it is, and its role |
//! | `GET /books`, `/books/SYMBOL` | read | all books, one book: `?levels=N` |
//! | `GET /sessions`, `/sessions/N` | read | sessions, users, who is there; one: `?limit=N` |
//! | `GET /segments` | read | segments and snapshots, the newest first: `?limit=N` |
//! | `GET /events` | read | looks through the event log, see below |
//! | `POST /snapshot` | operate | saves the state, and answers when it counts |
//! | `POST /drain` | operate | ends the node in good order, with `?snapshot=true` saved |
//! | `POST /command` | operate | an operator's command; answers with its released events |
//! | `POST /activate` | operate | a version of the logic takes over: `?version=N&force=true` |
//! | `POST /promote` | operate | a standby takes over, with `?force=true` also from a live leader |
//! | `POST /release` | operate | what a reply means from now on: `?policy=P&on_standby_loss=L` |
//! | `POST /mark` | operate | every node is to know its digest after this command; its sequence |
//! | `POST /archive` | operate | copies sealed segments away; `?prune=true` deletes some |
//!
//! `GET /events` finds events of a `session`, a `token`, an `order` (the market's name of it), or
//! all: backwards from the last one or from `before=NUMBER`; forwards from `from=NUMBER`, from a
//! command's (`sequence=NUMBER`) or from a `time`. Each answer is `limit` events or 64 MiB of the
//! log at most, and `next` says where to go on.
//!
//! In here: `server` holds limits against whoever sends too much or too slowly, `access` knows who
//! may do what, `routes` what is asked, `operations` does it, `audit` writes it down; `status`
//! collects figures, `metrics` writes them for Prometheus; `views` looks at state and events,
//! `segments` at files; `page` is what a browser gets.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::json;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::embed::{AtEnd, Finished, Observer};
use crate::peers;
use crate::release::ReleasePolicy;
use crate::spans::Exported;
use crate::stage::Fault;
use crate::traffic::Traffic;
use crate::types::{Nanos, Sequence};

pub use access::{Access, Role};
pub use audit::FILE as AUDIT_FILE;
pub use operations::{Commands, Language, Operations, Seeing, Sifting};
pub use views::{Asked, Lines, Look, Sights, Viewed, Views};

mod access;
mod archive;
mod audit;
mod metrics;
mod operations;
mod page;
mod query;
mod routes;
mod segments;
mod server;
mod status;
mod views;

/// What it is told when it starts.
#[derive(Debug)]
pub struct AdminOptions {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who may do what.
    pub access: Access,
    /// The node's directory: the audit log is there, and what disks hold is looked up.
    pub data: PathBuf,
    /// Where sealed segments are copied to: a directory, or a URL.
    pub archive: Option<String>,
    /// What a reply means.
    pub release: ReleasePolicy,
    /// The slots of each ring.
    pub ring_slots: usize,
    /// The logic's name, and the newest version that this build has.
    pub logic: (&'static str, u32),
    /// The node's clock.
    pub clock: Clock,
}

/// What it is told of a node that runs.
pub struct Running {
    /// What can be seen.
    pub observer: Observer,
    /// What can be done.
    pub operations: Box<dyn Operations>,
    /// What can be seen of its logic.
    pub views: Arc<dyn Views>,
    /// What the gateway counts.
    pub traffic: Option<Arc<Traffic>>,
    /// The names of those who may log in, by their sessions.
    pub users: BTreeMap<u16, String>,
    /// What other nodes are to it.
    pub others: Option<peers::Handle>,
    /// What became of the spans of sampled orders, where there are some.
    pub spans: Option<Arc<Exported>>,
}

/// What can be seen of a node that runs.
#[derive(Clone)]
struct Seen {
    observer: Observer,
    views: Arc<dyn Views>,
    traffic: Option<Arc<Traffic>>,
    users: Arc<BTreeMap<u16, String>>,
    others: Option<peers::Handle>,
    spans: Option<Arc<Exported>>,
}

/// How a node ended, for whoever asked for it.
#[derive(Clone, Debug)]
struct Ended {
    is_good: bool,
    said: serde_json::Value,
}

/// What the node is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// It replays its journal.
    Recovering { applied: Sequence, last: Sequence },
    /// It takes commands.
    Serving,
    /// It takes no more, and finishes those that it has.
    Draining,
}

/// The state of the node, as `/status`, `/metrics` and `/readyz` say it.
#[derive(Clone, Copy, Debug)]
enum NodeState {
    /// It replays its journal.
    Recovering,
    /// Another node orders.
    Following,
    /// It leads, and lets nobody in yet: what it began with may not be told, or is not all counted.
    Waiting,
    /// It leads, and clients are answered.
    Serving,
    /// What was accepted comes to its end; nothing new is taken.
    Draining,
}

impl NodeState {
    const ALL: [Self; 5] =
        [Self::Recovering, Self::Following, Self::Waiting, Self::Serving, Self::Draining];

    fn name(self) -> &'static str {
        match self {
            Self::Recovering => "recovering",
            Self::Following => "following",
            Self::Waiting => "waiting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }

    fn of(life: Life, others: Option<&peers::Facts>, traffic: Option<&Traffic>) -> Self {
        let is_open = traffic.is_none_or(Traffic::is_open);
        match (life, others) {
            (Life::Recovering { .. }, _) => Self::Recovering,
            (Life::Draining, _) => Self::Draining,
            (Life::Serving, Some(it)) if it.role == peers::Role::Follower => Self::Following,
            (Life::Serving, Some(it)) if !it.tells => Self::Waiting,
            (Life::Serving, _) if !is_open => Self::Waiting,
            (Life::Serving, _) => Self::Serving,
        }
    }
}

/// What the node's thread and the server's share.
struct Shared {
    options: AdminOptions,
    address: SocketAddr,
    started: Nanos,
    life: Mutex<Life>,
    seen: Mutex<Option<Seen>>,
    operations: Mutex<Option<Box<dyn Operations>>>,
    /// Somebody wants the node to end.
    drain: Mutex<Option<AtEnd>>,
    ended: watch::Sender<Option<Ended>>,
    audit: Mutex<audit::Audit>,
    /// When the data directory was looked at first, and what it held then.
    held_at_first: Mutex<Option<(Nanos, u64)>>,
    turn: views::Turn,
    archiving: archive::Archiving,
}

impl Shared {
    fn life(&self) -> Life {
        *lock(&self.life)
    }

    /// Whether another node orders.
    fn follows(&self) -> bool {
        self.others().is_some_and(|others| others.role == peers::Role::Follower)
    }

    /// What it is to other nodes, where there are some.
    fn others(&self) -> Option<peers::Facts> {
        let seen = lock(&self.seen);
        seen.as_ref().and_then(|seen| seen.others.as_ref()).map(peers::Handle::facts)
    }

    fn state(&self) -> NodeState {
        let traffic = lock(&self.seen).as_ref().and_then(|seen| seen.traffic.clone());
        NodeState::of(self.life(), self.others().as_ref(), traffic.as_deref())
    }

    fn now(&self) -> Nanos {
        self.options.clock.now()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The server. Dropped, it says to those who still wait that the node was stopped, and ends.
pub struct Admin {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Listens from now on, also while the node recovers.
    pub fn start(options: AdminOptions) -> Result<Self, Fault> {
        let asked = options.address;
        let listener = TcpListener::bind(asked).map_err(|error| {
            Fault::Node(format!(
                "cannot listen on {asked} for operators: {error}; is another node running? \
                 --admin chooses another address, and --admin off does without"
            ))
        })?;
        let broken = |error: std::io::Error| Fault::Node(format!("the admin server: {error}"));
        listener.set_nonblocking(true).map_err(broken)?;
        let audit = audit::Audit::open(&options.data).map_err(|error| {
            let path = options.data.join(AUDIT_FILE);
            Fault::Node(format!("cannot write the audit log {}: {error}", path.display()))
        })?;
        let shared = Arc::new(Shared {
            address: listener.local_addr().map_err(broken)?,
            started: options.clock.now(),
            life: Mutex::new(Life::Recovering { applied: Sequence(0), last: Sequence(0) }),
            seen: Mutex::default(),
            operations: Mutex::default(),
            drain: Mutex::default(),
            ended: watch::Sender::new(None),
            audit: Mutex::new(audit),
            held_at_first: Mutex::default(),
            turn: views::Turn::default(),
            archiving: archive::Archiving::default(),
            options,
        });
        let thread = Some(server::start(listener, Arc::clone(&shared)).map_err(broken)?);
        Ok(Self { shared, thread })
    }

    /// Where it listens, whatever port was asked for.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// How far replay is.
    pub fn recovering(&self, applied: Sequence, last: Sequence) {
        *lock(&self.shared.life) = Life::Recovering { applied, last };
    }

    /// The node runs.
    pub fn serving(&self, running: Running) {
        let Running { observer, operations, views, traffic, users, others, spans } = running;
        let users = Arc::new(users);
        *lock(&self.shared.seen) = Some(Seen { observer, views, traffic, users, others, spans });
        *lock(&self.shared.operations) = Some(operations);
        *lock(&self.shared.life) = Life::Serving;
    }

    /// Whether somebody asked for the node's end.
    pub fn wants_end(&self) -> bool {
        lock(&self.shared.drain).is_some()
    }

    /// The node ends: it takes no commands any more, but goes on telling how far it is. What those
    /// who asked for the end, if any did, want at it.
    pub fn draining(&self) -> AtEnd {
        // Whoever asks from now on finds it draining.
        let asked = lock(&self.shared.drain);
        *lock(&self.shared.life) = Life::Draining;
        *lock(&self.shared.operations) = None;
        asked.unwrap_or_default()
    }

    /// Tells those who asked for the end how it was, and ends, too.
    pub fn ended(mut self, finished: &Finished) {
        let snapshot = match &finished.snapshot {
            None => json!(null),
            Some(Ok(info)) => operations::described(info),
            Some(Err(error)) => json!({ "error": error.to_string() }),
        };
        let said = json!({ "last": finished.last.0, "snapshot": snapshot });
        self.stop(Ended { is_good: true, said });
    }

    fn stop(&mut self, ended: Ended) {
        self.shared.archiving.give_up();
        self.shared.ended.send_replace(Some(ended));
        if let Some(thread) = self.thread.take() {
            // It catches the panics of its calls; one of its own has been printed.
            let _ = thread.join();
        }
        // Nobody asks for more from here on.
        self.shared.archiving.wait();
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if self.thread.is_some() {
            let why = "the node was stopped by a fault, which its log names";
            self.stop(Ended { is_good: false, said: json!({ "error": why }) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients would go where `/readyz` says 200, and find nobody who listens.
    #[test]
    fn a_leader_whose_doors_are_shut_is_not_ready() {
        let (traffic, mut facts) = (Traffic::default(), peers::Facts::default());
        (facts.role, facts.tells) = (peers::Role::Leader, true);
        let state = |facts: &peers::Facts, traffic: &Traffic| {
            NodeState::of(Life::Serving, Some(facts), Some(traffic)).name()
        };
        assert_eq!(state(&facts, &traffic), "waiting");
        traffic.open();
        assert_eq!(state(&facts, &traffic), "serving");
        facts.tells = false;
        assert_eq!(state(&facts, &traffic), "waiting");
        facts.role = peers::Role::Follower;
        assert_eq!(state(&facts, &traffic), "following");
        assert_eq!(NodeState::of(Life::Serving, None, None).name(), "serving");
    }
}
