//! The load generator against the real server: every kind of message, nothing lost, repeated or
//! unexpected, and nothing left behind.
#![expect(clippy::disallowed_methods, reason = "one of them stops the server meanwhile")]

use std::num::NonZeroU64;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use loadgen::run::{Options, Outcome, demo_users, run};
use loadgen::schedule::{Arrival, Length, Pace};

use rustix::process::Signal;

use crate::program::{PROGRAM, Serving, run as program};

const MESSAGES: u64 = 2_000;

/// Slow enough for any machine; a polite sender leaves the server its cores.
fn options(serving: &Serving, flow: &str) -> Options {
    let rate = NonZeroU64::new(2_000).unwrap();
    let options = Options::new(serving.addresses[0].to_string(), rate, Duration::from_secs(1));
    let length = Length::Count(MESSAGES);
    let pace = Pace { length, warm_up: Duration::from_millis(100), ..options.pace };
    // However slow the machine is: what is wrong does not become right by waiting.
    let silence = Duration::from_mins(2);
    let patience = Some(silence);
    Options { source: flow.parse().unwrap(), is_polite: true, pace, patience, silence, ..options }
}

#[track_caller]
fn complete(options: &Options) -> Outcome {
    let outcome = run(options).unwrap();
    let measured = &outcome.results.measured;
    assert!(outcome.is_complete(), "{measured:?}");
    assert_eq!(measured.sent, MESSAGES);
    assert_eq!(measured.answered + measured.silent, MESSAGES);
    assert_eq!(measured.latency_ns.count, measured.answered);
    assert_eq!(outcome.rejections, 0, "{:?}", measured.kinds);
    outcome
}

fn kinds(outcome: &Outcome) -> Vec<&str> {
    outcome.results.measured.kinds.iter().map(|fact| fact.name.as_str()).collect()
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn serving(data: &Path) -> Serving {
    Serving::start(&["--release", "journaled"], data)
}

#[test]
fn every_kind_of_message_is_answered_and_the_books_are_left_empty() {
    let directory = directory();
    let serving = serving(directory.path());
    let mix = "mix:add=45,cancel=25,replace=20,take=10";
    let outcome = complete(&Options { echo: true, ..options(&serving, mix) });
    let found = kinds(&outcome);
    for kind in ["accepted", "replaced", "canceled", "executed"] {
        assert!(found.contains(&kind), "{kind}: {found:?}");
    }
    let echo = outcome.results.echo.as_ref().unwrap();
    assert_eq!((echo.sent, echo.answered), (MESSAGES, MESSAGES));
    // The books are empty again: nothing of that run is met by the next, whoever plays it.
    let mut again = options(&serving, "fmod");
    again.login.users = demo_users(7).split_off(4);
    again.pace.arrival = Arrival::Poisson;
    assert!(!kinds(&complete(&again)).contains(&"of an earlier run's orders"));
    serving.drain();
}

#[test]
fn a_regime_and_what_was_recorded_of_it_play_alike() {
    let directory = directory();
    let serving = serving(directory.path());
    let file = directory.path().join("flow");
    let mut first = options(&serving, "normal");
    // One after the other: with one session on each side the order is the same in both.
    first.login.users = demo_users(2);
    first.record = Some(file.clone());
    complete(&first);
    let again = Options {
        source: loadgen::source::Source::File(file),
        own_times: true,
        record: None,
        ..first
    };
    let outcome = run(&again).unwrap();
    assert!(outcome.is_complete(), "{:?}", outcome.results.measured);
    assert!(outcome.results.measured.sent >= MESSAGES);
    serving.drain();
}

#[test]
fn a_day_of_market_data_is_played_as_orders() {
    let directory = directory();
    let data = directory.path().join("data");
    let first = serving(&data);
    complete(&options(&first, "normal"));
    first.drain();
    let file = directory.path().join("day");
    let out = file.to_str().unwrap();
    program(&["feed", "--day", "all", "--out", out], &data).expect(0, &[]);
    let second = serving(&directory.path().join("fresh"));
    let source = loadgen::source::Source::File(file);
    let outcome = run(&Options { source, ..options(&second, "f1") }).unwrap();
    assert!(outcome.is_complete(), "{:?}", outcome.results.measured);
    assert!(outcome.results.measured.answered > 0);
    second.drain();
}

#[test]
fn who_was_due_while_the_server_stood_still_waited_for_so_long() {
    const STALL: Duration = Duration::from_millis(500);
    let directory = directory();
    let serving = serving(directory.path());
    let (_, admin) = serving.places.split_once("operators at ").unwrap();
    let rate = NonZeroU64::new(500).unwrap();
    let mut load = options(&serving, "f1");
    load.pace = Pace {
        length: Length::Count(4_000),
        warm_up: Duration::ZERO,
        ..Options::new(serving.addresses[0].to_string(), rate, Duration::from_secs(1)).pace
    };
    let outcome = std::thread::scope(|scope| {
        let playing = scope.spawn(|| run(&load).unwrap());
        let is_under_way = || {
            let mut status = Command::new(PROGRAM);
            let said = status.args(["status", "--json", "--admin", admin.trim()]).output().unwrap();
            let status: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
            status["traffic"].as_array().unwrap().iter().any(|it| {
                it["what"] == "messages in" && it["count"].as_u64().is_some_and(|it| it > 100)
            })
        };
        while !is_under_way() {
            std::thread::sleep(Duration::from_millis(20));
        }
        serving.signal(Signal::STOP);
        std::thread::sleep(STALL);
        serving.signal(Signal::CONT);
        playing.join().unwrap()
    });
    assert!(outcome.is_complete(), "{:?}", outcome.results.measured);
    // 250 of 4,000 were due in that time, the first forty within 80 ms of its beginning.
    let latency = &outcome.results.measured.latency_ns;
    assert!(latency.p99 >= 400_000_000 && latency.max >= 480_000_000, "{latency:?}");
    serving.drain();
}

#[test]
fn a_server_that_is_asked_tells_what_its_stages_did() {
    let directory = directory();
    let serving = serving(directory.path());
    let (_, admin) = serving.places.split_once("operators at ").unwrap();
    let admin = Some(admin.trim().parse().unwrap());
    let outcome = complete(&Options { admin, ..options(&serving, "f1") });
    let work = outcome.results.server_work.as_ref().unwrap();
    assert!(work.commands >= MESSAGES && work.events > 0 && work.seconds > 0.0, "{work:?}");
    assert!(work.looks > 0 && work.commands_waiting_max <= work.ring_slots, "{work:?}");
    for name in ["gateway", "journaler", "processor", "event_log"] {
        let stage = work.stages.iter().find(|stage| stage.name == name).expect(name);
        assert!(stage.items > 0 && stage.busy_share > 0.0, "{stage:?}");
        assert!(stage.mean_batch().is_some_and(|mean| mean <= stage.batch_max as f64), "{stage:?}");
        let age = stage.age_ns.map(|age| (age.p50 > 0, age.p99 >= age.p50, age.max >= age.p99));
        assert_eq!(age, Some((true, true, true)), "{stage:?}");
    }
    serving.drain();
}

#[test]
fn what_a_server_refuses_is_said() {
    let directory = directory();
    let serving = serving(directory.path());
    let mut wrong = options(&serving, "f1");
    wrong.login.password = "wrong".into();
    let error = run(&wrong).unwrap_err().to_string();
    assert!(error.contains("TRDR01 may not log in"), "{error}");
    let mut unknown = options(&serving, "f1");
    unknown.listed =
        vec![loadgen::orders::script::Listed { symbol: "NONE".into(), reference: 1_000_000 }];
    let outcome = run(&unknown).unwrap();
    assert!(outcome.is_complete(), "a reject is an answer: {:?}", outcome.results.measured);
    assert!(outcome.rejections > 0);
    assert!(kinds(&outcome).contains(&"rejected for S"), "{:?}", kinds(&outcome));
    serving.drain();
}
