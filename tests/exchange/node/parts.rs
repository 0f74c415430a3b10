//! The parts of a node, of which one may take its own snapshots.

use std::sync::Arc;

use ringframe::exchange::Exchange;
use ringframe::inline::Inline;
use ringframe::journal::SimulatedStorage;
use ringframe::journaler::Journaler;
use ringframe::machine::Machine;
use ringframe::node::{Node, Start};
use ringframe::pipeline::{Positions, SlotReader};
use ringframe::processor::Processor;
use ringframe::sequencer::Sequencer;
use ringframe::snapshot::taker::Taker;
use ringframe::stage::Stage;
use ringframe::upkeep::{Keeping, Syncing};

type Disk = SimulatedStorage;

/// A node whose processor may have become another stage.
pub(super) struct Parts {
    pub(super) sequencer: Sequencer<Exchange>,
    pub(super) journaler: Journaler<Disk>,
    processor: Who,
    pub(super) event_log: Journaler<Disk>,
    pub(super) egress: SlotReader,
    pub(super) syncer: Syncing<Disk>,
    pub(super) keeper: Keeping<Disk>,
    pub(super) event_syncer: Syncing<Disk>,
    pub(super) event_keeper: Keeping<Disk>,
    pub(super) positions: Arc<Positions>,
    pub(super) start: Start,
}

/// Who runs logic.
enum Who {
    Processor(Box<Processor<Exchange>>),
    Inline(Box<Inline<Exchange, Disk>>),
}

impl Parts {
    /// With a taker, the processor saves its state itself.
    pub(super) fn new(node: Node<Exchange, Disk>, taker: Option<Taker<Disk>>) -> Self {
        Self {
            sequencer: node.sequencer,
            journaler: node.journaler,
            processor: match taker {
                None => Who::Processor(Box::new(node.processor)),
                Some(taker) => Who::Inline(Box::new(Inline::new(node.processor, taker))),
            },
            event_log: node.event_log,
            egress: node.egress,
            syncer: node.syncer,
            keeper: node.keeper,
            event_syncer: node.event_syncer,
            event_keeper: node.event_keeper,
            positions: node.positions,
            start: node.start,
        }
    }

    pub(super) fn machine(&self) -> &Machine<Exchange> {
        match &self.processor {
            Who::Processor(processor) => processor.machine(),
            Who::Inline(inline) => inline.processor().machine(),
        }
    }

    /// The stages, in the order in which they are closed.
    pub(super) fn stages(&mut self) -> [&mut dyn Stage; 7] {
        let processor: &mut dyn Stage = match &mut self.processor {
            Who::Processor(processor) => processor.as_mut(),
            Who::Inline(inline) => inline.as_mut(),
        };
        [
            &mut self.journaler,
            processor,
            &mut self.event_log,
            &mut self.syncer,
            &mut self.keeper,
            &mut self.event_syncer,
            &mut self.event_keeper,
        ]
    }
}
