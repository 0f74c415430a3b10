//! The bare limit of group commit, open loop: what `synced` latencies stand beside.

use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::bare::Bare;
use crate::table::histogram;

/// As many bytes as a command takes in the journal.
const FRAME_BYTES: usize = 104;

/// Frames of a command's size, from due to durable.
pub(crate) fn paced(directory: &Path, commands: usize, rate: usize) -> Histogram<u64> {
    let mut bare = Bare::open(directory);
    std::thread::sleep(Duration::from_millis(300));
    let mut frame = [7; FRAME_BYTES];
    let mut latencies = histogram();
    let due = |index: u64| index * 1_000_000_000 / rate as u64;
    let (mut appended, mut seen) = (0, 0);
    let begun = Instant::now();
    while seen < commands as u64 {
        let now = begun.elapsed().as_nanos() as u64;
        let before = appended;
        while appended < commands as u64 && due(appended) <= now {
            bare.append(&mut frame);
            appended += 1;
        }
        if appended > before {
            bare.publish();
        }
        let synced = bare.synced();
        let now = begun.elapsed().as_nanos() as u64;
        for index in seen..synced {
            latencies.saturating_record(now - due(index));
        }
        seen = synced;
        std::hint::spin_loop();
    }
    bare.close();
    latencies
}
