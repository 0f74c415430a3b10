//! Open-loop load and honest latency.
//!
//! ```text
//!  Schedule ──► intended times ──► send ──► answer ──► Latencies ──► Summary ──► Table
//!  seeded       decided before     late when           answer −                  beside a floor
//!               the run            the target is slow  intended
//! ```
//!
//! *Open loop*: when to send is decided before the run, so a target that stalls does not slow the
//! questions down. *Honest*: a latency begins at the intended time, not at the moment the sender
//! got round to it; what the sender waited is what its user would have waited.

pub mod clock;
pub mod echo;
pub mod flow;
pub mod latency;
pub mod random;
pub mod results;
pub mod schedule;
pub mod table;
