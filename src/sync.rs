//! What the positions stand on. `tests/loom_positions.rs` puts loom's in its place.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
