//! What `bell` stands on. `tests/loom_bell.rs` puts loom's in its place.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering, fence};
pub(crate) use std::thread::{Thread, current, park_timeout};
