//! Runs that nobody ran: their latencies are drawn from a seed, and recorded by the real
//! histograms, so that reports have something to show without a server.

use loadgen::latency::Latencies;
use loadgen::random::Random;
use loadgen::results::{
    Age, FORMAT, Fact, Host, Interval, Measured, Results, ServerWork, StageWork, Step,
};

const INTERVALS: usize = 50;
const PER_INTERVAL: usize = 2_000;
const INTERVAL_SECONDS: f64 = 0.1;

/// What to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Half of the messages take no longer.
    pub(crate) median_ns: f64,
    /// Which interval holds a stall, and how long it is.
    pub(crate) stall: Option<(usize, u64)>,
    /// Which interval holds wrong answers, and how many.
    pub(crate) wrong: Option<(usize, u64)>,
    /// The same seed gives the same run.
    pub(crate) seed: u64,
}

/// A run with its floor.
pub(crate) fn run(title: &str, shape: Shape) -> Results {
    let floor = Shape { median_ns: 7_200.0, stall: None, wrong: None, seed: shape.seed + 1_000 };
    let mut hiccups = Latencies::new();
    let mut random = Random::new(shape.seed);
    (0..100_000).for_each(|_| hiccups.record(skewed(&mut random, 90.0, 0.5)));
    Results {
        format: FORMAT,
        title: title.to_owned(),
        begun: "2026-01-31T12:00:00Z".to_owned(),
        host: Host {
            facts: facts(&[
                ("CPU", "Sample CPU 9000 at 3.00 GHz"),
                ("cores usable", "2 (0-1), no quota below"),
                ("kernel", "6.1.0"),
                ("governor", "performance"),
                ("disk", "append and fdatasync of 4 KiB: 812 µs in the median"),
            ]),
        },
        load: facts(&[
            ("rate", "20,000 messages a second"),
            ("arrival", "Poisson"),
            ("sessions", "4"),
            ("seed", &shape.seed.to_string()),
        ]),
        server: facts(&[("version", "0.1.0"), ("release", "journaled"), ("layout", "auto")]),
        server_work: Some(server_work()),
        measured: measured(shape),
        echo: Some(measured(floor)),
        hiccup_ns: Some(hiccups.summary()),
        sweep: Vec::new(),
    }
}

/// A run with the steps of a sweep, which holds up to 400,000 messages a second.
pub(crate) fn sweep(title: &str, shape: Shape) -> Results {
    let step = |index: u64| {
        let wanted = (index * 50_000) as f64;
        let load = wanted / 480_000.0;
        let slower = 1.0 / (1.0 - load.min(0.98));
        let mut latencies = Latencies::new();
        let mut random = Random::new(shape.seed + index);
        let median = shape.median_ns * slower;
        (0..20_000)
            .for_each(|_| latencies.record(skewed(&mut random, median, 0.3 * slower.sqrt())));
        Step {
            wanted_per_second: wanted,
            answered_per_second: wanted.min(462_000.0),
            latency_ns: latencies.summary(),
            held: index <= 8,
        }
    };
    Results { sweep: (1..=10).map(step).collect(), ..run(title, shape) }
}

fn server_work() -> ServerWork {
    let stage = |name: &str, busy_share, items, batches| StageWork {
        name: name.to_owned(),
        items,
        batches,
        batch_max: 64,
        busy_share,
        age_ns: (batches > 0).then_some(Age { p50: 1_536, p99: 12_287, max: 917_503 }),
    };
    ServerWork {
        seconds: 5.5,
        commands: 110_003,
        events: 140_021,
        looks: 6,
        ring_slots: 4_096,
        commands_waiting_max: 17,
        events_waiting_max: 23,
        stages: vec![
            stage("gateway", 0.312, 110_000, 55_000),
            stage("journaler", 0.054, 110_003, 44_001),
            stage("keeper", 0.0, 0, 0),
        ],
    }
}

fn facts(pairs: &[(&str, &str)]) -> Vec<Fact> {
    let fact = |(name, value): &(&str, &str)| Fact {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    pairs.iter().map(fact).collect()
}

/// Around a median, with a long tail to the right: the sum of twelve units is almost normal.
fn skewed(random: &mut Random, median: f64, spread: f64) -> u64 {
    let normal = (0..12).map(|_| random.next_unit()).sum::<f64>() - 6.0;
    let tail = random.next_unit().powf(-0.12);
    (median * (normal * spread).exp() * tail) as u64
}

fn measured(shape: Shape) -> Measured {
    let mut random = Random::new(shape.seed);
    let (mut all, mut service) = (Latencies::new(), Latencies::new());
    let mut intervals = Vec::new();
    for index in 0..INTERVALS {
        let mut slice = Latencies::new();
        let stall = shape.stall.filter(|(at, _)| *at == index).map_or(0, |(_, ns)| ns);
        for message in 0..PER_INTERVAL {
            let ns = skewed(&mut random, shape.median_ns, 0.16);
            service.record(ns);
            // Who comes during a stall waits for what is left of it.
            let waited = stall.saturating_sub(message as u64 * 50_000);
            slice.record(ns + waited);
        }
        let summary = slice.summary();
        let wrong = shape.wrong.filter(|(at, _)| *at == index).map_or(0, |(_, count)| count);
        intervals.push(Interval {
            from_seconds: index as f64 * INTERVAL_SECONDS,
            sent: PER_INTERVAL as u64,
            answered: PER_INTERVAL as u64,
            wrong,
            p50: summary.p50,
            p99: summary.p99,
            max: summary.max,
            hiccup_max: skewed(&mut random, 3_000.0, 0.4) + stall / 20,
        });
        all.merge(&slice);
    }
    let seconds = INTERVALS as f64 * INTERVAL_SECONDS;
    let unexpected = shape.wrong.map_or(0, |(_, count)| count);
    Measured {
        latency_ns: all.summary(),
        service_ns: service.summary(),
        sent: all.count(),
        unsent: 0,
        behind_ns: None,
        given_up: None,
        answered: all.count(),
        lost: 0,
        repeated: 0,
        unexpected,
        wrong_early: 0,
        wanted_per_second: all.count() as f64 / seconds,
        answered_per_second: all.count() as f64 / seconds,
        seconds,
        curve: all.curve(),
        silent: 0,
        resent: 0,
        reconnected: 0,
        kinds: facts(&[("accepted", "70,000"), ("executed", "30,000")]),
        intervals,
        errors: (unexpected > 0).then(|| "a reply to <nobody>".to_owned()).into_iter().collect(),
    }
}
