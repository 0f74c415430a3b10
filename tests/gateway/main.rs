//! The real server over TCP, and clients that are cut, killed, far behind, many, or hostile: each
//! session's messages come once, in order, with the same bytes for ever.
//! `RINGFRAME_KILLS=300 cargo test --release --test gateway kill` is the long form.
#![expect(clippy::disallowed_methods, reason = "clients have threads, wait, and look at the clock")]

mod answers;
mod behind;
mod builds;
mod certificates;
#[path = "../counting/mod.rs"]
#[allow(dead_code, reason = "faults are counted elsewhere")]
mod counting;
mod crowd;
mod cut;
mod datagrams;
mod disconnect;
mod failover;
mod full;
mod guarded;
mod hostile;
mod kill;
mod late;
mod limits;
mod nightly;
mod pair;
mod partition;
mod peer;
mod polled;
#[path = "../cli/program.rs"]
#[allow(dead_code, reason = "the rest is used by other tests of the program")]
mod program;
mod promotions;
mod relay;
mod sessions;
#[path = "../cli/small.rs"]
#[allow(dead_code, reason = "the rest is used by other tests of the program")]
mod small;
mod start;
mod steady;
mod tls;
mod traders;
mod turns;
