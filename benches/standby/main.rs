//! What a second node costs, and how long clients wait when one takes the other's place: two real
//! programs on loopback under load, each figure beside its floor in the same run:
//! `cargo bench --bench standby [a part] [a policy]`.
//! Without `--bench` (that is how `cargo test` starts benches) a smoke size runs in a few seconds.
//!
//! `RINGFRAME_LAYOUT` is the nodes' layout, `RINGFRAME_BENCH_DIR` another place for their data.
#![allow(clippy::disallowed_methods, reason = "measuring needs a clock and threads")]
#![allow(clippy::print_stdout, reason = "tables are the output")]

mod catchup;
mod copies;
mod cost;
mod ear;
mod failover;
mod handover;
#[path = "../../tests/admin/http.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod http;
mod nightly;
mod pair;
#[path = "../../tests/cli/program.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod program;
#[path = "../journal/table.rs"]
#[allow(dead_code, reason = "the journal's bench uses the rest")]
mod table;
#[path = "../tcp/world.rs"]
#[allow(dead_code, reason = "the bench of one node uses the rest")]
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

    /// Small segments where little comes: a node begins by writing them.
    pub(crate) fn segments(&self) -> &'static [&'static str] {
        self.pick(&[], &["--segment-bytes", "1MiB", "--event-segment-bytes", "1MiB"])
    }

    /// Whether it is asked for by name, or nothing is.
    pub(crate) fn wants(&self, policy: &str) -> bool {
        self.policies.is_empty() || self.policies.iter().any(|one| one == policy)
    }
}

type Part = (&'static str, fn(&Scale));

const PARTS: [Part; 5] = [
    ("cost", cost::run),
    ("failover", failover::run),
    ("handover", handover::run),
    ("catchup", catchup::run),
    ("nightly", nightly::run),
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
