//! Two nodes, each the other's standby in turn, with fresh data that goes with them.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use loadgen::run::Options;
use loadgen::schedule::Length;
use serde_json::Value;

use crate::http;
use crate::program::{Serving, ringframe};
use crate::world::{self, directory};

/// A standby that lacks no more commands than this has caught up.
const LAG_MAX: u64 = 1_000;
/// Clients look for a leader for so long: a slow machine is a figure, not a failure.
const GIVE_UP: Duration = Duration::from_mins(1);
const ADMIN: u16 = 9000;
const ORDERS: u16 = 9001;
const REPLICATION: u16 = 9003;

/// One of the two. Its addresses stay: it comes back where it was.
pub(crate) struct Node {
    number: u8,
    pub(crate) data: PathBuf,
    settings: Vec<String>,
    pub(crate) serving: Option<Serving>,
}

fn at(number: u8, port: u16) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 192 + number, high, low.max(1)], port))
}

impl Node {
    fn new(number: u8, policy: &str, more: &[&str], data: PathBuf) -> Self {
        let place = |port| at(number, port).to_string();
        let role = if number == 1 { "--peer" } else { "--standby-of" };
        let mut settings = [
            ["--listen", &place(ORDERS)],
            ["--market-data", &place(9002)],
            ["--glimpse", &place(9004)],
            ["--replication", &place(REPLICATION)],
            ["--admin", &place(ADMIN)],
            ["--node", &number.to_string()],
            [role, &at(3 - number, REPLICATION).to_string()],
            ["--release", policy],
        ]
        .concat()
        .into_iter()
        .chain(more.iter().copied())
        .map(str::to_owned)
        .collect::<Vec<_>>();
        if let Ok(layout) = std::env::var("RINGFRAME_LAYOUT") {
            settings.extend(["--layout".to_owned(), layout]);
        }
        Self { number, data, settings, serving: None }
    }

    /// Where clients log in.
    pub(crate) fn orders(&self) -> SocketAddr {
        at(self.number, ORDERS)
    }

    /// Where operators ask.
    pub(crate) fn admin(&self) -> SocketAddr {
        at(self.number, ADMIN)
    }

    /// Starts it, and waits until it says that.
    pub(crate) fn start(&mut self, until: &str) {
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        let command = &mut ringframe(&[&["serve"], &settings[..]].concat(), &self.data);
        self.serving.insert(Serving::spawn(command)).wait_for(until);
    }

    /// By SIGKILL; it is gone when this returns.
    pub(crate) fn kill(&mut self) {
        self.serving = None;
    }

    /// Lets it end well.
    pub(crate) fn drain(&mut self) {
        drop(self.serving.take().expect("it runs").drain());
    }

    /// A position that its status names.
    pub(crate) fn position(&self, name: &str) -> u64 {
        let status = http::status(self.admin());
        status["positions"][name].as_u64().unwrap_or_default()
    }
}

/// Asks a node what operators ask; what it says when it did it, or why it does not.
pub(crate) fn ask(admin: SocketAddr, path: &str) -> Result<Value, String> {
    let (status, said) = http::post(admin, path, "");
    if status == 200 { Ok(said) } else { Err(said.to_string()) }
}

/// The two, the first of which leads at first.
pub(crate) struct Pair {
    pub(crate) nodes: [Node; 2],
    /// Which of them.
    pub(crate) leads: usize,
    policy: String,
    pub(crate) directory: tempfile::TempDir,
}

impl Pair {
    pub(crate) fn start(policy: &str, more: &[&str]) -> Self {
        let directory = directory();
        let nodes = [1, 2].map(|number| {
            let data = directory.path().join(format!("node-{number}"));
            Node::new(number, policy, more, data)
        });
        let mut pair = Self { nodes, leads: 0, policy: policy.to_owned(), directory };
        pair.leader().start("ready");
        pair.standby().start("standing by");
        pair.wait_for_standby();
        pair
    }

    pub(crate) fn leader(&mut self) -> &mut Node {
        &mut self.nodes[self.leads]
    }

    pub(crate) fn standby(&mut self) -> &mut Node {
        &mut self.nodes[1 - self.leads]
    }

    /// Whoever stood by leads.
    pub(crate) fn swap(&mut self) {
        self.leads = 1 - self.leads;
    }

    /// Waits until the other one could lead, and replies mean what they are to mean.
    pub(crate) fn wait_for_standby(&self) {
        http::status_when(self.nodes[self.leads].admin(), |status| {
            let followers = status["replication"]["followers"].as_array();
            let is_near = |it: &Value| {
                it["stands_by"] == true && it["lag"].as_u64().is_some_and(|lag| lag < LAG_MAX)
            };
            followers.is_some_and(|all| all.iter().any(is_near))
                && status["release"] == *self.policy
        });
    }

    /// `f1` for clients that know both.
    pub(crate) fn load(&self, rate: u64, length: Length, smoke: bool) -> Options {
        let targets = self.nodes.iter().map(|node| node.orders().to_string()).collect();
        let mut options = world::load(targets, rate, length, smoke);
        options.login.give_up = GIVE_UP;
        options.silence = GIVE_UP;
        options
    }

    /// Ends both, the standby first, so that its leader is not lost.
    pub(crate) fn end(mut self) {
        self.standby().drain();
        self.leader().drain();
    }
}

/// A time in the tables' unit.
pub(crate) fn ms(nanos: f64) -> impl Display {
    format!("{:.2}", nanos / 1e6)
}
