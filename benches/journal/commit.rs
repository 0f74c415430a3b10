//! Group commit: from the moment a frame was due to the moment it is durable, open loop, and how
//! many frames become durable when nobody paces; beside the bare loop.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ringframe_journal::{Append, Helpers, Journal, MappedStorage, Options, Positions, Writer};

use crate::bare::Bare;
use crate::table::{Table, compare, histogram, latency_columns, median, percentiles};
use crate::{Scale, device, directory, frame, helpers, open};

const PAYLOAD: [u8; 64] = [7; 64];
/// Frames that may wait for the disk when nobody paces.
const WINDOW: u64 = 64 * 1024;

/// One of the two things compared.
trait Log {
    /// Appends the next frame, or refuses for now.
    fn append(&mut self) -> bool;
    fn publish(&mut self);
    fn synced(&self) -> u64;
    fn close(self);
}

struct Ours {
    writer: Writer<MappedStorage>,
    positions: Arc<Positions>,
    helpers: Helpers<MappedStorage>,
}

impl Ours {
    fn open(directory: &Path) -> Self {
        let Journal { writer, syncer, keeper, .. } = open(directory, Options::new("bench", 1));
        let positions = Arc::clone(writer.positions());
        Self { writer, positions, helpers: helpers(syncer, keeper) }
    }
}

impl Log for Ours {
    fn append(&mut self) -> bool {
        let sequence = self.writer.next_sequence();
        self.writer.append(&frame(sequence, &PAYLOAD)).expect("no fault") == Append::Done
    }

    fn publish(&mut self) {
        self.writer.publish().expect("no fault");
    }

    fn synced(&self) -> u64 {
        self.positions.synced()
    }

    fn close(self) {
        self.helpers.close(self.writer).expect("no fault");
    }
}

struct Theirs {
    bare: Bare,
    encoded: Vec<u8>,
}

impl Theirs {
    fn open(directory: &Path) -> Self {
        let mut encoded = Vec::new();
        frame(1, &PAYLOAD).encode(&mut encoded);
        Self { bare: Bare::open(directory), encoded }
    }
}

impl Log for Theirs {
    fn append(&mut self) -> bool {
        self.bare.append(&mut self.encoded);
        true
    }

    fn publish(&mut self) {
        self.bare.publish();
    }

    fn synced(&self) -> u64 {
        self.bare.synced()
    }

    fn close(self) {
        self.bare.close();
    }
}

/// What one run gave.
struct Measured {
    latencies: Histogram<u64>,
    frames_per_second: f64,
    /// Bytes at the device for each byte of frames.
    device: Option<f64>,
}

fn measure<L: Log>(log: impl Fn(&Path) -> L, rate: Option<u64>, time: Duration) -> Measured {
    let directory = directory();
    let mut log = log(directory.path());
    // Zeroes are written, pages prefaulted, threads asleep.
    std::thread::sleep(Duration::from_millis(300));
    let before = device::bytes_written(directory.path());
    let (latencies, frames, elapsed) = match rate {
        Some(rate) => paced(&mut log, rate, time),
        None => unpaced(&mut log, time),
    };
    let after = device::bytes_written(directory.path());
    log.close();
    let appended = frames * frame(1, &PAYLOAD).stored_bytes() as u64;
    let device = before.zip(after).map(|(before, after)| (after - before) as f64 / appended as f64);
    Measured { latencies, frames_per_second: frames as f64 / elapsed.as_secs_f64(), device }
}

/// Frame `n` is due at `n / rate`, whatever happened to those before it.
fn paced(log: &mut impl Log, rate: u64, time: Duration) -> (Histogram<u64>, u64, Duration) {
    let frames = rate * time.as_millis() as u64 / 1000;
    let due = |sequence: u64| sequence * 1_000_000_000 / rate;
    let mut latencies = histogram();
    let (mut appended, mut seen) = (0, 0);
    let begun = Instant::now();
    while seen < frames {
        let now = begun.elapsed().as_nanos() as u64;
        let before = appended;
        while appended < frames && due(appended + 1) <= now && log.append() {
            appended += 1;
        }
        if appended > before {
            log.publish();
        }
        let synced = log.synced();
        if synced > seen {
            let now = begun.elapsed().as_nanos() as u64;
            for sequence in seen + 1..=synced {
                latencies.saturating_record(now - due(sequence));
            }
            seen = synced;
        }
        std::hint::spin_loop();
    }
    (latencies, frames, begun.elapsed())
}

fn unpaced(log: &mut impl Log, time: Duration) -> (Histogram<u64>, u64, Duration) {
    let mut appended = 0;
    let begun = Instant::now();
    while begun.elapsed() < time {
        let room = WINDOW - (appended - log.synced());
        let mut taken = 0;
        while taken < room.min(64) && log.append() {
            taken += 1;
        }
        if taken > 0 {
            log.publish();
        } else {
            std::hint::spin_loop();
        }
        appended += taken;
    }
    while log.synced() < appended {
        std::hint::spin_loop();
    }
    (histogram(), appended, begun.elapsed())
}

pub(crate) fn run(scale: Scale) {
    let time = Duration::from_millis(scale.pick(1000, 50));
    let mut latency =
        Table::new("64 B payload, from due to durable, open loop, µs", &latency_columns(""));
    let mut device = Table::untitled(&["", "journal", "pwrite+fdatasync"]);
    for rate in scale.pick(vec![10_000, 100_000, 1_000_000], vec![10_000]) {
        let (ours, theirs) = both(scale, Some(rate), time);
        let name = format!("{} k/s: journal", rate / 1000);
        let of = |runs: &[Measured]| -> Vec<f64> {
            let histograms: Vec<_> = runs.iter().map(|run| run.latencies.clone()).collect();
            percentiles(&histograms)
        };
        compare(&mut latency, [&name, "  pwrite+fdatasync"], &of(&ours), &of(&theirs));
        device.row(written(&format!("{} k/s", rate / 1000), &ours, &theirs));
    }
    let (ours, theirs) = both(scale, None, time);
    device.row(written("unpaced", &ours, &theirs));
    latency.print();

    let rate = |runs: &[Measured]| median(runs.iter().map(|run| run.frames_per_second).collect());
    let (ours, theirs) = (rate(&ours) / 1e6, rate(&theirs) / 1e6);
    let mut throughput = Table::new(
        &format!("durable frames of 64 B a second, {WINDOW} in flight, million/s"),
        &["journal", "pwrite+fdatasync", "ratio"],
    );
    let ratio = format!("{:.2}x", ours / theirs);
    throughput.row([format!("{ours:.2}"), format!("{theirs:.2}"), ratio]);
    throughput.print();
    println!("\nbytes at the device per byte of frames, next segments' zeros included");
    device.print();
}

fn both(scale: Scale, rate: Option<u64>, time: Duration) -> (Vec<Measured>, Vec<Measured>) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..scale.repeats() {
        ours.push(measure(Ours::open, rate, time));
        theirs.push(measure(Theirs::open, rate, time));
    }
    (ours, theirs)
}

fn written(name: &str, ours: &[Measured], theirs: &[Measured]) -> [String; 3] {
    let of = |runs: &[Measured]| {
        let figures: Option<Vec<f64>> = runs.iter().map(|run| run.device).collect();
        figures.map_or("not offered here".into(), |figures| format!("{:.2}", median(figures)))
    };
    [name.to_owned(), of(ours), of(theirs)]
}
