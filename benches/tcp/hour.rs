//! A node as it is run, under load for an hour: the event log, a snapshot each minute, an archive
//! and a pruned journal, days that end. Rounds in which it is asked for its metrics and its
//! status each second (A) and rounds in which nobody asks (B) take turns, ABBA, at the same node:
//! what it counts it always counts, and `counters` of the bench `pipeline` says what that costs.
//!
//! A round is a steady rate first, for what an answer takes, and then as much as goes: a processor
//! that metrics take from an order's way is missing there first.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loadgen::run::demo_users;
use loadgen::schedule::Length;
use ringframe::exchange::command::State;
use serde_json::Value;

use crate::hostile::Stops;
use crate::http::{change, end_day, get, post};
use crate::program::run as run_to_end;
use crate::table::Table;
use crate::world::{Server, directory, per_second, play};
use crate::{MIB, Scale, policies};

const HOUR: Duration = Duration::from_hours(1);
const SECOND: Duration = Duration::from_secs(1);
/// A day is over after so many blocks, about a tenth of an hour: it keeps its tokens so long, and
/// as many as the day before.
const DAY: usize = 6;
const RATE: u64 = 10_000;
const STEADY: Duration = Duration::from_secs(12);
const SESSIONS: usize = 16;
/// Beyond any machine.
const ENDLESS: u64 = 1_000_000_000;
const ENDLESS_COUNT: u64 = 600_000;
/// Others need the disk, too: the event log is kept whole, some 15 GiB an hour.
const ROOM_MIN: u64 = 8 << 30;

/// Whether it is asked, in this order, over and over.
const BLOCK: [bool; 4] = [true, false, false, true];

const FIGURES: usize = 3;
/// Million messages a second at full load, µs at the steady rate: p50 and p99.
type Round = [f64; FIGURES];

/// The server's memory, in MiB, and page faults so far.
struct Sample {
    at: Duration,
    own: f64,
    resident: f64,
    most: f64,
    faults: [u64; 2],
}

pub(crate) fn run(scale: &Scale) {
    let seconds = std::env::var("RINGFRAME_SECONDS").ok();
    let seconds = seconds.map(|text| text.parse().expect("RINGFRAME_SECONDS is a whole number"));
    let length = seconds.map_or(scale.pick(HOUR, Duration::ZERO), Duration::from_secs);
    let policy = policies(scale).last().expect("there are policies");
    let archive = directory();
    let place = archive.path().to_str().expect("plain letters");
    let small = ["--segment-bytes", "256KiB", "--event-segment-bytes", "256KiB"];
    let mut settings = vec!["--every-seconds", scale.pick("60", "1")];
    settings.extend(scale.pick(&[][..], &small));
    let server = Server::start_with(policy, &settings, "");
    unlimited(server.admin());
    println!("\n{policy}, {} s, ABBA: A is asked each second, B is not", length.as_secs());

    let begun = Instant::now();
    let day = scale.pick(DAY, 1) * BLOCK.len();
    let (mut rounds, mut asked) = (Vec::new(), 0);
    let mut samples = vec![sample(&server, begun)];
    loop {
        for is_asked in BLOCK {
            rounds.push(if is_asked {
                let (round, times) = beside_asking(server.admin(), || round(&server, scale));
                asked += times;
                round
            } else {
                round(&server, scale)
            });
            samples.push(sample(&server, begun));
        }
        prune(&server, place);
        if rounds.len().is_multiple_of(day) {
            let last = samples.last().expect("one a round");
            end_of_day(&server, rounds.len() / day, rounds.len(), last);
        }
        if begun.elapsed() >= length {
            break;
        }
        if !scale.smoke && room(archive.path()) < ROOM_MIN {
            println!("the disk has less than {} GiB left: it ends here", ROOM_MIN >> 30);
            break;
        }
    }
    server.end();
    compare(&rounds, asked);
    memory(&samples, day);
}

/// Positions of several days go beyond the limits of a demo user.
fn unlimited(to: SocketAddr) {
    for participant in 1..=SESSIONS {
        let limits = format!(r#"{{"set_participant":{{"participant":{participant}}}}}"#);
        let (code, said) = post(to, "/command", &limits);
        assert_eq!(code, 200, "{said}");
    }
}

/// At a steady rate first, and then as fast as it goes.
fn round(server: &Server, scale: &Scale) -> Round {
    let time = scale.pick(STEADY, Duration::from_millis(100));
    let mut steady = server.load(scale.pick(RATE, 1_000), Length::Time(time), scale.smoke);
    // Server and whoever asks have the cores.
    steady.is_polite = true;
    let latency = play(&steady).results.measured.latency_ns;
    let count = Length::Count(scale.pick(ENDLESS_COUNT, 1_000));
    let mut endless = server.load(ENDLESS, count, scale.smoke);
    endless.login.users = demo_users(SESSIONS);
    endless.pace.warm_up = Duration::ZERO;
    let measured = play(&endless).results.measured;
    [per_second(&measured) / 1e6, latency.p50 as f64 / 1e3, latency.p99 as f64 / 1e3]
}

/// While it goes on, the node is asked for what Prometheus and a dashboard ask it for, each second:
/// how often.
fn beside_asking<T>(to: SocketAddr, measure: impl FnOnce() -> T) -> (T, u64) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut times = 0;
            while !over.load(Ordering::Relaxed) {
                for path in ["/metrics", "/status"] {
                    let (code, said) = get(to, path);
                    assert_eq!(code, 200, "{said}");
                }
                times += 1;
                thread::park_timeout(SECOND);
            }
            times
        });
        let stops = Stops(&over);
        let measured = measure();
        drop(stops);
        asking.thread().unpark();
        (measured, asking.join().expect("it was answered"))
    })
}

/// Segments go that the oldest snapshot and the archive hold, by the program's own commands between
/// rounds: copying is neither's, and the node does it behind everything else, also its clients.
fn prune(server: &Server, archive: &str) {
    let (code, said) = get(server.admin(), "/segments");
    assert_eq!(code, 200, "{said}");
    let said: Value = serde_json::from_str(&said).expect("it is JSON");
    let snapshots = said["snapshots"]["newest"].as_array().expect("it tells");
    let oldest = snapshots.iter().filter_map(|it| it["sequence"].as_u64()).min();
    let Some(oldest) = oldest.map(|sequence| sequence.to_string()) else { return };
    let data = server.data();
    run_to_end(&["journal", "archive", "--to", archive], &data).expect(0, &[]);
    let prune = ["journal", "prune", "--below", &oldest, "--archive", archive];
    run_to_end(&prune, &data).expect(0, &[]);
}

/// What an operator does when nobody trades: the day's tokens go.
fn end_of_day(server: &Server, day: usize, rounds: usize, sample: &Sample) {
    let to = server.admin();
    change(to, State::Closed);
    let ended = end_day(to);
    assert_eq!(ended["accepted"], true, "{ended}");
    for state in [State::PreOpen, State::Open] {
        change(to, state);
    }
    println!(
        "day {day} ended after {:.0} s and {rounds} rounds: {} tokens, {:.1} MiB of its own \
         before, {:.1} after",
        sample.at.as_secs_f64(),
        ended["events"][0]["day_ended"]["tokens"],
        sample.own,
        server.own_memory(),
    );
}

fn sample(server: &Server, begun: Instant) -> Sample {
    Sample {
        at: begun.elapsed(),
        own: server.own_memory(),
        resident: server.memory(),
        most: server.most_memory(),
        faults: server.faults(),
    }
}

/// What is left of the disk, in bytes.
fn room(directory: &Path) -> u64 {
    let disk = rustix::fs::statvfs(directory).expect("a disk");
    disk.f_bavail * disk.f_frsize
}

/// A beside B, and B beside itself, which is the noise.
fn compare(rounds: &[Round], asked: u64) {
    let of = |wanted: bool| -> Vec<Round> {
        let turns = rounds.iter().zip(BLOCK.iter().cycle());
        turns.filter(|&(_, &is_asked)| is_asked == wanted).map(|(round, _)| *round).collect()
    };
    let (a, b) = (of(true), of(false));
    let every_second = |rest: usize| -> Vec<Round> {
        let turns = b.iter().enumerate().filter(|(at, _)| at % 2 == rest);
        turns.map(|(_, round)| *round).collect()
    };
    let by_block = |ratio: fn(&[Round], usize) -> f64| -> Vec<Round> {
        let blocks = rounds.chunks_exact(BLOCK.len());
        blocks.map(|block| std::array::from_fn(|figure| ratio(block, figure))).collect()
    };
    let title = format!(
        "{} rounds, asked {asked} times; M/s as much as goes, µs at {} k/s: quartiles",
        rounds.len(),
        RATE / 1000
    );
    let columns = ["", "M/s", "", "", "p50", "", "", "p99", "", ""];
    let mut table = Table::new(&title, &columns);
    let mut row = |name: &str, rounds: &[Round]| {
        let cells = (0..FIGURES).flat_map(|figure| quartiles(rounds, figure));
        let cells = cells.map(|it| format!("{it:.3}"));
        table.row([name.to_owned()].into_iter().chain(cells));
    };
    row("A, asked each second", &a);
    row("B, not asked", &b);
    row(
        "A/B, block by block",
        &by_block(|it, at| (it[0][at] + it[3][at]) / (it[1][at] + it[2][at])),
    );
    row("B/B, block by block", &by_block(|it, at| it[1][at] / it[2][at]));
    table.print();
    let ratio =
        |of: &[Round], by: &[Round], figure| quartiles(of, figure)[1] / quartiles(by, figure)[1];
    let (odd, even) = (every_second(0), every_second(1));
    for (figure, name) in ["M/s", "p50", "p99"].into_iter().enumerate() {
        let [ours, noise] = [ratio(&a, &b, figure), ratio(&odd, &even, figure)];
        println!("  {name}: median of A / median of B {ours:.4}, of B's odd / B's even {noise:.4}");
    }
}

fn quartiles(rounds: &[Round], figure: usize) -> [f64; 3] {
    let mut figures: Vec<f64> = rounds.iter().map(|round| round[figure]).collect();
    figures.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| figures[figures.len() * quarter / 4])
}

/// What it took at the start, after the first day, and at the end, and how it grew after that day:
/// until then tables grow for a day's tokens.
fn memory(samples: &[Sample], day: usize) {
    let columns =
        ["MiB", "its own", "with mapped files", "the most", "page faults", "from the device"];
    let mut table = Table::new("the server's memory: RssAnon, VmRSS, VmHWM", &columns);
    let last = samples.len() - 1;
    // A smoke test has one day.
    let from = if day < last { day } else { 0 };
    for (name, at) in [("start", 0), ("after the first day", from), ("end", last)] {
        let Sample { own, resident, most, faults, .. } = &samples[at];
        let memory = [own, resident, most].map(|mib| format!("{mib:.1}"));
        let faults = faults.map(|count| count.to_string());
        table.row([name.to_owned()].into_iter().chain(memory).chain(faults));
    }
    table.print();
    let later = &samples[from..];
    println!(
        "  its own after the first day: {:+.2} MB an hour, least squares of {} samples",
        slope(later) * MIB as f64 / 1e6,
        later.len()
    );
}

/// MiB of its own an hour.
fn slope(samples: &[Sample]) -> f64 {
    let hours = |it: &Sample| it.at.as_secs_f64() / HOUR.as_secs_f64();
    let count = samples.len() as f64;
    let at = samples.iter().map(hours).sum::<f64>() / count;
    let own = samples.iter().map(|it| it.own).sum::<f64>() / count;
    let together: f64 = samples.iter().map(|it| (hours(it) - at) * (it.own - own)).sum();
    let spread: f64 = samples.iter().map(|it| (hours(it) - at).powi(2)).sum();
    together / spread
}
