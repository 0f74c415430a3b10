//! How commands come into a node from other threads: by one queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};

use crate::control::Control;
use crate::logic::Logic;
use crate::runner::Waker;
use crate::sequencer::Sequencer;
use crate::stage::{Fault, Stage};
use crate::types::{Nanos, Sequence};

/// So many commands at most per poll.
const BATCH: usize = 64;

/// What a program hands over.
pub enum Input<L: Logic> {
    /// For logic.
    Command {
        /// What it is to do.
        command: L::Command,
        /// Who wants to know which place it got.
        tell: Option<Sender<Sequence>>,
    },
    /// For the node.
    Control {
        /// What it is to put into the journal.
        control: Control,
        /// Who wants to know which place it got.
        tell: Sender<Sequence>,
    },
}

/// Who orders.
enum Order<L: Logic> {
    Here(Sequencer<L>),
    /// Another node; what comes here when this one is to take over.
    Elsewhere(Receiver<Sequencer<L>>),
}

/// The stage that takes commands from a queue.
pub struct Intake<L: Logic> {
    queue: Receiver<Input<L>>,
    order: Order<L>,
    /// One that had no room in the ring yet.
    waiting: Option<Input<L>>,
    /// Nobody can submit any more, and everything that was submitted is published.
    ended: Arc<AtomicBool>,
}

impl<L: Logic> Intake<L> {
    /// Publishes what comes from the queue; `ended` is set once all is published that ever will be.
    pub fn new(queue: Receiver<Input<L>>, sequencer: Sequencer<L>, ended: Arc<AtomicBool>) -> Self {
        Self { queue, order: Order::Here(sequencer), waiting: None, ended }
    }

    /// The same for a node that follows another one: what is submitted before the sequencer comes
    /// is dropped.
    pub fn following(
        queue: Receiver<Input<L>>,
        sequencer: Receiver<Sequencer<L>>,
        ended: Arc<AtomicBool>,
    ) -> Self {
        Self { queue, order: Order::Elsewhere(sequencer), waiting: None, ended }
    }

    /// Whether this node orders.
    pub fn leads(&self) -> bool {
        matches!(self.order, Order::Here(_))
    }

    /// For who publishes commands of his own beside the queue's, on a node that leads.
    pub fn sequencer(&mut self) -> &mut Sequencer<L> {
        match &mut self.order {
            Order::Here(sequencer) => sequencer,
            Order::Elsewhere(_) => panic!("another node orders"),
        }
    }

    /// A node that follows looks whether it is to lead, and whether it is to end.
    #[cold]
    fn wait(&mut self) {
        if let Order::Elsewhere(coming) = &self.order
            && let Ok(sequencer) = coming.try_recv()
        {
            self.order = Order::Here(sequencer);
        } else {
            // Nobody is told that it has a place, because it gets none.
            drop(self.next());
        }
    }

    /// Whether nobody can submit any more: what comes from elsewhere is to end, too.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// What comes next, if there is something.
    fn next(&mut self) -> Option<Input<L>> {
        if let Some(input) = self.waiting.take() {
            return Some(input);
        }
        match self.queue.try_recv() {
            Ok(input) => Some(input),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.ended.store(true, Ordering::Release);
                None
            }
        }
    }

    /// Gives it its place; none where the ring has no room.
    #[inline]
    fn publish(&mut self, input: &Input<L>, now: Nanos) -> Option<Sequence> {
        match input {
            Input::Command { command, tell } => {
                let sequence = self.sequencer().offer(command, now)?;
                if let Some(tell) = tell {
                    // Who asked may have gone away.
                    let _ = tell.try_send(sequence);
                }
                Some(sequence)
            }
            Input::Control { control, tell } => {
                let sequence = self.sequencer().control(control, now)?;
                let _ = tell.try_send(sequence);
                Some(sequence)
            }
        }
    }
}

impl<L: Logic> Stage for Intake<L> {
    fn name(&self) -> &'static str {
        "intake"
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        if !self.leads() {
            self.wait();
            return Ok(usize::from(self.leads()));
        }
        let mut work = self.sequencer().poll(now);
        for _ in 0..BATCH {
            let Some(input) = self.next() else { break };
            if self.publish(&input, now).is_none() {
                self.waiting = Some(input);
                break;
            }
            work += 1;
        }
        Ok(work)
    }
}

/// Hands commands to a running node, from any thread.
pub struct Submitter<L: Logic> {
    queue: Sender<Input<L>>,
    waker: Waker,
}

impl<L: Logic> Clone for Submitter<L> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), waker: self.waker.clone() }
    }
}

impl<L: Logic> Submitter<L> {
    pub(super) fn new(queue: Sender<Input<L>>, waker: Waker) -> Self {
        Self { queue, waker }
    }

    /// Hands over a command; waits while the node is busy. False if the node has stopped.
    pub fn submit(&self, command: L::Command) -> bool {
        self.hand_over(Input::Command { command, tell: None })
    }

    /// Hands over a command without waiting; its place in the order comes once it has one.
    pub fn ask(&self, command: L::Command) -> Result<Receiver<Sequence>, NotTaken> {
        let (tell, told) = bounded(1);
        self.offer(Input::Command { command, tell: Some(tell) }).map(|()| told)
    }

    /// As [`Self::activate`] for a version that this build has, without waiting.
    pub fn ask_to_activate(&self, version: u32) -> Result<Receiver<Sequence>, NotTaken> {
        self.ask_to(Control::Activate { version })
    }

    /// Puts a mark into the journal, without waiting: every node knows its digest there.
    pub fn ask_to_mark(&self) -> Result<Receiver<Sequence>, NotTaken> {
        self.ask_to(Control::Mark)
    }

    fn ask_to(&self, control: Control) -> Result<Receiver<Sequence>, NotTaken> {
        let (tell, told) = bounded(1);
        self.offer(Input::Control { control, tell }).map(|()| told)
    }

    fn offer(&self, input: Input<L>) -> Result<(), NotTaken> {
        self.queue.try_send(input).map_err(|error| match error {
            TrySendError::Full(_) => NotTaken::Busy,
            TrySendError::Disconnected(_) => NotTaken::Stopped,
        })?;
        self.waker.wake();
        Ok(())
    }

    /// Lets logic behave as another version from the next free place in the order on, and says
    /// which that is. Every command before it stays with the version that it had, also on replay.
    pub fn activate(&self, version: u32) -> Result<Sequence, Fault> {
        if !(L::OLDEST..=L::VERSION).contains(&version) {
            return Err(Fault::Node(format!(
                "version {version} of '{}' cannot be activated: this build has {} to {}; first \
                 start one that has it, on every node",
                L::NAME,
                L::OLDEST,
                L::VERSION
            )));
        }
        let (tell, told) = bounded(1);
        self.hand_over(Input::Control { control: Control::Activate { version }, tell });
        told.recv().map_err(|_| Fault::Node("the node was stopped".into()))
    }

    fn hand_over(&self, input: Input<L>) -> bool {
        let sent = self.queue.send(input).is_ok();
        self.waker.wake();
        sent
    }
}

/// Why a node took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Its queue is full for now.
    Busy,
    /// It has stopped.
    Stopped,
}
