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
mod recovery;
mod shadow;
mod start;
#[path = "../journal/table.rs"]
#[allow(dead_code, reason = "the journal's bench uses the rest")]
mod table;
mod throughput;
mod world;

#[global_allocator]
static MEMORY: ringframe::memory::HugePages = ringframe::memory::HugePages;

/// How much is measured, and of what.
pub(crate) struct Scale {
    smoke: bool,
    flows: Vec<String>,
}

impl Scale {
    /// The full amount, or the smoke test's.
    pub(crate) fn pick<T>(&self, full: T, smoke: T) -> T {
        if self.smoke { smoke } else { full }
    }

    /// Whether a flow is asked for by name, or none is.
    pub(crate) fn wants(&self, flow: &str) -> bool {
        self.flows.is_empty() || self.flows.iter().any(|wanted| flow == wanted)
    }
}

/// For the bare loop of the journal's bench.
pub(crate) const MIB: u64 = 1 << 20;

type Part = (&'static str, fn(&Scale));

const PARTS: [Part; 8] = [
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
    let smoke = !arguments.iter().any(|argument| argument == "--bench");
    let named = arguments.into_iter().filter(|argument| !argument.starts_with('-'));
    let (parts, flows): (Vec<_>, Vec<_>) =
        named.partition(|name| PARTS.iter().any(|(part, _)| name == part));
    let scale = Scale { smoke, flows };
    for (name, run) in PARTS {
        if parts.is_empty() || parts.iter().any(|part| part == name) {
            run(&scale);
        }
    }
}
