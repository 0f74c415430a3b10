//! A node on real files, with the helpers of its journals on threads of their own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use loadgen::flow::Flow;
use ringframe::event_log;
use ringframe::exchange::Exchange;
use ringframe::exchange::command::Command;
use ringframe::journal::{MappedStorage, SyncPolicy};
use ringframe::journaler::Journaler;
use ringframe::node::{Node, NodeOptions, Stores};
use ringframe::pipeline::{Positions, SlotReader};
use ringframe::processor::Processor;
use ringframe::release::ReleasePolicy;
use ringframe::sequencer::Sequencer;
use ringframe::snapshot::schedule::Triggers;
use ringframe::stage::Stage;
use ringframe::types::{Nanos, Sequence};

use crate::commands::{Translator, opening};

/// A flow as commands: what fills the books, and what is measured.
pub(crate) struct Commands {
    pub(crate) setup: Vec<Command>,
    pub(crate) ops: Vec<Command>,
    pub(crate) orders: usize,
}

impl Commands {
    pub(crate) fn new(flow: &Flow) -> Self {
        let mut translator = Translator::new(flow);
        let mut setup = opening(flow.instruments);
        setup.extend(flow.setup.iter().map(|op| translator.command(op)));
        let ops = flow.ops.iter().map(|op| translator.command(op)).collect();
        Self { setup, ops, orders: flow.orders() as usize }
    }
}

/// Under the build directory, or in memory where there is such a file system: without syncs both
/// are page cache, and memory is not written back meanwhile.
pub(crate) fn directory(synced: bool) -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let disk = std::env::var_os("RINGFRAME_BENCH_DIR")
        .unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    let parent = if !synced && memory.is_dir() { memory.as_os_str() } else { &disk };
    tempfile::Builder::new().prefix("bench-").tempdir_in(parent).expect("a directory")
}

pub(crate) fn options(release: ReleasePolicy) -> NodeOptions {
    let sync = match release {
        ReleasePolicy::Journaled => SyncPolicy::PerSegment,
        _ => SyncPolicy::Always,
    };
    NodeOptions {
        release,
        sync,
        event_sync: SyncPolicy::PerSegment,
        segment_bytes: 256 << 20,
        event_segment_bytes: 256 << 20,
        ring_slots: 1 << 10,
        ..NodeOptions::default()
    }
}

/// The stages that are measured.
pub(crate) struct World {
    pub(crate) sequencer: Sequencer<Exchange>,
    pub(crate) journaler: Journaler<MappedStorage>,
    pub(crate) processor: Processor<Exchange>,
    pub(crate) event_log: Journaler<MappedStorage>,
    pub(crate) egress: SlotReader,
    pub(crate) positions: Arc<Positions>,
    pub(crate) started: Instant,
    helpers: Helpers,
}

impl World {
    pub(crate) fn open(directory: &Path, options: &NodeOptions) -> Self {
        Self::with_shadow(directory, options, None)
    }

    /// With a shadow that takes a snapshot so often.
    pub(crate) fn with_shadow(
        directory: &Path,
        options: &NodeOptions,
        every: Option<Duration>,
    ) -> Self {
        let stores = Stores::mapped(directory);
        let node: Node<Exchange, MappedStorage> =
            Node::open(&stores, options, Nanos(1), &mut |_, _| ()).expect("it opens");
        let shadow = every.map(|pause| {
            let every_nanos = Some(pause.as_nanos() as u64);
            let triggers = Triggers { every_nanos, ..Triggers::default() };
            let taker = node.taker(&stores, triggers, 2).expect("a new directory");
            node.shadow(&stores, taker)
        });
        // A syncer that looks all the time wakes at once; without syncs it has nothing to look for.
        let syncer_pause = match options.release {
            ReleasePolicy::Journaled => Duration::from_millis(1),
            _ => Duration::ZERO,
        };
        let mut helpers: Vec<(Box<dyn Stage>, Duration)> = vec![
            (Box::new(node.syncer), syncer_pause),
            (Box::new(node.keeper), Duration::from_millis(1)),
            (Box::new(node.event_syncer), Duration::from_millis(1)),
            (Box::new(node.event_keeper), Duration::from_millis(1)),
        ];
        if let Some(shadow) = shadow {
            helpers.push((Box::new(shadow), Duration::from_millis(1)));
        }
        Self {
            sequencer: node.sequencer,
            journaler: node.journaler,
            processor: node.processor,
            event_log: node.event_log,
            egress: node.egress,
            positions: node.positions,
            started: Instant::now(),
            helpers: Helpers::start(helpers),
        }
    }

    pub(crate) fn now(&self) -> Nanos {
        Nanos(1_767_364_200 * Nanos::SECOND + self.started.elapsed().as_nanos() as u64)
    }

    /// The stages in the order of the data, without the one that takes commands in.
    pub(crate) fn stages(&mut self) -> [&mut dyn Stage; 3] {
        [&mut self.journaler, &mut self.processor, &mut self.event_log]
    }

    /// The command of the last event that was let out just now.
    pub(crate) fn let_out(&mut self) -> Option<Sequence> {
        let mut events = self.egress.poll().ok()?;
        (&mut events).last().and_then(|slot| event_log::cause(&slot.frame()))
    }

    pub(crate) fn turn(&mut self) -> Option<Sequence> {
        let now = self.now();
        for stage in self.stages() {
            stage.poll(now).expect("no fault");
        }
        self.let_out()
    }

    /// Publishes commands and runs until all of them are logged and the helpers are done.
    pub(crate) fn run_all(&mut self, commands: &[Command]) {
        let mut next = 0;
        while next < commands.len() || !self.positions.is_quiet() {
            let now = self.now();
            while next < commands.len() && self.sequencer.offer(&commands[next], now).is_some() {
                next += 1;
            }
            self.turn();
        }
        self.helpers_are_done();
    }

    /// Waits until every helper has looked around since now and found nothing to do.
    pub(crate) fn helpers_are_done(&self) {
        self.helpers.wait();
    }

    /// Ends the helpers; the first fault of any.
    pub(crate) fn close(self) {
        self.helpers.stop();
    }
}

/// Threads that poll the stages behind the journals.
struct Helpers {
    stop: Arc<AtomicBool>,
    /// How often each found nothing to do.
    idle: Vec<Arc<AtomicU64>>,
    threads: Vec<JoinHandle<Box<dyn Stage>>>,
}

impl Helpers {
    fn start(stages: Vec<(Box<dyn Stage>, Duration)>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let idle: Vec<_> = stages.iter().map(|_| Arc::new(AtomicU64::new(0))).collect();
        let start = |((mut stage, pause), idle): ((Box<dyn Stage>, Duration), &Arc<AtomicU64>)| {
            let (stop, idle) = (Arc::clone(&stop), Arc::clone(idle));
            std::thread::spawn(move || {
                let begun = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    let now = Nanos(begun.elapsed().as_nanos() as u64);
                    if stage.poll(now).expect("no fault") == 0 {
                        idle.fetch_add(1, Ordering::Release);
                        if pause.is_zero() {
                            std::hint::spin_loop();
                        } else {
                            std::thread::sleep(pause);
                        }
                    }
                }
                stage
            })
        };
        let threads = stages.into_iter().zip(&idle).map(start).collect();
        Self { stop, idle, threads }
    }

    /// A look that was under way may have missed what came since it began: the second counts.
    fn wait(&self) {
        for idle in &self.idle {
            let before = idle.load(Ordering::Acquire);
            while idle.load(Ordering::Acquire) < before + 2 {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        // None is dropped before all have ended: a syncer hands segments to its keeper.
        let join = |thread: JoinHandle<_>| thread.join().expect("no helper panics");
        drop(self.threads.into_iter().map(join).collect::<Vec<_>>());
    }
}
