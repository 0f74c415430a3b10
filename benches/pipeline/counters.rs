//! What the runner and its counters cost: instructions of a poll that did something and of one that
//! did not, beside the same polls by hand, and with spans of sampled orders on. Reading the clock
//! is not in it; it stands beside, timed.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use ringframe::clock::Clock;
use ringframe::journal;
use ringframe::pipeline::{Positions, Progress};
use ringframe::runner::{Group, Idle, Runner};
use ringframe::spans::Sample;
use ringframe::stage::{Fault, Stage};
use ringframe::types::Nanos;

use crate::Scale;
use crate::instructions::{collected, has_valgrind};
use crate::table::Table;
use crate::throughput::BATCH;

/// The functions below, as callgrind knows them: nobody counts, the runner does, it also looks for
/// a sampled order.
pub(crate) const WAYS: [&str; 3] = ["by_hand", "by_runner", "sampled"];
/// What each poll does.
const ITEMS: [usize; 3] = [0, 1, BATCH];
const STAGES: usize = 4;

/// Does as if.
struct Does(usize);

impl Stage for Does {
    fn name(&self) -> &'static str {
        // The one that has most to look for.
        "processor"
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        black_box(now);
        Ok(self.0)
    }

    fn oldest(&self) -> Option<Nanos> {
        (self.0 > 0).then_some(Nanos(1))
    }
}

fn stages(items: usize) -> Vec<Box<dyn Stage>> {
    (0..STAGES).map(|_| Box::new(Does(items)) as Box<dyn Stage>).collect()
}

/// What runs under callgrind.
pub(crate) fn counted(way: &str, items: &str, turns: usize) {
    let items = items.parse().expect("a number of items");
    if way == WAYS[0] {
        by_hand(&mut stages(items), turns);
    } else if way == WAYS[1] {
        by_runner(&mut runner(Group::new(stages(items))), turns);
    } else {
        let journal = || Arc::new(journal::Positions::default());
        let positions = Positions::new(journal(), journal(), Progress::default());
        let sample = Arc::new(Sample::new(Arc::new(positions)));
        sampled(&mut runner(Group::new(stages(items)).sampled(&sample)), turns);
    }
}

fn runner(group: Group) -> Runner {
    Runner::new(vec![group], Idle::Spin, Clock::new())
}

#[inline(never)]
fn by_hand(stages: &mut [Box<dyn Stage>], turns: usize) {
    for turn in 0..turns as u64 {
        for stage in &mut *stages {
            black_box(stage.poll(Nanos(turn))).expect("no fault");
        }
    }
}

#[inline(never)]
fn by_runner(runner: &mut Runner, turns: usize) {
    for turn in 0..turns as u64 {
        black_box(runner.turn(Nanos(turn))).expect("no fault");
    }
}

#[inline(never)]
fn sampled(runner: &mut Runner, turns: usize) {
    by_runner(runner, turns);
}

pub(crate) fn run(scale: &Scale) {
    if !has_valgrind() {
        return;
    }
    let title = format!(
        "counters: instructions of a poll (callgrind); the runner also reads a clock, in {:.0} ns",
        clock_nanos(scale.pick(1_000_000, 1_000))
    );
    let columns = ["items of the poll", "by hand", "by the runner", "added an item", "with spans"];
    let mut table = Table::new(&title, &columns);
    let turns = scale.pick(10_000, 100);
    for items in ITEMS {
        let (items_text, turns_text) = (items.to_string(), turns.to_string());
        let count = |way: &str| {
            let arguments = [way, items_text.as_str(), turns_text.as_str()];
            collected(&format!("counters::{way}"), &arguments) / (turns * STAGES) as f64
        };
        let [hand, runner, sampled] = WAYS.map(count);
        let each = (runner - hand) / items.max(1) as f64;
        table.row([
            items.to_string(),
            format!("{hand:.0}"),
            format!("{runner:.0}"),
            if items == 0 { "-".to_owned() } else { format!("{each:.1}") },
            format!("{sampled:.0}"),
        ]);
    }
    table.print();
}

fn clock_nanos(readings: u64) -> f64 {
    let (clock, begun) = (Clock::new(), Instant::now());
    for _ in 0..readings {
        black_box(clock.now());
    }
    begun.elapsed().as_nanos() as f64 / readings as f64
}
