//! How fast a node comes back, by the way that it takes: `Node::open` on a journal, with its event
//! log and without, and from a snapshot. Then what a day of a hundred million commands would take.

use std::time::Instant;

use loadgen::flow::Mix;
use ringframe::event_log;
use ringframe::exchange::Exchange;
use ringframe::journal::{Journal, MappedStorage, Options};
use ringframe::logic::Logic;
use ringframe::machine::Machine;
use ringframe::node::{Node, NodeOptions, Stores};
use ringframe::recovery::{Cores, Nobody, replay};
use ringframe::release::ReleasePolicy;
use ringframe::snapshot;
use ringframe::types::{Nanos, Sequence};

use crate::Scale;
use crate::recovery::write;
use crate::table::Table;
use crate::world::{Commands, directory};

/// What a start is to bring back.
const DAY: f64 = 100e6;

pub(crate) fn run(scale: &Scale) {
    let title = "start of a node (Node::open), s; its parts alone just before it";
    let columns = ["way", "commands", "events written", "all", "M/s", "s for 100 M"];
    let parts = ["journal", "event log", "snapshot"];
    let mut table = Table::new(title, &[&columns[..], &parts].concat());
    let Some(mix) = Mix::ALL.into_iter().find(|mix| scale.wants(mix.name)) else { return };
    let directory = directory(false);
    let commands = Commands::new(&mix.flow(scale.pick(10_000_000, 5_000)));
    let all = commands.setup.into_iter().chain(commands.ops);
    let (count, _) = write::<Exchange>(directory.path(), all);
    let stores = Stores::mapped(directory.path());
    let mut row = |way: &str| {
        let parts = parts_alone(&stores, Sequence(count));
        let Found { commands, events, seconds } = opened(&stores);
        let rate = commands as f64 / seconds;
        table.row([
            way.to_owned(),
            commands.to_string(),
            events.to_string(),
            format!("{seconds:.2}"),
            format!("{:.2}", rate / 1e6),
            format!("{:.1}", DAY / rate),
            format!("{:.2}", parts[0]),
            format!("{:.2}", parts[1]),
            format!("{:.2}", parts[2]),
        ]);
    };
    row("journal alone");
    row("journal, its event log there");
    save(&stores, Sequence(count / 10 * 9));
    row("snapshot, a tenth after it");
    let bytes = save(&stores, Sequence(count));
    row("snapshot, nothing after it");
    table.print();
    println!("  {}, the last snapshot has {bytes} bytes", mix.name);
}

/// What a start did.
struct Found {
    commands: u64,
    events: u64,
    seconds: f64,
}

fn opened(stores: &Stores<MappedStorage>) -> Found {
    let options = NodeOptions { release: ReleasePolicy::Journaled, ..NodeOptions::default() };
    let mut node: Option<Node<Exchange, MappedStorage>> = None;
    let seconds = seconds(|| {
        node = Node::open(stores, &options, Nanos(1), &mut |_, _| ()).ok();
    });
    let start = node.expect("it opens").start;
    let commands = start.applied.sequence.0 - start.from.snapshot.0;
    Found { commands, events: start.events_refilled, seconds }
}

/// Opening the journal and the event log, and loading the newest snapshot.
fn parts_alone(stores: &Stores<MappedStorage>, last: Sequence) -> [f64; 3] {
    let open = |storage: &MappedStorage, name: &str| {
        drop(Journal::open(storage.clone(), Options::new(name, 1)).expect("it opens"));
    };
    let journal = seconds(|| open(&stores.journal, Exchange::NAME));
    let events = seconds(|| {
        event_log::extent(&stores.events, last).expect("it reads");
        open(&stores.events, &format!("{} events", Exchange::NAME));
    });
    let infos = snapshot::list(&stores.snapshots).expect("a directory");
    let load = |info| {
        let machine: Machine<Exchange> = snapshot::load(&stores.snapshots, info).expect("it loads");
        drop(machine);
    };
    [journal, events, infos.first().map_or(0.0, |info| seconds(|| load(info)))]
}

fn seconds(run: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    run();
    begun.elapsed().as_secs_f64()
}

/// Saves where the journal was then; says how many bytes that takes.
fn save(stores: &Stores<MappedStorage>, at: Sequence) -> u64 {
    let mut machine = Machine::<Exchange>::default();
    replay(&stores.journal, &mut machine, at, Cores::Two, &mut Nobody).expect("it replays");
    snapshot::write(&stores.snapshots, &machine).expect("room").bytes
}
