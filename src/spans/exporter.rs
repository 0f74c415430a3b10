//! Who chooses orders, waits for them, and brings their spans to the collector: one at a time, so
//! nothing queues up. A collector that is slow or away costs spans, which are counted, and nothing
//! else.
#![expect(clippy::disallowed_methods, reason = "it has a thread of its own")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ringframe_journal::storage::Storage;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::event::{Stretch, first_of};
use super::otlp::{Trace, body};
use super::report::{Loss, Report};
use super::{Collector, Sample, Times};
use crate::clock::Clock;
use crate::embed::Outcome;
use crate::logic::Logic;
use crate::pipeline::Positions;
use crate::release::Release;
use crate::types::{Epoch, Nanos, Sequence};

/// So often it looks how far the node is …
const LOOK: Duration = Duration::from_millis(20);
/// … and at least that often, however long nothing has moved.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// The wanted command is ahead of the newest one by this part of what came during a look: far
/// enough that all stages know of it before it comes.
const AHEAD: u64 = 4;
/// So long the stages have to note what they have done, and the collector has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many events are read for one order at most: what comes during a look, many times over.
const EVENTS_MAX: u64 = 1 << 18;
/// Everything else goes first.
const NICE: i32 = 19;

/// What became of spans: of so many orders.
#[derive(Debug, Default)]
pub struct Exported {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Exported {
    /// The collector has them.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The collector did not take them, or not all that belongs to them was noted.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// What an order's first event says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Whose it is.
    pub session: u16,
    /// As the client calls it.
    pub token: String,
    /// What came of it.
    pub outcome: &'static str,
}

/// What it is told when it starts.
pub struct ExporterOptions<L: Logic, S> {
    /// Where spans go …
    pub to: Collector,
    /// … of so many orders at most.
    pub per_second: u64,
    /// What stages note in; [`Group::sampled`](crate::runner::Group::sampled) tells them.
    pub sample: Arc<Sample>,
    /// What a reply means.
    pub release: Arc<Release>,
    /// The log of events.
    pub log: S,
    /// What the first event of a command says, if the command was an order.
    pub order: fn(&Outcome<L>) -> Option<Order>,
    /// Whether this node orders: who follows has other clocks' times.
    pub leads: Box<dyn Fn() -> bool + Send>,
    /// The number of the journal's history: with a sequence and its term it names a command for
    /// good. An error says why it is not known.
    pub history: Box<dyn Fn() -> Result<u64, String> + Send>,
    /// The node's clock.
    pub clock: Clock,
}

/// The thread. Dropped, it ends at once: spans that are on their way are nobody's loss.
pub struct Exporter {
    exported: Arc<Exported>,
    stop: Option<oneshot::Sender<()>>,
    /// For what cannot be left where it waits: it reads.
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Begins to sample. Where that fails the node has lost nothing but spans.
    pub fn start<L: Logic, S: Storage + Send>(options: ExporterOptions<L, S>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let exported = Arc::new(Exported::default());
        let (stop, stopped) = oneshot::channel();
        let ends = Arc::new(AtomicBool::new(false));
        let work = Work {
            positions: options.sample.positions(),
            ends: Arc::clone(&ends),
            exported: Arc::clone(&exported),
            report: Report::default(),
            options,
        };
        let run = move || {
            // Where that is refused it is one thread among others.
            let _ = rustix::process::setpriority_process(None, NICE);
            runtime.block_on(async {
                tokio::select! {
                    () = work.run() => {}
                    _ = stopped => {}
                }
            });
            // A name that is looked up still only reads.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("spans".into()).spawn(run)?;
        Ok(Self { exported, stop: Some(stop), ends, thread: Some(thread) })
    }

    /// What became of spans.
    pub fn exported(&self) -> Arc<Exported> {
        Arc::clone(&self.exported)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stop = None;
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of its own has been printed.
            let _ = thread.join();
        }
    }
}

struct Work<L: Logic, S> {
    options: ExporterOptions<L, S>,
    positions: Arc<Positions>,
    ends: Arc<AtomicBool>,
    exported: Arc<Exported>,
    report: Report,
}

impl<L: Logic, S: Storage> Work<L, S> {
    async fn run(mut self) {
        let mut turns = interval(Duration::from_secs(1) / self.options.per_second.max(1) as u32);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            let told = self.tell().await;
            let count = if told.is_ok() { &self.exported.sent } else { &self.exported.dropped };
            count.fetch_add(1, Ordering::Relaxed);
            self.report.say(&self.options.to, &told, self.options.clock.now());
        }
    }

    /// Takes an order's spans to the collector.
    async fn tell(&mut self) -> Result<(), Loss> {
        let trace = loop {
            let trace = self.trace().await;
            self.options.sample.want_nothing();
            if let Some(trace) = trace? {
                break trace;
            }
        };
        let posted = timeout(PATIENCE, self.options.to.post(body(&trace))).await;
        let late = |_| Err(format!("no answer within {} s", PATIENCE.as_secs()));
        posted.unwrap_or_else(late).map_err(Loss::There)
    }

    /// Waits for the next command, and until it was released; nothing where it is no order.
    async fn trace(&mut self) -> Result<Option<Trace>, Loss> {
        until(|| (self.options.leads)()).await;
        let before = self.positions.published();
        sleep(LOOK).await;
        let policy = self.options.release.policy();
        // Read first: its events come behind it.
        let behind = self.positions.events.head();
        let published = self.positions.published();
        let sequence = Sequence(published.0 + 1 + (published.0 - before.0) / AHEAD);
        self.options.sample.want(sequence);
        let wanted_at = self.options.clock.now();
        // For as long as it takes: a reply that is held back is worth to be told of.
        until(|| self.positions.released() >= sequence).await;
        let last = self.positions.progress().handed_on;
        until(|| self.positions.events.journaled() >= last).await;
        let stretch = Stretch { behind, last, most: EVENTS_MAX };
        let found = first_of(&self.options.log, stretch, sequence, &self.ends, |event| {
            Ok((Epoch(event.epoch()), Outcome::<L>::decode(&event.frame())?))
        });
        let Some((epoch, outcome)) = found? else { return Ok(None) };
        let Some(order) = (self.options.order)(&outcome) else { return Ok(None) };
        // It was quicker than we were: a stage may have looked before it knew.
        if outcome.time < wanted_at {
            return Ok(None);
        }
        let times = self.times(sequence, outcome.time).await?;
        if self.options.release.policy() != policy {
            return Err(Loss::Here("what a reply means has changed on the order's way".into()));
        }
        let history = (self.options.history)()?;
        Ok(Some(Trace { history, sequence, epoch, order, policy, times }))
    }

    /// What the stages noted: they do so at the end of the poll that released it.
    async fn times(&self, sequence: Sequence, ingress: Nanos) -> Result<Times, String> {
        let (sample, release) = (&self.options.sample, &self.options.release);
        let mut noted = None;
        let is_noted = || {
            noted = sample.times(sequence, ingress, release.policy());
            noted.is_some()
        };
        let _ = timeout(PATIENCE, until(is_noted)).await;
        noted.ok_or_else(|| format!("not all stages noted command {}", sequence.0))
    }
}

/// Looks until it is so: late by an eighth of what it has waited, so that who waits for long is
/// hardly ever awake, and who does not hardly waits.
async fn until(mut is_so: impl FnMut() -> bool) {
    let mut waited = Duration::ZERO;
    while !is_so() {
        let pause = (waited / 8).clamp(LOOK, LOOK_MAX);
        sleep(pause).await;
        waited += pause;
    }
}
