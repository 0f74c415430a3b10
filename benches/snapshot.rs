//! Snapshots of the exchange beside their bare limits, in the same run, warm cache. Medians of the
//! repeats; `cargo bench --bench snapshot`. Without `--bench` (that is how `cargo test` starts
//! benches) a smoke size runs in a second or two.
//!
//! The bar: a load of at least 1 GB/s. It reads the file twice, hashes it, and makes the state.
//! What no load can be faster than is one bare read of the file; a copy in memory stands beside it.
#![allow(clippy::disallowed_methods, reason = "measuring needs a clock")]
#![allow(clippy::print_stdout, reason = "tables are the output")]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use loadgen::flow::{Equity, Regime};
use ringframe::codec::state_digest;
use ringframe::exchange::Exchange;
use ringframe::journal::MappedStorage;
use ringframe::machine::Machine;
use ringframe::snapshot::{self, Info};
use ringframe::types::{Applied, Sequence};

use commands::{Market, Translator};
use table::{Table, median};

#[path = "exchange/commands.rs"]
#[allow(dead_code, reason = "the exchange's bench uses the rest")]
mod commands;
#[path = "journal/table.rs"]
#[allow(dead_code, reason = "the journal's bench uses the rest")]
mod table;

#[global_allocator]
static MEMORY: ringframe::memory::HugePages = ringframe::memory::HugePages;

const MIB: usize = 1 << 20;

fn main() {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let (resting, repeats) = if smoke { (1_000, 1) } else { (1_000_000, 7) };
    let equity = Equity { regime: Regime::Normal, instruments: 100, resting, seed: 1 };
    let flow = equity.flow(1);
    let market = Market::ready(&flow, &mut Translator::new(&flow));
    let orders = market.exchange.live_orders();
    let applied = Applied { sequence: Sequence(1), ..Applied::default() };
    let machine = Machine::resume(market.exchange, applied, market.outbox.digest());

    // Under the build directory, not in /tmp: that may be memory.
    let parent = std::env::var_os("RINGFRAME_BENCH_DIR");
    let parent = parent.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(parent).expect("room");
    let storage = MappedStorage::new(directory.path());
    let info = snapshot::write(&storage, &machine).expect("room");
    let mut copy = vec![0; info.bytes as usize];
    let whole = std::fs::read(&info.path).expect("it is there");

    let mut seconds: [Vec<f64>; PARTS.len()] = std::array::from_fn(|_| Vec::new());
    for _ in 0..repeats {
        let mut time = |part: usize, work: &mut dyn FnMut()| {
            let begun = Instant::now();
            work();
            seconds[part].push(begun.elapsed().as_secs_f64());
        };
        time(0, &mut || black_box(&mut copy).copy_from_slice(black_box(&whole)));
        time(1, &mut || read_bare(&info, |_| ()));
        time(2, &mut || hash(&info));
        time(3, &mut || snapshot::check(&storage, &info).expect("whole"));
        let mut loaded = None;
        time(4, &mut || loaded = Some(snapshot::load(&storage, &info).expect("whole")));
        let loaded: Machine<Exchange> = loaded.expect("loaded");
        assert_eq!(loaded.logic().live_orders(), orders);
        time(5, &mut || {
            black_box(state_digest(loaded.logic()));
        });
        drop(loaded);
        time(6, &mut || drop(snapshot::write(&storage, &machine).expect("room")));
    }
    let title = format!("{orders} resting orders, {} MiB, warm cache", info.bytes as usize / MIB);
    let mut table = Table::new(&title, &["", "ms", "GB/s", "of a bare read"]);
    let seconds = seconds.map(median);
    for (name, taken) in PARTS.iter().zip(seconds) {
        let rate = info.bytes as f64 / taken / 1e9;
        let share = seconds[1] / taken;
        table.row([
            (*name).to_owned(),
            format!("{:.1}", taken * 1e3),
            format!("{rate:.2}"),
            format!("{share:.2}"),
        ]);
    }
    table.print();
}

const PARTS: [&str; 7] = [
    "copy in memory",
    "bare read, 1 MiB pieces",
    "bare read and BLAKE3",
    "check",
    "load",
    "digest of a state",
    "write: state, sync, load again",
];

fn read_bare(info: &Info, mut work: impl FnMut(&[u8])) {
    let file = File::open(&info.path).expect("it is there");
    let mut piece = vec![0; MIB];
    let mut at = 0;
    loop {
        match file.read_at(&mut piece, at).expect("it is there") {
            0 => return,
            read => {
                work(black_box(&piece[..read]));
                at += read as u64;
            }
        }
    }
}

fn hash(info: &Info) {
    let mut hasher = blake3::Hasher::new();
    read_bare(info, |piece| {
        hasher.update(piece);
    });
    black_box(hasher.finalize());
}
