//! A journal: frames in segments, appended to mapped memory, made durable by a helper, never lost.
//!
//! The way of a frame:
//!
//! ```text
//!  Writer::append ──► segment (mapped) ──► Reader        any process, any sequence, live
//!        │ publish        ▲      ▲
//!        ▼                │      └─ Keeper   prepares the next segment, seals the last
//!     Positions ◄──── Syncer        makes the newest range durable: `synced`
//! ```
//!
//! [`Journal::open`] locks the directory, recovers what a crash left and hands out the [`Writer`],
//! the [`Syncer`] and the [`Keeper`]. The latter two are polled; [`helpers`] runs them on threads.
//! The crate knows bytes and numbers, not orders; and it knows no clock: time is an argument.
//!
//! Read in this order: [`frame`], [`segment`], `writer`, `syncer`, `keeper`, `reader`, `recover`,
//! `open`. The layouts are drawn in `docs/FORMATS.md`.

pub mod archive;
mod attest;
mod bell;
mod diff;
pub mod error;
pub mod frame;
pub mod helpers;
mod image;
mod keeper;
mod meter;
mod open;
mod options;
pub mod planted;
mod position;
mod prune;
mod published;
mod reader;
mod recover;
mod repair;
pub mod segment;
pub mod storage;
mod survey;
mod sync;
mod syncer;
mod truncate;
mod verify;
mod walk;
mod watermark;
mod writer;

pub use archive::{ArchiveHome, Manifest, archive, maintain, restore, verify_archive};
pub use attest::attest;
pub use bell::Bell;
pub use diff::{Difference, Located, Side, diff};
pub use error::{Damage, DamagedRange, Error};
pub use frame::{Frame, FrameRef};
pub use helpers::Helpers;
pub use keeper::Keeper;
pub use open::{Journal, Recovery};
pub use options::{Options, SyncPolicy};
pub use position::{Head, Positions};
pub use prune::{Fate, NeededFrom, Pruned, Refusal, prune};
pub use reader::{Bookmark, Reader};
pub use recover::{Cut, check_logic};
pub use repair::{Mended, Repair, Source, repair};
pub use storage::long_sync::during_syncs;
pub use storage::mapped::MappedStorage;
pub use storage::simulated::{Refusals, Refused, SimulatedStorage, Survival};
pub use survey::{SegmentInfo, first_sequence, inspect, survey};
pub use syncer::Syncer;
pub use truncate::{Truncation, truncate};
pub use verify::{SegmentReport, SegmentState, Verification, verify};
pub use watermark::{Mark, MarkReader};
pub use writer::{Append, Writer};
