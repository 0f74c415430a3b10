//! The test kit for logic: what a command does, and what must hold for any commands.
//!
//! ```
//! # use ringframe::exchange::{Exchange, command::{Command, SetSession}};
//! # use ringframe::exchange::ids::Token;
//! # use ringframe::exchange::reject::{Rejected, Why};
//! use ringframe::kit::{self, given};
//!
//! # let command = SetSession { session: 1, participant: 9, ..SetSession::default() };
//! # let why = Why::UnknownParticipant;
//! # let reject = Rejected { token: Token::default(), session: 0, why, used_up: 0 };
//! given::<Exchange>([]).when(command).then_reject(reject);
//! kit::properties::<Exchange>([Command::from(command)]);
//! ```
//!
//! The properties take any iterator, so proptest, or another source of random commands, stays the
//! test's own affair.

use std::fmt::{Debug, Write as _};

use crate::codec::{load, save, state_digest};
use crate::digest::Digest;
use crate::logic::{Logic, Outbox, step};
use crate::record::Record;
use crate::types::{Moment, Nanos};

/// Logic to which all these commands happened, one sequence each, at time 0. A refused one fails
/// the test: what is refused belongs into [`Given::when`].
#[track_caller]
pub fn given<L: Logic>(commands: impl IntoIterator<Item = L::Command>) -> Given<L> {
    let mut run = Run::new();
    for command in commands {
        let outcomes = run.step(&Step::from(command.clone()));
        if let Some(Err(reject)) = outcomes.into_iter().find(Result::is_err) {
            panic!("given {command:?}\nwhich is refused: {reject:?}");
        }
    }
    Given { run }
}

/// Logic with a history, ready for the command that is tested.
pub struct Given<L: Logic> {
    run: Run<L>,
}

impl<L: Logic> Given<L> {
    /// The commands from here on happen at this time.
    #[track_caller]
    pub fn travel_to(mut self, time: Nanos) -> Self {
        let now = self.run.at.time;
        assert!(time >= now, "time does not go back: from {now:?} to {time:?}");
        self.run.at.time = time;
        self
    }

    /// One more command, accepted or refused.
    pub fn when(mut self, command: impl Into<L::Command>) -> When<L> {
        let step = Step::from(command.into());
        let outcomes = self.run.step(&step);
        When { run: self.run, command: step.command, outcomes }
    }

    /// The state, for what is not told by events.
    pub fn logic(&self) -> &L {
        &self.run.logic
    }
}

/// A command that happened, and whose outcome is not looked at yet.
#[must_use = "say what is expected: `then` or `then_reject`"]
pub struct When<L: Logic> {
    run: Run<L>,
    command: L::Command,
    outcomes: Vec<Outcome<L>>,
}

impl<L: Logic> When<L> {
    /// It is accepted, and emits exactly these events.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = L::Event>) -> Given<L> {
        self.expect(&events.into_iter().map(Ok).collect::<Vec<_>>())
    }

    /// It is refused, for exactly this.
    #[track_caller]
    pub fn then_reject(self, reject: impl Into<L::Reject>) -> Given<L> {
        self.expect(&[Err(reject.into())])
    }

    #[track_caller]
    fn expect(self, expected: &[Outcome<L>]) -> Given<L> {
        if let Some(difference) = difference(expected, &self.outcomes) {
            panic!("when {:?}\n{difference}", self.command);
        }
        Given { run: self.run }
    }
}

/// A command of a sequence, and how many nanoseconds it comes after the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<C> {
    /// The nanoseconds.
    pub after: u64,
    /// The command.
    pub command: C,
}

/// At the same time as the one before.
impl<C> From<C> for Step<C> {
    fn from(command: C) -> Self {
        Self { after: 0, command }
    }
}

impl<C> From<(u64, C)> for Step<C> {
    fn from((after, command): (u64, C)) -> Self {
        Self { after, command }
    }
}

/// All that must hold for any commands of any logic. Takes commands, or pairs of nanoseconds and a
/// command that comes so long after the one before. The work grows with the square of their number:
/// many short sequences find more than one long one.
#[track_caller]
pub fn properties<L: Logic>(steps: impl IntoIterator<Item = impl Into<Step<L::Command>>>) {
    let steps = collect::<L>(steps);
    runs_twice_alike::<L>(steps.iter().cloned());
    replays_as_it_ran::<L>(steps.iter().cloned());
    survives_snapshots::<L>(steps.iter().cloned());
    looks_without_touching::<L>(steps);
}

/// Two runs emit the same and end in the same state.
#[track_caller]
pub fn runs_twice_alike<L: Logic>(steps: impl IntoIterator<Item = impl Into<Step<L::Command>>>) {
    let steps = collect::<L>(steps);
    let first = Run::<L>::new().trace(&steps);
    first.expect(&Run::new().trace(&steps), &steps, "a second run does otherwise");
}

/// Commands that were encoded and decoded, as the journal hands them to a replay or a standby, are
/// the same commands, and do the same.
#[track_caller]
pub fn replays_as_it_ran<L: Logic>(steps: impl IntoIterator<Item = impl Into<Step<L::Command>>>) {
    let steps = collect::<L>(steps);
    let mut replayed = Vec::with_capacity(steps.len());
    let mut bytes = vec![0; L::Command::BYTES_MAX];
    for Step { after, command } in &steps {
        // What an earlier command left behind must not show.
        bytes.fill(0xEE);
        let length = command.encode(&mut bytes);
        let decoded = L::Command::decode(command.kind(), L::Command::VERSION, &bytes[..length]);
        assert_eq!(decoded.as_ref(), Ok(command), "decoded (left), and as it was encoded");
        replayed.extend(decoded.map(|command| Step { after: *after, command }));
    }
    let live = Run::<L>::new().trace(&steps);
    live.expect(&Run::new().trace(&replayed), &steps, "a replay does otherwise");
}

/// State that is saved and loaded, at any point, has the same digest and goes on in the same way.
#[track_caller]
pub fn survives_snapshots<L: Logic>(steps: impl IntoIterator<Item = impl Into<Step<L::Command>>>) {
    let steps = collect::<L>(steps);
    let whole = Run::<L>::new().trace(&steps);
    let mut live = Run::<L>::new();
    for done in 0..=steps.len() {
        let mut copy = live.copy();
        let (saved, loaded) = (state_digest(&live.logic), state_digest(&copy.logic));
        assert!(saved == loaded, "loaded after {done} commands, the state is another one");
        let what = format!("loaded after {done} commands, the state goes on otherwise");
        whole.from(done).expect(&copy.trace(&steps[done..]), &steps[done..], &what);
        if let Some(next) = steps.get(done) {
            live.step(next);
        }
    }
}

/// Neither check nor prefetch changes anything.
#[track_caller]
pub fn looks_without_touching<L: Logic>(
    steps: impl IntoIterator<Item = impl Into<Step<L::Command>>>,
) {
    let steps = collect::<L>(steps);
    let commands: Vec<L::Command> = steps.iter().map(|step| step.command.clone()).collect();
    let mut run = Run::<L>::new();
    for (done, step) in steps.iter().enumerate() {
        let before = state_digest(&run.logic);
        let command = &step.command;
        let _ = run.logic.check(command, &run.moment(step));
        assert!(before == state_digest(&run.logic), "`check` changed the state: {command:?}");
        let upcoming = &commands[done..commands.len().min(done + L::LOOKAHEAD)];
        run.logic.prefetch(upcoming);
        assert!(before == state_digest(&run.logic), "`prefetch` changed the state: {upcoming:?}");
        run.step(step);
    }
}

fn collect<L: Logic>(
    steps: impl IntoIterator<Item = impl Into<Step<L::Command>>>,
) -> Vec<Step<L::Command>> {
    steps.into_iter().map(Into::into).collect()
}

type Outcome<L> = Result<<L as Logic>::Event, <L as Logic>::Reject>;

/// Logic, what it emits, and how far it is.
struct Run<L: Logic> {
    logic: L,
    outbox: Outbox<L::Event, L::Reject>,
    at: Moment,
}

impl<L: Logic> Run<L> {
    fn new() -> Self {
        Self { logic: L::default(), outbox: Outbox::default(), at: Moment::default() }
    }

    /// When the next command happens.
    fn moment(&self, next: &Step<L::Command>) -> Moment {
        let Moment { sequence, time } = self.at;
        Moment { sequence: sequence.next(), time: time.after(next.after) }
    }

    fn step(&mut self, next: &Step<L::Command>) -> Vec<Outcome<L>> {
        self.at = self.moment(next);
        self.outbox.clear();
        step(&mut self.logic, &next.command, &self.at, &mut self.outbox);
        self.outbox.outcomes().collect()
    }

    /// The same, its state saved and loaded.
    #[track_caller]
    fn copy(&self) -> Self {
        let mut bytes = Vec::new();
        save(&self.logic, &mut bytes).expect("a state that can be serialised");
        let logic = load(&bytes).unwrap_or_else(|error| panic!("what was saved: {error}"));
        Self { logic, outbox: Outbox::resume(self.outbox.digest()), at: self.at }
    }

    fn trace(&mut self, steps: &[Step<L::Command>]) -> Trace<L> {
        let done = |step| (self.step(step), self.outbox.digest());
        let done = steps.iter().map(done).collect();
        Trace { done, state: state_digest(&self.logic) }
    }
}

/// What commands did: each its outcomes and the digest after it, and the state's digest at the end.
struct Trace<L: Logic> {
    done: Vec<(Vec<Outcome<L>>, Digest)>,
    state: [u8; 32],
}

impl<L: Logic> Trace<L> {
    fn from(&self, done: usize) -> Self {
        Self { done: self.done[done..].to_vec(), state: self.state }
    }

    #[track_caller]
    fn expect(&self, other: &Self, steps: &[Step<L::Command>], what: &str) {
        for ((step, expected), actual) in steps.iter().zip(&self.done).zip(&other.done) {
            if let Some(difference) = difference(&expected.0, &actual.0) {
                panic!("{what}: at {:?}\n{difference}", step.command);
            }
            assert!(expected.1 == actual.1, "{what}: other bytes emitted at {:?}", step.command);
        }
        assert!(self.state == other.state, "{what}: the same events, another state");
    }
}

/// One line a record: `-` expected and not emitted, `+` emitted and not expected; below them the
/// fields that differ in the first pair. `None` when there is nothing to tell.
fn difference<E: Debug + PartialEq, R: Debug + PartialEq>(
    expected: &[Result<E, R>],
    actual: &[Result<E, R>],
) -> Option<String> {
    if expected == actual {
        return None;
    }
    let pairs = expected.iter().zip(actual);
    let head = pairs.take_while(|(one, other)| one == other).count();
    let (missing, surplus) = (&expected[head..], &actual[head..]);
    let pairs = missing.iter().rev().zip(surplus.iter().rev());
    let tail = pairs.take_while(|(one, other)| one == other).count();
    let (missing, same) = missing.split_at(missing.len() - tail);
    let surplus = &surplus[..surplus.len() - tail];

    let mut text = "expected (-) and emitted (+):\n".to_owned();
    let parts = [(' ', &expected[..head]), ('-', missing), ('+', surplus), (' ', same)];
    for (mark, outcomes) in parts {
        for outcome in outcomes {
            let _ = match outcome {
                Ok(event) => writeln!(text, "  {mark} {event:?}"),
                Err(reject) => writeln!(text, "  {mark} refused: {reject:?}"),
            };
        }
    }
    if let (Some(one), Some(other)) = (missing.first(), surplus.first()) {
        let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
        // Records of different shapes have no field in common that would be worth a line.
        if one.lines().count() == other.lines().count() {
            for (one, other) in one.lines().zip(other.lines()).filter(|(one, other)| one != other) {
                let _ = writeln!(text, "      {} / {}", one.trim(), other.trim());
            }
        }
    }
    Some(text)
}
