//! What clients that mean harm cost the others: the same load without and with them, in turn.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadgen::schedule::Length;

use crate::Scale;
use crate::harm::{HARMS, Harm};
use crate::table::{Table, compare, latency_columns};
use crate::world::{Server, medians, play};

const RATE: u64 = 10_000;

/// Tells the harm to stop when it goes, also when the load failed.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn run(scale: &Scale) {
    let names: Vec<&str> = HARMS.iter().map(|(name, _)| *name).collect();
    let title = format!(
        "f1, 4 sessions at {} k/s, µs, alone and beside harm (bar: p99 2x): {}",
        RATE / 1000,
        names.join(", ")
    );
    let mut table = Table::new(&title, &latency_columns(""));
    let mut memory = Vec::new();
    for policy in scale.policies() {
        let (mut alone, mut beside) = (vec![], vec![]);
        let server = Server::start(policy);
        for _ in 0..scale.pick(5, 1) {
            let time = Duration::from_millis(scale.pick(3_000, 200));
            let rate = scale.pick(RATE, 1_000);
            let load = server.load(rate, Length::Time(time), scale.smoke);
            alone.push(play(&load).results.measured.latency_ns);
            let before = server.memory();
            beside.push(harmed(&HARMS, &server, || play(&load).results.measured.latency_ns));
            memory.push((policy, before, server.memory()));
        }
        server.end();
        let name = format!("{policy}: beside harm");
        compare(&mut table, [&name, "  alone"], &medians(&beside), &medians(&alone));
    }
    table.print();
    println!("\nresident memory of the server before and after harm, MiB");
    for (policy, before, after) in memory {
        println!("  {policy}: {before:.0} {after:.0}");
    }
}

/// Measures while all of it is done.
fn harmed<T>(harms: &[(&str, Harm)], server: &Server, measure: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    let address = server.address();
    std::thread::scope(|scope| {
        for (_, harm) in harms {
            let (stop, address) = (&stop, address.as_str());
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // The server may well refuse or cut it.
                    let _ = harm(address, stop);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        let _stops = Stops(&stop);
        measure()
    })
}
