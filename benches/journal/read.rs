//! Reading a journal and opening it, beside reading and checksumming the same bytes. Warm cache.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use ringframe_journal::segment::BLOCK_BYTES;
use ringframe_journal::{Append, Journal, MappedStorage, Options, Reader, SyncPolicy, survey};

use crate::table::{Table, median};
use crate::{MIB, Scale, directory, frame, helpers, open};

fn options() -> Options {
    Options { sync: SyncPolicy::PerSegment, ..Options::new("bench", 1) }
}

pub(crate) fn run(scale: Scale) {
    let bytes = scale.pick(1024 * MIB, 4 * MIB);
    for payload in scale.pick(vec![64, 1024], vec![64]) {
        measure(scale, bytes, payload);
    }
}

fn measure(scale: Scale, bytes: u64, payload_bytes: usize) {
    let directory = directory();
    let frames = fill(directory.path(), bytes, payload_bytes);
    let (_, last_end) = read_all(directory.path());
    let (mut bare, mut reader, mut opens) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.repeats() {
        let begun = Instant::now();
        let checked = checksum_all(directory.path(), last_end);
        bare.push(checked as f64 / begun.elapsed().as_secs_f64() / 1e9);

        let begun = Instant::now();
        assert_eq!(read_all(directory.path()).0, frames);
        reader.push(checked as f64 / begun.elapsed().as_secs_f64() / 1e9);

        let begun = Instant::now();
        let journal = open(directory.path(), options());
        opens.push(begun.elapsed().as_secs_f64() * 1e3);
        assert_eq!(journal.recovery.next, frames + 1);
    }
    let (bare, reader, opens) = (median(bare), median(reader), median(opens));
    let mut table = Table::new(
        &format!("{} MiB of {payload_bytes} B payloads, warm cache", bytes / MIB),
        &["", "GB/s", "million frames/s", "ratio"],
    );
    let average = bytes as f64 / frames as f64 / 1e3;
    let rate = |gigabytes: f64| [format!("{gigabytes:.2}"), format!("{:.1}", gigabytes / average)];
    let row = |name: &str, gigabytes: f64, ratio: String| {
        let [bytes, frames] = rate(gigabytes);
        [name.to_owned(), bytes, frames, ratio]
    };
    table.row(row("read + CRC32C of 1 MiB pieces", bare, String::new()));
    table.row(row("Reader, every frame", reader, format!("{:.2}x", reader / bare)));
    table.print();
    println!("  open: {opens:.1} ms");
}

pub(crate) fn fill(directory: &Path, bytes: u64, payload_bytes: usize) -> u64 {
    let payload = vec![7; payload_bytes];
    let Journal { mut writer, syncer, keeper, .. } = open(directory, options());
    let helpers = helpers(syncer, keeper);
    let frames = bytes / frame(1, &payload).stored_bytes() as u64;
    for sequence in 1..=frames {
        while writer.append(&frame(sequence, &payload)).expect("no fault") == Append::Wait {
            std::thread::yield_now();
        }
        if sequence % 64 == 0 {
            writer.publish().expect("no fault");
        }
    }
    helpers.close(writer).expect("no fault");
    frames
}

/// The bare limit: every byte of frames through the same system call and one checksum.
fn checksum_all(directory: &Path, last_end: u64) -> u64 {
    read_pieces(directory, last_end, |piece| {
        black_box(crc32c::crc32c(piece));
    })
}

/// Shows every byte of frames to `work`; returns how many there are.
pub(crate) fn read_pieces(directory: &Path, last_end: u64, work: impl Fn(&[u8])) -> u64 {
    let mut buffer = vec![0; MIB as usize];
    let mut total = 0;
    for info in survey(&MappedStorage::new(directory)).expect("segments") {
        if info.header.good().is_none() {
            continue;
        }
        let end = info.seal.good().map_or(last_end, |seal| seal.end);
        let file = File::open(&info.path).expect("a segment");
        let mut at = BLOCK_BYTES;
        while at < end {
            let want = buffer.len().min((end - at) as usize);
            file.read_exact_at(&mut buffer[..want], at).expect("whole");
            work(&buffer[..want]);
            at += want as u64;
        }
        total += end - BLOCK_BYTES;
    }
    total
}

/// How many frames there are, and where the last segment's end.
pub(crate) fn read_all(directory: &Path) -> (u64, u64) {
    let mut reader = Reader::open_first(MappedStorage::new(directory)).expect("a journal");
    let mut frames = 0;
    while let Some(frame) = reader.next_frame().expect("whole") {
        black_box(frame);
        frames += 1;
    }
    (frames, reader.position().expect("in a segment").1)
}
