//! What `/status` knows, as text for Prometheus.

use std::fmt::Write;

use super::status::Status;
use crate::peers::{FollowerFacts, Role};

/// Writes every metric once: what it is, then its values.
struct Text(String);

impl Text {
    fn metric<V: std::fmt::Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        values: impl IntoIterator<Item = (String, V)>,
    ) {
        let Self(out) = self;
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        let _ = writeln!(out, "# HELP ringframe_{name} {help}\n# TYPE ringframe_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(out, "ringframe_{name}{labels} {value}");
        }
    }

    fn gauge<V: std::fmt::Display>(&mut self, name: &str, help: &str, value: Option<V>) {
        self.metric(name, "gauge", help, value.map(|value| (String::new(), value)));
    }
}

fn others(status: &Status, to: &mut Text) {
    let Some(others) = &status.replication else { return };
    let roles = [Role::Leader, Role::Follower];
    let roles = roles.map(|it| {
        let name = if it == Role::Leader { "leader" } else { "follower" };
        (label("role", name), u8::from(it == others.role))
    });
    to.metric("role", "gauge", "1 for what the node is to others.", roles);
    let degraded = u8::from(others.role == Role::Leader && others.wanted != others.release);
    to.gauge("degraded", "1 while replies mean less than they are to.", Some(degraded));
    to.gauge("lag_commands", "Of the leader's, not here.", Some(others.lag));
    let followers = || others.followers.iter();
    let of = |it: &FollowerFacts| label("address", &it.address.to_string());
    let lags = followers().map(|it| (of(it), it.lag));
    to.metric("follower_lag_commands", "gauge", "Not in a follower's journal.", lags);
    let behind = followers().map(|it| (of(it), seconds(it.behind_nanos)));
    to.metric("follower_lag_seconds", "gauge", "The age of what it heard last.", behind);
}

fn label(name: &str, value: &str) -> String {
    format!("{{{name}=\"{value}\"}}")
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// The page.
pub(super) fn text(status: &Status) -> String {
    let mut to = Text(String::new());
    let facts = format!(
        "{{version=\"{}\",logic=\"{}\",release=\"{}\"}}",
        status.version, status.logic.name, status.release
    );
    to.metric("info", "gauge", "The program, its logic, and what a reply means.", [(facts, 1)]);
    let states = ["recovering", "following", "serving", "draining"];
    let states = states.map(|it| (label("state", it), u8::from(it == status.state)));
    to.metric("state", "gauge", "1 for what the node is at.", states);
    to.gauge("uptime_seconds", "Since the start.", Some(seconds(status.uptime_nanos)));
    to.gauge("epoch", "The term of leadership.", status.epoch);
    to.gauge("logic_version", "The version of the logic that is active.", status.logic.active);
    others(status, &mut to);
    positions(status, &mut to);
    stages(status, &mut to);
    clients(status, &mut to);
    disks(status, &mut to);
    to.0
}

fn positions(status: &Status, to: &mut Text) {
    let at = |name: &str, value: u64| (label("position", name), value);
    let positions = status.positions.iter().flat_map(|it| {
        [
            at("published", it.published),
            at("journaled", it.journaled),
            at("synced", it.synced),
            at("applied", it.applied),
            at("released", it.released),
            at("snapshotted", it.snapshotted),
        ]
    });
    to.metric("position", "gauge", "The last command that is so far.", positions);
    let events = status.event_log.iter().flat_map(|it| {
        [
            at("emitted", it.emitted),
            at("handed_on", it.handed_on),
            at("journaled", it.journaled),
            at("synced", it.synced),
            at("left", it.left),
        ]
    });
    to.metric("event_position", "gauge", "The last event that is so far.", events);
    let rings = status.rings.iter().flat_map(|it| {
        [(label("ring", "commands"), it.commands), (label("ring", "events"), it.events)]
    });
    to.metric("ring_waiting", "gauge", "Slots of a ring that wait for a reader.", rings);
    to.gauge("ring_slots", "The slots of each ring.", status.rings.as_ref().map(|it| it.slots));
}

fn stages(status: &Status, to: &mut Text) {
    let mut each = |name: &str, help: &str, value: fn(&super::status::StageFacts) -> f64| {
        let values = status.stages.iter().map(|it| (label("stage", it.name), value(it)));
        to.metric(name, "counter", help, values);
    };
    each("stage_polls_total", "How often a stage was polled.", |it| it.polls as f64);
    each("stage_worked_total", "Polls that found something to do.", |it| it.worked as f64);
    each("stage_items_total", "What a stage did.", |it| it.items as f64);
    each("stage_busy_seconds_total", "Time in polls that found something to do.", |it| {
        seconds(it.busy_nanos)
    });
    let largest = status.stages.iter().map(|it| (label("stage", it.name), it.largest));
    to.metric("stage_batch_items_max", "gauge", "Items in one poll, at most.", largest);
}

fn clients(status: &Status, to: &mut Text) {
    let clients = status.clients.as_ref();
    to.gauge("connections", "Connections of clients.", clients.map(|it| it.connections));
    to.gauge("sessions", "Sessions that somebody has.", clients.map(|it| it.sessions));
    to.gauge("readers", "Readers of market data.", clients.map(|it| it.readers));
    let began = clients.map(|it| seconds(it.day_began));
    to.gauge("day_began_seconds", "When the day began, since 1970.", began);
    let counted = status.traffic.iter().map(|it| (label("what", it.what), it.count));
    to.metric("traffic_total", "counter", "What the gateway counts.", counted);
}

fn disks(status: &Status, to: &mut Text) {
    let snapshots = &status.snapshots;
    to.gauge("snapshot_age_seconds", "Of the newest snapshot.", snapshots.age_seconds);
    to.gauge("snapshot_bytes", "Of the newest snapshot.", Some(snapshots.bytes));
    let failures = [(String::new(), snapshots.failures)];
    to.metric("snapshot_failures_total", "counter", "Snapshots that failed.", failures);
    let recovery = Some(seconds(snapshots.recovery_nanos));
    to.gauge("recovery_seconds", "How long a start would replay.", recovery);
    let disk = &status.disk;
    let held = [
        (label("part", "journal"), disk.journal_bytes),
        (label("part", "events"), disk.events_bytes),
        (label("part", "snapshots"), disk.snapshots_bytes),
    ];
    to.metric("data_bytes", "gauge", "What the data directory holds.", held);
    to.gauge("disk_free_bytes", "Free where the data directory is.", Some(disk.free_bytes));
    to.gauge("disk_total_bytes", "Size of the disk there.", Some(disk.total_bytes));
}
