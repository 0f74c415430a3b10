//! Verifying a journal, beside reading the same bytes with the checksums that it needs. Warm cache.

use std::cell::Cell;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use ringframe_journal::{MappedStorage, verify};

use crate::read::{fill, read_all, read_pieces};
use crate::table::{Table, median};
use crate::{MIB, Scale, directory};

const PAYLOAD_BYTES: usize = 64;

pub(crate) fn run(scale: Scale) {
    let bytes = scale.pick(1024 * MIB, 4 * MIB);
    let directory = directory();
    fill(directory.path(), bytes, PAYLOAD_BYTES);
    let (_, last_end) = read_all(directory.path());
    let crc = |piece: &[u8]| {
        black_box(crc32c::crc32c(piece));
    };
    let both = |piece: &[u8]| {
        black_box(crc32c::crc32c(piece));
        black_box(blake3::hash(piece));
    };
    let mut seconds = [const { Vec::new() }; 4];
    let frames_bytes = Cell::new(0);
    for _ in 0..scale.repeats() {
        let works: [&dyn Fn(); 4] = [
            &|| frames_bytes.set(read_pieces(directory.path(), last_end, crc)),
            &|| frames_bytes.set(read_pieces(directory.path(), last_end, both)),
            &|| check(directory.path(), 1),
            &|| check(directory.path(), 2),
        ];
        for (seconds, work) in seconds.iter_mut().zip(works) {
            let begun = Instant::now();
            work();
            seconds.push(begun.elapsed().as_secs_f64());
        }
    }
    // The same bytes for all rows, though verify also looks at the zeros behind the last frame.
    let rates = seconds.map(|seconds| frames_bytes.get() as f64 / median(seconds) / 1e9);
    let mut table = Table::new(
        &format!("verify, {} MiB of {PAYLOAD_BYTES} B payloads, warm cache", bytes / MIB),
        &["", "GB/s", "ratio"],
    );
    let names = [
        "read + CRC32C of 1 MiB pieces",
        "read + CRC32C + BLAKE3",
        "verify, 1 thread",
        "verify, 2 threads",
    ];
    for (name, rate) in names.into_iter().zip(rates) {
        let ratio = format!("{:.2}x", rate / rates[1]);
        table.row([name.to_owned(), format!("{rate:.2}"), ratio]);
    }
    table.print();
}

fn check(directory: &Path, threads: usize) {
    let storage = MappedStorage::new(directory);
    let verification = verify(&storage, threads, |_, _| {}).expect("the journal is read");
    assert_eq!(verification.findings().count(), 0);
}
