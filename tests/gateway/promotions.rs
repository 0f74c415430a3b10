//! Nodes that take over from each other: in a chain of three, twice in a row, one that lacks a part
//! of what its leader told, one that lost a part of it afterwards, and one that has nothing.

use std::collections::BTreeSet;
use std::fs;
use std::thread::scope;

use ringframe::exchange::Exchange;
use ringframe::journal::segment::LogicId;
use ringframe::journal::truncate;
use ringframe::logic::Logic;
use ringframe::node::Stores;
use ringframe::wire::ouch::{Outbound, Side, Token};

use crate::failover::{Node, are_the_same, at};
use crate::partition::holds_back;
use crate::peer::{Heard, PRICE, Peer, answered, order, packed_order, token, wait_until};
use crate::relay::Wire;
use crate::traders::{Crowd, Venue};

/// Clients hear so much before something happens.
const MESSAGES: u64 = 300;
const USER: u16 = 50;
/// Enough for a standby to be in the middle of them.
const ORDERS: u64 = 2_000;
/// Some of these orders, on their way to it.
const SOME_BYTES: usize = 64 << 10;

/// The third follows the second one, and nobody waits for it.
fn chain(net: u8, directory: &tempfile::TempDir) -> [Node; 3] {
    [1, 2, 3].map(|number| {
        let mut node = Node::new(net, number, "replicated", directory.path());
        if number == 3 {
            node.meets(&at(net, 2, 9003));
            node.add("--stands-by", "false");
        }
        node
    })
}

#[test]
fn a_chain_of_three_has_the_same_bytes_whoever_dies_and_whoever_leads() {
    const NET: u8 = 152;
    let directory = tempfile::tempdir().unwrap();
    let venue = Venue::new(None);
    scope(|scope| {
        let mut nodes = chain(NET, &directory);
        nodes.iter_mut().for_each(Node::start);
        nodes.iter_mut().for_each(Node::is_there);
        nodes[2].says("follows the leader of term");
        let crowd = Crowd::start(scope, &venue);
        venue.set(Some(nodes[0].addresses()));
        venue.wait_for(MESSAGES);
        // The middle one dies and returns: the first one waits for it, the third one looks for it.
        nodes[1].kill();
        nodes[2].says("no leader");
        nodes[1].start();
        nodes[1].is_there();
        nodes[2].says("follows the leader of term");
        venue.wait_for(MESSAGES);
        // The first one dies, and the middle one leads.
        venue.set(None);
        nodes[0].kill();
        nodes[1].promote();
        venue.set(Some(nodes[1].addresses()));
        nodes[2].says("follows the leader of term");
        // That the third one has all of it is not what replies wait for.
        holds_back(&nodes[1]);
        wait_until("the third one has what nobody was told", || {
            nodes[2].position("journaled") > nodes[1].position("released")
        });
        nodes[0].start();
        nodes[0].is_there();
        venue.wait_for(MESSAGES);
        crowd.finish();
        are_the_same(&mut nodes, 1);
    });
}

#[test]
fn nodes_that_replace_each_other_at_once_lose_nothing() {
    const NET: u8 = 156;
    let directory = tempfile::tempdir().unwrap();
    let venue = Venue::new(None);
    let cycles = std::env::var("RINGFRAME_FAILOVERS");
    let cycles: usize = cycles.map_or(3, |cycles| cycles.parse().unwrap());
    scope(|scope| {
        let mut nodes = [1, 2].map(|it| Node::new(NET, it, "replicated", directory.path()));
        nodes.iter_mut().for_each(Node::start);
        nodes.iter_mut().for_each(Node::is_there);
        let crowd = Crowd::start(scope, &venue);
        venue.set(Some(nodes[0].addresses()));
        venue.wait_for(MESSAGES);
        let mut leads = 0;
        for cycle in 0..cycles {
            for waits in [true, cycle % 2 == 0] {
                let follows = 1 - leads;
                nodes[leads].kill();
                nodes[follows].promote();
                venue.set(Some(nodes[follows].addresses()));
                nodes[leads].start();
                nodes[leads].is_there();
                if waits {
                    nodes[follows].wait_for("\"stands_by\":true");
                }
                // … and dies in its turn, whatever the other one is at.
                leads = follows;
            }
        }
        nodes[leads].wait_for("\"stands_by\":true");
        venue.wait_for(MESSAGES);
        crowd.finish();
        are_the_same(&mut nodes, leads);
    });
}

/// What it is told until its last order is answered: which orders are.
fn hear(peer: &mut Peer, last: u64) -> BTreeSet<Token> {
    let mut heard = BTreeSet::new();
    while !heard.contains(&token(last)) {
        heard.extend(answered(&peer.told()));
    }
    heard
}

/// Which orders are answered in all that a session has.
fn replayed(node: &Node) -> BTreeSet<Token> {
    let mut peer = Peer::from(node.addresses()[0], USER, 1);
    let mut heard = BTreeSet::new();
    loop {
        match peer.next() {
            Heard::Message(_, bytes) => heard.extend(answered(&Outbound::decode(&bytes).unwrap())),
            Heard::Heartbeat => return heard,
            other => panic!("{other:?}"),
        }
    }
}

/// What was told is in one of two places: at the new leader, or on the list of the former one.
fn is_kept_or_listed(nodes: &mut [Node; 2], told: &BTreeSet<Token>) {
    let said = nodes[0].says("were ordered here and no other node has them");
    nodes[0].is_there();
    nodes[1].wait_for("\"state\":\"serving\"");
    let kept = replayed(&nodes[1]);
    let list = said.split_whitespace().find(|it| it.contains("cut-after-"));
    let list = fs::read_to_string(list.expect("where the list is")).unwrap();
    let is_listed = |it: &&Token| list.contains(&format!("\"{it}\""));
    let cut: BTreeSet<Token> = told.iter().filter(is_listed).copied().collect();
    assert!(!kept.is_empty() && !cut.is_empty(), "{} and {}", kept.len(), cut.len());
    assert_eq!(*told, kept.union(&cut).copied().collect());
    assert!(kept.is_disjoint(&cut));
}

#[test]
fn one_promoted_while_it_catches_up_says_what_it_lacks_and_the_other_one_lists_it() {
    const NET: u8 = 159;
    let directory = tempfile::tempdir().unwrap();
    let wire = Wire::new(NET);
    scope(|scope| {
        let mut nodes = [1, 2].map(|number| {
            let mut node = Node::new(NET, number, "journaled", directory.path());
            node.set("--on-standby-loss", "degrade");
            // Not with a copy.
            node.set("--every-commands", "off");
            node
        });
        let _wire = wire.start(scope, &mut nodes);
        nodes.iter_mut().for_each(Node::start);
        nodes.iter_mut().for_each(Node::is_there);
        nodes[0].wait_for("\"stands_by\":true");
        nodes[1].kill();
        let mut client = Peer::from(nodes[0].addresses()[0], USER, 1);
        for number in 1..=ORDERS {
            client.write(&packed_order(&order(number, Side::BUY, 1, PRICE))).unwrap();
        }
        let told = hear(&mut client, ORDERS);
        let ordered = nodes[0].position("journaled");
        // Nobody answers its question at the start: an answer may be as long as the journal.
        wire.let_pass_of_first(0);
        nodes[1].start();
        nodes[1].is_there();
        wire.let_pass_of_first(SOME_BYTES);
        wait_until("all has passed that may", || wire.is_cut(0));
        nodes[0].kill();
        wire.let_pass_of_first(0);
        let said = nodes[1].promote().out;
        let mut numbers = said.split_whitespace().filter_map(|it| it.parse::<u64>().ok());
        let [_, first, lacks] = [(); 3].map(|()| numbers.next().expect(&said));
        assert_eq!(lacks, ordered + 1 - first, "{said}");
        wire.mend();
        nodes[0].start();
        is_kept_or_listed(&mut nodes, &told);
        let mut client = Peer::from(nodes[1].addresses()[0], USER, 1);
        client.order(&order(ORDERS + 1, Side::BUY, 1, PRICE)).unwrap();
        hear(&mut client, ORDERS + 1);
        are_the_same(&mut nodes, 1);
    });
}

/// Two nodes that follow: both lost power after a fail-over, and the new leader's disk was the
/// slower one. Which orders clients were told of, and how many commands it lacks.
fn one_short(net: u8, directory: &tempfile::TempDir) -> ([Node; 2], BTreeSet<Token>, u64) {
    let mut nodes = [1, 2].map(|number| {
        let mut node = Node::new(net, number, "replicated", directory.path());
        node.set("--every-commands", "off");
        node
    });
    nodes.iter_mut().for_each(Node::start);
    nodes.iter_mut().for_each(Node::is_there);
    nodes[0].wait_for("\"stands_by\":true");
    let mut client = Peer::from(nodes[0].addresses()[0], USER, 1);
    for number in 1..=ORDERS {
        client.write(&packed_order(&order(number, Side::BUY, 1, PRICE))).unwrap();
    }
    let told = hear(&mut client, ORDERS);
    nodes[0].kill();
    nodes[1].promote();
    let had = nodes[1].position("journaled");
    nodes[1].kill();
    // What is left is as if its last commands had never come to its disk.
    let left = had - ORDERS / 2;
    let stores = Stores::mapped(&nodes[1].data);
    let logic = LogicId { name: Exchange::NAME.into(), version: Exchange::VERSION };
    truncate(&stores.journal, &logic, left).unwrap().expect("there was more");
    fs::remove_dir_all(nodes[1].data.join("events")).unwrap();
    // However often it starts.
    for _ in 0..2 {
        nodes[1].start();
        let said = nodes[1].says("has lost those after");
        let names =
            format!("up to {had} when its last term began, and has lost those after {left},");
        assert!(said.contains(&names), "{said}");
        nodes[1].is_there();
        assert!(!nodes[1].leads());
    }
    nodes[0].start();
    nodes[0].is_there();
    let [more, less] = [&nodes[0], &nodes[1]].map(|node| node.position("journaled"));
    assert_eq!((more, less), (had, left));
    (nodes, told, had - left)
}

#[test]
fn one_that_lost_what_its_term_began_behind_lets_the_other_one_lead() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, told, _) = one_short(180, &directory);
    nodes[0].promote();
    nodes[0].wait_for("\"state\":\"serving\"");
    assert_eq!(replayed(&nodes[0]), told);
    are_the_same(&mut nodes, 0);
}

#[test]
fn one_that_lost_what_its_term_began_behind_says_so_when_it_is_promoted() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, told, lacks) = one_short(183, &directory);
    let said = nodes[1].promote().out;
    assert!(said.contains(&format!("{lacks} commands")), "{said}");
    is_kept_or_listed(&mut nodes, &told);
    are_the_same(&mut nodes, 1);
}

#[test]
fn one_that_has_never_followed_begins_a_history_on_purpose_alone() {
    const NET: u8 = 162;
    let directory = tempfile::tempdir().unwrap();
    let mut nodes = [1, 2].map(|it| Node::new(NET, it, "replicated", directory.path()));
    // Told to halt without a standby, a first node tells nobody that it is there.
    for node in &mut nodes {
        node.set("--on-standby-loss", "degrade");
    }
    nodes[1].start();
    nodes[1].is_there();
    for how in [&["promote"][..], &["promote", "--force"]] {
        let refused = nodes[1].operate(how).expect(1, &["has never followed", "--peer"]);
        assert!(refused.err.contains("node-2/journal"), "{refused:?}");
    }
    nodes[1].wait_for("\"role\":\"follower\"");
    // The first node is lost before it ever ran: what it says to do instead.
    nodes[1].kill();
    nodes[1].begins_first();
    nodes[1].start();
    nodes[1].is_there();
    assert!(nodes[1].leads());
    // And who comes in that one's place follows, and may be promoted then.
    nodes[0].start();
    nodes[1].wait_for("\"stands_by\":true");
    nodes[1].kill();
    nodes[0].promote();
}
