//! Syncs that take their time: what happens between the moment when a simulated disk knows what it
//! is to keep and the moment when it says that it has it.

use std::cell::RefCell;

thread_local! {
    static MEANWHILE: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

/// Does the work; each sync of a simulated disk in it, on this thread, calls `meanwhile` in its
/// midst. What is written, named or removed then is not in that sync. `meanwhile` syncs nothing
/// itself.
pub fn during_syncs<T>(meanwhile: impl FnMut() + 'static, work: impl FnOnce() -> T) -> T {
    MEANWHILE.set(Some(Box::new(meanwhile)));
    let done = work();
    MEANWHILE.set(None);
    done
}

pub(super) fn pass() {
    MEANWHILE.with_borrow_mut(|meanwhile| {
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
    });
}
