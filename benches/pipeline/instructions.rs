//! Instructions per command by part: this program runs itself under callgrind, which counts one
//! part at a time. The same on every machine, however busy.

use std::process::{Command as Process, Stdio};

use loadgen::flow::Mix;
use ringframe::exchange::command::Command;
use ringframe::node::NodeOptions;
use ringframe::release::ReleasePolicy;
use ringframe::stage::Stage;
use ringframe::types::Nanos;

use crate::Scale;
use crate::table::Table;
use crate::throughput::BATCH;
use crate::world::{Commands, World, directory, options};

/// The first argument of a run under callgrind; a flow's name and a number of commands follow.
pub(crate) const COUNTED: &str = "counted";

/// The functions below, as callgrind knows them.
const PARTS: [&str; 5] = ["publish", "journaler", "processor", "event_log", "egress"];

/// What runs under callgrind.
pub(crate) fn counted(name: &str, commands: &str) {
    let mix = Mix::ALL.into_iter().find(|mix| mix.name == name).expect("a flow's name");
    let commands = Commands::new(&mix.flow(commands.parse().expect("a number of commands")));
    let directory = directory(false);
    let (segment_bytes, event_segment_bytes) = (16 << 20, 16 << 20);
    let options = options(ReleasePolicy::Journaled);
    let options = NodeOptions { segment_bytes, event_segment_bytes, ..options };
    let mut world = World::open(directory.path(), &options);
    let logic = world.processor.machine_mut().logic_mut();
    logic.reserve(2 * commands.setup.len(), commands.orders);
    world.run_all(&commands.setup);
    for batch in commands.ops.chunks(BATCH) {
        let now = world.now();
        publish(&mut world, batch, now);
        // As often as is worth it: an empty poll would be counted for nothing.
        while !world.positions.is_quiet() {
            journaler(&mut world, now);
            processor(&mut world, now);
            event_log(&mut world, now);
            egress(&mut world);
        }
    }
    world.close();
}

#[inline(never)]
fn publish(world: &mut World, commands: &[Command], now: Nanos) {
    world.sequencer.poll(now);
    for command in commands {
        world.sequencer.offer(command, now).expect("an empty ring has room");
    }
}

#[inline(never)]
fn journaler(world: &mut World, now: Nanos) {
    world.journaler.poll(now).expect("no fault");
}

#[inline(never)]
fn processor(world: &mut World, now: Nanos) {
    world.processor.poll(now).expect("no fault");
}

#[inline(never)]
fn event_log(world: &mut World, now: Nanos) {
    world.event_log.poll(now).expect("no fault");
}

#[inline(never)]
fn egress(world: &mut World) {
    world.let_out();
}

pub(crate) fn run(scale: &Scale) {
    if !has_valgrind() {
        return;
    }
    let columns: Vec<&str> = std::iter::once("flow").chain(PARTS).collect();
    let mut table = Table::new("instructions per command (callgrind)", &columns);
    for mix in Mix::ALL.into_iter().filter(|mix| scale.wants(mix.name)).take(scale.pick(5, 1)) {
        let commands = scale.pick(50_000, 2_000);
        let arguments = [mix.name, &commands.to_string()];
        let count = |part| collected(&format!("instructions::{part}"), &arguments);
        let count = |part| format!("{:.0}", count(part) / commands as f64);
        table.row([mix.name.to_owned()].into_iter().chain(PARTS.map(count)));
    }
    table.print();
}

/// Whether anything can be counted here; says so if not.
pub(crate) fn has_valgrind() -> bool {
    let version = Process::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if let Err(error) = &version {
        println!(
            "\ninstructions: valgrind does not start ({error}); install your system's package"
        );
    }
    version.is_ok()
}

/// How many instructions pass in a function, and in what it calls, when this program runs so.
pub(crate) fn collected(function: &str, arguments: &[&str]) -> f64 {
    let this = std::env::current_exe().expect("the program has a path");
    let output = Process::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect=*{function}*"))
        .arg(this)
        .arg(COUNTED)
        .args(arguments)
        .output()
        .expect("valgrind starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let collected = collected.and_then(|(_, count)| count.trim().parse().ok());
    collected.filter(|&count| count > 0.0).unwrap_or_else(|| panic!("nothing counted:\n{said}"))
}
