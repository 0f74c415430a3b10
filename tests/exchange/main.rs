//! The exchange against its rules (`docs/EXCHANGE.md`): scripts of what it must say, and random
//! commands that it must answer as the naive exchange does.

use std::collections::BTreeSet;

use ringframe::exchange::event::{Event, Reason};
use ringframe::exchange::reject::{Reject, Why};
use ringframe::record::{KIND_LIMIT, Record};
use zerocopy::TryFromBytes;

use engine::{Engine, Real};
use naive::Naive;
use script::Script;

mod engine;
mod naive;
mod oracle;
mod random;
mod script;

#[test]
fn the_naive_exchange_follows_the_scripts() {
    if std::env::var_os("RINGFRAME_BLESS").is_some() {
        Script::all().iter().for_each(Script::bless::<Naive>);
    }
    follow_the_scripts::<Naive>();
}

#[test]
fn the_exchange_follows_the_scripts() {
    follow_the_scripts::<Real>();
}

fn follow_the_scripts<E: Engine>() {
    let differences: Vec<String> =
        Script::all().iter().filter_map(|script| script.run::<E>().err()).collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

/// It takes billions of orders.
const NOT_SHOWN: [Why; 1] = [Why::BookFull];

#[test]
fn the_scripts_show_every_event_reason_and_refusal() {
    let bytes = || (0..=u8::MAX).map(|byte| [byte]);
    let whys = bytes().filter_map(|byte| Why::try_read_from_bytes(&byte).ok());
    let reasons = bytes().filter_map(|byte| Reason::try_read_from_bytes(&byte).ok());
    let mut missing: BTreeSet<String> = whys
        .filter(|why| !NOT_SHOWN.contains(why))
        .map(|why| format!("refused {why:?}"))
        .chain(reasons.map(|reason| format!("canceled {reason:?}")))
        .chain((0..KIND_LIMIT).filter(|kind| is_event(*kind)).map(|kind| format!("event {kind}")))
        .collect();
    for script in Script::all() {
        for outcome in script.run::<Naive>().expect("the naive exchange follows the scripts") {
            match outcome {
                Ok(event) => {
                    missing.remove(&format!("event {}", event.kind()));
                    if let Event::Canceled(canceled) = event {
                        missing.remove(&format!("canceled {:?}", canceled.reason));
                    }
                }
                Err(Reject::Rejected(reject)) => {
                    missing.remove(&format!("refused {:?}", reject.why));
                }
            }
        }
    }
    assert!(missing.is_empty(), "no script shows {missing:?}");
}

/// Zeros of the right length are an event of every kind.
fn is_event(kind: u16) -> bool {
    let zeros = [0; Event::BYTES_MAX];
    (1..=zeros.len()).any(|length| Event::read(kind, &zeros[..length]).is_some())
}
