//! A place to sleep until something comes in a queue, for helpers that are asked now and then.

use std::time::Duration;

use crossbeam_channel::{Receiver, Select, Sender, bounded};

use crate::stage::Sleeper;

/// Sleeps until this queue has something, which it leaves there.
pub fn sleeper<T: Send + 'static>(queue: &Receiver<T>) -> Box<dyn Sleeper> {
    let (call, calls) = bounded(1);
    Box::new(Bed { queue: queue.clone(), call, calls })
}

struct Bed<T> {
    queue: Receiver<T>,
    /// Calls that are not heard yet: one is as good as many.
    call: Sender<()>,
    calls: Receiver<()>,
}

impl<T: Send> Sleeper for Bed<T> {
    fn sleep(&mut self, longest: Duration) {
        let mut either = Select::new();
        either.recv(&self.calls);
        either.recv(&self.queue);
        let _ = either.ready_timeout(longest);
        let _ = self.calls.try_recv();
    }

    fn waker(&self) -> Box<dyn Fn() + Send + Sync> {
        let call = self.call.clone();
        Box::new(move || {
            let _ = call.try_send(());
        })
    }
}
