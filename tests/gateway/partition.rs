//! The network between two nodes cut, in one direction or in both, while both live.
//! `RINGFRAME_FAILOVERS=300 cargo test --release --test gateway partition` is the long form.

use std::fs;
use std::io::{ErrorKind, Read, Seek, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread::scope;
use std::time::Duration;

use ringframe::exchange_json::write_command;
use ringframe::journal::MappedStorage;
use ringframe::journal::storage::Storage;
use ringframe::wire::ouch::{Outbound, Side};
use ringframe::wire::soup::Session;

use crate::failover::{Node, are_the_same};
use crate::peer::{Heard, PRICE, Peer, answered, order, packed_order, token, wait_until};
use crate::program::{Done, PROGRAM, run};
use crate::relay::{CUTS, Cut, Wire};
use crate::sessions::next_day;
use crate::traders::{Crowd, Venue};

/// Clients hear so much before something happens.
const MESSAGES: u64 = 300;
/// A user that is not of the crowd.
const USER: u16 = 50;
/// So many orders fill a segment.
const MANY: u64 = 6_000;

/// Not started.
fn pair(net: u8, on_standby_loss: &str, directory: &Path) -> [Node; 2] {
    [1, 2].map(|number| {
        let mut node = Node::new(net, number, "replicated", directory);
        node.set("--on-standby-loss", on_standby_loss);
        node
    })
}

fn start(nodes: &mut [Node]) {
    nodes.iter_mut().for_each(Node::start);
    nodes.iter_mut().for_each(Node::is_there);
    nodes[0].wait_for("\"stands_by\":true");
}

/// How often each cut is made.
fn rounds() -> usize {
    let cycles = std::env::var("RINGFRAME_FAILOVERS");
    cycles.map_or(1, |cycles| cycles.parse::<usize>().unwrap().div_ceil(CUTS.len()))
}

/// Orders wait there for their answers.
pub(crate) fn holds_back(leader: &Node) {
    let waits = || leader.position("released") < leader.position("journaled");
    wait_until("orders wait for their answers", waits);
}

/// A pair under load, as often as is wanted, with each way to cut the network between its nodes in
/// turn. All is mended when `each` is done, and either node may lead.
fn at_each_cut(
    net: u8,
    on_standby_loss: &str,
    mut each: impl FnMut(&mut [Node; 2], &Wire, &Venue, Cut),
) {
    let directory = tempfile::tempdir().unwrap();
    let (wire, venue) = (Wire::new(net), Venue::new(None));
    scope(|scope| {
        let mut nodes = pair(net, on_standby_loss, directory.path());
        let _wire = wire.start(scope, &mut nodes);
        start(&mut nodes);
        venue.set(Some(nodes[0].addresses()));
        let crowd = Crowd::start(scope, &venue);
        for cut in std::iter::repeat_n(CUTS, rounds()).flatten() {
            venue.wait_for(MESSAGES);
            each(&mut nodes, &wire, &venue, cut);
        }
        venue.wait_for(MESSAGES);
        crowd.finish();
        let leads = nodes.iter().position(Node::leads).expect("one leads");
        are_the_same(&mut nodes, leads);
    });
}

#[test]
fn a_pair_told_to_halt_acknowledges_nothing_while_it_is_cut() {
    at_each_cut(140, "halt", |nodes, wire, _, cut| {
        wire.cut(cut);
        nodes[0].says("the standby is gone: nothing is acknowledged");
        nodes[0].wait_for("\"followers\":[]");
        holds_back(&nodes[0]);
        // What was told by then the other one had before.
        let told = nodes[0].position("released");
        let has = nodes[1].position("journaled");
        assert!(told <= has, "{cut:?}: {told} of {has} were told");
        wire.mend();
        nodes[0].says("a standby is there; a reply means: replicated");
    });
}

#[test]
fn a_pair_told_to_degrade_goes_on_while_it_is_cut_and_says_so() {
    at_each_cut(143, "degrade", |nodes, wire, venue, cut| {
        wire.cut(cut);
        nodes[0].says("no standby has what is acknowledged from now on");
        nodes[0].wait_for("\"release\":\"synced\"");
        venue.wait_for(MESSAGES);
        wire.mend();
        nodes[0].says("a standby is there; a reply means: replicated");
        nodes[0].wait_for("\"release\":\"replicated\"");
    });
}

/// What came by now, as long as there is something, and whether the connection is gone.
fn all_told(peer: &mut Peer, told: &mut Vec<Vec<u8>>) -> bool {
    peer.heard().into_iter().fold(false, |is_gone, heard| match heard {
        Heard::Message(number, bytes) => {
            assert_eq!(number, told.len() as u64 + 1);
            told.push(bytes);
            is_gone
        }
        Heard::Gone | Heard::End => true,
        _ => is_gone,
    })
}

#[test]
fn a_node_promoted_behind_a_cut_leads_and_the_other_one_told_nothing_since() {
    let mut round = 0;
    at_each_cut(146, "halt", |nodes, wire, venue, cut| {
        let [leads, follows] = if nodes[0].leads() { [0, 1] } else { [1, 0] };
        let mut waits = Peer::from(nodes[leads].addresses()[0], USER, 1);
        wire.cut(cut);
        nodes[leads].says("the standby is gone: nothing is acknowledged");
        let (mut told, number) = (Vec::new(), 2 * round);
        round += 1;
        let sent = order(number, Side::BUY, 1, PRICE);
        waits.order(&sent).unwrap();
        holds_back(&nodes[leads]);
        nodes[follows].promote();
        // Both believe that they lead, and both are asked.
        assert!(nodes[leads].leads() && nodes[follows].leads());
        waits.order(&order(number + 1, Side::BUY, 1, PRICE)).unwrap();
        wire.mend();
        nodes[leads].wait_for("\"role\":\"follower\"");
        wait_until("it lets its clients go", || all_told(&mut waits, &mut told));
        let answers = told.iter().filter_map(|it| answered(&Outbound::decode(it).unwrap()));
        let orders = answers.filter(|it| *it == token(number) || *it == token(number + 1));
        assert_eq!(orders.count(), 0, "{cut:?}: answered by one that leads no more");
        // What it was told is told again, and the order is as good as never sent.
        venue.set(Some(nodes[follows].addresses()));
        nodes[follows].wait_for("\"stands_by\":true");
        let mut again = Peer::from(nodes[follows].addresses()[0], USER, 1);
        for message in &told {
            assert_eq!(&again.message().1, message);
        }
        again.order(&sent).unwrap();
        while answered(&again.told()) != Some(token(number)) {}
    });
}

/// A node goes on alone, is replaced, and comes back: what only it told is on its list. `alone` is
/// called while it leads alone, and `back` once the other one, which leads, is there again.
fn lists_what_only_it_told<T>(
    net: u8,
    settle: impl Fn(&mut Node),
    alone: impl FnOnce(&Node) -> T,
    back: impl FnOnce(&mut Node, T),
) {
    let directory = tempfile::tempdir().unwrap();
    let wire = Wire::new(net);
    scope(|scope| {
        let mut nodes = pair(net, "degrade", directory.path());
        for node in &mut nodes {
            settle(node);
            // A client waits for longer than clients may be silent, on a busy machine.
            node.add("--silence-seconds", "120");
        }
        let _wire = wire.start(scope, &mut nodes);
        start(&mut nodes);
        let log_in = |node: &Node| Peer::log_in(node.addresses()[0], USER, Session::BLANK, 1);
        let mut client = log_in(&nodes[0]).unwrap();
        let hear = |client: &mut Peer, number| {
            while answered(&client.told()) != Some(token(number)) {}
        };
        let ask = |client: &mut Peer, number| {
            client.order(&order(number, Side::BUY, 1, PRICE)).unwrap();
            hear(client, number);
        };
        ask(&mut client, 1);
        wire.cut(Cut::Both);
        nodes[0].says("no standby has what is acknowledged from now on");
        // Told by one that is alone, and then no more the leader.
        ask(&mut client, 2);
        let meanwhile = alone(&nodes[0]);
        nodes[1].promote();
        let mut other = log_in(&nodes[1]).unwrap();
        hear(&mut other, 1);
        ask(&mut other, 3);
        wire.mend();
        back(&mut nodes[0], meanwhile);
        let said = nodes[0].says("were ordered here and no other node has them");
        nodes[0].is_there();
        let list = said.split_whitespace().find(|it| it.contains("cut-after-"));
        let list = fs::read_to_string(list.expect("where the list is")).unwrap();
        assert!(list.contains("\"T2\"") && !list.contains("\"T1\""), "{list}");
        for heard in client.hear_the_end() {
            assert!(matches!(heard, Heard::End | Heard::Debug(_)), "{heard:?}");
        }
        ask(&mut other, 4);
        are_the_same(&mut nodes, 1);
    });
}

#[test]
fn a_pair_told_to_degrade_lists_what_only_the_former_leader_told() {
    lists_what_only_it_told(149, |_| (), |_| (), |_, ()| ());
}

/// Enough for segments to fill.
fn order_many(node: &Node, user: u16) {
    let mut client = Peer::from(node.addresses()[0], user, 1);
    for number in (1..=MANY).map(|it| 1_000 + it) {
        client.write(&packed_order(&order(number, Side::BUY, 1, PRICE))).unwrap();
        // A client that never reads is not read.
        while number % 1_000 == 0 && answered(&client.told()) != Some(token(number)) {}
    }
}

/// Asks it to archive; whether it is at that for longer than the little it has takes.
fn is_archiving(node: &Node) -> bool {
    let mut operator = TcpStream::connect(node.admin()).unwrap();
    operator.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    write!(operator, "POST /archive HTTP/1.1\r\nHost: {}\r\n\r\n", node.admin()).unwrap();
    let heard = operator.read(&mut [0]);
    heard.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn a_former_leader_gives_up_its_archiving_and_waits_for_who_archives_beside_it() {
    let archive = tempfile::tempdir().unwrap();
    // Whoever looks what the archive has waits for ever, as at a server that is gone.
    let stuck = archive.path().join("0000000001.segment.json");
    assert!(Command::new("mkfifo").arg(&stuck).status().unwrap().success());
    let archive = archive.path().to_str().unwrap();
    let settle = |node: &mut Node| {
        node.set("--segment-bytes", "256KiB");
        node.add("--archive", archive);
    };
    let alone = |node: &Node| {
        order_many(node, USER + 1);
        wait_until("its first segment is sealed, and archived", || is_archiving(node));
        let events = MappedStorage::new(node.data.join("events"));
        events.lock("maintenance.lock").unwrap().expect("nobody is at the events yet")
    };
    lists_what_only_it_told(172, settle, alone, |node, lock| {
        node.says("events/maintenance.lock: an archive, prune or repair is at work");
        drop(lock);
    });
}

#[test]
fn a_former_leader_whose_cut_leaves_nothing_to_start_from_takes_a_copy() {
    let archive = tempfile::tempdir().unwrap();
    let settle = |node: &mut Node| {
        node.set("--event-segment-bytes", "256KiB");
        node.add("--keep", "1");
    };
    let alone = |node: &Node| {
        order_many(node, USER + 1);
        let mut lines = tempfile::tempfile().unwrap();
        let mut text = String::new();
        for command in next_day() {
            write_command(&mut text, &command);
            text.push('\n');
        }
        lines.write_all(text.as_bytes()).unwrap();
        lines.rewind().unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["command", "-", "--admin", &node.admin()]).stdin(lines);
        Done::new(&command.output().unwrap()).expect(0, &["day_ended"]);
        order_many(node, USER + 2);
        let keep = |what: &str, place: &str| {
            let place = [place, archive.path().to_str().unwrap()];
            run(&[&["journal", what, "--events"], &place[..]].concat(), &node.data).out
        };
        wait_until("what the market was told of is pruned from its events", || {
            node.operate(&["snapshot"]).expect(0, &[]);
            keep("archive", "--to");
            keep("prune", "--archive").contains("  deleted")
        });
    };
    lists_what_only_it_told(175, settle, alone, |node, ()| {
        node.says("leaves nothing to start from");
        node.says("the copy is whole");
    });
}
