//! Appending without a sync, beside a checksum and a copy of the same bytes: into plain memory, and
//! into a prepared file's mapping, which is what a journal has to write to.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ringframe_journal::storage::{Region, Storage, StorageFile};
use ringframe_journal::{Append, Journal, MappedStorage, Options, SyncPolicy, Writer};

use crate::table::{Table, median};
use crate::{MIB, Scale, directory, frame, open};

/// Frames between two publishes.
const BATCH: u64 = 64;

pub(crate) fn run(scale: Scale) {
    let mut table = Table::new(
        "append without sync, one thread, million frames/s, beside CRC32C + memcpy into plain \
         memory \
         and into a prepared mapping (published after 64 frames; last column: after each)",
        &["payload", "memory", "mapping", "append", "of memory", "of mapping", "append, each"],
    );
    for payload in [32, 64, 256, 4096] {
        measure(scale, payload, &mut table);
    }
    table.print();
}

fn measure(scale: Scale, payload_bytes: usize, table: &mut Table) {
    let payload = vec![7; payload_bytes];
    let mut encoded = Vec::new();
    frame(1, &payload).encode(&mut encoded);
    let count = scale.pick(16 * MIB, MIB / 4) / encoded.len() as u64;
    let piece = count as usize * encoded.len();

    let directory = directory();
    // Both variants of all repeats fit into one segment: rolls have a table of their own.
    let bytes = (2 * piece * scale.repeats()) as u64 + MIB;
    let segment_bytes = bytes.next_multiple_of(4096);
    let prefault_bytes = segment_bytes;
    let sync = SyncPolicy::PerSegment;
    let options = Options { segment_bytes, prefault_bytes, sync, ..Options::new("bench", 1) };
    let Journal { mut writer, mut keeper, .. } = open(directory.path(), options);
    // The keeper leaves a pause between slices: its time is given, not read.
    for step in 0..10_000 {
        keeper.poll(step * 1_000_000).expect("pages are prefaulted");
    }
    // Written once, so prefaulted; as large, so as cold.
    let mut buffer = vec![1; piece * scale.repeats()];

    let mut region = mapping(directory.path(), buffer.len() as u64);

    let (mut bare, mut mapped) = (Vec::new(), Vec::new());
    let (mut batched, mut each) = (Vec::new(), Vec::new());
    for (index, target) in buffer.chunks_exact_mut(piece).enumerate() {
        bare.push(rate(count, || checksum_and_copy(&mut encoded, target)));
        let offset = (index * piece) as u64;
        mapped.push(rate(count, || checksum_and_map(&mut encoded, &mut region, offset, count)));
        batched.push(rate(count, || append(&mut writer, count, BATCH, &payload)));
        each.push(rate(count, || append(&mut writer, count, 1, &payload)));
    }
    black_box(&buffer);
    let (bare, mapped) = (median(bare), median(mapped));
    let (batched, each) = (median(batched), median(each));
    table.row([
        format!("{payload_bytes} B"),
        format!("{bare:.1}"),
        format!("{mapped:.1}"),
        format!("{batched:.1}"),
        format!("{:.2}x", batched / bare),
        format!("{:.2}x", batched / mapped),
        format!("{each:.1}"),
    ]);
}

/// A file prepared as the keeper prepares segments.
fn mapping(directory: &Path, bytes: u64) -> impl Region {
    let bytes = bytes.next_multiple_of(4096);
    let file = Arc::new(MappedStorage::new(directory).create("bare").expect("a new file"));
    file.reserve(bytes).expect("room");
    file.zero(0, bytes).expect("room");
    file.sync().expect("a disk");
    let region = file.map(bytes).expect("a mapping");
    file.prefault(0, bytes).expect("pages are prefaulted");
    region
}

/// Million operations a second.
fn rate(count: u64, work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    count as f64 / begun.elapsed().as_secs_f64() / 1e6
}

/// The bare limit: checksums the very bytes that a frame covers and copies them.
fn checksum_and_copy(encoded: &mut [u8], target: &mut [u8]) {
    for (sequence, slot) in target.chunks_exact_mut(encoded.len()).enumerate() {
        encoded[8..16].copy_from_slice(&(sequence as u64).to_le_bytes());
        let crc = crc32c::crc32c(&encoded[4..]);
        encoded[..4].copy_from_slice(&crc.to_le_bytes());
        slot.copy_from_slice(encoded);
    }
}

/// The same into a mapping.
fn checksum_and_map(encoded: &mut [u8], region: &mut impl Region, from: u64, count: u64) {
    for sequence in 0..count {
        encoded[8..16].copy_from_slice(&sequence.to_le_bytes());
        let crc = crc32c::crc32c(&encoded[4..]);
        encoded[..4].copy_from_slice(&crc.to_le_bytes());
        region.write(from + sequence * encoded.len() as u64, encoded);
    }
}

fn append(writer: &mut Writer<MappedStorage>, count: u64, batch: u64, payload: &[u8]) {
    for index in 1..=count {
        let sequence = writer.next_sequence();
        let done = writer.append(&frame(sequence, payload)).expect("the frame is taken");
        assert!(done == Append::Done);
        if index % batch == 0 {
            writer.publish().expect("no fault");
        }
    }
    writer.publish().expect("no fault");
}
