//! What the shadow costs the stages: the same run without and with one that tails the journal and
//! takes a snapshot every second.

use std::time::Duration;

use loadgen::flow::Mix;
use ringframe::journal::SyncPolicy;
use ringframe::node::NodeOptions;
use ringframe::release::ReleasePolicy;

use crate::Scale;
use crate::latency;
use crate::table::{Table, median, percentiles};
use crate::throughput;
use crate::world::{Commands, options};

const SHADOWS: [Option<Duration>; 2] = [None, Some(Duration::from_secs(1))];
const RATE: usize = 100_000;

pub(crate) fn run(scale: &Scale) {
    let title = format!(
        "the shadow and a snapshot every second, journaled: million commands/s, and from due to \
         released at {} k/s, open loop, µs",
        RATE / 1000
    );
    let columns = ["flow", "", "M/s", "p50", "p99", "p99.9", "max"];
    let mut table = Table::new(&title, &columns);
    // A snapshot counts once all that it tells of is durable: so both are synced now and then.
    let sync = SyncPolicy::Every(Duration::from_millis(50));
    let options = NodeOptions { sync, event_sync: sync, ..options(ReleasePolicy::Journaled) };
    let mixes = Mix::ALL.into_iter().filter(|mix| scale.wants(mix.name));
    for mix in mixes {
        let commands = Commands::new(&mix.flow(scale.pick(4_000_000, 5_000)));
        let paced = Commands::new(&mix.flow(scale.pick(3 * RATE, 1_000)));
        let (mut rates, mut latencies) = ([vec![], vec![]], [vec![], vec![]]);
        for _ in 0..scale.pick(5, 1) {
            for (index, shadow) in SHADOWS.into_iter().enumerate() {
                let run = throughput::pipeline(&commands, &options, shadow);
                rates[index].push(commands.ops.len() as f64 * 1e3 / run.nanos as f64);
                latencies[index].push(latency::ours(&paced, &options, RATE, shadow));
            }
        }
        for (index, name) in ["without", "with"].into_iter().enumerate() {
            let rate = format!("{:.2}", median(std::mem::take(&mut rates[index])));
            let micros = percentiles(&latencies[index]);
            let micros = [0, 2, 3, 5].map(|at: usize| format!("{:.1}", micros[at] / 1e3));
            table.row([mix.name.to_owned(), name.to_owned(), rate].into_iter().chain(micros));
        }
    }
    table.print();
}
