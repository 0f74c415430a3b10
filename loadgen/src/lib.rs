//! Open-loop load and honest latency.
//!
//! ```text
//!  Source ──► Script ─┐
//!  flow, file  orders ├─► engine ─► sessions ⇄ server        Tally ──► Results ──► files, report
//!  Pace ─────► Times ─┘   sends when         or bare echo    latency = answer − due
//!              decided    due, hears what                    every one checked
//!              before     comes
//! ```
//!
//! *Open loop*: when to send is decided before the run, so a target that stalls does not slow the
//! questions down. *Honest*: a latency begins at the intended time, not at the moment the sender
//! got round to it; what the sender waited is what its user would have waited.

pub mod bootstrap;
pub mod ceiling;
pub mod clock;
pub mod compare;
pub mod cores;
pub mod ear;
pub mod echo;
mod engine;
pub mod flow;
mod hiccup;
pub mod host;
pub mod latency;
pub mod live;
pub mod orders;
pub mod output;
pub mod random;
pub mod report;
pub mod results;
pub mod run;
pub mod saved;
pub mod schedule;
pub mod server;
pub mod source;
pub mod sweep;
pub mod table;
pub mod tally;
