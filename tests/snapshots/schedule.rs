//! Each trigger, at its command or its time, and not before.

use ringframe::journal::SimulatedStorage;
use ringframe::machine::Machine;
use ringframe::snapshot::schedule::{Due, RETRY_NANOS, Schedule, Taken, TimeOfDay, Triggers};
use ringframe::snapshot::{self, Info, SnapshotError};
use ringframe::types::{Nanos, Sequence};

use crate::{Counter1, counted};

const SECOND: u64 = Nanos::SECOND;
const HOUR: u64 = 3600 * SECOND;
/// 2026-01-02, 14:30 UTC.
const NOW: u64 = 1_767_364_200 * SECOND;

fn info(last: u64) -> Info {
    let machine: Machine<Counter1> = counted(last);
    snapshot::write(&SimulatedStorage::new(), &machine).expect("room")
}

fn failure() -> SnapshotError {
    SnapshotError::Damaged { path: "x".into(), why: "the test says so".into() }
}

fn schedule(triggers: Triggers) -> Schedule {
    Schedule::new(triggers, Sequence(0), None)
}

/// The snapshot of this sequence, written at once.
fn taken(last: u64, due: Due, at: u64) -> Taken {
    Taken { info: info(last), due, of: Nanos(at), at: Nanos(at), took_nanos: 0 }
}

#[test]
fn nothing_is_due_where_nothing_is_set() {
    let mut schedule = schedule(Triggers::default());
    assert_eq!(schedule.due(Sequence(0), Nanos(NOW)), None);
    assert_eq!(schedule.due(Sequence(1 << 60), Nanos(NOW + 1000 * HOUR)), None);
}

#[test]
fn after_so_many_commands() {
    let mut schedule = schedule(Triggers { every_commands: Some(10), ..Triggers::default() });
    assert_eq!(schedule.due(Sequence(9), Nanos(NOW)), None);
    assert_eq!(schedule.due(Sequence(10), Nanos(NOW)), Some(Due::Commands));
    // The shadow may have applied more by the time that it counts.
    schedule.done(Taken { took_nanos: 3, ..taken(12, Due::Commands, NOW + 3) });
    let taken = schedule.handle().status().taken.expect("one was taken");
    assert_eq!((taken.due, taken.at, taken.took_nanos), (Due::Commands, Nanos(NOW + 3), 3));
    assert_eq!(schedule.due(Sequence(21), Nanos(NOW + 4)), None);
    assert_eq!(schedule.due(Sequence(22), Nanos(NOW + 4)), Some(Due::Commands));
}

#[test]
fn it_counts_from_the_snapshot_that_is_there() {
    let triggers = Triggers { every_commands: Some(10), ..Triggers::default() };
    let mut schedule = Schedule::new(triggers, Sequence(100), None);
    assert_eq!(schedule.due(Sequence(50), Nanos(NOW)), None, "replay is behind it still");
    assert_eq!(schedule.due(Sequence(109), Nanos(NOW)), None);
    assert_eq!(schedule.due(Sequence(110), Nanos(NOW)), Some(Due::Commands));
}

#[test]
fn after_so_much_time_with_a_command() {
    let mut schedule = schedule(Triggers { every_nanos: Some(HOUR), ..Triggers::default() });
    assert_eq!(schedule.due(Sequence(1), Nanos(NOW)), None);
    assert_eq!(schedule.due(Sequence(1), Nanos(NOW + HOUR - 1)), None);
    assert_eq!(schedule.due(Sequence(0), Nanos(NOW + HOUR)), None, "nothing happened");
    assert_eq!(schedule.due(Sequence(1), Nanos(NOW + HOUR)), Some(Due::Time));
    schedule.done(taken(1, Due::Time, NOW + HOUR + 5));
    assert_eq!(schedule.due(Sequence(2), Nanos(NOW + 2 * HOUR + 4)), None);
    assert_eq!(schedule.due(Sequence(2), Nanos(NOW + 2 * HOUR + 5)), Some(Due::Time));
}

#[test]
fn once_a_day() {
    for (text, wait) in [("14:31", 60 * SECOND), ("14:30", 24 * HOUR), ("03:00", 45_000 * SECOND)] {
        let daily_at = Some(text.parse().expect("a time of day"));
        let mut schedule = schedule(Triggers { daily_at, ..Triggers::default() });
        assert_eq!(schedule.due(Sequence(1), Nanos(NOW)), None, "{text}");
        assert_eq!(schedule.due(Sequence(1), Nanos(NOW + wait - 1)), None, "{text}");
        let then = Nanos(NOW + wait + 7);
        assert_eq!(schedule.due(Sequence(1), then), Some(Due::Daily), "{text}");
        schedule.done(taken(1, Due::Daily, then.0));
        assert_eq!(schedule.due(Sequence(2), Nanos(NOW + wait + 24 * HOUR - 1)), None, "{text}");
        let next = schedule.due(Sequence(2), Nanos(NOW + wait + 24 * HOUR));
        assert_eq!(next, Some(Due::Daily), "{text}");
    }
}

#[test]
fn what_was_begun_before_the_time_of_day_is_not_that_days_snapshot() {
    let daily_at = Some("14:31".parse().expect("a time of day"));
    let mut schedule = schedule(Triggers { daily_at, ..Triggers::default() });
    assert_eq!(schedule.due(Sequence(1), Nanos(NOW)), None);
    // One that was asked for holds the state of 14:30:59, and counts at 14:31:20.
    let (before, then) = (NOW + 59 * SECOND, NOW + 80 * SECOND);
    schedule.done(Taken { of: Nanos(before), ..taken(1, Due::Requested, then) });
    assert_eq!(schedule.due(Sequence(1), Nanos(then)), None, "it holds all there is");
    assert_eq!(schedule.due(Sequence(2), Nanos(then)), Some(Due::Daily));
    schedule.done(taken(2, Due::Daily, then));
    assert_eq!(schedule.due(Sequence(3), Nanos(NOW + 24 * HOUR)), None, "once a day");
}

#[test]
fn who_was_down_at_the_time_of_day_makes_up_for_it() {
    let daily_at = Some("14:00".parse().expect("a time of day"));
    let triggers = Triggers { daily_at, ..Triggers::default() };
    let due = |behind: Option<u64>| {
        let newest = Sequence(100);
        let mut schedule = Schedule::new(triggers.clone(), newest, behind.map(Nanos));
        assert_eq!(schedule.due(Sequence(100), Nanos(NOW)), None, "it has applied no more yet");
        schedule.due(Sequence(101), Nanos(NOW))
    };
    let two = NOW - HOUR / 2;
    assert_eq!(due(Some(two - 1)), Some(Due::Daily), "its last command came before");
    assert_eq!(due(Some(two - 40 * HOUR)), Some(Due::Daily), "days before");
    assert_eq!(due(Some(two)), None, "it is today's");
    assert_eq!(due(None), None, "it held all there was at the start");
}

#[test]
fn a_time_of_day_is_written_so() {
    for text in ["00:00", "09:05", "23:59"] {
        assert_eq!(text.parse::<TimeOfDay>().expect(text).to_string(), text);
    }
    for text in ["", ":", "24:00", "12:60", "9:05", "09:5", "+9:05", "12:30:00", "noon"] {
        assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
    }
}

#[test]
fn when_a_start_would_take_too_long() {
    let mut schedule =
        schedule(Triggers { recovery_nanos: Some(2 * SECOND), ..Triggers::default() });
    // Before anything is measured, a million commands a second.
    assert_eq!(schedule.due(Sequence(1_999_999), Nanos(NOW)), None);
    assert_eq!(schedule.due(Sequence(2_000_000), Nanos(NOW)), Some(Due::Recovery));
    // Measured: 10 commands a microsecond. How slowly commands come says nothing: polls that
    // applied few of them do not count.
    for _ in 0..1000 {
        schedule.took(256, 25_600);
        schedule.took(3, 20_000_000);
        schedule.took(0, 500_000_000);
    }
    let now = NOW + SECOND;
    assert_eq!(schedule.due(Sequence(19_999_000), Nanos(now)), None);
    assert_eq!(schedule.due(Sequence(20_000_000), Nanos(now)), Some(Due::Recovery));
    let status = schedule.handle().status();
    assert_eq!((status.commands_since, status.recovery_nanos), (19_999_000, 1_999_900_000));
}

#[test]
fn slow_logic_is_measured_too_and_one_disturbed_poll_is_not_much() {
    let triggers = Triggers { recovery_nanos: Some(2 * SECOND), ..Triggers::default() };
    let mut slow = schedule(triggers.clone());
    (0..10).for_each(|_| slow.took(64, 64_000_000));
    assert_eq!(slow.due(Sequence(1_999), Nanos(NOW)), None, "a millisecond each");
    assert_eq!(slow.due(Sequence(2_000), Nanos(NOW)), Some(Due::Recovery));
    let mut fast = schedule(triggers);
    (0..1024).for_each(|_| fast.took(64, 6_400));
    fast.took(64, 4_000_000);
    (0..255).for_each(|_| fast.took(64, 6_400));
    assert_eq!(fast.due(Sequence(10_000_000), Nanos(NOW)), None);
}

#[test]
fn on_request_and_everyone_hears_of_it() {
    let mut schedule = schedule(Triggers::default());
    let handle = schedule.handle();
    let first = handle.request().expect("room");
    let second = handle.clone().request().expect("room");
    assert_eq!(schedule.due(Sequence(1), Nanos(NOW)), Some(Due::Requested));
    let third = handle.request().expect("room");
    schedule.done(taken(1, Due::Requested, NOW));
    for outcome in [&first, &second] {
        assert_eq!(outcome.try_recv().expect("an answer").expect("taken"), info(1));
    }
    assert!(third.try_recv().is_err(), "it came after the state was taken");
    assert_eq!(schedule.due(Sequence(1), Nanos(NOW)), Some(Due::Requested));
    schedule.failed(failure(), Nanos(NOW));
    assert!(third.try_recv().expect("an answer").is_err());
    assert_eq!(schedule.due(Sequence(1), Nanos(NOW)), None);
    let waiting: Vec<_> = std::iter::from_fn(|| handle.request()).collect();
    assert_eq!(waiting.len(), 16);
    drop(schedule);
    assert!(handle.request().is_none());
    assert!(waiting[0].recv().is_err(), "nobody will answer");
}

#[test]
fn a_failure_is_told_and_tried_again_after_a_pause() {
    let mut schedule = schedule(Triggers { every_commands: Some(10), ..Triggers::default() });
    assert_eq!(schedule.due(Sequence(10), Nanos(NOW)), Some(Due::Commands));
    schedule.failed(failure(), Nanos(NOW));
    let status = schedule.handle().status();
    assert_eq!((status.failures, status.taken.is_none()), (1, true));
    assert_eq!(status.failed.expect("it is told").at, Nanos(NOW));
    assert_eq!(schedule.due(Sequence(99), Nanos(NOW + RETRY_NANOS - 1)), None);
    let asked = schedule.handle().request().expect("room");
    let due = schedule.due(Sequence(99), Nanos(NOW + RETRY_NANOS - 1));
    assert_eq!(due, Some(Due::Requested), "who asks does not wait");
    schedule.failed(failure(), Nanos(NOW + RETRY_NANOS - 1));
    assert!(asked.try_recv().expect("an answer").is_err());
    assert_eq!(schedule.due(Sequence(99), Nanos(NOW + RETRY_NANOS)), None, "the pause is new");
    let due = schedule.due(Sequence(99), Nanos(NOW + 2 * RETRY_NANOS));
    assert_eq!(due, Some(Due::Commands));
}
