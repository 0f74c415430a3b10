//! The real program as a user meets it, a module for each of its commands: output, exit codes, and
//! what it leaves behind.

mod apply;
mod demo;
mod doctor;
mod feed;
mod journal;
mod life_cycle;
mod load;
mod mold;
mod program;
mod replay;
#[allow(dead_code, reason = "the rest is used by other tests")]
mod small;
mod units;
