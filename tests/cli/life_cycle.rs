//! A node's life as an operator meets it: the real program, started, told to stop, killed, started
//! again; what it says, and its exit codes.
#![expect(clippy::disallowed_methods, reason = "a test may wait and look at the clock")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::program::{Serving, apply, orders, ringframe, run};
use crate::small::Small;
use ringframe::config::SETTINGS;
use ringframe::exchange::demo;
use ringframe::exchange_json::write_command;
use ringframe::journal::MappedStorage;
use ringframe::journal::storage::Storage;
use rustix::process::Signal;
use serde_json::Value;

const SMALL: [&str; 4] = ["--set", "segment_bytes=256KiB", "--set", "event_segment_bytes=256KiB"];
/// What a new journal holds: the version, and the demo exchange.
const OPENING: u64 = 1 + 2 * 99 + 3 * 103;
/// The bar of the design is 1 %; a noisy machine gets a generous bound.
const IDLE_PERCENT_MAX: f64 = 5.0;
const IDLE: Duration = Duration::from_secs(10);

fn replayed(data: &Path) -> Value {
    let done = run(&["replay", "--json"], data).expect(0, &[]);
    serde_json::from_str(&done.out).unwrap()
}

fn is_whole(data: &Path) {
    run(&["journal", "verify"], data).expect(0, &[]);
    run(&["replay", "--verify"], data).expect(0, &["0 are not in it yet"]);
}

#[test]
fn a_drained_node_has_done_all_that_it_accepted() {
    for (signal, layout) in [(Signal::TERM, "1"), (Signal::INT, "2"), (Signal::TERM, "4")] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let serving = Serving::start(&["--layout", layout, "--set", "drain_seconds=5"], data);
        let begun = Instant::now();
        serving.signal(signal);
        serving.end().expect(0, &["draining", "drained"]);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let found = replayed(data);
        assert_eq!(found["sequence"], OPENING);
        is_whole(data);
        let again = Serving::start(&[], data).drain();
        let said = format!("at command {OPENING}, {} events, from the beginning", found["events"]);
        let again = again.expect(0, &[&said]);
        for trouble in ["torn", "missing", "lost"] {
            assert!(!again.out.contains(trouble), "{again:#?}");
        }
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    // Two of a kind might be delivered as one.
    for (first, second) in [(Signal::TERM, Signal::INT), (Signal::INT, Signal::TERM)] {
        let serving = Serving::start(&[], data);
        serving.signal(first);
        serving.signal(second);
        let done = serving.end().expect(3, &[]);
        assert!(!done.out.contains("drained"), "{done:#?}");
        Serving::start(&[], data).drain();
        is_whole(data);
    }
}

#[test]
fn a_snapshot_is_taken_on_request_and_the_next_start_uses_it() {
    for mode in ["shadow", "inline"] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let mode = format!("snapshots.mode={mode}");
        let settings = [&SMALL[..], &["--set", &mode]].concat();
        let mut ends = Vec::new();
        for part in [1..2000, 2000..4000] {
            apply(&settings, data, &orders(part)).expect(0, &[]);
            let end = replayed(data)["sequence"].as_u64().unwrap();
            let mut serving = Serving::start(&settings, data);
            serving.signal(Signal::USR1);
            let path = data.join(format!("snapshots/{end:020}.snapshot"));
            serving.wait_for(path.to_str().unwrap());
            serving.drain();
            ends.push(end);
        }
        let from = |at: u64, settings: &[&str]| {
            let said = format!("at command {}, ", ends[1]);
            let origin = match at {
                0 => "from the beginning".to_owned(),
                at => format!("from the snapshot at {at};"),
            };
            Serving::start(settings, data).drain().expect(0, &[&said, &origin])
        };
        from(ends[1], &settings);
        let digest = replayed(data)["digest"].clone();
        // Damaged in the state, then in the header, each is named and passed over.
        for (index, byte, next) in [(1, 5000, ends[0]), (0, 20, 0)] {
            let name = format!("{:020}.snapshot", ends[index]);
            let path = data.join("snapshots").join(&name);
            let mut bytes = fs::read(&path).unwrap();
            bytes[byte] ^= 1;
            fs::write(&path, bytes).unwrap();
            from(next, &settings).expect(0, &["a snapshot was not used", &name]);
        }
        assert_eq!(replayed(data)["digest"], digest);
        is_whole(data);
    }
}

/// The memory that it has from the system, in bytes.
fn resident(serving: &Serving) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", serving.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn room_is_taken_at_each_start_and_changes_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let room = ["--room-orders", "1_000_000", "--room-tokens", "4_000_000"];
    let saved = [&room[..], &["--snapshot-at-drain", "--drain-seconds", "60"]].concat();
    let taken = 1_000_000 * 32 + 4_000_000 * 28;
    for first in [1, 2_000] {
        let serving = Serving::start(&room, data);
        let has = resident(&serving);
        assert!(has > taken, "{has} bytes, of which {taken} are taken");
        serving.drain();
        // Replay takes none, and its events are the same.
        apply(&saved, data, &orders(first..first + 1_999)).expect(0, &[]);
        is_whole(data);
    }
    assert!(resident(&Serving::start(&[], data)) < taken, "what nobody asked for is not taken");
}

#[test]
fn every_setting_is_a_flag_of_serve_and_apply() {
    let directory = tempfile::tempdir().unwrap();
    let help = |command: &str| run(&[command, "--help"], directory.path()).expect(0, &[]).out;
    let helps = [help("serve"), help("apply")];
    for setting in SETTINGS {
        let flag = format!("--{}", setting.flag);
        assert!(helps.iter().all(|help| help.contains(&flag)), "{flag}");
    }
    for (flags, said) in [
        (["--at", "25:00"], "at: '25:00' is no time of day"),
        (["--every-commands", "0"], "every-commands: 0 is not between 1 and"),
        (["--every-seconds", "soon"], "every-seconds: 'soon' is no whole number"),
        (["--snapshot-at-drain=perhaps", "--empty"], "'perhaps' is not one of true, false"),
        (["--snapshot-at-drain", "--snapshots=off"], "snapshots.mode is off"),
    ] {
        run(&[&["serve"], &flags[..]].concat(), directory.path()).expect(2, &[said]);
    }
    let data = directory.path();
    // A snapshot counts once all that it tells of is durable: the input is open until then.
    let arguments = ["apply", "--every-commands", "500", "--snapshots", "inline"];
    let mut applying = Serving::spawn(ringframe(&arguments, data).stdin(Stdio::piped()));
    let mut input = applying.child.stdin.take().unwrap();
    input.write_all(orders(1..2000).as_bytes()).unwrap();
    let began = Instant::now();
    let is_one = |entry: fs::DirEntry| entry.path().extension() == Some("snapshot".as_ref());
    let is_saved = || {
        fs::read_dir(data.join("snapshots"))
            .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(is_one)))
    };
    while !is_saved() {
        assert!(began.elapsed() < Duration::from_secs(30), "no snapshot");
        sleep(Duration::from_millis(10));
    }
    drop(input);
    applying.end().expect(0, &[]);
}

#[test]
fn the_state_is_saved_at_drain_where_that_is_asked_for() {
    for mode in ["shadow", "inline"] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let saving = ["--snapshots", mode, "--snapshot-at-drain"];
        let done = Serving::start(&saving, data).drain();
        let name = format!("{OPENING:020}.snapshot");
        done.expect(0, &[&name, "drained", "rings of 16384 slots: 0 commands and 0 events wait"]);
        let from = format!("from the snapshot at {OPENING};");
        let mut serving = Serving::start(&saving, data);
        // What was asked for and not done is told, also by the exit code; the rest is done.
        let other = MappedStorage::new(data.join("snapshots"));
        let lock = other.lock("lock").unwrap().expect("nobody writes one");
        serving.signal(Signal::TERM);
        serving.wait_for("not saved: ");
        serving.end().expect(1, &[&from, "another process writes a snapshot", "drained"]);
        drop(lock);
        is_whole(data);
        apply(&["--snapshot-at-drain"], data, &orders(1..3)).expect(0, &[".snapshot ("]);
    }
}

#[test]
fn a_snapshot_that_nobody_takes_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(&["--set", "snapshots.mode=off"], directory.path());
    serving.signal(Signal::USR1);
    serving.wait_for("no snapshot: snapshots.mode is off");
    serving.drain();
}

#[test]
fn two_nodes_never_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let serving = Serving::start(&[], data);
    for second in ["serve", "apply"] {
        let done = run(&[second], data);
        done.expect(3, &["journal/lock", "another process writes this journal", "--data"]);
    }
    serving.drain();
    is_whole(data);
}

#[test]
fn unknown_settings_are_refused_with_the_nearest_known() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let config = data.join("ringframe.toml");
    fs::write(&config, "releas = \"synced\"\n").unwrap();
    let config = config.to_str().unwrap();
    let cases: [(&[&str], &[&str]); 6] = [
        (&["--set", "snapshots.mod=off"], &["snapshots.mod", "snapshots.mode"]),
        (&["--set", "drain_second=1"], &["drain_second", "drain_seconds"]),
        (&["--set", "idle"], &["--set idle", "NAME=VALUE", "idle=spin"]),
        (&["--release", "sinced"], &["sinced", "synced"]),
        (&["--layout", "3"], &["'3' is no layout", "auto, 1, 2, 4"]),
        (&["--config", config], &[config, "releas", "release"]),
    ];
    for (arguments, said) in cases {
        run(&[&["serve"], arguments].concat(), data).expect(2, &said[..1]);
        let done = run(&[&["serve"], arguments].concat(), data);
        assert!(said[1..].iter().any(|what| done.err.contains(what)), "{said:?} in {done:#?}");
        assert!(!data.join("journal").exists(), "nothing was begun");
    }
}

/// As after a kill in the middle of a first start.
#[test]
fn a_half_begun_demo_exchange_is_finished_and_another_one_is_left_alone() {
    let lines: Vec<String> = demo::opening()
        .iter()
        .map(|command| {
            let mut line = String::new();
            write_command(&mut line, command);
            line + "\n"
        })
        .collect();
    let whole = {
        let directory = tempfile::tempdir().unwrap();
        apply(&["--empty"], directory.path(), &lines.concat()).expect(0, &[]);
        replayed(directory.path())
    };
    assert_eq!(whole["sequence"], OPENING);
    for begun in [1, 100, 300, lines.len()] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        apply(&["--empty"], data, &lines[..begun].concat()).expect(0, &[]);
        assert_eq!(replayed(data)["sequence"], 1 + begun as u64);
        Serving::start(&[], data).drain();
        let found = replayed(data);
        assert_eq!((&found["sequence"], &found["digest"]), (&whole["sequence"], &whole["digest"]));
    }
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    apply(&["--empty"], data, &lines[1..3].concat()).expect(0, &[]);
    Serving::start(&[], data).drain();
    assert_eq!(replayed(data)["sequence"], 3);
}

#[test]
fn a_full_disk_is_a_fault_with_a_name_and_nothing_told_is_lost() {
    let Some(disk) = Small::new(4) else { return };
    let data = disk.path().join("data");
    let done = apply(&SMALL, &data, &orders(1..40_000));
    let told = done.out.lines().count();
    let done = done.expect(3, &["bytes", "free"]);
    assert!(told > 1000, "{told} events were told");
    // The disk is as full as before: it says so again, and harms nothing.
    let again = apply(&SMALL, &data, &orders(40_000..60_000));
    again.expect(3, &["free"]);
    disk.grow(40);
    apply(&SMALL, &data, &orders(60_000..60_100)).expect(0, &[]);
    is_whole(&data);
    let all = run(&["replay", "--events", "1..18446744073709551615"], &data).expect(0, &[]);
    let whole_lines = done.out.lines().take(told.saturating_sub(1));
    assert!(whole_lines.eq(all.out.lines().take(told.saturating_sub(1))), "told, and gone");
}

/// The CPU time of all its threads so far.
fn cpu_seconds(process: u32) -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name before it may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

#[test]
fn an_idle_node_takes_about_no_cpu_time() {
    let nodes: Vec<_> = ["1", "2", "4"]
        .into_iter()
        .map(|layout| {
            let directory = tempfile::tempdir().unwrap();
            let data = directory.path().to_owned();
            let mut command = ringframe(&["serve", "--layout", layout], &data);
            let mut serving = Serving::spawn(&mut command);
            serving.wait_for("ready");
            (layout, directory, serving)
        })
        .collect();
    sleep(Duration::from_millis(1500));
    let look = || nodes.iter().map(|(_, _, serving)| cpu_seconds(serving.child.id())).collect();
    let (begun, before): (Instant, Vec<f64>) = (Instant::now(), look());
    sleep(IDLE);
    let (seconds, after): (f64, Vec<f64>) = (begun.elapsed().as_secs_f64(), look());
    for ((layout, _, _), (before, after)) in nodes.iter().zip(before.iter().zip(&after)) {
        let percent = 100.0 * (after - before) / seconds;
        println!("layout {layout}: {percent:.2} % of a core");
        assert!(percent <= IDLE_PERCENT_MAX, "layout {layout} takes {percent:.2} % while idle");
    }
    for (_, _, serving) in nodes {
        serving.drain();
    }
}
