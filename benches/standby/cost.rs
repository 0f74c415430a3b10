//! One node alone and a pair, by turns in one run: as much as goes, and latency at a steady rate.
//! The standby, the leader and the load share the machine.

use std::collections::BTreeMap;
use std::time::Duration;

use loadgen::latency::Summary;
use loadgen::results::{Measured, Results};
use loadgen::run::{Options, demo_users};
use loadgen::schedule::Length;

use crate::pair::Pair;
use crate::table::{Table, compare, latency_columns, median};
use crate::world::{Server, medians, per_second, play};
use crate::{Scale, segments};

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

/// What one play found, or the echo before it.
struct Repeat {
    latency: Summary,
    /// Million messages a second.
    rate: f64,
}

/// By who it was, `alone` or `pair`, and the policy.
type Found = BTreeMap<(&'static str, &'static str), Vec<Repeat>>;

pub(crate) fn run(scale: &Scale) {
    let (mut found, mut echoes) = (Found::new(), Vec::new());
    let mut measure = |who, policy, load: &dyn Fn(u64, Length) -> Options| {
        let [ours, echo] = play_both(scale, load);
        found.entry((who, policy)).or_default().push(ours);
        echoes.push(echo);
    };
    let wanted = || POLICIES.into_iter().filter(|(policy, _)| scale.wants(policy));
    for _ in 0..scale.pick(5, 1) {
        for policy in ALONE.into_iter().filter(|one| wanted().any(|(_, alone)| alone == *one)) {
            let server = Server::start_with(policy, segments(scale), "");
            measure("alone", policy, &|rate, length| server.load(rate, length, scale.smoke));
            server.end();
        }
        for (policy, _) in wanted() {
            let pair = Pair::start(policy, segments(scale));
            measure("pair", policy, &|rate, length| pair.load(rate, length, scale.smoke));
            pair.end();
        }
    }
    latency(scale, &found, &echoes);
    throughput(&found, &echoes);
}

/// At a steady rate first, and then as fast as it goes; and the echo, each time before.
fn play_both(scale: &Scale, load: &dyn Fn(u64, Length) -> Options) -> [Repeat; 2] {
    let time = Duration::from_millis(scale.pick(3_000, 100));
    let mut steady = load(scale.pick(RATE, 1_000), Length::Time(time));
    steady.echo = true;
    let mut endless = load(ENDLESS, Length::Count(scale.pick(2_000_000, 1_000)));
    endless.login.users = demo_users(SESSIONS);
    endless.pace.warm_up = Duration::ZERO;
    endless.echo = true;
    let [steady, endless] = [steady, endless].map(|load| play(&load).results);
    let echo = |results: &Results| results.echo.clone().expect("it was asked for");
    let repeat = |steady: &Measured, endless: &Measured| Repeat {
        latency: steady.latency_ns,
        rate: per_second(endless) / 1e6,
    };
    [repeat(&steady.measured, &endless.measured), repeat(&echo(&steady), &echo(&endless))]
}

fn throughput(found: &Found, echoes: &[Repeat]) {
    let title = format!(
        "f1, {SESSIONS} sessions, no limit: million messages/s of a pair, and of a node alone \
         (bar: 0.8 of that)"
    );
    let columns = ["pair", "M/s", "best", "alone", "M/s", "of it", "of the echo"];
    let mut table = Table::new(&title, &columns);
    let rates = |repeats: &[Repeat]| -> Vec<f64> { repeats.iter().map(|it| it.rate).collect() };
    let echo = median(rates(echoes));
    for (policy, like) in POLICIES {
        let Some(pair) = found.get(&("pair", policy)) else { continue };
        let (pair, alone) = (rates(pair), rates(&found[&("alone", like)]));
        let ratio = median(pair.iter().zip(&alone).map(|(pair, alone)| pair / alone).collect());
        let best = pair.iter().copied().fold(0.0, f64::max);
        let (pair, alone) = (median(pair), median(alone));
        let [pair, best, alone, ratio, share] =
            [pair, best, alone, ratio, pair / echo].map(|figure| format!("{figure:.3}"));
        table.row([policy.to_owned(), pair, best, like.to_owned(), alone, ratio, share]);
    }
    table.print();
    println!("  the bare echo: {echo:.3} M/s");
}

fn latency(scale: &Scale, found: &Found, echoes: &[Repeat]) {
    let title = format!(
        "f1, 4 sessions at {}/s: from due to answered, open loop, µs; medians of {} runs",
        scale.pick(RATE, 1_000),
        scale.pick(5, 1)
    );
    let mut table = Table::new(&title, &latency_columns(""));
    let of = |repeats: &[Repeat]| {
        medians(&repeats.iter().map(|repeat| repeat.latency).collect::<Vec<_>>())
    };
    let echo = of(echoes);
    for policy in ALONE {
        let Some(alone) = found.get(&("alone", policy)) else { continue };
        compare(&mut table, [&format!("alone, {policy}"), "  echo"], &of(alone), &echo);
    }
    for (policy, like) in POLICIES {
        let Some(pair) = found.get(&("pair", policy)) else { continue };
        let names = [&*format!("pair, {policy}"), &*format!("  alone, {like}")];
        compare(&mut table, names, &of(pair), &of(&found[&("alone", like)]));
    }
    table.print();
}
