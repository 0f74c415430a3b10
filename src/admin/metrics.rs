//! What `/status` knows, as text for Prometheus.

use std::fmt::Write;

use super::NodeState;
use super::status::{Counted, Status};
use crate::peers::{FollowerFacts, Role};
use crate::traffic::Count;

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

/// The widest of a histogram's buckets but the last: a power of two of nanoseconds, as the others,
/// so that the counters' finer buckets lie in one of them each.
const BUCKETS_LOG2: std::ops::RangeInclusive<u32> = 10..=34;

/// Lengths of time: how many by their greatest, and all together.
struct Lengths<'a> {
    labels: String,
    counts: &'a [(u64, u64)],
    nanos: u64,
}

impl Text {
    fn histogram<'a>(
        &mut self,
        name: &str,
        help: &str,
        each: impl IntoIterator<Item = Lengths<'a>>,
    ) {
        let Self(out) = self;
        let mut each = each.into_iter().filter(|it| !it.counts.is_empty()).peekable();
        if each.peek().is_none() {
            return;
        }
        let _ = writeln!(out, "# HELP ringframe_{name} {help}\n# TYPE ringframe_{name} histogram");
        for Lengths { labels, counts, nanos } in each {
            let up_to = |most: u64| -> u64 {
                counts.iter().take_while(|(nanos, _)| *nanos < most).map(|(_, count)| count).sum()
            };
            for power in BUCKETS_LOG2 {
                let most = 1 << power;
                let (end, count) = (seconds(most), up_to(most));
                let _ = writeln!(out, "ringframe_{name}_bucket{{{labels},le=\"{end}\"}} {count}");
            }
            let all: u64 = counts.iter().map(|(_, count)| count).sum();
            let _ = writeln!(out, "ringframe_{name}_bucket{{{labels},le=\"+Inf\"}} {all}");
            let _ = writeln!(out, "ringframe_{name}_sum{{{labels}}} {}", seconds(nanos));
            let _ = writeln!(out, "ringframe_{name}_count{{{labels}}} {all}");
        }
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
    let states = NodeState::ALL.map(NodeState::name);
    let states = states.map(|it| (label("state", it), u8::from(it == status.state)));
    to.metric("state", "gauge", "1 for what the node is at.", states);
    to.gauge("uptime_seconds", "Since the start.", Some(seconds(status.uptime_nanos)));
    to.gauge("epoch", "The term of leadership.", status.epoch);
    to.gauge("logic_version", "The version of the logic that is active.", status.logic.active);
    others(status, &mut to);
    positions(status, &mut to);
    stages(status, &mut to);
    clients(status, &mut to);
    spans(status, &mut to);
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
    to.gauge(
        "ring_waiting_max",
        "The most commands that waited since the start when clients' came.",
        status.rings.as_ref().map(|it| it.commands_max),
    );
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
    to.histogram(
        "stage_latency_seconds",
        "The age of a batch's oldest command when the stage was done with it.",
        status.stages.iter().map(|it| Lengths {
            labels: format!("stage=\"{}\"", it.name),
            counts: &it.ages,
            nanos: it.ages_nanos,
        }),
    );
    let syncers = [("syncer", "journal"), ("event_syncer", "events")];
    let syncs = status.stages.iter().filter_map(|it| {
        let (_, log) = syncers.iter().find(|(stage, _)| *stage == it.name)?;
        let labels = format!("log=\"{log}\"");
        Some(Lengths { labels, counts: &it.took, nanos: it.busy_nanos })
    });
    to.histogram("sync_seconds", "How long it took to make a group of frames durable.", syncs);
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
    let count = |what: Count| {
        let of = |it: &&Counted| it.what == what.name();
        status.traffic.iter().find(of).map_or(0, |it| it.count)
    };
    let is_there = clients.is_some();
    let of = |name: &str, counts: &[(&str, Count)]| -> Vec<(String, u64)> {
        let counts = counts.iter().filter(|_| is_there);
        counts.map(|(value, what)| (label(name, value), count(*what))).collect()
    };
    let held_back = is_there.then(|| (String::new(), count(Count::HeldBack)));
    let help = "Times that a client was not read: the ring full, or it too quick.";
    to.metric("throttled_total", "counter", help, held_back);
    let cut_off = [
        ("slow", Count::Slow),
        ("silent", Count::Silent),
        ("broken", Count::Broken),
        ("taken_over", Count::TakenOver),
    ];
    let help = "Connections that the gateway ended.";
    to.metric("cut_offs_total", "counter", help, of("reason", &cut_off));
    let mut unauthorised = of("at", &[("order_entry", Count::Refused)]);
    unauthorised.push((label("at", "admin"), status.calls_refused));
    to.metric("unauthorised_total", "counter", "Logins and calls that were refused.", unauthorised);
    let refused = status.refused.iter().map(|it| (label("reason", &it.why), it.count));
    to.metric("rejects_total", "counter", "What the exchange refused, by its reasons.", refused);
    let again = status.refused.iter().find(|it| it.why == DUPLICATE);
    let again = again.map(|it| (String::new(), it.count));
    let help = "Orders that came again and were not executed again.";
    to.metric("duplicates_total", "counter", help, again);
    let compared = status.digests_compared.map(|count| (String::new(), count));
    let help = "Digests in the journal that agreed with this node's.";
    to.metric("digests_compared_total", "counter", help, compared);
}

fn spans(status: &Status, to: &mut Text) {
    let Some(spans) = &status.spans else { return };
    let mut count = |name: &str, help: &str, value: u64| {
        to.metric(name, "counter", help, [(String::new(), value)]);
    };
    count("spans_sent_total", "Sampled orders whose spans the collector took.", spans.sent);
    count("spans_dropped_total", "Sampled orders whose spans it did not take.", spans.dropped);
}

/// The exchange's reason.
const DUPLICATE: &str = "duplicate_token";

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
    to.gauge("disk_seconds_to_full", "At the growth since the start.", disk.seconds_to_full);
    let faults = [
        (label("kind", "minor"), status.page_faults.minor),
        (label("kind", "major"), status.page_faults.major),
    ];
    to.metric("page_faults_total", "counter", "Without the disk, and that waited for it.", faults);
}
