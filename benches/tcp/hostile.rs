//! What clients that mean harm cost the others: the same load without them, with them, and with
//! them at somebody else's, in turn, each time on a server that nobody has done anything to.
//!
//! Those who mean harm come from other machines. Here they share two cores with server and load, so
//! they get what these leave over; and harm that does all the same to a sink on this machine, which
//! reads and throws away, tells what of the figures is the cores' and the kernel's doing.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadgen::schedule::Length;

use crate::harm::HARMS;
use crate::program::Done;
use crate::table::{Table, compare, latency_columns};
use crate::world::{Server, medians, play};
use crate::{MIB, Scale, policies};

const RATE: u64 = 10_000;
/// What an operator sets who expects no session to be so quick: four times what the load's are.
/// Without it a flood of orders is a client with many orders, and they are carried out.
const RULES: [&str; 2] = ["--set", "sessions.rate=10000"];

/// Tells the harm to stop when it goes, also when the load failed.
pub(crate) struct Stops<'a>(pub(crate) &'a AtomicBool);

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
    for policy in policies(scale) {
        let (mut alone, mut elsewhere, mut beside) = (vec![], vec![], vec![]);
        for _ in 0..scale.pick(5, 1) {
            let time = Duration::from_millis(scale.pick(3_000, 200));
            let rate = scale.pick(RATE, 1_000);
            let measure = |server: &Server| {
                let load = server.load(rate, Length::Time(time), scale.smoke);
                play(&load).results.measured.latency_ns
            };
            // Harm has lasting effects, too: each has a server of its own.
            let server = Server::start_with(policy, &RULES, "");
            alone.push(measure(&server));
            server.end();
            let server = Server::start_with(policy, &RULES, "");
            elsewhere.push(beside_sink(|| measure(&server)));
            server.end();
            let server = Server::start_with(policy, &RULES, "");
            let before = server.own_memory();
            beside.push(harmed(&server.address(), || measure(&server)));
            let grown = server.own_memory() - before;
            let orders = counted(&server.end(), "messages in") as f64;
            let tokens = orders * TOKEN_BYTES / MIB as f64;
            let figures = [before, grown, tokens, grown - tokens].map(|it| format!("{it:.0}"));
            let orders = format!("{:.2}", orders / 1e6);
            memory.row([policy.to_owned(), orders].into_iter().chain(figures));
        }
        let name = format!("{policy}: beside harm");
        compare(&mut table, [&name, "  alone"], &medians(&beside), &medians(&alone));
        let names = [&*name, "  beside harm at a sink"];
        compare(&mut table, names, &medians(&beside), &medians(&elsewhere));
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

/// Measures while all harm is done to whoever is there.
fn harmed<T>(address: &str, measure: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        for (_, harm) in HARMS {
            let stop = &stop;
            scope.spawn(move || {
                give_way();
                while !stop.load(Ordering::Relaxed) {
                    // The server may well refuse or cut it.
                    let _ = harm(address, stop);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        measure()
    })
}

/// Measures while all harm is done to one who only reads.
fn beside_sink<T>(measure: impl FnOnce() -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        let stop = &stop;
        scope.spawn(move || {
            give_way();
            sink(&listener, stop).expect("a listener that takes all");
        });
        harmed(&address, measure)
    })
}

fn sink(listener: &TcpListener, stop: &AtomicBool) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let (mut open, mut room) = (Vec::<TcpStream>::new(), vec![0; 16 << 10]);
    while !stop.load(Ordering::Relaxed) {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            open.push(stream);
        }
        open.retain_mut(|stream| match stream.read(&mut room) {
            Ok(bytes) => bytes > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        });
        std::thread::yield_now();
    }
    Ok(())
}

/// This thread only gets what cores the others leave over.
fn give_way() {
    rustix::process::nice(19).expect("less is always granted");
}
