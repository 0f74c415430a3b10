//! Flows shaped like equities: by regime, and by how many orders rest. And what one command takes.

use std::time::Instant;

use loadgen::flow::{Equity, Flow, Mix, Regime};

use crate::table::{Table, median};
use crate::whole::{BATCH, Whole};
use crate::{Scale, rate};

const COLUMNS: [&str; 8] = ["flow", "M/s", "p50", "p99", "p99.9", "max", "batch p50", "batch p99"];

/// The mixes and every regime, with 1 and 100 instruments.
pub(crate) fn run(scale: &Scale) {
    let commands = scale.pick(Mix::COMMANDS, 20_000);
    let mut table = latency_table("by flow and regime (×instruments, resting)");
    for mix in Mix::ALL.into_iter().filter(|mix| scale.wants(mix.name)) {
        table.row(measure(scale, &mix.flow(commands), mix.name.to_owned(), []));
    }
    for regime in Regime::ALL.into_iter().filter(|regime| scale.wants(regime.name())) {
        for (instruments, resting) in [(1, 10_000), (100, 100_000)] {
            let flow = Equity { regime, instruments, resting, seed: 1 }.flow(commands);
            let name = flow.name.clone();
            table.row(measure(scale, &flow, name, []));
        }
    }
    table.print();
}

/// The normal regime with 10³ to 10⁷ resting orders.
pub(crate) fn run_resting(scale: &Scale) {
    let commands = scale.pick(Mix::COMMANDS, 20_000);
    let mut table = latency_table("by resting orders, normal regime");
    for instruments in [1, 100] {
        for power in 3..=scale.pick(7, 4) {
            let resting = 10_u32.pow(power);
            let equity = Equity { regime: Regime::Normal, instruments, resting, seed: 1 };
            let flow = equity.flow(commands);
            let whole = Whole::new(&flow);
            let market = whole.loaded();
            let live = market.exchange.live_orders();
            let bytes = format!("{} B/order", market.exchange.bytes() / live);
            drop(market);
            let name = format!("10^{power} ×{instruments}");
            table.row(measure(scale, &flow, name, [bytes]));
        }
    }
    table.print();
}

fn latency_table(title: &str) -> Table {
    let clock = clock();
    let cost = format!("p50 {}, p99 {}, p99.9 {}", clock[0], clock[1], clock[2]);
    let title = format!(
        "{title}; ns of one command, of which reading the clock takes {cost}; ns a command in \
         batches of {BATCH}, undisturbed but for one clock reading a command"
    );
    Table::new(&title, &COLUMNS)
}

fn measure<const N: usize>(
    scale: &Scale,
    flow: &Flow,
    name: String,
    more: [String; N],
) -> Vec<String> {
    let whole = Whole::new(flow);
    let rates = (0..scale.pick(3, 1)).map(|_| rate(flow.ops.len(), whole.run(&mut ()).0)).collect();
    let mut latencies = whole.latencies();
    let mut row = vec![name, format!("{:.2}", median(rates))];
    row.extend(quantiles(&mut latencies.commands, &[0.5, 0.99, 0.999, 1.0]));
    row.extend(quantiles(&mut latencies.batches, &[0.5, 0.99]));
    row.extend(more);
    row
}

/// What lies between two readings of the clock and nothing else.
pub(crate) fn clock() -> Vec<String> {
    let mut last = Instant::now();
    let mut between: Vec<u32> = Vec::with_capacity(100_000);
    for _ in 0..between.capacity() {
        let now = Instant::now();
        between.push((now - last).as_nanos() as u32);
        last = now;
    }
    quantiles(&mut between, &[0.5, 0.99, 0.999])
}

pub(crate) fn quantiles(nanos: &mut [u32], quantiles: &[f64]) -> Vec<String> {
    nanos.sort_unstable();
    let last = nanos.len() - 1;
    let at = |quantile: &f64| nanos[(last as f64 * quantile).round() as usize].to_string();
    quantiles.iter().map(at).collect()
}
