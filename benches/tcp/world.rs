//! A server of its own with fresh data, loads for it, and what it takes of the machine.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use loadgen::latency::Summary;
use loadgen::results::Measured;
use loadgen::run::{self, Options, Outcome};
use loadgen::schedule::Length;

use crate::http;
use crate::program::{Done, Serving, apply};

/// A slow server is a figure, not a failure.
const PATIENCE: Duration = Duration::from_mins(1);

/// Under the build directory.
pub(crate) fn directory() -> tempfile::TempDir {
    let disk = std::env::var_os("RINGFRAME_BENCH_DIR")
        .unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    tempfile::Builder::new().prefix("bench-").tempdir_in(disk).expect("a directory")
}

/// The server with its data, which goes with it.
pub(crate) struct Server {
    serving: Serving,
    directory: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start(policy: &str) -> Self {
        Self::start_with(policy, &[], "")
    }

    /// With more settings, and commands that come before all clients.
    pub(crate) fn start_with(policy: &str, more: &[&str], commands: &str) -> Self {
        let directory = directory();
        let data = directory.path().join("data");
        if !commands.is_empty() {
            apply(&["--release", policy], &data, commands).expect(0, &[]);
        }
        let layout = std::env::var("RINGFRAME_LAYOUT").ok();
        let mut settings = vec!["--release", policy];
        settings.extend(layout.iter().flat_map(|layout| ["--layout", layout.as_str()]));
        settings.extend(more);
        Self { serving: Serving::start(&settings, &data), directory }
    }

    pub(crate) fn address(&self) -> String {
        self.serving.addresses[0].to_string()
    }

    /// Where its journal is.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Where operators ask.
    pub(crate) fn admin(&self) -> SocketAddr {
        http::admin(&self.serving)
    }

    /// Its resident memory, in MiB; pages of mapped files count.
    pub(crate) fn memory(&self) -> f64 {
        self.resident("VmRSS:")
    }

    /// What it has of its own, without pages of files, in MiB.
    pub(crate) fn own_memory(&self) -> f64 {
        self.resident("RssAnon:")
    }

    /// The most that was ever resident, in MiB.
    pub(crate) fn most_memory(&self) -> f64 {
        self.resident("VmHWM:")
    }

    /// Page faults so far: those that the kernel had the page for, and those that read a device.
    pub(crate) fn faults(&self) -> [u64; 2] {
        let stat = self.told("stat");
        let (_, after) = stat.rsplit_once(") ").expect("a name in parentheses");
        let numbers: Vec<&str> = after.split(' ').collect();
        [7, 9].map(|at| numbers[at].parse().expect("a count"))
    }

    /// What the kernel tells of it.
    fn told(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.serving.child.id())).expect("it runs")
    }

    fn resident(&self, what: &str) -> f64 {
        let status = self.told("status");
        let line = status.lines().find(|line| line.starts_with(what)).expect("the kernel says");
        let kib: f64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("kB");
        kib / 1024.0
    }

    /// What it said, to its end.
    pub(crate) fn end(self) -> Done {
        let done = self.serving.drain();
        drop(self.directory);
        done
    }

    /// `f1` at it.
    pub(crate) fn load(&self, rate: u64, length: Length, smoke: bool) -> Options {
        load(vec![self.address()], rate, length, smoke)
    }
}

/// `f1` at a rate for a time, at whichever of them leads; the smoke size leaves servers the cores.
pub(crate) fn load(targets: Vec<String>, rate: u64, length: Length, smoke: bool) -> Options {
    let rate = NonZeroU64::new(rate).expect("not zero");
    let mut options = Options::new("", rate, Duration::ZERO);
    options.login.targets = targets;
    options.pace.length = length;
    options.pace.warm_up = Duration::from_millis(if smoke { 50 } else { 500 });
    options.is_polite = smoke;
    options.patience = Some(PATIENCE);
    options
}

/// Plays it. Wrong answers end the bench: figures of a server that errs are worth nothing.
pub(crate) fn play(options: &Options) -> Outcome {
    let outcome = run::run(options).unwrap_or_else(|error| panic!("{error}"));
    let measured = &outcome.results.measured;
    assert!(outcome.is_complete(), "{:?} {:?}", measured.behind_ns, measured.errors);
    assert_eq!(outcome.rejections, 0, "{:?}", measured.kinds);
    outcome
}

/// Field by field the median, in the order of the tables' columns.
pub(crate) fn medians(repeats: &[Summary]) -> Vec<f64> {
    let median = Summary::median(repeats).expect("there are repeats");
    median.fields().iter().map(|(_, ns)| *ns as f64).collect()
}

/// Messages a second that were answered, or rightly have no answer.
pub(crate) fn per_second(measured: &Measured) -> f64 {
    let settled = (measured.answered + measured.silent) as f64;
    measured.answered_per_second * settled / measured.answered.max(1) as f64
}
