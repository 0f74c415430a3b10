//! The test kit finds what it is for: each property fails on a logic with that one fault, and a
//! failure says what differs.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use ringframe::codec::SerdeRecord;
use ringframe::kit::{self, given};
use ringframe::logic::{Emit, Logic, Moment, Nanos};
use serde::{Deserialize, Serialize};

/// Counts what it is told to add; refuses zeros. `FAULT` is what is wrong with it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter<const FAULT: u8> {
    count: Cell<u64>,
    #[serde(skip)]
    forgotten: u64,
}

const NONE: u8 = 0;
const LUCK: u8 = 1;
const FORGETS: u8 = 2;
const CHECK_WRITES: u8 = 3;
const PREFETCH_WRITES: u8 = 4;
const SILENT: u8 = 5;

/// What a clock, an address or a thread would bring in.
static LUCKY: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Add {
    amount: u64,
    /// Lost on its way through the journal.
    #[serde(skip)]
    lost: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Counted {
    count: u64,
    at: Nanos,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Zero;

macro_rules! named {
    ($($name:ident)+) => {$(
        impl SerdeRecord for $name {
            const NAME: &'static str = stringify!($name);
            const VERSION: u16 = 1;
            const BYTES_MAX: usize = 16;
        }
    )+};
}
named!(Add Counted Zero);

impl<const FAULT: u8> Logic for Counter<FAULT> {
    const NAME: &'static str = "counter";
    const VERSION: u32 = 1;
    const LOOKAHEAD: usize = 2;
    type Command = Add;
    type Event = Counted;
    type Reject = Zero;
    type Checked = u64;

    fn check(&self, command: &Add, _at: &Moment) -> Result<u64, Zero> {
        if FAULT == CHECK_WRITES {
            self.count.set(self.count.get() + 1);
        }
        if command.amount == 0 { Err(Zero) } else { Ok(command.amount) }
    }

    fn apply(&mut self, amount: u64, at: &Moment, emit: &mut Emit<'_, Counted>) {
        let count = self.count.get() + amount;
        self.count.set(count);
        self.forgotten += 1;
        let extra = match FAULT {
            LUCK => LUCKY.fetch_add(1, Ordering::Relaxed),
            FORGETS => self.forgotten / 3,
            _ => 0,
        };
        if FAULT == SILENT {
            self.count.set(count + LUCKY.fetch_add(1, Ordering::Relaxed));
        }
        emit.event(&Counted { count: count + extra, at: at.time });
        if count.is_multiple_of(2) {
            emit.event(&Counted { count: 0, at: at.time });
        }
    }

    fn prefetch(&self, upcoming: &[Add]) {
        if FAULT == PREFETCH_WRITES && upcoming.len() == Self::LOOKAHEAD {
            self.count.set(0);
        }
    }
}

fn add(amount: u64) -> Add {
    Add { amount, lost: 0 }
}

/// What a failing test prints; empty when it passes.
fn printed(test: impl FnOnce()) -> String {
    match catch_unwind(AssertUnwindSafe(test)) {
        Ok(()) => String::new(),
        Err(panic) => match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => (*panic.downcast::<&str>().expect("a message")).to_owned(),
        },
    }
}

fn finds<const FAULT: u8>() -> String {
    printed(|| kit::properties::<Counter<FAULT>>((1..8).map(|amount| (amount, add(amount)))))
}

#[test]
fn each_property_finds_its_fault() {
    assert_eq!(finds::<NONE>(), "");
    for (found, expected) in [
        (finds::<LUCK>(), "a second run does otherwise: at Add { amount: 1, lost: 0 }"),
        (finds::<SILENT>(), "a second run does otherwise: at Add { amount: 2, lost: 0 }"),
        (finds::<FORGETS>(), "loaded after 1 commands, the state goes on otherwise: at Add"),
        (finds::<CHECK_WRITES>(), "`check` changed the state: Add { amount: 1, lost: 0 }"),
        (finds::<PREFETCH_WRITES>(), "`prefetch` changed the state: [Add { amount: 2, lost: 0 }"),
    ] {
        assert!(found.starts_with(expected), "expected: {expected}\nfound: {found}");
    }
    let lossy = printed(|| kit::properties::<Counter<NONE>>([Add { amount: 1, lost: 1 }]));
    assert!(lossy.contains("decoded (left), and as it was encoded"), "{lossy}");
}

#[test]
fn a_last_silent_difference_is_found_in_the_state() {
    let found = printed(|| kit::properties::<Counter<SILENT>>([add(1)]));
    assert_eq!(found, "a second run does otherwise: the same events, another state");
}

#[test]
fn a_failure_says_what_differs() {
    let failing = printed(|| {
        let at = Nanos(9);
        let then = [Counted { count: 5, at }, Counted { count: 0, at }];
        let when = given::<Counter<NONE>>([add(3)]).travel_to(at).when(add(1));
        when.then(then);
    });
    assert_eq!(
        failing,
        "when Add { amount: 1, lost: 0 }\n\
         expected (-) and emitted (+):\n\
         \x20 - Counted { count: 5, at: Nanos(9) }\n\
         \x20 + Counted { count: 4, at: Nanos(9) }\n\
         \x20   Counted { count: 0, at: Nanos(9) }\n\
         \x20     count: 5, / count: 4,\n"
    );
    let refused = printed(|| drop(given::<Counter<NONE>>([]).when(add(1)).then_reject(Zero)));
    assert_eq!(
        refused,
        "when Add { amount: 1, lost: 0 }\n\
         expected (-) and emitted (+):\n\
         \x20 - refused: Zero\n\
         \x20 + Counted { count: 1, at: Nanos(0) }\n"
    );
}

#[test]
fn a_history_is_accepted_and_goes_forward() {
    let refused = printed(|| drop(given::<Counter<NONE>>([add(1), add(0)])));
    assert_eq!(refused, "given Add { amount: 0, lost: 0 }\nwhich is refused: Zero");
    let back = given::<Counter<NONE>>([add(1)]).travel_to(Nanos(2));
    let back = printed(|| drop(back.travel_to(Nanos(1))));
    assert_eq!(back, "time does not go back: from Nanos(2) to Nanos(1)");
}
