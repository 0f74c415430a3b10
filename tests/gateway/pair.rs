//! Clients that know both nodes of a pair: the library's and the load generator's go on at the
//! other one by themselves, with nothing missing, nothing twice, and nothing executed twice.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use loadgen::run::{Options, run};
use loadgen::schedule::{Length, Pace};
use ringframe::client::{Client, Feed, Login};
use ringframe::wire::itch::Message;
use ringframe::wire::ouch::{Outbound, Side, Token};
use rustix::process::Signal;

use crate::failover::Node;
use crate::peer::{PATIENCE, PRICE, order};

/// Node 1 leads, and node 2 has all that it has. A pair has a net of its own.
fn pair(net: u8, directory: &tempfile::TempDir) -> [Node; 2] {
    let mut nodes = [1, 2].map(|number| Node::new(net, number, "replicated", directory.path()));
    nodes.iter_mut().for_each(Node::start);
    nodes.iter_mut().for_each(Node::is_there);
    nodes[0].wait_for("\"stands_by\":true");
    nodes
}

/// Where order entry is, or market data, the standby's address first.
fn both(nodes: &[Node; 2], place: usize) -> Vec<String> {
    nodes.iter().rev().map(|node| node.addresses()[place].to_string()).collect()
}

/// A client, and what it was told.
struct Trader {
    client: Client,
    sent: u64,
    heard: u64,
    accepted: BTreeSet<Token>,
}

impl Trader {
    fn send(&mut self, count: u64) {
        for _ in 0..count {
            self.sent += 1;
            self.client.send(order(self.sent, Side::BUY, 1, PRICE)).unwrap();
        }
    }

    /// Hears until all is answered; comes back by itself where that is lost, and says how many were
    /// in doubt then.
    fn settle(&mut self) -> usize {
        let mut were_in_doubt = 0;
        while self.client.unanswered().len() > 0 {
            match self.client.receive(PATIENCE) {
                Ok(received) => {
                    let received = received.expect("an answer comes");
                    self.heard += 1;
                    assert_eq!(received.number, self.heard, "none is missing, none comes twice");
                    match received.message {
                        Outbound::Accepted(it) => {
                            let token = it.order.token;
                            assert!(self.accepted.insert(token), "{token} twice");
                        }
                        // The day began.
                        Outbound::SystemEvent(_) => {}
                        other => panic!("{other:?}"),
                    }
                }
                Err(error) if error.is_lost() => {
                    were_in_doubt += self.client.reconnect().unwrap();
                    self.client.resend().unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(self.accepted.len() as u64, self.sent);
        were_in_doubt
    }
}

#[test]
fn a_client_that_knows_both_goes_on_at_the_one_that_leads() {
    let directory = tempfile::tempdir().unwrap();
    let mut nodes = pair(134, &directory);
    nodes[1].operate(&["promote"]).expect(1, &["is alive", "--force"]);
    nodes[0].operate(&["promote"]).expect(1, &["leads already"]);
    let login =
        |place| Login { addresses: both(&nodes, place), ..Login::new("", "TRDR01", "secret") };
    let mut feed = Feed::connect(login(1)).unwrap();
    let client = Client::connect(login(0)).unwrap();
    let mut trader = Trader { client, sent: 0, heard: 0, accepted: BTreeSet::new() };
    trader.send(20);
    assert_eq!(trader.settle(), 0);

    // The standby hears nothing of these, so nobody is told of them.
    nodes[1].signal(Signal::STOP);
    trader.send(10);
    nodes[0].kill();
    nodes[1].signal(Signal::CONT);
    nodes[1].promote();
    nodes[1].operate(&["drain", "--hand-over"]).expect(1, &["no standby is there"]);
    nodes[0].start();
    assert_eq!(trader.settle(), 10);

    // And back, with orders anywhere between the two nodes.
    nodes[1].wait_for("\"stands_by\":true");
    trader.send(100);
    nodes[1].kill();
    nodes[0].promote();
    nodes[1].start();
    trader.settle();
    trader.send(20);
    trader.settle();
    trader.client.logout().unwrap();

    // Each was executed once, as everybody sees it.
    let (mut heard, mut added) = (0, 0);
    while added < trader.sent {
        match feed.receive(PATIENCE) {
            Ok(received) => {
                let received = received.expect("all orders are shown");
                heard += 1;
                assert_eq!(received.number, heard);
                added += u64::from(matches!(received.message, Message::Added(_)));
            }
            Err(error) if error.is_lost() => feed.reconnect().unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(feed.receive(Duration::from_millis(200)), Ok(None), "and nothing more");
}

#[test]
fn the_load_generator_goes_on_through_a_failover() {
    const MESSAGES: u64 = 10_000;
    let directory = tempfile::tempdir().unwrap();
    let mut nodes = pair(130, &directory);
    let rate = NonZeroU64::new(2_000).unwrap();
    let mut load = Options::new("", rate, Duration::from_secs(1));
    load.pace = Pace { length: Length::Count(MESSAGES), warm_up: Duration::ZERO, ..load.pace };
    load.login.targets = both(&nodes, 0);
    load.login.give_up = PATIENCE;
    load.source = "mix:add=50,cancel=30,replace=15,take=5".parse().unwrap();
    load.is_polite = true;
    (load.silence, load.patience) = (4 * PATIENCE, Some(4 * PATIENCE));
    let live = Arc::clone(&load.live);
    let (outcome, without_leader) = scope(|scope| {
        let playing = scope.spawn(|| run(&load).unwrap());
        while live.sent_so_far() < MESSAGES / 10 && !playing.is_finished() {
            sleep(Duration::from_millis(1));
        }
        let killed = Instant::now();
        nodes[0].kill();
        nodes[1].promote();
        let without_leader = killed.elapsed();
        // Told to halt without a standby, it lets no reply leave before that.
        nodes[0].start();
        (playing.join().unwrap(), without_leader)
    });
    let measured = &outcome.results.measured;
    assert!(outcome.is_complete(), "{measured:?}");
    assert_eq!((measured.sent, measured.lost, measured.repeated), (MESSAGES, 0, 0));
    let sessions = load.login.users.len() as u64;
    assert!(measured.reconnected >= sessions, "{measured:?}");
    // Those who were due meanwhile waited for so long, the first of them within 0.5 ms.
    let due = without_leader.saturating_sub(Duration::from_millis(20));
    let longest = Duration::from_nanos(measured.latency_ns.max);
    assert!(longest >= due, "{longest:?} of {without_leader:?}");
}
