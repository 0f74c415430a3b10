//! The only loop, and the only owner of threads: it polls groups of stages, one thread a group,
//! idles where there is nothing to do, and stops them all when one of them faults.
//!
//! A group that found work rings the bells of the others, so that none sleeps through what came
//! for it; while nobody sleeps that costs a fence and a look at each bell, no system call.
#![expect(clippy::disallowed_methods, reason = "the one owner of threads")]

use std::any::Any;
use std::cell::Cell;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, yield_now};
use std::time::Duration;

use core_affinity::CoreId;
use ringframe_journal::Bell;

use crate::clock::Clock;
use crate::counters::Counters;
use crate::host;
use crate::log;
use crate::spans::{Mark, Sample};
use crate::stage::{Fault, Sleeper, Stage};
use crate::types::Nanos;

/// A group spins so long after its last work. Waking a sleeper takes about as long: whoever spins
/// longer pays more for waiting than sleeping would have cost.
const SPIN_NANOS: u64 = 20_000;
/// After that it offers its core to others until so much time has passed: in the middle of a flow
/// the other groups, the sync helper and the kernel's network thread need it, and we are back
/// without a system call of theirs.
const YIELD_NANOS: u64 = 100_000;
/// Then it sleeps until rung, but no longer than this: so late is what nobody rings for, such as a
/// deadline. Each look costs 30 to 45 µs with its waking, so fifty a second cost 0.2 % of a core.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// What a group does while it finds nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// Spins, then yields, then sleeps: an idle node takes about no CPU time.
    #[default]
    Polite,
    /// Spins without end: for cores that nothing else may use.
    Spin,
}

/// Stages that share a thread, polled in turn.
pub struct Group {
    stages: Vec<Polled>,
    sleeper: Option<Box<dyn Sleeper>>,
    core: Option<usize>,
    nice: i32,
    yields: bool,
    every: Option<(Duration, Duration)>,
}

struct Polled {
    name: &'static str,
    stage: Box<dyn Stage>,
    counters: Arc<Counters>,
    /// Where spans of orders are wanted, and this stage has a part in them.
    mark: Option<Mark>,
}

impl Group {
    /// Stages in the order they are polled in; there must be some, and one of them at most that
    /// has a place to sleep in.
    pub fn new(mut stages: Vec<Box<dyn Stage>>) -> Self {
        assert!(!stages.is_empty(), "a group has a stage");
        let mut sleepers = stages.iter_mut().filter_map(|stage| stage.sleeper());
        let sleeper = sleepers.next();
        assert!(sleepers.next().is_none(), "a thread sleeps in one place");
        drop(sleepers);
        let polled = |stage: Box<dyn Stage>| {
            let name = stage.name();
            Polled { name, stage, counters: Arc::new(Counters::new(name)), mark: None }
        };
        let stages = stages.into_iter().map(polled).collect();
        Self { stages, sleeper, core: None, nice: 0, yields: false, every: None }
    }

    /// On this core only, where there is one.
    pub fn on_core(self, core: Option<usize>) -> Self {
        Self { core, ..self }
    }

    /// With this much less weight than others: 0 is normal, 19 gives way to everyone.
    pub fn nice(self, nice: i32) -> Self {
        Self { nice, ..self }
    }

    /// For where others want the core: it offers it at once instead of spinning first.
    pub fn yields(self) -> Self {
        Self { yields: true, ..self }
    }

    /// For helpers that nobody waits for: it does not spin and is not rung, but looks again after
    /// this pause, and less and less often the longer there is nothing to do, up to `longest`.
    pub fn every(self, pause: Duration, longest: Duration) -> Self {
        assert!(pause <= longest, "a pause only grows");
        Self { every: Some((pause, longest)), ..self }
    }

    /// Notes when the sample's command passes these stages.
    pub fn sampled(mut self, sample: &Arc<Sample>) -> Self {
        for polled in &mut self.stages {
            polled.mark = sample.mark(polled.name);
        }
        self
    }

    fn bell(&self) -> Bell {
        self.sleeper.as_ref().map_or_else(Bell::default, |sleeper| Bell::waking(sleeper.waker()))
    }

    /// The stages' names, joined.
    fn name(&self) -> String {
        let names: Vec<&str> = self.stages.iter().map(|polled| polled.name).collect();
        names.join("+")
    }

    /// Polls each stage once and says how much they did.
    #[inline]
    fn round(&mut self, start: Nanos, clock: impl Fn() -> Nanos) -> Result<usize, Fault> {
        let (mut work, mut now) = (0, start);
        for Polled { name, stage, counters, mark } in &mut self.stages {
            POLLED.set(Some(name));
            let items = stage.poll(now)?;
            if items == 0 {
                counters.idle();
            } else {
                let after = clock();
                counters.worked(items as u64, after.0 - now.0);
                stage.took(after.0 - now.0);
                if let Some(oldest) = stage.oldest() {
                    counters.aged(after.0.saturating_sub(oldest.0));
                }
                if let Some(mark) = mark {
                    mark.look(after);
                }
                now = after;
                work += items;
            }
        }
        POLLED.set(None);
        Ok(work)
    }
}

thread_local! {
    /// The stage that this thread polls just now.
    static POLLED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Groups that do not run yet, or are polled by hand.
pub struct Runner {
    groups: Vec<Group>,
    idle: Idle,
    sleep_max: Duration,
    clock: Clock,
    shared: Arc<Shared>,
}

/// What the threads of one runner share.
struct Shared {
    stop: AtomicBool,
    fault: OnceLock<Fault>,
    bells: Vec<Bell>,
    /// The groups that are rung when there was work somewhere.
    rung: Vec<usize>,
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        Bell::ring_all(&self.bells);
    }

    fn fail(&self, fault: Fault) {
        // The first fault is the cause, later ones are its consequences.
        let _ = self.fault.set(fault);
        self.stop();
    }

    /// Rings all groups but one, which has just done its part.
    #[inline]
    fn ring_but(&self, own: Option<usize>) {
        let others = self.rung.iter().filter(|&&group| Some(group) != own);
        Bell::ring_all(others.map(|&group| &self.bells[group]));
    }
}

/// Wakes a runner's groups from another thread, which has something for them.
#[derive(Clone)]
pub struct Waker(Arc<Shared>);

impl Waker {
    /// Wakes the groups that sleep; what they are to find must have been stored before.
    #[inline]
    pub fn wake(&self) {
        self.0.ring_but(None);
    }
}

impl Runner {
    /// Groups to be run.
    pub fn new(groups: Vec<Group>, idle: Idle, clock: Clock) -> Self {
        let rung = |&group: &usize| groups[group].every.is_none();
        let shared = Shared {
            stop: AtomicBool::new(false),
            fault: OnceLock::new(),
            bells: groups.iter().map(Group::bell).collect(),
            rung: (0..groups.len()).filter(rung).collect(),
        };
        Self { groups, idle, sleep_max: SLEEP_MAX, clock, shared: Arc::new(shared) }
    }

    /// Sleeps no longer than this where nobody rings.
    pub fn sleeps_at_most(self, longest: Duration) -> Self {
        Self { sleep_max: longest, ..self }
    }

    /// What wakes the groups.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.shared))
    }

    /// The stages' counters, in the order of the groups.
    pub fn counters(&self) -> Vec<Arc<Counters>> {
        let stages = self.groups.iter().flat_map(|group| &group.stages);
        stages.map(|polled| Arc::clone(&polled.counters)).collect()
    }

    /// Polls every stage once, on this thread, and says how much they did. A panic goes through to
    /// the caller.
    pub fn turn(&mut self, now: Nanos) -> Result<usize, Fault> {
        let mut work = 0;
        for group in &mut self.groups {
            work += group.round(now, || now)?;
        }
        Ok(work)
    }

    /// Starts a thread for each group. None polls before all are pinned and weighted as asked.
    pub fn start(self) -> Result<Running, Fault> {
        let Self { groups, idle, sleep_max, clock, shared } = self;
        let mut running = Running { shared: Arc::clone(&shared), threads: Vec::new() };
        let (ready, readiness) = channel();
        let mut gates = Vec::new();
        for (index, group) in groups.into_iter().enumerate() {
            let name = group.name();
            let (gate, opened) = channel();
            let ready = ready.clone();
            let group_loop =
                Loop { group, index, idle, sleep_max, clock, shared: Arc::clone(&shared) };
            let thread = std::thread::Builder::new()
                .name(name.clone())
                .spawn(move || group_loop.run(&ready, &opened))
                .map_err(|error| {
                    Fault::Node(format!(
                        "cannot start the thread of {name}: {error}; look at `ulimit -u` and the \
                         control group's pids.max"
                    ))
                })?;
            running.threads.push(thread);
            gates.push(gate);
        }
        // Where this returns early the gates are dropped, and the threads end without a poll.
        for _ in &running.threads {
            readiness.recv().expect("every thread says whether it is ready")?;
        }
        for gate in gates {
            let _ = gate.send(());
        }
        Ok(running)
    }
}

/// The threads of a runner.
pub struct Running {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Group>>,
}

impl Running {
    /// Why it stopped by itself, if it did.
    pub fn fault(&self) -> Option<Fault> {
        self.shared.fault.get().cloned()
    }

    /// What wakes the groups.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.shared))
    }

    /// Asks all groups to stop after the round that they are in.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Waits until all groups have stopped, asked to or for a fault, and hands the stages back in
    /// the order of the groups: no thread polls any more. After a fault they are dropped here.
    pub fn join(mut self) -> Result<Vec<Box<dyn Stage>>, Fault> {
        let join = |thread: JoinHandle<Group>| thread.join().expect("the loop catches panics");
        let groups: Vec<Group> = self.threads.drain(..).map(join).collect();
        let stages = groups.into_iter().flat_map(|group| group.stages).map(|polled| polled.stage);
        self.fault().map_or_else(|| Ok(stages.collect()), Err)
    }
}

impl Drop for Running {
    /// No thread outlives this, also where nobody joined.
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One thread's work.
struct Loop {
    group: Group,
    index: usize,
    idle: Idle,
    sleep_max: Duration,
    clock: Clock,
    shared: Arc<Shared>,
}

impl Loop {
    fn run(mut self, ready: &Sender<Result<(), Fault>>, opened: &Receiver<()>) -> Group {
        let _ = ready.send(self.settle());
        if opened.recv().is_ok() {
            let polled = catch_unwind(AssertUnwindSafe(|| self.poll_until_stopped()));
            match polled {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => self.shared.fail(fault),
                Err(panic) => {
                    let stage = POLLED.get().unwrap_or("runner");
                    self.shared.fail(Fault::Panicked { stage, message: said(&*panic) });
                }
            }
        }
        self.group
    }

    /// Pins and weights this thread.
    fn settle(&self) -> Result<(), Fault> {
        if let Some(core) = self.group.core {
            pin(core).map_err(|why| {
                Fault::Node(format!("cannot pin {} to core {core}: {why}", self.group.name()))
            })?;
        }
        if self.group.nice != 0 {
            // For the kernel a process without a number is the calling thread. Beside the others:
            // the process may have been started with less weight than normal.
            let others = rustix::process::getpriority_process(None).unwrap_or(0);
            let nice = (others + self.group.nice).min(19);
            rustix::process::setpriority_process(None, nice).map_err(|error| {
                Fault::Node(format!(
                    "cannot run {} at nice {nice}: {error}; below {others} it needs CAP_SYS_NICE",
                    self.group.name()
                ))
            })?;
        }
        Ok(())
    }

    fn poll_until_stopped(&mut self) -> Result<(), Fault> {
        let clock = self.clock;
        let shared = Arc::clone(&self.shared);
        let (mut busy_at, mut idle_looks) = (clock.now(), 0);
        while !shared.is_stopping() {
            let now = clock.now();
            let mut work = self.group.round(now, || clock.now())?;
            if work == 0 {
                match self.pause(now.0 - busy_at.0, idle_looks) {
                    Pause::Spin => spin_loop(),
                    Pause::Yield => yield_now(),
                    Pause::Sleep(longest) => {
                        idle_looks += 1;
                        let mut found = Ok(0);
                        let mut sleeper = self.group.sleeper.take();
                        let look = || {
                            found = self.group.round(now, || clock.now());
                            !matches!(found, Ok(0)) || shared.is_stopping()
                        };
                        let bell = &shared.bells[self.index];
                        let rung = match &mut sleeper {
                            Some(sleeper) => bell.sleep_elsewhere(look, || sleeper.sleep(longest)),
                            None => bell.sleep(longest, look),
                        };
                        self.group.sleeper = sleeper;
                        work = found?;
                        if rung {
                            // What it was rung for may still be on its way to us.
                            busy_at = clock.now();
                        }
                    }
                }
            }
            if work > 0 {
                shared.ring_but(Some(self.index));
                (busy_at, idle_looks) = (now, 0);
            }
        }
        Ok(())
    }

    /// How to wait, so long and so many sleeps after the last work.
    #[inline]
    fn pause(&self, idle_nanos: u64, idle_looks: u32) -> Pause {
        match (self.group.every, self.idle) {
            (Some((pause, longest)), _) => {
                Pause::Sleep(pause.saturating_mul(1 << idle_looks.min(16)).min(longest))
            }
            (None, Idle::Spin) => Pause::Spin,
            (None, Idle::Polite) if idle_nanos < SPIN_NANOS && !self.group.yields => Pause::Spin,
            (None, Idle::Polite) if idle_nanos < YIELD_NANOS => Pause::Yield,
            (None, Idle::Polite) => Pause::Sleep(self.sleep_max),
        }
    }
}

enum Pause {
    Spin,
    Yield,
    Sleep(Duration),
}

/// Pins this thread, and looks whether that is so.
fn pin(core: usize) -> Result<(), String> {
    let allowed = host::allowed_cores().map_err(|error| error.to_string())?;
    if !allowed.contains(&core) {
        return Err(format!(
            "this process may use the cores {allowed:?} only; widen its cpuset or affinity \
             (taskset, AllowedCPUs=, cpuset.cpus), or let layout \"auto\" choose"
        ));
    }
    let asked = core_affinity::set_for_current(CoreId { id: core });
    let now = host::allowed_cores().map_err(|error| error.to_string())?;
    if !asked || now != [core] {
        return Err(format!(
            "the kernel left it on the cores {now:?}; a seccomp filter or sandbox may forbid \
             sched_setaffinity: allow it, or choose a layout without pinning, such as \"1\""
        ));
    }
    Ok(())
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

/// For a program that is built with `panic = "abort"`: a panic names the stage that was polled and
/// the cause, and ends the process with exit code 3, as any other fault does.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let message = said(panic.payload());
        let place = panic.location().map_or_else(String::new, |at| format!(" at {at}"));
        let what = match POLLED.get() {
            Some(stage) => format!("stage {stage} panicked{place}: {message}"),
            None => format!("panicked{place}: {message}"),
        };
        log::last_words(what);
        log::last_words("this is a bug; the journal is intact: report it with these lines".into());
        std::process::exit(3);
    }));
}
