//! The same stages on one, two and four threads of the runner: how many commands a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use loadgen::flow::Mix;
use ringframe::clock::Clock;
use ringframe::exchange::Exchange;
use ringframe::exchange::command::Command;
use ringframe::journal::MappedStorage;
use ringframe::node::{Node, Stores};
use ringframe::pipeline::SlotReader;
use ringframe::release::ReleasePolicy;
use ringframe::runner::{Group, Idle, Runner};
use ringframe::sequencer::Sequencer;
use ringframe::stage::{Fault, Stage};
use ringframe::types::Nanos;

use crate::Scale;
use crate::table::{Table, median};
use crate::throughput::BATCH;
use crate::world::{Commands, directory, options};

/// Which stages share a thread.
const LAYOUTS: [(&str, &[&[&str]]); 3] = [
    ("1", &[&["feed", "journaler", "processor", "event_log", "drain"]]),
    ("2", &[&["feed", "drain"], &["journaler", "processor", "event_log"]]),
    ("4", &[&["feed"], &["journaler"], &["processor"], &["event_log", "drain"]]),
];

pub(crate) fn run(scale: &Scale) {
    let title = "by layout, polite, no sync, million commands/s";
    let columns: Vec<&str> =
        std::iter::once("flow").chain(LAYOUTS.iter().map(|(threads, _)| *threads)).collect();
    let mut table = Table::new(title, &columns);
    for mix in Mix::ALL.into_iter().filter(|mix| scale.wants(mix.name)) {
        let commands = Commands::new(&mix.flow(scale.pick(2_000_000, 5_000)));
        let mut rates: [Vec<f64>; LAYOUTS.len()] = Default::default();
        for _ in 0..scale.pick(5, 1) {
            for ((_, layout), rates) in LAYOUTS.iter().zip(&mut rates) {
                rates.push(rate(&commands, layout));
            }
        }
        let rates = rates.map(|rates| format!("{:.2}", median(rates)));
        table.row([mix.name.to_owned()].into_iter().chain(rates));
    }
    table.print();
}

fn rate(commands: &Commands, layout: &[&[&str]]) -> f64 {
    let directory = directory(false);
    let options = options(ReleasePolicy::Journaled);
    let mut node: Node<Exchange, MappedStorage> =
        Node::open(&Stores::mapped(directory.path()), &options, Nanos(1), &mut |_, _| ())
            .expect("opens");
    let logic = node.processor.machine_mut().logic_mut();
    logic.reserve(2 * commands.setup.len(), commands.orders);
    let positions = Arc::clone(&node.positions);
    let allowed = Arc::new(AtomicUsize::new(commands.setup.len()));
    let all = commands.setup.iter().chain(&commands.ops).copied().collect();
    let feed =
        Feed { sequencer: node.sequencer, commands: all, next: 0, allowed: Arc::clone(&allowed) };
    let mut stages: Vec<Box<dyn Stage>> = vec![
        Box::new(feed),
        Box::new(node.journaler),
        Box::new(node.processor),
        Box::new(node.event_log),
        Box::new(Drain(node.egress)),
    ];
    let mut groups = Vec::new();
    for names in layout {
        let (group, others) = stages.into_iter().partition(|stage| names.contains(&stage.name()));
        stages = others;
        groups.push(Group::new(group));
    }
    let helpers: [Box<dyn Stage>; 4] = [
        Box::new(node.syncer),
        Box::new(node.keeper),
        Box::new(node.event_syncer),
        Box::new(node.event_keeper),
    ];
    let pause = Duration::from_millis(1);
    groups.extend(helpers.map(|helper| Group::new(vec![helper]).every(pause, pause)));
    let running = Runner::new(groups, Idle::Polite, Clock::default()).start().expect("it starts");
    let until_done = |last: u64| {
        // Each has its number; a digest now and then is a command as well.
        while positions.published().0 < last || !positions.is_quiet() {
            assert!(running.fault().is_none(), "{:?}", running.fault());
            std::thread::sleep(Duration::from_micros(200));
        }
    };
    until_done(commands.setup.len() as u64 + 1);
    let begun = Instant::now();
    allowed.store(commands.setup.len() + commands.ops.len(), Ordering::Release);
    running.waker().wake();
    until_done((commands.setup.len() + commands.ops.len()) as u64 + 1);
    let nanos = begun.elapsed().as_nanos() as f64;
    running.stop();
    drop(running.join().expect("no fault"));
    commands.ops.len() as f64 * 1e3 / nanos
}

/// Publishes commands, as fast as there is room.
struct Feed {
    sequencer: Sequencer<Exchange>,
    commands: Vec<Command>,
    next: usize,
    /// How many may be published yet.
    allowed: Arc<AtomicUsize>,
}

impl Stage for Feed {
    fn name(&self) -> &'static str {
        "feed"
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        let mut work = self.sequencer.poll(now);
        let end = self.allowed.load(Ordering::Acquire).min(self.next + BATCH);
        while self.next < end && self.sequencer.offer(&self.commands[self.next], now).is_some() {
            self.next += 1;
            work += 1;
        }
        Ok(work)
    }
}

/// Lets events go.
struct Drain(SlotReader);

impl Stage for Drain {
    fn name(&self) -> &'static str {
        "drain"
    }

    fn poll(&mut self, _now: Nanos) -> Result<usize, Fault> {
        Ok(self.0.poll().map_or(0, |mut events| (&mut events).count()))
    }
}
