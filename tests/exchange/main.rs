//! The exchange against its rules (`docs/EXCHANGE.md`): scripts of what it must say, and random
//! commands that it must answer as the naive exchange does.

use ringframe::exchange::reject::Why;

use engine::{Engine, Real};
use naive::Naive;
use script::Script;
use script::outcome::{kind, kinds};

mod abuse;
mod engine;
mod json;
mod large;
mod naive;
mod node;
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

#[test]
fn the_scripts_show_every_event_reason_and_refusal() {
    // A full book takes billions of orders.
    let mut missing = kinds(&[Why::BookFull]);
    for script in Script::all() {
        for outcome in script.run::<Naive>().expect("the naive exchange follows the scripts") {
            missing.remove(&kind(&outcome));
        }
    }
    assert!(missing.is_empty(), "no script shows {missing:?}");
}
