//! The program as a client meets it, over TCP on loopback, each figure beside a bare echo of the
//! same load in the same run: `cargo bench --bench tcp [a part] [a policy]`.
//! Without `--bench` (that is how `cargo test` starts benches) a smoke size runs in a few seconds.
//!
//! `RINGFRAME_LAYOUT` is the server's layout, `RINGFRAME_BENCH_DIR` another place for its data.
#![allow(clippy::disallowed_methods, reason = "measuring needs a clock and threads")]
#![allow(clippy::print_stdout, reason = "tables are the output")]

#[path = "../journal/bare.rs"]
mod bare;
mod connections;
mod harm;
mod hostile;
mod latency;
#[path = "../pipeline/paced.rs"]
mod paced;
#[path = "../../tests/cli/program.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod program;
#[path = "../journal/table.rs"]
#[allow(dead_code, reason = "the journal's bench uses the rest")]
mod table;
mod throughput;
mod world;

/// How much is measured, and of what.
pub(crate) struct Scale {
    smoke: bool,
    policies: Vec<String>,
}

impl Scale {
    /// The full amount, or the smoke test's.
    pub(crate) fn pick<T>(&self, full: T, smoke: T) -> T {
        if self.smoke { smoke } else { full }
    }

    /// Those that are asked for by name, or all.
    pub(crate) fn policies(&self) -> impl Iterator<Item = &'static str> {
        let wanted =
            |name: &&str| self.policies.is_empty() || self.policies.iter().any(|one| one == name);
        ["journaled", "synced"].into_iter().filter(wanted)
    }
}

/// For the bare loop of the journal's bench.
pub(crate) const MIB: u64 = 1 << 20;

type Part = (&'static str, fn(&Scale));

const PARTS: [Part; 4] = [
    ("latency", latency::run),
    ("throughput", throughput::run),
    ("hostile", hostile::run),
    ("connections", connections::run),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = !arguments.iter().any(|argument| argument == "--bench");
    let named = arguments.into_iter().filter(|argument| !argument.starts_with('-'));
    let (parts, policies): (Vec<_>, Vec<_>) =
        named.partition(|name| PARTS.iter().any(|(part, _)| name == part));
    let scale = Scale { smoke, policies };
    for (name, run) in PARTS {
        if parts.is_empty() || parts.iter().any(|part| part == name) {
            run(&scale);
        }
    }
}
