//! Ringframe spins many TCP clients into one totally ordered thread of commands, winds it onto
//! journal segments, and runs it through single-threaded, in-memory, deterministic logic.
//!
//! One order's way:
//!
//! ```text
//!  TCP ─► gateway ─► sequencer ═► COMMAND RING ═► journaler ═► processor ═► EVENT RING ═╦═► event log
//!         decode,    order+time   one encoding    mmap frame   Logic: check,            ╠═► sessions ─► TCP
//!         throttle   decided here                 │ synced by  then apply               ╠═► market-data feed
//!                                                 │ a helper   (gate: journaled)        ╚═► projections
//!                                                 ▼ thread                                  (gate: released)
//!                                        journal tail ─► replicator ─► standby
//! ```
//!
//! What stands of it so far is the journal: [`ringframe_journal`], re-exported as [`journal`], and
//! the tools that work on its files. The other rooms are built on it, in the order of the picture.

pub use ringframe_journal as journal;
