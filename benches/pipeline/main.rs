//! The pipeline in one process: ring → journal → exchange → event log, each beside what it is made
//! of, in the same run: `cargo bench --bench pipeline [a part] [a flow]`.
//! Without `--bench` (that is how `cargo test` starts benches) a smoke size runs in a few seconds.
#![allow(clippy::disallowed_methods, reason = "measuring needs a clock and threads")]
#![allow(clippy::print_stdout, reason = "tables are the output")]

#[path = "../journal/bare.rs"]
mod bare;
#[path = "../exchange/commands.rs"]
#[allow(dead_code, reason = "the exchange's bench uses the rest")]
mod commands;
mod counters;
mod instructions;
mod latency;
mod layouts;
mod paced;
#[path = "../tcp/parts.rs"]
mod parts;
mod recovery;
mod shadow;
mod start;
#[path = "../journal/table.rs"]
#[allow(dead_code, reason = "the journal's bench uses the rest")]
mod table;
mod throughput;
mod world;

pub(crate) use parts::Scale;

#[global_allocator]
static MEMORY: ringframe::memory::HugePages = ringframe::memory::HugePages;

/// For the bare loop of the journal's bench.
pub(crate) const MIB: u64 = 1 << 20;

const PARTS: [parts::Part; 8] = [
    ("throughput", throughput::run),
    ("layouts", layouts::run),
    ("instructions", instructions::run),
    ("latency", latency::run),
    ("shadow", shadow::run),
    ("counters", counters::run),
    ("recovery", recovery::run),
    ("start", start::run),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [counted, way, items, turns] = &arguments[..]
        && counted == instructions::COUNTED
    {
        return counters::counted(way, items, turns.parse().expect("a number of turns"));
    }
    if let [counted, flow, commands] = &arguments[..]
        && counted == instructions::COUNTED
    {
        return instructions::counted(flow, commands);
    }
    parts::run(&PARTS, arguments);
}
