//! What it costs that tables grow: a book fills up from nothing, with the room for all of it taken
//! beforehand and without. Time of this thread, so that others do not count, by batches: a pause
//! would stand out.

use loadgen::flow::{Equity, Regime};

use crate::commands::{Market, Translator, opening};
use crate::regimes::quantiles;
use crate::table::Table;
use crate::whole::BATCH;
use crate::{Scale, cpu_nanos};

pub(crate) fn run(scale: &Scale) {
    let title = format!("a book that fills up: µs of a batch of {BATCH} new orders, and in all");
    let columns = ["room", "orders", "p50", "p99", "p99.9", "p99.99", "max", "ns an order"];
    let mut table = Table::new(&title, &columns);
    let resting = scale.pick(4_000_000, 5_000);
    let flow = Equity { regime: Regime::Normal, instruments: 100, resting, seed: 1 }.flow(0);
    let orders = flow.setup.len();
    for (room, reserved) in [("as it grows", 0), ("beforehand", orders), ("as it grows", 0)] {
        let mut market = Market::default();
        market.exchange.reserve(2 * reserved, 2 * reserved);
        for command in opening(flow.instruments) {
            market.step(&command);
            market.outbox.clear();
        }
        let mut translator = Translator::new(&flow);
        let mut batches: Vec<u32> = Vec::with_capacity(orders / BATCH + 1);
        let mut commands = Vec::with_capacity(BATCH);
        for ops in flow.setup.chunks(BATCH) {
            commands.extend(ops.iter().map(|op| translator.command(op)));
            let begun = cpu_nanos();
            for command in commands.drain(..) {
                market.step(&command);
            }
            batches.push((cpu_nanos() - begun) as u32);
            market.outbox.clear();
        }
        let all: u64 = batches.iter().map(|&nanos| u64::from(nanos)).sum();
        let mut row = vec![room.to_owned(), orders.to_string()];
        let micros = quantiles(&mut batches, &[0.5, 0.99, 0.999, 0.9999, 1.0]);
        row.extend(micros.iter().map(|nanos| {
            let nanos: u32 = nanos.parse().expect("a number");
            format!("{:.1}", f64::from(nanos) / 1e3)
        }));
        row.push(format!("{:.0}", all as f64 / orders as f64));
        table.row(row);
    }
    table.print();
}
