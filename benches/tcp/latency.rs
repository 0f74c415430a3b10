//! From the moment an order was due to its answer, open loop, by policy and rate.

use std::time::Duration;

use loadgen::schedule::Length;

use crate::paced::paced;
use crate::table::{Table, compare, latency_columns, percentiles};
use crate::world::{Server, directory, medians, play};
use crate::{Scale, policies};

pub(crate) fn run(scale: &Scale) {
    let repeats = scale.pick(5, 1);
    let title = format!(
        "f1, 4 sessions: from due to answered, open loop, µs; every figure, p99.9 and max too, is \
         the median of {repeats} runs (bars: journaled p50 1.3x and p99.9 3x of the echo, synced \
         p50 and p99 1.2x of pwrite+fdatasync)"
    );
    let mut table = Table::new(&title, &latency_columns(""));
    let mut memory = Vec::new();
    for rate in scale.pick(vec![10_000, 100_000], vec![2_000]) {
        let time = Duration::from_millis(scale.pick(3_000, 100));
        for policy in policies(scale) {
            let (mut ours, mut echo, mut bare) = (vec![], vec![], vec![]);
            for _ in 0..repeats {
                let server = Server::start(policy);
                let before = server.memory();
                let mut load = server.load(rate, Length::Time(time), scale.smoke);
                load.echo = true;
                let outcome = play(&load);
                ours.push(outcome.results.measured.latency_ns);
                echo.push(outcome.results.echo.expect("it was asked for").latency_ns);
                memory.push((policy, rate, before, server.memory()));
                server.end();
                if policy == "synced" {
                    let commands = rate as usize * time.as_millis() as usize / 1000;
                    bare.push(paced(directory().path(), commands, rate as usize));
                }
            }
            let ours = medians(&ours);
            let name = format!("{} k/s: {policy}", rate / 1000);
            compare(&mut table, [&name, "  echo"], &ours, &medians(&echo));
            if !bare.is_empty() {
                compare(&mut table, [&name, "  pwrite+fdatasync"], &ours, &percentiles(&bare));
            }
        }
    }
    table.print();
    println!("\nresident memory of the server before and after, MiB");
    for (policy, rate, before, after) in memory {
        println!("  {policy} {} k/s: {before:.0} {after:.0}", rate / 1000);
    }
}
