//! The runner: who is polled, who is woken, who is stopped, and where it runs.
#![expect(clippy::disallowed_methods, reason = "a test may wait and own threads")]

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use ringframe::clock::Clock;
use ringframe::counters::{Counts, Lengths};
use ringframe::host::allowed_cores;
use ringframe::queue;
use ringframe::runner::{Group, Idle, Runner, Running, install_panic_hook};
use ringframe::stage::{Fault, Sleeper, Stage};
use ringframe::types::Nanos;

/// A stage made of what it does when polled.
struct Does<F>(&'static str, F);

impl<F: FnMut(Nanos) -> Result<usize, Fault> + Send> Stage for Does<F> {
    fn name(&self) -> &'static str {
        self.0
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        (self.1)(now)
    }
}

fn stage(
    name: &'static str,
    poll: impl FnMut(Nanos) -> Result<usize, Fault> + Send + 'static,
) -> Box<dyn Stage> {
    Box::new(Does(name, poll))
}

fn runner(groups: Vec<Group>) -> Runner {
    Runner::new(groups, Idle::Polite, Clock::new())
}

fn alone(stage: Box<dyn Stage>) -> Group {
    Group::new(vec![stage])
}

/// A position, as stages share them.
type Position = Arc<AtomicU64>;

/// Moves `own` on behind `before`, at most `batch` at a time.
fn follower(name: &'static str, before: &Position, own: &Position, batch: u64) -> Box<dyn Stage> {
    let (before, own) = (Arc::clone(before), Arc::clone(own));
    stage(name, move |_| {
        let at = own.load(Ordering::Relaxed);
        let count = (before.load(Ordering::Acquire) - at).min(batch);
        if count > 0 {
            own.store(at + count, Ordering::Release);
        }
        Ok(count as usize)
    })
}

fn positions<const N: usize>() -> [Position; N] {
    std::array::from_fn(|_| Position::default())
}

/// Waits until `done`, at most ten seconds.
fn eventually(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} never happened");
        std::thread::yield_now();
    }
}

fn reaches(position: &Position, sequence: u64) {
    eventually("the position", || position.load(Ordering::Acquire) == sequence);
}

#[test]
fn work_goes_through_every_stage_in_every_grouping() {
    for groups in [vec![3], vec![1, 2], vec![2, 1], vec![1, 1, 1]] {
        let [published, a, b, c] = positions();
        let stages = [
            follower("a", &published, &a, 7),
            follower("b", &a, &b, 100),
            follower("c", &b, &c, 3),
        ];
        let mut stages = stages.into_iter();
        let groups = groups.into_iter().map(|n| Group::new(stages.by_ref().take(n).collect()));
        let runner = runner(groups.collect());
        let counters = runner.counters();
        let running = runner.start().unwrap();
        for sequence in [1, 10, 10_000] {
            published.store(sequence, Ordering::Release);
            running.waker().wake();
            reaches(&c, sequence);
        }
        running.stop();
        running.join().map(drop).unwrap();
        for (counters, (name, batch)) in counters.iter().zip([("a", 7), ("b", 100), ("c", 3)]) {
            let Counts { polls, worked, items, largest, busy_nanos } = counters.read();
            assert_eq!((counters.stage(), items), (name, 10_000));
            assert!(largest <= batch && largest > 1 && polls > worked, "{counters:?}");
            assert!(worked >= items / batch && busy_nanos >= worked, "{counters:?}");
        }
    }
}

/// Does something in every other poll, and adds up how long that took.
struct Timed {
    busy: bool,
    nanos: Arc<AtomicU64>,
}

impl Stage for Timed {
    fn name(&self) -> &'static str {
        "timed"
    }

    fn poll(&mut self, _now: Nanos) -> Result<usize, Fault> {
        self.busy = !self.busy;
        Ok(usize::from(self.busy))
    }

    fn took(&mut self, nanos: u64) {
        assert!(self.busy, "that poll did nothing");
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

#[test]
fn a_stage_hears_how_long_it_was_busy() {
    let nanos = Arc::default();
    let timed: Box<dyn Stage> = Box::new(Timed { busy: false, nanos: Arc::clone(&nanos) });
    let runner = runner(vec![Group::new(vec![timed])]);
    let counters = runner.counters();
    let running = runner.start().unwrap();
    eventually("work", || counters[0].read().worked > 100);
    running.stop();
    running.join().map(drop).unwrap();
    let heard = nanos.load(Ordering::Relaxed);
    assert_eq!(heard, counters[0].read().busy_nanos);
    assert!(heard > 0);
}

#[test]
fn by_hand_each_stage_is_polled_once_a_turn_with_the_given_time() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let spy = |name| {
        let seen = Arc::clone(&seen);
        stage(name, move |now| {
            seen.lock().unwrap().push((name, now.0));
            Ok(1)
        })
    };
    let mut runner = runner(vec![Group::new(vec![spy("a"), spy("b")]), alone(spy("c"))]);
    assert_eq!(runner.turn(Nanos(5)).unwrap(), 3);
    assert_eq!(runner.turn(Nanos(9)).unwrap(), 3);
    let expected = [("a", 5), ("b", 5), ("c", 5), ("a", 9), ("b", 9), ("c", 9)];
    assert_eq!(*seen.lock().unwrap(), expected);
    let counts = runner.counters()[2].read();
    let expected = Counts { polls: 2, worked: 2, items: 2, largest: 1, busy_nanos: 0 };
    assert_eq!(counts, expected);
}

/// Takes commands from a ring: at each poll those that were decided at these times, if there are
/// any.
struct Batches(std::vec::IntoIter<Vec<u64>>, Option<Nanos>);

impl Stage for Batches {
    fn name(&self) -> &'static str {
        "batches"
    }

    fn poll(&mut self, _now: Nanos) -> Result<usize, Fault> {
        let taken = self.0.next().unwrap();
        self.1 = taken.first().copied().map(Nanos);
        // It also does what is no command.
        Ok(1 + taken.len())
    }

    fn oldest(&self) -> Option<Nanos> {
        self.1
    }
}

#[test]
fn the_age_of_a_batch_is_its_oldest_command_s() {
    let batches = vec![vec![4, 9], vec![], vec![18, 19, 20], vec![25]];
    let takes: Box<dyn Stage> = Box::new(Batches(batches.into_iter(), None));
    let mut runner = runner(vec![alone(takes), alone(stage("other", |_| Ok(1)))]);
    for now in [10, 15, 20, 24] {
        runner.turn(Nanos(now)).unwrap();
    }
    let [takes, other] = &runner.counters()[..] else { panic!("two stages") };
    // One that was decided by a clock that is ahead is not older than nothing.
    assert_eq!(takes.ages().counts, [(0, 1), (2, 1), (6, 1)]);
    assert_eq!(other.ages(), Lengths::default());
}

#[test]
fn a_fault_stops_every_group_and_the_first_is_kept() {
    let [polled] = positions();
    let held = Arc::clone(&polled);
    let sleeper = stage("sleeper", move |_| {
        held.fetch_add(1, Ordering::Relaxed);
        Ok(0)
    });
    let failing = |name: &'static str, nanos: u64| {
        let begun = Clock::new().now();
        stage(name, move |now| match now.0 >= begun.0 + nanos {
            true => Err(Fault::Node(format!("{name} broke"))),
            false => Ok(0),
        })
    };
    let groups = [sleeper, failing("late", 2_000_000_000), failing("early", 20_000_000)];
    let running = runner(groups.into_iter().map(alone).collect()).start().unwrap();
    eventually("the fault", || running.fault().is_some());
    let fault = running.join().map(drop).unwrap_err();
    assert_eq!(fault.to_string(), "early broke");
    assert_eq!(Arc::strong_count(&polled), 1, "a stage outlived its threads");
    let polls = polled.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(polled.load(Ordering::Relaxed), polls, "polled after the end");
}

#[test]
fn a_panic_is_a_fault_that_names_the_stage() {
    let fine = stage("fine", |_| Ok(0));
    let broken = stage("broken", |now| panic!("at {}", now.0.min(1)));
    let running = runner(vec![Group::new(vec![fine, broken])]).start().unwrap();
    let fault = running.join().map(drop).unwrap_err();
    assert_eq!(fault.to_string(), "stage broken panicked: at 1");
}

/// Under `panic = "abort"` nobody catches: the hook is all there is. A child process, because it
/// ends the process.
#[test]
fn with_the_hook_a_panic_ends_the_process_with_code_3() {
    const CHILD: &str = "RINGFRAME_TEST_PANICS";
    if std::env::var_os(CHILD).is_some() {
        install_panic_hook();
        let running = runner(vec![alone(stage("broken", |_| panic!("over")))]).start().unwrap();
        let _ = running.join();
        return;
    }
    let own = "with_the_hook_a_panic_ends_the_process_with_code_3";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args([own, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("stage broken panicked at tests/runner.rs"), "{said}");
    assert!(said.contains(": over"), "{said}");
}

#[test]
fn stopping_hands_the_stages_back() {
    let [held] = positions();
    let inside = Arc::clone(&held);
    let group = alone(stage("a", move |_| Ok(inside.load(Ordering::Relaxed) as usize)));
    let running = runner(vec![group, alone(stage("b", |_| Ok(0)))]).start().unwrap();
    running.stop();
    let stages = running.join().map_err(|fault| fault.to_string()).unwrap();
    let names: Vec<&str> = stages.iter().map(|stage| stage.name()).collect();
    assert_eq!((names, Arc::strong_count(&held)), (vec!["a", "b"], 2));
    drop(stages);
    assert_eq!(Arc::strong_count(&held), 1);
    // And without a join, too.
    let inside = Arc::clone(&held);
    let group = alone(stage("a", move |_| Ok(inside.load(Ordering::Relaxed) as usize)));
    drop(runner(vec![group]).start().unwrap());
    assert_eq!(Arc::strong_count(&held), 1);
}

/// Without calls they would sleep longer than `reaches` waits.
#[test]
fn no_call_is_missed_through_two_sleepers() {
    const CALLS: u64 = 400;
    let [published, a, b] = positions();
    let groups = vec![alone(follower("a", &published, &a, 1)), alone(follower("b", &a, &b, 1))];
    let running = runner(groups).sleeps_at_most(Duration::from_mins(10)).start().unwrap();
    let waker = running.waker();
    let mut random = fastrand::Rng::with_seed(1);
    for call in 1..=CALLS {
        // Around the moment when they go to sleep.
        std::thread::sleep(Duration::from_micros(random.u64(0..300)));
        published.store(call, Ordering::Release);
        waker.wake();
        reaches(&b, call);
    }
    running.stop();
    running.join().map(drop).unwrap();
}

#[test]
fn a_group_that_looks_now_and_then_is_not_rung_but_stops_at_once() {
    let [published, worked, looked] = positions();
    let looks = Arc::clone(&looked);
    let keeper = stage("keeper", move |_| {
        looks.fetch_add(1, Ordering::Relaxed);
        Ok(0)
    });
    let groups = vec![
        alone(follower("worker", &published, &worked, 1)),
        alone(keeper).every(Duration::from_secs(100), Duration::from_secs(100)),
    ];
    let running = runner(groups).start().unwrap();
    published.store(1_000, Ordering::Release);
    running.waker().wake();
    reaches(&worked, 1_000);
    eventually("a look", || looked.load(Ordering::Relaxed) > 0);
    // Once in its first round, once more before it slept.
    assert!(looked.load(Ordering::Relaxed) <= 2);
    let begun = Instant::now();
    running.stop();
    running.join().map(drop).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// Takes what comes in its queue, and sleeps there.
struct Takes {
    queue: Receiver<u64>,
    taken: Position,
}

impl Stage for Takes {
    fn name(&self) -> &'static str {
        "takes"
    }

    fn poll(&mut self, _now: Nanos) -> Result<usize, Fault> {
        let Ok(number) = self.queue.try_recv() else { return Ok(0) };
        self.taken.store(number, Ordering::Release);
        Ok(1)
    }

    fn sleeper(&mut self) -> Option<Box<dyn Sleeper>> {
        Some(queue::sleeper(&self.queue))
    }
}

/// Both as a helper that nobody rings and in a group that is rung: without the queue's call they
/// would sleep longer than `reaches` waits.
#[test]
fn who_sleeps_at_a_queue_is_woken_by_what_comes_and_by_the_end() {
    let long = Duration::from_mins(10);
    for helper in [true, false] {
        let (sender, queue) = bounded(1);
        let [taken] = positions();
        let group = alone(Box::new(Takes { queue, taken: Arc::clone(&taken) }));
        let group = if helper { group.every(long, long) } else { group };
        let running = runner(vec![group]).sleeps_at_most(long).start().unwrap();
        for number in 1..100 {
            std::thread::sleep(Duration::from_micros(number % 7 * 50));
            sender.send(number).unwrap();
            reaches(&taken, number);
        }
        running.stop();
        running.join().map(drop).unwrap();
    }
}

fn fault_of(started: Result<Running, Fault>) -> String {
    started.map(drop).unwrap_err().to_string()
}

#[test]
fn a_group_runs_on_its_core_with_its_weight() {
    for core in allowed_cores().unwrap() {
        let seen = Arc::new(Mutex::new(None));
        let inside = Arc::clone(&seen);
        let spy = stage("spy", move |_| {
            let nice = rustix::process::getpriority_process(None).unwrap();
            *inside.lock().unwrap() = Some((allowed_cores().unwrap(), nice));
            Ok(0)
        });
        let other = stage("other", |_| Ok(0));
        let groups = vec![alone(spy).on_core(Some(core)).nice(19), alone(other)];
        let running = runner(groups).start().unwrap();
        eventually("a poll", || seen.lock().unwrap().is_some());
        assert_eq!(*seen.lock().unwrap(), Some((vec![core], 19)));
        drop(running);
    }
    assert!(allowed_cores().unwrap().len() > 1 || std::thread::available_parallelism().is_ok());
}

#[test]
fn a_core_that_is_not_ours_is_refused_before_anyone_polls() {
    let [polled] = positions();
    let counting = || {
        let polled = Arc::clone(&polled);
        alone(stage("counting", move |_| Ok(polled.fetch_add(1, Ordering::Relaxed) as usize)))
    };
    for core in [1_000, 1 << 20] {
        let fault = fault_of(runner(vec![counting(), counting().on_core(Some(core))]).start());
        assert!(fault.starts_with(&format!("cannot pin counting to core {core}: ")), "{fault}");
        assert!(fault.contains("let layout \"auto\" choose"), "{fault}");
    }
    assert_eq!((polled.load(Ordering::Relaxed), Arc::strong_count(&polled)), (0, 1));
}
