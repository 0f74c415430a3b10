//! Two nodes, one of them the other's standby, under the load of several clients, while one of them
//! is killed or stopped, again and again, and now and then the standby takes over: what a client
//! was told by one node it is told by the other, once, in order, with the same bytes.
//! `RINGFRAME_FAILOVERS=300 cargo test --release --test gateway failover` is the long form.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use fastrand::Rng;
use ringframe::journal::segment::file_name;
use ringframe::journal::{MappedStorage, MarkReader, Reader};
use rustix::process::Signal;
use serde_json::Value;

use crate::peer::PATIENCE;
use crate::program::{Done, PROGRAM, Serving, ringframe};
use crate::traders::{Crowd, Venue};

/// A quick run in `./test`.
const FAILOVERS: u64 = 9;
/// Something happens when clients have heard so much, …
const MESSAGES: u64 = 1_000;
/// … or a little later.
const LATER: Duration = Duration::from_millis(50);
/// Longer than a silence that ends a link.
const LONG: Duration = Duration::from_millis(1_500);

/// One of the two, with addresses of its own that nobody else uses: a node comes back where it was.
pub(crate) struct Node {
    number: usize,
    /// Which part of the machine's own network is this pair's.
    net: u8,
    pub(crate) data: PathBuf,
    settings: Vec<String>,
    pub(crate) serving: Option<Serving>,
}

pub(crate) fn at(net: u8, number: usize, port: u16) -> String {
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{}.{high}.{}:{port}", usize::from(net) + number, low.max(1))
}

impl Node {
    pub(crate) fn new(net: u8, number: usize, release: &str, directory: &Path) -> Self {
        let at = |number, port| at(net, number, port);
        let other = at(if number == 1 { 2 } else { 1 }, 9003);
        let role = if number == 1 { "--peer" } else { "--standby-of" };
        let mine = number.to_string();
        let settings = [
            ["--listen", &at(number, 9001)],
            ["--market-data", &at(number, 9002)],
            ["--glimpse", &at(number, 9004)],
            ["--replication", &at(number, 9003)],
            ["--admin", &at(number, 9000)],
            ["--node", &mine],
            [role, &other],
            ["--release", release],
            ["--on-standby-loss", "halt"],
            ["--segment-bytes", "1MiB"],
            ["--event-segment-bytes", "1MiB"],
            ["--every-commands", "1000"],
        ];
        let settings = settings.concat().into_iter().map(str::to_owned).collect();
        let data = directory.join(format!("node-{number}"));
        Self { number, net, data, settings, serving: None }
    }

    /// Another value for a setting.
    pub(crate) fn set(&mut self, flag: &str, value: &str) {
        let flag = self.settings.iter().position(|it| it == flag).expect("it has one");
        value.clone_into(&mut self.settings[flag + 1]);
    }

    /// The other node is at another address.
    pub(crate) fn meets(&mut self, address: &str) {
        let flag = if self.number == 1 { "--peer" } else { "--standby-of" };
        self.set(flag, address);
    }

    /// It begins as a first node does, whatever its number.
    pub(crate) fn begins_first(&mut self) {
        let flag = self.settings.iter().position(|it| it == "--standby-of").expect("it has one");
        "--peer".clone_into(&mut self.settings[flag]);
    }

    /// One setting more.
    pub(crate) fn add(&mut self, flag: &str, value: &str) {
        self.settings.extend([flag, value].map(str::to_owned));
    }

    pub(crate) fn start(&mut self) {
        // One that still runs has the address.
        self.kill();
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        let serving = &mut ringframe(&[&["serve"], &settings[..]].concat(), &self.data);
        self.serving = Some(Serving::spawn(serving));
    }

    /// Waits until it is one of the two.
    pub(crate) fn is_there(&mut self) {
        self.serving.as_mut().unwrap().wait_for("order entry on ");
    }

    /// Waits until it says so in its log.
    pub(crate) fn says(&mut self, what: &str) -> String {
        self.serving.as_mut().unwrap().wait_for(what)
    }

    pub(crate) fn kill(&mut self) {
        self.serving = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.serving.as_ref().unwrap().signal(signal);
    }

    /// Where operators ask.
    pub(crate) fn admin(&self) -> String {
        at(self.net, self.number, 9000)
    }

    pub(crate) fn operate(&self, what: &[&str]) -> Done {
        let admin = self.admin();
        let output = Command::new(PROGRAM).args(what).args(["--admin", &admin]).output();
        Done::new(&output.unwrap())
    }

    /// Takes over, as soon as it may.
    pub(crate) fn promote(&self) -> Done {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let done = self.operate(&["promote"]);
            if done.code == Some(0) {
                return done;
            }
            assert!(Instant::now() < give_up, "node {}: {done:?}", self.number);
            sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn addresses(&self) -> [SocketAddr; 2] {
        [9001, 9002].map(|port| at(self.net, self.number, port).parse().unwrap())
    }

    pub(crate) fn leads(&self) -> bool {
        self.operate(&["status", "--json"]).out.contains("\"role\":\"leader\"")
    }

    pub(crate) fn status(&self) -> Value {
        let done = self.operate(&["status", "--json"]).expect(0, &["digest"]);
        serde_json::from_str(&done.out).unwrap()
    }

    pub(crate) fn position(&self, name: &str) -> u64 {
        let status = self.status();
        status["positions"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {status:#}"))
    }

    pub(crate) fn wait_for(&self, what: &str) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let done = self.operate(&["status", "--json"]);
            if done.out.contains(what) {
                return;
            }
            assert!(Instant::now() < give_up, "node {}: no {what} in {done:?}", self.number);
            sleep(Duration::from_millis(20));
        }
    }
}

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    /// The leader dies, and the standby takes over.
    Replaced,
    /// The leader dies, and comes back before anybody has replaced it.
    Back,
    /// The standby dies, and comes back.
    Alone,
    /// The standby stands still for longer than the leader waits.
    Stalled,
    /// The leader gives its place to the standby, and comes back as one.
    HandedOver,
    /// The leader stands still, is replaced, and goes on as if nothing had happened.
    Outdated,
    /// The standby dies with all that it had, and comes back with nothing.
    Emptied,
    /// The standby dies, and its disk gives back another byte than it was given.
    Damaged,
}

const MISHAPS: [Mishap; 8] = [
    Mishap::Replaced,
    Mishap::Outdated,
    Mishap::Emptied,
    Mishap::Damaged,
    Mishap::HandedOver,
    Mishap::Back,
    Mishap::Alone,
    Mishap::Stalled,
];

/// Lets it happen; says who leads then.
fn befall(mishap: Mishap, nodes: &mut [Node; 2], leads: usize, venue: &Venue) -> usize {
    let stands_by = 1 - leads;
    match mishap {
        Mishap::Replaced => {
            venue.set(None);
            nodes[leads].kill();
            nodes[stands_by].promote();
            venue.set(Some(nodes[stands_by].addresses()));
            nodes[leads].start();
            nodes[leads].is_there();
            return stands_by;
        }
        Mishap::HandedOver => {
            nodes[leads].wait_for("\"stands_by\":true");
            nodes[leads].operate(&["drain", "--hand-over"]).expect(0, &["drained at command"]);
            venue.set(Some(nodes[stands_by].addresses()));
            let ended = nodes[leads].serving.take().unwrap().end();
            ended.expect(0, &["handed over: the other node leads", "drained"]);
            nodes[leads].start();
            nodes[leads].is_there();
            return stands_by;
        }
        Mishap::Back => {
            nodes[leads].kill();
            nodes[leads].start();
            nodes[leads].is_there();
        }
        Mishap::Alone => {
            nodes[stands_by].kill();
            nodes[stands_by].start();
            nodes[stands_by].is_there();
        }
        Mishap::Emptied => {
            nodes[stands_by].kill();
            fs::remove_dir_all(&nodes[stands_by].data).unwrap();
            nodes[stands_by].start();
            nodes[stands_by].says("the copy is whole");
            nodes[leads].wait_for("\"stands_by\":true");
        }
        Mishap::Damaged => {
            nodes[stands_by].kill();
            let journal = nodes[stands_by].data.join("journal");
            flip_a_synced_byte(&journal);
            nodes[stands_by].start();
            nodes[stands_by].says("was mended with what");
            nodes[leads].wait_for("\"stands_by\":true");
        }
        Mishap::Stalled => {
            nodes[stands_by].signal(Signal::STOP);
            sleep(LONG);
            nodes[stands_by].signal(Signal::CONT);
        }
        Mishap::Outdated => {
            nodes[leads].signal(Signal::STOP);
            nodes[stands_by].promote();
            venue.set(Some(nodes[stands_by].addresses()));
            nodes[leads].signal(Signal::CONT);
            nodes[leads].wait_for("\"role\":\"follower\"");
            return stands_by;
        }
    }
    leads
}

/// In the last command that is known to be durable.
fn flip_a_synced_byte(journal: &Path) {
    let storage = MappedStorage::new(journal);
    let synced = MarkReader::open(&storage).unwrap().read().unwrap().unwrap();
    let path = journal.join(file_name(synced.number));
    let mut bytes = fs::read(&path).unwrap();
    bytes[synced.offset as usize - 9] ^= 0x20;
    fs::write(path, bytes).unwrap();
}

fn fail_over_again_and_again(release: &str, net: u8) {
    let cycles = std::env::var("RINGFRAME_FAILOVERS");
    let cycles = cycles.map_or(FAILOVERS, |cycles| cycles.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let mut rng = Rng::with_seed(net.into());
    let venue = Venue::new(None);
    scope(|scope| {
        // They end with whatever fails in here, and then their clients do.
        let mut nodes = [1, 2].map(|number| Node::new(net, number, release, directory.path()));
        let crowd = Crowd::start(scope, &venue);
        // Alone, and told to halt then, it would wait for the other one for ever.
        nodes.iter_mut().for_each(Node::start);
        nodes.iter_mut().for_each(Node::is_there);
        let mut leads = 0;
        venue.set(Some(nodes[leads].addresses()));
        for cycle in 0..cycles as usize {
            venue.wait_for(MESSAGES);
            sleep(LATER.mul_f64(rng.f64()));
            let mishap =
                MISHAPS.get(cycle).copied().unwrap_or_else(|| MISHAPS[rng.usize(..MISHAPS.len())]);
            println!("{cycle}: node {} leads: {mishap:?}", leads + 1);
            leads = befall(mishap, &mut nodes, leads, &venue);
        }
        venue.wait_for(MESSAGES);
        change_what_replies_mean(&nodes[leads], release);
        venue.wait_for(MESSAGES);
        crowd.finish();
        are_the_same(&mut nodes, leads);
    });
}

/// While clients trade: less, and again as much as before.
fn change_what_replies_mean(leader: &Node, release: &str) {
    let means = |what: &str| {
        leader.operate(&["release", what]).expect(0, &["a reply is to mean: ", what]);
        leader.wait_for(&format!("\"release\":\"{what}\""));
    };
    means("synced");
    means(release);
    leader.operate(&["release", "gone"]).expect(2, &["gone"]);
}

/// All end with the same commands, events and state.
pub(crate) fn are_the_same(nodes: &mut [Node], leads: usize) {
    nodes[leads].wait_for("\"stands_by\":true");
    let digest = |node: &Node| {
        let status = node.status();
        (status["sequence"].clone(), status["digest"].clone(), status["events"].clone())
    };
    let give_up = Instant::now() + PATIENCE;
    loop {
        let digests: Vec<_> = nodes.iter().map(digest).collect();
        if digests.iter().all(|it| *it == digests[0]) {
            break;
        }
        assert!(Instant::now() < give_up, "{digests:?}");
        sleep(Duration::from_millis(50));
    }
    for node in nodes.iter_mut() {
        node.serving.take().unwrap().drain();
    }
    let (one, others) = nodes.split_first().unwrap();
    for other in others {
        have_the_same_frames(one, other);
    }
}

fn have_the_same_frames(one: &Node, other: &Node) {
    for part in ["journal", "events"] {
        let open = |node: &Node| Reader::open_first(MappedStorage::new(node.data.join(part)));
        let [mut one, mut other] = [one, other].map(|node| open(node).unwrap());
        // One may have begun with a copy.
        let first = one.next_sequence().max(other.next_sequence());
        one.seek(first).and_then(|()| other.seek(first)).unwrap();
        let mut frames = 0;
        while let Some(frame) = one.next_frame().unwrap() {
            let same = other.next_frame().unwrap().expect("as many frames");
            assert_eq!(frame.bytes(), same.bytes(), "{part} {}", frame.sequence());
            frames += 1;
        }
        assert!(other.next_frame().unwrap().is_none() && frames > 0, "{part}");
    }
}

#[test]
fn sessions_survive_failovers_when_replies_mean_replicated() {
    fail_over_again_and_again("replicated", 100);
}

#[test]
fn sessions_survive_failovers_when_replies_mean_replicated_and_synced() {
    fail_over_again_and_again("replicated+synced", 110);
}
