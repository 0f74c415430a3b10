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
//! What stands of it so far, in reading order:
//!
//! 1. [`types`]: the numbers that every part speaks in.
//! 2. [`record`]: the one encoding of commands, events and rejects.
//! 3. [`digest`]: the running hash of what logic emitted.
//! 4. [`logic`]: what a developer writes; [`exchange`] is the built-in one, `examples/ledger` a
//!    small one to begin with.
//! 5. [`codec`]: logic's whole state as bytes, and records of any shape.
//! 6. [`kit`]: the test kit for logic.
//! 7. [`ringframe_journal`], re-exported as [`journal`]: where frames are kept, and the tools that
//!    work on its files.
//! 8. [`memory`]: an allocator that asks for huge pages, for the program that wants one.
//!
//! The other rooms are built on these, in the order of the picture.

pub use ringframe_journal as journal;

pub mod codec;
pub mod control;
pub mod digest;
pub mod embed;
pub mod event_log;
pub mod exchange;
pub mod journaler;
pub mod kit;
pub mod logic;
pub mod machine;
pub mod memory;
pub mod node;
pub mod pipeline;
mod prefetch;
pub mod processor;
pub mod record;
pub mod recovery;
pub mod release;
pub mod sequencer;
pub mod slot;
pub mod stage;
pub mod types;
pub mod upkeep;
