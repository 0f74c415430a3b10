//! The simulated disks of a node, and what stands on them.

use ringframe::journal::{Reader, SimulatedStorage};
use ringframe::node::Stores;

pub(crate) type Disk = SimulatedStorage;
pub(crate) type Disks = Stores<Disk>;

/// Every frame of a journal.
pub(crate) fn frames(journal: &Disk) -> Vec<Vec<u8>> {
    let mut reader = Reader::open_first(journal.clone()).expect("a journal");
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame().expect("no damage") {
        frames.push(frame.bytes().to_vec());
    }
    frames
}
