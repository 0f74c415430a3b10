//! The address that other nodes come by, with somebody there who answers until the node does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ringframe::clock::Clock;
use ringframe::net::{Guarded, Net};
use ringframe::replication::Porter;

type Listener = <Guarded as Net>::Listener;

/// So often the porter looks whether somebody asks.
const LOOK: Duration = Duration::from_millis(5);

/// Closed when it goes.
pub(in crate::cli) struct Door {
    is_over: Arc<AtomicBool>,
    porter: Option<JoinHandle<Listener>>,
}

impl Door {
    pub(super) fn new(mut porter: Porter<Guarded>, clock: Clock) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        #[expect(clippy::disallowed_methods, reason = "nothing runs yet, and this ends before it")]
        let porter = thread::spawn(move || {
            while !ends.load(Ordering::Acquire) {
                porter.poll(clock.now());
                thread::park_timeout(LOOK);
            }
            porter.give_way()
        });
        Self { is_over, porter: Some(porter) }
    }

    /// The listener, for the node.
    pub(in crate::cli) fn give_way(mut self) -> Listener {
        self.end().expect("it ends once")
    }

    fn end(&mut self) -> Option<Listener> {
        let porter = self.porter.take()?;
        self.is_over.store(true, Ordering::Release);
        porter.thread().unpark();
        Some(porter.join().expect("a porter does not panic"))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.end();
    }
}
