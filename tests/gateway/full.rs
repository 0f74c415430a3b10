//! The disk of one of two nodes is full: that node says so and ends, the other one does what it was
//! told to do then, and nothing that was told is lost.

use std::path::Path;
use std::thread::scope;

use ringframe::journal::{MappedStorage, Reader};

use crate::failover::{Node, are_the_same};
use crate::small::Small;
use crate::traders::{Crowd, Venue};

/// Clients hear so much before something happens.
const MESSAGES: u64 = 300;
/// Room for what the clients say meanwhile.
const ROOM_MIB: u32 = 64;

/// Started; the node of this number has a disk that can be full.
fn pair(net: u8, on_standby_loss: &str, at: [&Path; 2]) -> [Node; 2] {
    let mut nodes = [1, 2].map(|number| {
        let mut node = Node::new(net, number, "replicated", at[number - 1]);
        node.set("--on-standby-loss", on_standby_loss);
        node.set("--segment-bytes", "256KiB");
        node.set("--event-segment-bytes", "256KiB");
        node
    });
    nodes.iter_mut().for_each(Node::start);
    nodes.iter_mut().for_each(Node::is_there);
    nodes[0].wait_for("\"stands_by\":true");
    nodes
}

/// Ends for lack of room, and says where.
fn ends_for_lack_of_room(node: &mut Node, disk: &Small) {
    let ended = node.serving.take().unwrap().end();
    let place = disk.path().to_str().unwrap();
    ended.expect(3, &[place]);
}

/// The last command in the journal of a node that does not run.
fn last_of(node: &Node) -> u64 {
    let storage = MappedStorage::new(node.data.join("journal"));
    let mut reader = Reader::open_first(storage).unwrap();
    let mut last = 0;
    while let Some(frame) = reader.next_frame().unwrap() {
        last = frame.sequence();
    }
    last
}

fn the_disk_of_the_standby_is_full(net: u8, on_standby_loss: &str) {
    let Some(disk) = Small::new(ROOM_MIB) else { return };
    let directory = tempfile::tempdir().unwrap();
    let venue = Venue::new(None);
    scope(|scope| {
        let mut nodes = pair(net, on_standby_loss, [directory.path(), disk.path()]);
        venue.set(Some(nodes[0].addresses()));
        let crowd = Crowd::start(scope, &venue);
        venue.wait_for(MESSAGES);
        disk.fill();
        ends_for_lack_of_room(&mut nodes[1], &disk);
        if on_standby_loss == "halt" {
            nodes[0].says("the standby is gone: nothing is acknowledged");
        } else {
            nodes[0].says("no standby has what is acknowledged from now on");
            venue.wait_for(MESSAGES);
        }
        // As full as before: it says so again, and harms nothing.
        nodes[1].start();
        ends_for_lack_of_room(&mut nodes[1], &disk);
        if on_standby_loss == "halt" {
            let (told, has) = (nodes[0].position("released"), last_of(&nodes[1]));
            assert!(told <= has, "{told} of {has} were told");
        }
        disk.make_room();
        nodes[1].start();
        nodes[1].is_there();
        nodes[0].wait_for("\"release\":\"replicated\"");
        venue.wait_for(MESSAGES);
        crowd.finish();
        are_the_same(&mut nodes, 0);
    });
}

#[test]
fn a_standby_whose_disk_is_full_is_waited_for() {
    the_disk_of_the_standby_is_full(163, "halt");
}

#[test]
fn a_standby_whose_disk_is_full_is_done_without() {
    the_disk_of_the_standby_is_full(166, "degrade");
}

#[test]
fn a_leader_whose_disk_is_full_comes_back_or_is_replaced() {
    const NET: u8 = 169;
    let Some(disk) = Small::new(ROOM_MIB) else { return };
    let directory = tempfile::tempdir().unwrap();
    let venue = Venue::new(None);
    scope(|scope| {
        let mut nodes = pair(NET, "halt", [disk.path(), directory.path()]);
        venue.set(Some(nodes[0].addresses()));
        let crowd = Crowd::start(scope, &venue);
        venue.wait_for(MESSAGES);
        disk.fill();
        ends_for_lack_of_room(&mut nodes[0], &disk);
        disk.make_room();
        nodes[0].start();
        nodes[0].is_there();
        venue.wait_for(MESSAGES);
        disk.fill();
        ends_for_lack_of_room(&mut nodes[0], &disk);
        venue.set(None);
        nodes[1].promote();
        venue.set(Some(nodes[1].addresses()));
        // As full as before: it cannot follow either.
        nodes[0].start();
        ends_for_lack_of_room(&mut nodes[0], &disk);
        disk.make_room();
        nodes[0].start();
        nodes[0].is_there();
        venue.wait_for(MESSAGES);
        crowd.finish();
        are_the_same(&mut nodes, 1);
    });
}
