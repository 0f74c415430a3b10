//! What `bell` and `published` stand on. `tests/loom_*.rs` put loom's in its place.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
pub(crate) use std::thread::{Thread, current, park_timeout};
