//! The nightly routine under load: what clients waited at worst, and in which step.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use loadgen::results::Measured;
use loadgen::schedule::Length;
use serde_json::Value;

use crate::failover::clients;
use crate::pair::{Node, Pair, ms};
use crate::program::{Done, PROGRAM};
use crate::table::Table;
use crate::world::directory;
use crate::{Scale, segments};

const RATE: u64 = 10_000;
/// A node that has ended is started again so soon.
const LOOK: Duration = Duration::from_millis(5);
const DAY: &str = "2026-11-22";

pub(crate) fn run(scale: &Scale) {
    let rate = scale.pick(RATE, 500);
    let time = Duration::from_secs(scale.pick(30, 4));
    let beside = directory();
    let archive = beside.path().join("archive");
    let place = archive.to_str().expect("it is text").to_owned();
    let settings = [&["--archive", &*place], segments(scale)].concat();
    let mut pair = Pair::start("replicated", &settings);
    let reports = beside.path().join("reports");
    let mut load = pair.load(rate, Length::Time(time), scale.smoke);
    load.pace.warm_up = Duration::ZERO;
    load.is_polite = true;
    let admins = [0, 1].map(|which| pair.nodes[which].admin().to_string());
    let [one, other] = pair.nodes.each_mut().map(Mutex::new);
    let is_done = AtomicBool::new(false);
    let (outcome, began) = scope(|scope| {
        for node in [&one, &other] {
            scope.spawn(|| supervise(node, &is_done));
        }
        let _end = AtEnd(&is_done);
        let clients = clients(scope, &load);
        clients.wait_for(1);
        let began = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
        clients.wait_for(rate);
        let mut command = Command::new(PROGRAM);
        command.args(["nightly", "--admin", &admins[0], "--admin", &admins[1]]);
        command.args(["--day", DAY, "--reports"]).arg(&reports);
        let done = Done::new(&command.output().expect("the program"));
        done.expect(0, &["done: "]);
        if clients.playing.is_finished() {
            println!("  the load was over before the night was: the last steps had none");
        }
        (clients.end(), began)
    });
    pair.swap();
    pair.end();
    show(rate, &outcome.results.measured, began, &reports);
}

/// Those who watch come to their end, whatever happens.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// As systemd does, sooner.
fn supervise(node: &Mutex<&mut Node>, is_done: &AtomicBool) {
    while !is_done.load(Ordering::Relaxed) {
        let mut node = node.lock().expect("nobody panics with it");
        let child = &mut node.serving.as_mut().expect("it was started").child;
        if child.try_wait().expect("it is ours").is_some() {
            node.start("standing by");
        }
        drop(node);
        sleep(LOOK);
    }
}

/// By step, from the report: when it was, how long it took, and what clients waited meanwhile.
fn show(rate: u64, measured: &Measured, began: Duration, reports: &Path) {
    let latency = measured.latency_ns;
    println!(
        "\nringframe nightly, f1, 4 sessions at {rate}/s, replicated: {} messages, {} lost, {} \
         repeated, {} reconnects; p50 {} ms, p99 {}, p99.9 {}, max {}",
        measured.sent,
        measured.lost,
        measured.repeated,
        measured.reconnected,
        ms(latency.p50 as f64),
        ms(latency.p99 as f64),
        ms(latency.p99_9 as f64),
        ms(latency.max as f64)
    );
    let report = fs::read_to_string(reports.join(format!("nightly-{DAY}.json")));
    let report: Value = serde_json::from_str(&report.expect("it is done")).expect("it is whole");
    let columns = ["step", "from s", "took ms", "worst latency ms"];
    let mut table = Table::untitled(&columns);
    let mut end = 0.0;
    for step in report["steps"].as_array().expect("all of them") {
        let at: Timestamp = step["at"].as_str().and_then(|at| at.parse().ok()).expect("a time");
        let from = at.as_nanosecond() as f64 / 1e9 - began.as_secs_f64();
        let took = step["took_ms"].as_f64().expect("a number");
        end = from + took / 1e3;
        table.row([
            step["step"].as_str().unwrap_or_default().to_owned(),
            format!("{from:.2}"),
            format!("{took:.0}"),
            ms(worst(measured, from, end)).to_string(),
        ]);
    }
    for (name, from, end) in [("before", 0.0, 1.0), ("after", end, f64::INFINITY)] {
        let worst = ms(worst(measured, from, end)).to_string();
        table.row([name.to_owned(), format!("{from:.2}"), String::new(), worst]);
    }
    table.print();
}

/// Of the answers that came in the slices of the run that reach into that time: one that two steps
/// share counts for both, and a wait that ends in the next step counts there.
fn worst(measured: &Measured, from: f64, end: f64) -> f64 {
    let slices = &measured.intervals;
    let ends = slices.iter().skip(1).map(|it| it.from_seconds).chain([f64::INFINITY]);
    let within =
        slices.iter().zip(ends).filter(|(it, it_ends)| it.from_seconds < end && *it_ends > from);
    within.map(|(it, _)| it.max as f64).fold(0.0, f64::max)
}
