//! What a roll costs the appender: every append timed, over many rolls and over none.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ringframe_journal::{Append, Journal, Options, SyncPolicy};

use crate::table::{Table, compare, histogram, latency_columns, percentiles};
use crate::{MIB, Scale, directory, frame, helpers, open};

const PAYLOAD: [u8; 256] = [7; 256];
const INTERVAL: Duration = Duration::from_micros(5);

pub(crate) fn run(scale: Scale) {
    let rolls = scale.pick(100, 2);
    let mut table = Table::new(
        &format!("append of 256 B at 200 k/s across {rolls} rolls and without one, µs"),
        &latency_columns(""),
    );
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..scale.repeats() {
        with.push(measure(rolls, MIB));
        without.push(measure(rolls, (rolls + 2) * MIB));
    }
    compare(
        &mut table,
        ["with rolls (1 MiB segments)", "no roll (one large segment)"],
        &percentiles(&with),
        &percentiles(&without),
    );
    table.print();
}

fn measure(rolls: u64, segment_bytes: u64) -> Histogram<u64> {
    let directory = directory();
    let sync = SyncPolicy::PerSegment;
    let options = Options { segment_bytes, sync, ..Options::new("bench", 1) };
    let Journal { mut writer, syncer, keeper, .. } = open(directory.path(), options);
    let helpers = helpers(syncer, keeper);
    // The first window is prefaulted and, with small segments, the next is prepared.
    std::thread::sleep(Duration::from_millis(200));
    let frames = rolls * MIB / frame(1, &PAYLOAD).stored_bytes() as u64;
    let mut latencies = histogram();
    let begun = Instant::now();
    for index in 0..frames {
        let due = INTERVAL * index as u32;
        while begun.elapsed() < due {
            std::hint::spin_loop();
        }
        let sequence = writer.next_sequence();
        let before = Instant::now();
        while writer.append(&frame(sequence, &PAYLOAD)).expect("no fault") == Append::Wait {
            std::hint::spin_loop();
        }
        writer.publish().expect("no fault");
        latencies.saturating_record(before.elapsed().as_nanos() as u64);
    }
    helpers.close(writer).expect("no fault");
    latencies
}
