//! The leader is killed under load and its standby told to lead at once: who tells it so is quick,
//! so this is the switch alone.

use std::sync::Arc;
use std::thread::{Scope, scope, sleep};
use std::time::{Duration, Instant};

use loadgen::ear::Ear;
use loadgen::run::Options;
use loadgen::schedule::Length;

use crate::clients::Clients;
use crate::pair::{Node, Pair, ask, ms};
use crate::table::{Table, median};
use crate::world::play;
use crate::{Scale, segments};

/// Messages a second.
pub(crate) fn rate(scale: &Scale) -> u64 {
    scale.pick(10_000, 1_000)
}

/// Before it asks once more a node that has not heard yet that its leader is gone.
const AGAIN: Duration = Duration::from_micros(500);
/// No node takes longer, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Nodes have the cores: clients sleep where nothing is due.
pub(crate) fn load(pair: &Pair, scale: &Scale) -> (Options, u64) {
    let rate = rate(scale);
    let count = rate * scale.pick(3, 1);
    let mut load = pair.load(rate, Length::Count(count), scale.smoke);
    load.pace.warm_up = Duration::ZERO;
    load.is_polite = true;
    (load, count)
}

/// On a thread of their own. What they miss ends the bench.
pub(crate) fn clients<'a>(scope: &'a Scope<'a, '_>, load: &'a Options) -> Clients<'a> {
    let live = Arc::clone(&load.live);
    Clients { live, playing: scope.spawn(|| play(load)) }
}

/// Median and maximum of what repeats found, column by column, in ms.
pub(crate) fn rows(table: &mut Table, repeats: &[Vec<Duration>]) {
    let columns = repeats.first().map_or(0, Vec::len);
    let of = |column: usize| -> Vec<f64> {
        repeats.iter().map(|repeat| repeat[column].as_nanos() as f64).collect()
    };
    let mut row = |name: &str, pick: fn(Vec<f64>) -> f64| {
        let figures = (0..columns).map(|column| ms(pick(of(column))).to_string());
        table.row([name.to_owned()].into_iter().chain(figures));
    };
    row("median", median);
    row("max", |all| all.into_iter().fold(0.0, f64::max));
}

pub(crate) fn run(scale: &Scale) {
    let times = scale.pick(15, 1);
    for policy in ["replicated", "replicated+synced"].into_iter().filter(|it| scale.wants(it)) {
        let title = format!(
            "f1, 4 sessions at {}/s, {policy}: kill -9 of the leader and promote at once, \
             {times} times, ms (bar: asked to first reply 250)",
            rate(scale)
        );
        let columns = [
            "",
            "kill to leads",
            "kill to first reply",
            "asked to leads",
            "asked to first reply",
            "worst latency",
        ];
        let mut table = Table::new(&title, &columns);
        let mut pair = Pair::start(policy, segments(scale));
        let found: Vec<_> = (0..times).map(|_| fail_over(&mut pair, scale)).collect();
        pair.end();
        rows(&mut table, &found);
        table.print();
    }
}

fn fail_over(pair: &mut Pair, scale: &Scale) -> Vec<Duration> {
    let (load, count) = load(pair, scale);
    let (found, outcome) = scope(|scope| {
        let clients = clients(scope, &load);
        clients.wait_for(count / 4);
        let mut ear = Ear::new(&clients.live);
        let killed = Instant::now();
        pair.leader().kill();
        let asked = Instant::now();
        promote(pair.standby());
        let leads = Instant::now();
        clients.listen_until(&mut ear, || true);
        let replied = Instant::now();
        ((killed, asked, leads, replied), clients.end())
    });
    pair.swap();
    pair.standby().start("standing by");
    pair.wait_for_standby();
    let (killed, asked, leads, replied) = found;
    let worst = Duration::from_nanos(outcome.results.measured.latency_ns.max);
    vec![leads - killed, replied - killed, leads - asked, replied - asked, worst]
}

fn promote(node: &Node) {
    let give_up = Instant::now() + PATIENCE;
    while let Err(why) = ask(node.admin(), "/promote") {
        assert!(Instant::now() < give_up, "it does not lead: {why}");
        sleep(AGAIN);
    }
}
