//! The five mixes: the floor, the whole exchange, and the bars between them.

use loadgen::flow::{Flow, Market, Mix};

use crate::floor::{Bare, take};
use crate::table::{Table, median};
use crate::whole::{Redigest, Whole};
use crate::{Scale, rate};

/// `CppTrader`'s share of the floor, and the multiple of it that the book shall reach: see the head
/// of `main`.
const BARS: [(f64, f64); 5] = [
    (13.5 / 66.0, 2.5),
    (7.6 / 48.0, 2.5),
    (12.5 / 60.0, 2.5),
    (3.1 / 43.0, 5.0),
    (1.75 / 11.5, 5.0),
];

pub(crate) fn flows(scale: &Scale) -> impl Iterator<Item = (Flow, (f64, f64))> {
    let commands = scale.pick(Mix::COMMANDS, 20_000);
    let wanted = Mix::ALL.into_iter().zip(BARS).filter(|(mix, _)| scale.wants(mix.name));
    wanted.map(move |(mix, bars)| (mix.flow(commands), bars))
}

pub(crate) fn run(scale: &Scale) {
    let mut table = Table::new(
        "mixes, million commands/s of processor time",
        &[
            "flow",
            "floor",
            "hashed",
            "whole",
            "of floor",
            "bar: whole",
            "bar: book",
            "records",
            "digest",
        ],
    );
    for (flow, (share, multiple)) in flows(scale) {
        let (bare, whole) = (Bare::new(&flow), Whole::new(&flow));
        let expected = expected(&flow);
        let check = whole.check();
        assert_eq!(check.traded, expected, "{}: the exchange trades as the market", flow.name);
        let (mut slots, mut hashes, mut ours) = (Vec::new(), Vec::new(), Vec::new());
        let mut digests = Vec::new();
        for _ in 0..scale.pick(5, 1) {
            let (time, traded) = bare.with_slots();
            assert_eq!(traded, expected, "{}: the floor trades as the market", flow.name);
            slots.push(rate(flow.ops.len(), time));
            let (time, traded) = bare.with_hashes();
            assert_eq!(traded, expected, "{}: so does the hashed one", flow.name);
            hashes.push(rate(flow.ops.len(), time));
            let (time, digest) = whole.run(&mut ());
            ours.push(rate(flow.ops.len(), time));
            digests.push(digest);
        }
        assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
        let (slots, ours) = (median(slots), median(ours));
        let million = |figure: f64| format!("{figure:.1}");
        table.row([
            flow.name.clone(),
            million(slots),
            million(median(hashes)),
            format!("{ours:.2}"),
            format!("{:.2}", ours / slots),
            million(share * slots),
            million(share * multiple * slots),
            check.records.to_string(),
            digests[0].to_string(),
        ]);
    }
    table.print();
}

/// The fills of a plain market, folded.
pub(crate) fn expected(flow: &Flow) -> u64 {
    let mut market = Market::new(flow.instruments);
    let mut traded = 0;
    for op in flow.setup.iter().chain(&flow.ops) {
        market.apply(op, |fill| take(&mut traded, &fill));
    }
    traded
}

/// What `Digest::update` adds, by digesting all that was emitted once more.
pub(crate) fn run_digest(scale: &Scale) {
    let mut table = Table::new(
        "the digest's cost: everything emitted is digested once more",
        &["flow", "ns/command", "digested twice", "ns/record"],
    );
    for (flow, _) in flows(scale) {
        let whole = Whole::new(&flow);
        let (mut once, mut twice, mut each) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..scale.pick(5, 1) {
            let per_command = |nanos: f64| nanos / flow.ops.len() as f64;
            let mut redigest = Redigest::default();
            let (plain, _) = whole.run(&mut ());
            let (again, _) = whole.run(&mut redigest);
            std::hint::black_box(redigest.digest);
            let (plain, again) = (plain as f64, again as f64);
            once.push(per_command(plain));
            twice.push(per_command(again));
            each.push((again - plain) / redigest.records as f64);
        }
        table.row([
            flow.name.clone(),
            format!("{:.1}", median(once)),
            format!("{:.1}", median(twice)),
            format!("{:.1}", median(each)),
        ]);
    }
    table.print();
}
