//! One node alone and a pair, by turns in one run: as much as goes, and latency at a steady rate.
//! The standby, the leader and the load share the machine.

use std::collections::BTreeMap;
use std::time::Duration;

use loadgen::latency::Summary;
use loadgen::run::{Options, Outcome, demo_users};
use loadgen::schedule::Length;

use crate::Scale;
use crate::pair::Pair;
use crate::table::{Table, compare, latency_columns, median};
use crate::world::{Server, medians, per_second, play};

/// What a reply means with a standby, and alone where the same is done to a command on the leader.
const POLICIES: [(&str, &str); 4] = [
    ("journaled", "journaled"),
    ("replicated", "journaled"),
    ("synced", "synced"),
    ("replicated+synced", "synced"),
];
const ALONE: [&str; 2] = ["journaled", "synced"];

const SESSIONS: usize = 16;
/// Beyond any machine.
const ENDLESS: u64 = 1_000_000_000;
const RATE: u64 = 10_000;

pub(crate) fn run(scale: &Scale) {
    throughput(scale);
    latency(scale);
}

/// What was found in each repeat, by who it was: `alone` or `pair`, and the policy.
type Found<T> = BTreeMap<(&'static str, &'static str), Vec<T>>;

/// Plays at each of them in turn; what the echo did stands beside.
fn by_turns<T>(
    scale: &Scale,
    adjust: impl Fn(&mut Options),
    rate: u64,
    length: Length,
    figure: impl Fn(&Outcome) -> [T; 2],
) -> (Found<T>, Vec<T>) {
    let (mut found, mut echoes) = (Found::new(), Vec::new());
    let mut measure = |who, policy, mut load: Options| {
        adjust(&mut load);
        load.echo = true;
        let [ours, echo] = figure(&play(&load));
        found.entry((who, policy)).or_default().push(ours);
        echoes.push(echo);
    };
    let wanted = || POLICIES.into_iter().filter(|(policy, _)| scale.wants(policy));
    for _ in 0..scale.pick(5, 1) {
        for policy in ALONE.into_iter().filter(|one| wanted().any(|(_, alone)| alone == *one)) {
            let server = Server::start(policy);
            measure("alone", policy, server.load(rate, length, scale.smoke));
            server.end();
        }
        for (policy, _) in wanted() {
            let pair = Pair::start(policy, &[]);
            measure("pair", policy, pair.load(rate, length, scale.smoke));
            pair.end();
        }
    }
    (found, echoes)
}

fn throughput(scale: &Scale) {
    let title = format!(
        "f1, {SESSIONS} sessions, no limit: million messages/s of a pair, and of a node alone \
         (bar: 0.8 of that)"
    );
    let columns = ["pair", "M/s", "best", "alone", "M/s", "of it", "of the echo"];
    let mut table = Table::new(&title, &columns);
    let count = Length::Count(scale.pick(2_000_000, 1_000));
    let adjust = |load: &mut Options| {
        load.login.users = demo_users(SESSIONS);
        load.pace.warm_up = Duration::ZERO;
    };
    let (found, echoes) = by_turns(scale, adjust, ENDLESS, count, |outcome| {
        let echo = outcome.results.echo.as_ref().expect("it was asked for");
        [per_second(&outcome.results.measured) / 1e6, per_second(echo) / 1e6]
    });
    let echo = median(echoes);
    for (policy, like) in POLICIES {
        let Some(pair) = found.get(&("pair", policy)) else { continue };
        let alone = &found[&("alone", like)];
        let ratio = median(pair.iter().zip(alone).map(|(pair, alone)| pair / alone).collect());
        let best = pair.iter().copied().fold(0.0, f64::max);
        let (pair, alone) = (median(pair.clone()), median(alone.clone()));
        let [pair, best, alone, ratio, echo] =
            [pair, best, alone, ratio, pair / echo].map(|figure| format!("{figure:.3}"));
        table.row([policy.to_owned(), pair, best, like.to_owned(), alone, ratio, echo]);
    }
    table.print();
    println!("  the bare echo: {echo:.3} M/s");
}

fn latency(scale: &Scale) {
    let rate = scale.pick(RATE, 1_000);
    let title = format!(
        "f1, 4 sessions at {} k/s: from due to answered, open loop, µs; medians of {} runs",
        rate / 1000,
        scale.pick(5, 1)
    );
    let mut table = Table::new(&title, &latency_columns(""));
    let time = Length::Time(Duration::from_millis(scale.pick(3_000, 100)));
    let (found, echoes): (Found<Summary>, _) = by_turns(
        scale,
        |_| (),
        rate,
        time,
        |outcome| {
            let echo = outcome.results.echo.as_ref().expect("it was asked for");
            [outcome.results.measured.latency_ns, echo.latency_ns]
        },
    );
    let echo = medians(&echoes);
    for ((who, policy), runs) in found.iter().filter(|((who, _), _)| *who == "alone") {
        compare(&mut table, [&format!("{who}, {policy}"), "  echo"], &medians(runs), &echo);
    }
    for (policy, like) in POLICIES {
        let Some(pair) = found.get(&("pair", policy)) else { continue };
        let (pair, alone) = (medians(pair), medians(&found[&("alone", like)]));
        let names = [&*format!("pair, {policy}"), &*format!("  alone, {like}")];
        compare(&mut table, names, &pair, &alone);
    }
    table.print();
}
