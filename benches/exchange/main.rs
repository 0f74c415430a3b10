//! The exchange beside a bare engine, in the same run. Medians of the repeats; `cargo bench --bench
//! exchange [mixes|book|regimes|resting|growth|digest|instructions] [a flow's name]`.
//! Without `--bench` (that is how `cargo test` starts benches) a smoke size runs in a few seconds.
//!
//! The bars, and why they are shares of the floor. On another machine of this kind, five mixes
//! went through `CppTrader` (the best known open matching library) and through a floor such as
//! `floor`'s, in the same run:
//!
//! | million commands/s | f1 | f100 | fmod | deep1 | deep100 |
//! |---|---|---|---|---|---|
//! | `CppTrader`, a bare book | 13.5 | 7.6 | 12.5 | 3.1 | 1.75 |
//! | floor, slots as names | 66 | 48 | 60 | 43 | 11.5 |
//! | share | 0.20 | 0.16 | 0.21 | 0.072 | 0.15 |
//!
//! The whole exchange (tokens, limits, self-trade prevention, events, digest) shall be as fast as
//! `CppTrader`'s bare book: that share of the floor here. The book with its events shall be 2.5
//! times as fast as `CppTrader`, 5 times in the deep mixes: 0.51, 0.40, 0.52, 0.36 and 0.76 of the
//! floor. `mixes` and `book` print them in million commands/s, from the floor of the same run. The
//! floor has no look-ahead, so a share may exceed 1 in a deep book.
#![allow(clippy::disallowed_methods, reason = "measuring needs a clock")]
#![allow(clippy::print_stdout, reason = "tables are the output")]

mod alone;
mod commands;
mod floor;
mod growth;
mod instructions;
mod mixes;
#[path = "../tcp/parts.rs"]
mod parts;
mod regimes;
#[path = "../journal/table.rs"]
#[allow(dead_code, reason = "the journal's bench uses the rest")]
mod table;
mod whole;

pub(crate) use parts::Scale;

#[global_allocator]
static MEMORY: ringframe::memory::HugePages = ringframe::memory::HugePages;

/// Nanoseconds that this thread has used of a processor: others may be busy on the same machine.
pub(crate) fn cpu_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Million commands a second.
pub(crate) fn rate(commands: usize, nanos: u64) -> f64 {
    commands as f64 * 1e3 / nanos as f64
}

const PARTS: [parts::Part; 7] = [
    ("mixes", mixes::run),
    ("book", alone::run),
    ("regimes", regimes::run),
    ("resting", regimes::run_resting),
    ("growth", growth::run),
    ("digest", mixes::run_digest),
    ("instructions", instructions::run),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, part, flow, commands] = &arguments[..]
        && mode == instructions::COUNTED
    {
        return instructions::counted(part, flow, commands);
    }
    parts::run(&PARTS, arguments);
}
