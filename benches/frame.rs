//! What one frame costs: encode, decode, and the checksum in two implementations.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringframe_journal::Frame;
use ringframe_journal::frame::{Decoded, decode};

const PAYLOADS: [usize; 3] = [32, 256, 4096];

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    for bytes in PAYLOADS {
        let payload = vec![7; bytes];
        let (sequence, timestamp, epoch, kind, schema) = (1, 2, 3, 4, 5);
        let frame = Frame { sequence, timestamp, epoch, kind, schema, payload: &payload };
        let mut encoded = Vec::with_capacity(frame.stored_bytes());
        group.throughput(Throughput::Bytes(frame.stored_bytes() as u64));
        group.bench_with_input(BenchmarkId::new("encode", bytes), &frame, |bencher, frame| {
            bencher.iter(|| {
                encoded.clear();
                black_box(frame).encode(&mut encoded);
                black_box(&encoded);
            });
        });
        group.bench_with_input(BenchmarkId::new("decode", bytes), &encoded, |bencher, encoded| {
            bencher.iter(|| match decode(black_box(encoded)) {
                Decoded::Frame(frame) => frame.sequence(),
                other => panic!("{other:?}"),
            });
        });
    }
    group.finish();
}

fn checksums(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("crc32c");
    for bytes in [64, 256, 4096] {
        let data = vec![7; bytes];
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_with_input(BenchmarkId::new("crate crc32c", bytes), &data, |bencher, data| {
            bencher.iter(|| crc32c::crc32c(black_box(data)));
        });
        group.bench_with_input(
            BenchmarkId::new("crate crc-fast", bytes),
            &data,
            |bencher, data| {
                let algorithm = crc_fast::CrcAlgorithm::Crc32Iscsi;
                bencher.iter(|| crc_fast::checksum(algorithm, black_box(data)) as u32);
            },
        );
    }
    group.finish();
}

criterion_group!(benches, frames, checksums);
criterion_main!(benches);
