//! Everything on one thread, without syncs: how many commands a second, and where the time goes.

use std::time::{Duration, Instant};

use loadgen::flow::{Mix, NANOS};
use ringframe::exchange::Exchange;
use ringframe::journal::Frame;
use ringframe::logic::Logic;
use ringframe::machine::Machine;
use ringframe::node::NodeOptions;
use ringframe::record::Record;
use ringframe::release::ReleasePolicy;

use crate::Scale;
use crate::table::{Table, median};
use crate::world::{Commands, World, directory, options};

/// How many commands are offered before the stages are polled.
pub(crate) const BATCH: usize = 64;
/// The bars of the design: million commands a second, and the share of logic alone.
const BAR: (f64, f64) = (6.0, 0.5);
const PARTS: [&str; 5] = ["publish", "journaler", "processor", "event_log", "egress"];

pub(crate) fn run(scale: &Scale) {
    let mut columns = vec!["flow", "M/s", "logic alone", "of it", "events/command"];
    let shares: Vec<String> = PARTS.iter().map(|part| format!("{part} ns")).collect();
    columns.extend(shares.iter().map(String::as_str));
    let title = format!(
        "in one process, one thread, no sync, million commands/s (bar {} and {} of logic alone)",
        BAR.0, BAR.1
    );
    let mut table = Table::new(&title, &columns);
    let mixes = Mix::ALL.into_iter().filter(|mix| scale.wants(mix.name));
    for mix in mixes {
        let commands = Commands::new(&mix.flow(scale.pick(2_000_000, 5_000)));
        let (mut whole, mut logic, mut parts, mut events) = (vec![], vec![], vec![], 0.0);
        for _ in 0..scale.pick(5, 1) {
            let alone = logic_alone(&commands);
            let run = pipeline(&commands, &options(ReleasePolicy::Journaled), None);
            assert_eq!(run.all_events, alone.all_events, "the pipeline does what the logic does");
            logic.push(commands.ops.len() as f64 * 1e3 / alone.nanos as f64);
            whole.push(commands.ops.len() as f64 * 1e3 / run.nanos as f64);
            parts.push(run.parts);
            events = run.events as f64 / commands.ops.len() as f64;
        }
        let ratios = whole.iter().zip(&logic).map(|(whole, logic)| whole / logic).collect();
        let mut row = vec![
            mix.name.to_owned(),
            format!("{:.2}", median(whole)),
            format!("{:.2}", median(logic)),
            format!("{:.2}", median(ratios)),
            format!("{events:.2}"),
        ];
        row.extend((0..PARTS.len()).map(|part| {
            let nanos = median(parts.iter().map(|parts| parts[part] as f64).collect());
            format!("{:.0}", nanos / commands.ops.len() as f64)
        }));
        table.row(row);
    }
    table.print();
}

struct Alone {
    nanos: u64,
    /// Those of the setup, too: digests differ, because control commands take sequences.
    all_events: u64,
}

/// The machine fed with encoded commands, as the processor feeds it; what it emits is forgotten.
fn logic_alone(commands: &Commands) -> Alone {
    let mut machine = Machine::<Exchange>::default();
    machine.logic_mut().reserve(2 * commands.setup.len(), commands.orders);
    machine.reserve(2 * BATCH, 1 << 20);
    let mut payload = [0; 288];
    let mut sequence = 0;
    let mut feed = |machine: &mut Machine<Exchange>, commands: &[_]| {
        for batch in commands.chunks(BATCH) {
            for command in batch {
                let command: &<Exchange as Logic>::Command = command;
                let length = command.encode(&mut payload);
                sequence += 1;
                let frame = Frame {
                    sequence,
                    timestamp: 1_767_364_200_000_000_000 + sequence * NANOS,
                    epoch: 0,
                    kind: command.kind(),
                    schema: 1,
                    payload: &payload[..length],
                };
                machine.take(&frame).expect("a command");
            }
            machine.advance(Exchange::LOOKAHEAD);
            machine.forget(machine.held());
        }
        machine.advance(0);
        machine.forget(machine.held());
    };
    feed(&mut machine, &commands.setup);
    let start = Instant::now();
    feed(&mut machine, &commands.ops);
    let nanos = start.elapsed().as_nanos() as u64;
    Alone { nanos, all_events: machine.applied().events }
}

pub(crate) struct Run {
    pub(crate) nanos: u64,
    parts: [u64; PARTS.len()],
    events: u64,
    all_events: u64,
}

pub(crate) fn pipeline(
    commands: &Commands,
    options: &NodeOptions,
    shadow: Option<Duration>,
) -> Run {
    let directory = directory(false);
    let mut world = World::with_shadow(directory.path(), options, shadow);
    let logic = world.processor.machine_mut().logic_mut();
    logic.reserve(2 * commands.setup.len(), commands.orders);
    world.run_all(&commands.setup);
    let before = world.positions.progress().emitted;
    let mut parts = [0; PARTS.len()];
    let start = Instant::now();
    let mut last = start;
    let mut lap = |part: &mut u64| {
        let now = Instant::now();
        *part += (now - last).as_nanos() as u64;
        last = now;
    };
    let mut next = 0;
    while next < commands.ops.len() || !world.positions.is_quiet() {
        let now = world.now();
        let end = (next + BATCH).min(commands.ops.len());
        world.sequencer.poll(now);
        while next < end && world.sequencer.offer(&commands.ops[next], now).is_some() {
            next += 1;
        }
        lap(&mut parts[0]);
        for (stage, part) in world.stages().into_iter().zip(&mut parts[1..]) {
            stage.poll(now).expect("no fault");
            lap(part);
        }
        world.let_out();
        lap(&mut parts[4]);
    }
    let nanos = start.elapsed().as_nanos() as u64;
    let emitted = world.positions.progress().emitted;
    world.close();
    Run { nanos, parts, events: emitted - before, all_events: emitted }
}
