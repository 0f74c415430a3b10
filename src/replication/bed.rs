//! Where the thread sleeps that has the sockets between nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::stage::Sleeper;

/// Nobody rings where nobody waits for what this stage does: an order of a node without a standby
/// costs no wake-up.
pub(super) struct Bed {
    inner: Box<dyn Sleeper>,
    is_wanted: Arc<AtomicBool>,
}

impl Bed {
    pub(super) fn new(inner: Box<dyn Sleeper>, is_wanted: Arc<AtomicBool>) -> Self {
        Self { inner, is_wanted }
    }
}

impl Sleeper for Bed {
    fn sleep(&mut self, longest: Duration) {
        self.inner.sleep(longest);
    }

    fn waker(&self) -> Box<dyn Fn() + Send + Sync> {
        let (inner, is_wanted) = (self.inner.waker(), Arc::clone(&self.is_wanted));
        Box::new(move || {
            if is_wanted.load(Ordering::Relaxed) {
                inner();
            }
        })
    }
}
