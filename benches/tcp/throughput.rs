//! As much as goes: everything is due at once, and the sockets decide.

use std::time::Duration;

use loadgen::run::demo_users;
use loadgen::schedule::Length;

use crate::table::{Table, median};
use crate::world::{Server, per_second, play};
use crate::{Scale, policies};

const SESSIONS: usize = 16;
/// Beyond any machine.
const ENDLESS: u64 = 1_000_000_000;

pub(crate) fn run(scale: &Scale) {
    let title = format!(
        "f1, {SESSIONS} sessions, no limit: million messages/s (bars: 0.5 of the echo; synced > 1)"
    );
    let columns = ["policy", "M/s", "echo", "of it", "best", "MiB before", "after"];
    let mut table = Table::new(&title, &columns);
    for policy in policies(scale) {
        let (mut ours, mut echo) = (vec![], vec![]);
        let (mut before, mut after) = (vec![], vec![]);
        for _ in 0..scale.pick(5, 1) {
            let server = Server::start(policy);
            before.push(server.memory());
            let count = Length::Count(scale.pick(4_000_000, 2_000));
            let mut load = server.load(ENDLESS, count, scale.smoke);
            load.login.users = demo_users(SESSIONS);
            load.pace.warm_up = Duration::ZERO;
            load.echo = true;
            let results = play(&load).results;
            ours.push(per_second(&results.measured) / 1e6);
            echo.push(per_second(&results.echo.expect("it was asked for")) / 1e6);
            after.push(server.memory());
            server.end();
        }
        let ratios = ours.iter().zip(&echo).map(|(ours, echo)| ours / echo).collect();
        let best = ours.iter().copied().fold(0.0, f64::max);
        let figures = [median(ours), median(echo), median(ratios), best];
        let memory = [median(before), median(after)];
        let figures = figures.map(|figure| format!("{figure:.3}")).into_iter();
        let memory = memory.map(|mib| format!("{mib:.0}"));
        table.row([policy.to_owned()].into_iter().chain(figures).chain(memory));
    }
    table.print();
}
