//! The journal beside its bare limits, each pair measured in the same run, in turn. Medians of the
//! repeats; `cargo bench --bench journal [append|commit|roll|read|verify]`. Without `--bench` (that
//! is how `cargo test` starts benches) a smoke size runs in a second or two.
#![allow(clippy::disallowed_methods, reason = "measuring needs a clock and threads")]
#![allow(clippy::print_stdout, reason = "tables are the output")]

mod append;
mod bare;
mod commit;
mod device;
mod read;
mod roll;
mod table;
mod verify;

use std::path::Path;

use ringframe_journal::{Frame, Helpers, Journal, Keeper, MappedStorage, Options, Syncer};

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    smoke: bool,
}

impl Scale {
    /// The full amount, or the smoke test's.
    pub(crate) fn pick<T>(self, full: T, smoke: T) -> T {
        if self.smoke { smoke } else { full }
    }

    pub(crate) fn repeats(self) -> usize {
        self.pick(5, 1)
    }
}

pub(crate) const MIB: u64 = 1 << 20;

pub(crate) fn frame(sequence: u64, payload: &[u8]) -> Frame<'_> {
    Frame { sequence, timestamp: sequence, epoch: 1, kind: 1, schema: 1, payload }
}

pub(crate) fn open(directory: &Path, options: Options) -> Journal<MappedStorage> {
    Journal::open(MappedStorage::new(directory), options).expect("the journal opens")
}

pub(crate) fn helpers(
    syncer: Syncer<MappedStorage>,
    keeper: Keeper<MappedStorage>,
) -> Helpers<MappedStorage> {
    Helpers::spawn(syncer, keeper).expect("threads start")
}

/// Under the build directory, not in /tmp: that may be memory.
pub(crate) fn directory() -> tempfile::TempDir {
    let parent = std::env::var_os("RINGFRAME_BENCH_DIR");
    let parent = parent.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    tempfile::Builder::new().prefix("bench-").tempdir_in(parent).expect("a directory")
}

type Part = (&'static str, fn(Scale));

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let scale = Scale { smoke: !arguments.iter().any(|argument| argument == "--bench") };
    let named: Vec<&String> =
        arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let parts: [Part; 5] = [
        ("append", append::run),
        ("commit", commit::run),
        ("roll", roll::run),
        ("read", read::run),
        ("verify", verify::run),
    ];
    for (name, run) in parts {
        if named.is_empty() || named.iter().any(|wanted| *wanted == name) {
            run(scale);
        }
    }
}
