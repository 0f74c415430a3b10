//! Ringframe spins many TCP clients into one totally ordered thread of commands, winds it onto
//! journal segments, and runs it through single-threaded, in-memory, deterministic logic.
//!
//! One order's way:
//!
//! ```text
//! TCP ─► gateway ─► sequencer ═► COMMANDS ═► journaler ═► processor ═► EVENTS ═╦═► event log
//!        decode     order, time  one ring,   mmap frame   Logic: check         ╠═► sessions
//!        throttle   decided here one coding  │ synced by  then apply           ╠═► feed
//!                                            │ a helper   (gate: journaled)    ╚═► projections
//!                                            ▼ thread                         (gate: released)
//!                                   journal tail ─► replicator ─► standby
//! ```
//!
//! What stands of it so far is the journal: [`ringframe_journal`], re-exported as [`journal`], and
//! the tools that work on its files. The other rooms are built on it, in the order of the picture.

pub use ringframe_journal as journal;

pub mod codec;
pub mod digest;
pub mod exchange;
pub mod logic;
mod prefetch;
pub mod record;
pub mod types;
