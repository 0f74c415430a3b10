//! What a node's threads cost while nothing comes. A program of its own, because it measures the
//! CPU time of its whole process.
#![expect(clippy::disallowed_methods, reason = "a test may wait")]

use std::time::{Duration, Instant};

use ringframe::clock::Clock;
use ringframe::runner::{Group, Idle, Runner};
use ringframe::stage::{Fault, Stage};
use ringframe::types::Nanos;
use rustix::time::{ClockId, clock_gettime};

/// The bar of the design is 1 % over ten seconds; a noisy machine gets a generous bound.
const PERCENT_MAX: f64 = 5.0;
const MEASURED: Duration = Duration::from_secs(2);
/// As long as it takes until the last group has gone to sleep.
const SETTLED: Duration = Duration::from_millis(200);

struct Nothing(&'static str);

impl Stage for Nothing {
    fn name(&self) -> &'static str {
        self.0
    }

    fn poll(&mut self, _now: Nanos) -> Result<usize, Fault> {
        Ok(0)
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The share of one core that all threads together take, in percent.
fn idle_percent(groups: &[&[&'static str]]) -> f64 {
    let group = |names: &&[&'static str]| {
        Group::new(names.iter().map(|name| Box::new(Nothing(name)) as Box<dyn Stage>).collect())
    };
    let mut groups: Vec<Group> = groups.iter().map(group).collect();
    groups.push(group(&["syncer"].as_slice()));
    for helper in ["keeper", "event_keeper", "shadow"] {
        groups.push(
            group(&[helper].as_slice()).every(Duration::from_millis(1), Duration::from_millis(10)),
        );
    }
    let running = Runner::new(groups, Idle::Polite, Clock::new()).start().unwrap();
    std::thread::sleep(SETTLED);
    let (begun, before) = (Instant::now(), cpu_seconds());
    std::thread::sleep(MEASURED);
    let percent = 100.0 * (cpu_seconds() - before) / begun.elapsed().as_secs_f64();
    running.stop();
    running.join().map(drop).unwrap();
    percent
}

#[test]
fn an_idle_node_takes_about_no_cpu_time_in_any_layout() {
    let layouts: [(&str, &[&[&str]]); 4] = [
        ("1", &[&["intake", "journaler", "processor", "event_log", "egress"]]),
        ("2", &[&["intake", "egress"], &["journaler", "processor", "event_log"]]),
        ("4", &[&["intake"], &["journaler"], &["processor"], &["event_log", "egress"]]),
        ("5", &[&["intake"], &["journaler"], &["processor"], &["event_log"], &["egress"]]),
    ];
    for (name, groups) in layouts {
        let percent = idle_percent(groups);
        println!("layout {name}: {percent:.2} % of a core");
        assert!(percent <= PERCENT_MAX, "layout {name} takes {percent:.2} % while idle");
    }
}
