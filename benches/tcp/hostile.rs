//! What clients that mean harm cost the others: the same load without and with them, in turn, each
//! time on a server that nobody has done anything to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadgen::schedule::Length;

use crate::harm::{HARMS, Harm};
use crate::program::Done;
use crate::table::{Table, compare, latency_columns};
use crate::world::{Server, medians, play};
use crate::{MIB, Scale};

const RATE: u64 = 10_000;

/// Tells the harm to stop when it goes, also when the load failed.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What an accepted order's token takes for the rest of the day, with its place in the index
/// (`cargo bench --bench exchange resting`), in the exchange and in the shadow that follows it.
const TOKEN_BYTES: f64 = 2.0 * 28.0;

pub(crate) fn run(scale: &Scale) {
    let names: Vec<&str> = HARMS.iter().map(|(name, _)| *name).collect();
    let title = format!(
        "f1, 4 sessions at {} k/s, µs, alone and beside harm (bar: p99 2x): {}",
        RATE / 1000,
        names.join(", ")
    );
    let mut table = Table::new(&title, &latency_columns(""));
    let columns = ["policy", "million orders", "before", "grown", "their tokens", "the rest"];
    let mut memory = Table::new("memory beside harm, MiB, without pages of files", &columns);
    for policy in scale.policies() {
        let (mut alone, mut beside) = (vec![], vec![]);
        for _ in 0..scale.pick(5, 1) {
            let time = Duration::from_millis(scale.pick(3_000, 200));
            let rate = scale.pick(RATE, 1_000);
            let measure = |server: &Server| {
                let load = server.load(rate, Length::Time(time), scale.smoke);
                play(&load).results.measured.latency_ns
            };
            // Harm has lasting effects, too: each has a server of its own.
            let server = Server::start(policy);
            alone.push(measure(&server));
            server.end();
            let server = Server::start(policy);
            let before = server.own_memory();
            beside.push(harmed(&HARMS, &server, || measure(&server)));
            let grown = server.own_memory() - before;
            let orders = counted(&server.end(), "messages in") as f64;
            let tokens = orders * TOKEN_BYTES / MIB as f64;
            let figures = [before, grown, tokens, grown - tokens].map(|it| format!("{it:.0}"));
            let orders = format!("{:.2}", orders / 1e6);
            memory.row([policy.to_owned(), orders].into_iter().chain(figures));
        }
        let name = format!("{policy}: beside harm");
        compare(&mut table, [&name, "  alone"], &medians(&beside), &medians(&alone));
    }
    table.print();
    memory.print();
}

/// How often something happened, as a server says at its end.
fn counted(done: &Done, what: &str) -> u64 {
    let line = done.out.lines().find_map(|line| line.trim_end().strip_suffix(what));
    let number = line.and_then(|line| line.split_whitespace().next_back());
    number.and_then(|number| number.parse().ok()).expect("the server says it")
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
