//! From the moment a command was due to the moment its events are let out, open loop, by policy and
//! rate; beside a bare loop that commits the same bytes with `pwrite` and `fdatasync`.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use loadgen::flow::Mix;
use ringframe::node::NodeOptions;
use ringframe::release::ReleasePolicy;

use crate::Scale;
use crate::paced::paced;
use crate::table::{Table, compare, histogram, latency_columns, percentiles};
use crate::world::{Commands, World, directory, options};

pub(crate) fn run(scale: &Scale) {
    let time = Duration::from_millis(scale.pick(1000, 30));
    let title = "f1, stages on one thread, syncs on another: from due to released, open loop, µs";
    let mut table = Table::new(title, &latency_columns(""));
    for rate in scale.pick(vec![10_000, 100_000, 1_000_000], vec![10_000]) {
        let commands = rate * time.as_millis() as usize / 1000;
        let commands = Commands::new(&Mix::F1.flow(commands));
        let (mut journaled, mut synced, mut bare) = (vec![], vec![], vec![]);
        for _ in 0..scale.pick(5, 1) {
            journaled.push(ours(&commands, &options(ReleasePolicy::Journaled), rate, None));
            synced.push(ours(&commands, &options(ReleasePolicy::Synced), rate, None));
            bare.push(paced(directory(true).path(), commands.ops.len(), rate));
        }
        let (bare, journaled) = (percentiles(&bare), percentiles(&journaled));
        let name = format!("{} k/s: synced", rate / 1000);
        compare(&mut table, [&name, "  pwrite+fdatasync"], &percentiles(&synced), &bare);
        compare(&mut table, ["  journaled", "  pwrite+fdatasync"], &journaled, &bare);
    }
    table.print();
}

pub(crate) fn ours(
    commands: &Commands,
    options: &NodeOptions,
    rate: usize,
    shadow: Option<Duration>,
) -> Histogram<u64> {
    let directory = directory(options.release == ReleasePolicy::Synced);
    let mut world = World::with_shadow(directory.path(), options, shadow);
    let logic = world.processor.machine_mut().logic_mut();
    logic.reserve(2 * commands.setup.len(), commands.orders);
    world.run_all(&commands.setup);
    std::thread::sleep(Duration::from_millis(300));
    let mut latencies = histogram();
    let first = world.sequencer.last().0 + 1;
    let due = |index: usize| index as u64 * 1_000_000_000 / rate as u64;
    let (mut next, mut seen) = (0, 0);
    let begun = Instant::now();
    while seen < commands.ops.len() {
        let now = begun.elapsed().as_nanos() as u64;
        let stamp = world.now();
        world.sequencer.poll(stamp);
        while next < commands.ops.len()
            && due(next) <= now
            && world.sequencer.offer(&commands.ops[next], stamp).is_some()
        {
            next += 1;
        }
        let told = world.turn().map(|cause| (cause.0 + 1 - first) as usize);
        // The last commands of a flow may have nothing to tell.
        let quiet = next == commands.ops.len() && world.positions.is_quiet();
        if let Some(told) = told.or(quiet.then_some(next)) {
            let now = begun.elapsed().as_nanos() as u64;
            for index in seen..told.min(next) {
                latencies.saturating_record(now - due(index));
            }
            seen = seen.max(told);
        }
    }
    world.close();
    latencies
}
