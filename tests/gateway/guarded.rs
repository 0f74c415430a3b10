//! A pair whose link is inside TLS: what goes between its nodes does so all the same, and a node
//! that an authority of others vouches for, or nobody, gets nothing of it.

use std::fs;
use std::path::Path;
use std::thread::scope;

use ringframe::tls::Identity;

use crate::certificates::Authority;
use crate::failover::{Node, are_the_same, at};
use crate::traders::{Crowd, Venue};

const NET: u8 = 190;
const MESSAGES: u64 = 1_000;

fn guard(node: &mut Node, own: &Identity, authority: &Authority) {
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    node.add("--link-certificate", &path(&own.certificate));
    node.add("--link-key", &path(&own.key));
    node.add("--link-nodes", &path(&authority.file()));
}

fn address(number: usize) -> String {
    at(NET, number, 0).split(':').next().unwrap().to_owned()
}

#[test]
fn a_pair_inside_tls_is_a_pair_and_strangers_get_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let [ours, others] = ["ours", "others"].map(|name| Authority::new(directory.path(), name));
    let venue = Venue::new(None);
    scope(|scope| {
        let node = |number| Node::new(NET, number, "replicated", directory.path());
        let mut nodes = [1, 2].map(node);
        for (node, number) in nodes.iter_mut().zip(1..) {
            guard(node, &ours.vouch_at(&number.to_string(), &address(number)), &ours);
        }
        nodes.iter_mut().for_each(Node::start);
        nodes.iter_mut().for_each(Node::is_there);
        venue.set(Some(nodes[0].addresses()));
        let crowd = Crowd::start(scope, &venue);
        venue.wait_for(MESSAGES);

        // Nobody vouches for the one, and others for the other.
        let mut strangers = [3, 4].map(node);
        guard(&mut strangers[1], &others.vouch_at("4", &address(4)), &ours);
        for stranger in &mut strangers {
            stranger.start();
            stranger.says("no leader: ");
        }
        let status = nodes[0].operate(&["status", "--json"]).expect(0, &["followers"]);
        let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
        let followers = &status["replication"]["followers"];
        assert_eq!(followers.as_array().unwrap().len(), 1, "{followers}");
        for stranger in &mut strangers {
            stranger.kill();
            let epochs = stranger.data.join("journal/epochs");
            assert!(!epochs.exists(), "it heard of a leader: {epochs:?}");
        }

        // Who is one of the pair gets all of it, also a copy.
        nodes[1].kill();
        fs::remove_dir_all(&nodes[1].data).unwrap();
        nodes[1].start();
        nodes[1].says("the copy is whole");
        nodes[0].wait_for("\"stands_by\":true");
        venue.set(None);
        nodes[0].kill();
        nodes[1].promote();
        venue.set(Some(nodes[1].addresses()));
        nodes[0].start();
        nodes[0].is_there();
        venue.wait_for(MESSAGES);
        crowd.finish();
        are_the_same(&mut nodes, 1);
    });
}
