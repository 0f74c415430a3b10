//! How other threads look at a state that nobody waits for: the shadow's.

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::logic::Logic;
use crate::machine::Machine;

/// So many looks may wait.
const LOOKS: usize = 16;

/// A look at a machine, between two of its commands.
pub type Look<L> = Box<dyn FnOnce(&Machine<L>) + Send>;

/// Looks at a machine from another thread.
pub struct Onlooker<L: Logic>(Sender<Look<L>>);

impl<L: Logic> Clone for Onlooker<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<L: Logic> Onlooker<L> {
    /// For the machine's owner: what he hands out, and where looks come to him.
    pub fn channel() -> (Self, Receiver<Look<L>>) {
        let (looks, asked) = bounded(LOOKS);
        (Self(looks), asked)
    }

    /// What is seen comes once, when the machine's owner is next between two commands, and never
    /// where he ends before: do not wait for ever. `None` where he has, or many others wait.
    pub fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Machine<L>) -> T + Send + 'static,
    ) -> Option<Receiver<T>> {
        let (tell, told) = bounded(1);
        // Who asked may have gone away.
        let look: Look<L> = Box::new(move |machine| drop(tell.try_send(look(machine))));
        self.0.try_send(look).ok().map(|()| told)
    }
}
