//! What a second node costs, and how long clients wait when one takes the other's place: two real
//! programs on loopback under load, each figure beside its floor in the same run:
//! `cargo bench --bench standby [a part] [a policy]`.
//! Without `--bench` (that is how `cargo test` starts benches) a smoke size runs in a few seconds.
//!
//! `RINGFRAME_LAYOUT` is the nodes' layout, `RINGFRAME_BENCH_DIR` another place for their data.
#![allow(clippy::disallowed_methods, reason = "measuring needs a clock and threads")]
#![allow(clippy::print_stdout, reason = "tables are the output")]

mod catchup;
mod clients;
mod copies;
mod cost;
mod failover;
mod handover;
#[path = "../../tests/admin/http.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod http;
mod nightly;
mod pair;
#[path = "../tcp/parts.rs"]
mod parts;
#[path = "../../tests/cli/program.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod program;
#[path = "../journal/table.rs"]
#[allow(dead_code, reason = "the journal's bench uses the rest")]
mod table;
#[path = "../tcp/world.rs"]
#[allow(dead_code, reason = "the bench of one node uses the rest")]
mod world;

pub(crate) use parts::Scale;

/// Small segments where little comes: a node begins by writing them.
pub(crate) fn segments(scale: &Scale) -> &'static [&'static str] {
    scale.pick(&[], &["--segment-bytes", "1MiB", "--event-segment-bytes", "1MiB"])
}

const PARTS: [parts::Part; 5] = [
    ("cost", cost::run),
    ("failover", failover::run),
    ("handover", handover::run),
    ("catchup", catchup::run),
    ("nightly", nightly::run),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    parts::run(&PARTS, arguments);
}
