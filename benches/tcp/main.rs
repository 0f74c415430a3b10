//! The program as a client meets it, over TCP on loopback, each figure beside a bare echo of the
//! same load in the same run: `cargo bench --bench tcp [a part] [a policy]`.
//! Without `--bench` (that is how `cargo test` starts benches) a smoke size runs in a few seconds.
//!
//! `RINGFRAME_LAYOUT` is the server's layout, `RINGFRAME_BENCH_DIR` another place for its data,
//! `RINGFRAME_SECONDS` how long the `hour` is, which is played by its name only.
#![allow(clippy::disallowed_methods, reason = "measuring needs a clock and threads")]
#![allow(clippy::print_stdout, reason = "tables are the output")]

#[path = "../journal/bare.rs"]
mod bare;
mod connections;
mod harm;
mod hostile;
mod hour;
#[path = "../../tests/admin/http.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod http;
mod latency;
#[path = "../pipeline/paced.rs"]
mod paced;
mod parts;
#[path = "../../tests/cli/program.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod program;
#[path = "../journal/table.rs"]
#[allow(dead_code, reason = "the journal's bench uses the rest")]
mod table;
mod throughput;
mod world;

pub(crate) use parts::Scale;

/// The policies that are asked for by name, or all.
pub(crate) fn policies(scale: &Scale) -> impl Iterator<Item = &'static str> {
    ["journaled", "synced"].into_iter().filter(|name| scale.wants(name))
}

/// For the bare loop of the journal's bench.
pub(crate) const MIB: u64 = 1 << 20;

const PARTS: [parts::Part; 5] = [
    ("latency", latency::run),
    ("throughput", throughput::run),
    ("hostile", hostile::run),
    ("connections", connections::run),
    ("hour", hour::run),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // An hour is played where it is asked for.
    let has = |word| arguments.iter().any(|argument| argument == word);
    let is_all = has("hour") || !has("--bench");
    let parts = if is_all { &PARTS[..] } else { &PARTS[..PARTS.len() - 1] };
    parts::run(parts, arguments);
}
