//! What the library promises to a program that is built on it.

mod browse;
mod codec;
#[path = "../../benches/exchange/commands.rs"]
#[allow(dead_code, reason = "the exchange's bench uses the rest")]
mod commands;
#[allow(dead_code, reason = "the crash tests alone need a pair of them")]
#[path = "../crash/disks.rs"]
mod disks;
mod embed;
mod json;
mod kit;
mod records;
mod streams;
mod versions;
#[path = "../../benches/pipeline/world.rs"]
#[allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "the pipeline's bench uses the rest, and looks at the clock"
)]
mod world;
