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
//! What stands of it so far, in reading order; `cargo run --example one_order` walks the way.
//!
//! 1. [`types`]: the numbers that every part speaks in.
//! 2. [`pipeline`]: both rings, every gate, the positions; [`slot`] is what stands in a ring, a
//!    [`stage`] is what is polled.
//! 3. [`sequencer`]: the one place where order and time are decided.
//! 4. [`journaler`]: the stage that winds a ring onto segments; [`upkeep`] keeps them durable.
//! 5. [`processor`]: the stage that runs logic, by way of [`machine`]; [`release`] says when its
//!    events may leave; [`control`] are the node's own commands.
//! 6. [`event_log`]: what was told, numbered; [`recovery`] replays a journal and fills it up again.
//!    [`snapshot`]: states as files; [`shadow`] takes them, or [`inline`] the processor itself.
//! 7. [`node`]: all of that from a directory; [`embed`] runs it inside another program.
//!    [`config`] has every setting, out of a [`small_file`], [`layout`] says which stages share a
//!    core of the [`host`], and [`runner`] polls them, by the [`clock`]; what each did is in its
//!    [`counters`].
//! 8. [`net`]: streams that never wait, the kernel's or a simulator's.
//!    [`replication`]: the journal's way to another node and who of the two leads, which a [`pair`]
//!    begins with; [`peers`] is what other threads see of it.
//! 9. [`record`], [`digest`], [`logic`]: what a developer writes; [`exchange`] is the built-in
//!    logic, `examples/ledger` a small one to begin with; [`kit`] tests it, [`codec`] turns its
//!    state into bytes, [`exchange_json`] writes the exchange for people and scripts.
//! 10. [`gateway`]: the one stage that faces clients. [`wire`], a crate of its own so that the load
//!     generator shares it: the bytes that they see;
//!     [`dialect`]: what those mean to the exchange. [`streams`]: what clients are told, numbered
//!     from the event log, and [`history`] tells it again. A helper sleeps at its [`queue`];
//!     [`served`] builds all that.
//!     [`client`] speaks them from the other side, for programs that trade here.
//!     [`users`] may log in, when the [`doorman`] finds their passwords right; [`tls`] reads the
//!     certificates, where bytes are to be secret. [`traffic`] is what was counted.
//! 11. [`admin`]: what operators ask a running node, by HTTP.
//!     What it says by itself is in its [`log`], and in [`spans`] of sampled orders.
//! 12. [`ringframe_journal`], re-exported as [`journal`]: where frames are kept, and the tools that
//!     work on its files; [`memory`]: an allocator that asks for huge pages.

pub use ringframe_journal as journal;
pub use ringframe_wire as wire;

pub mod admin;
pub mod browse;
pub mod client;
pub mod clock;
pub mod codec;
pub mod config;
pub mod control;
pub mod counters;
pub mod dialect;
pub mod digest;
pub mod doorman;
pub mod embed;
pub mod event_log;
pub mod exchange;
pub mod exchange_json;
pub mod gateway;
pub mod history;
pub mod host;
pub mod inline;
pub mod journaler;
pub mod kit;
pub mod layout;
pub mod log;
pub mod logic;
pub mod machine;
pub mod memory;
pub mod net;
pub mod node;
pub mod onlooker;
pub mod pair;
pub mod peers;
pub mod pipeline;
mod prefetch;
pub mod processor;
pub mod queue;
pub mod record;
pub mod recovery;
pub mod release;
pub mod replication;
pub mod retention;
pub mod runner;
pub mod sequencer;
pub mod served;
pub mod shadow;
pub mod slot;
pub mod small_file;
pub mod snapshot;
pub mod spans;
pub mod stage;
pub mod streams;
mod sync;
pub mod tls;
pub mod traffic;
pub mod types;
pub mod upkeep;
pub mod users;
