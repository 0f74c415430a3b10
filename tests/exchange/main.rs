//! The exchange against its rules (`docs/EXCHANGE.md`): scripts of what it must say, and random
//! commands that it must answer as the naive exchange does.

use engine::Engine;
use naive::Naive;
use script::Script;

mod engine;
mod naive;
mod script;

#[test]
fn the_naive_exchange_follows_the_scripts() {
    if std::env::var_os("RINGFRAME_BLESS").is_some() {
        Script::all().iter().for_each(Script::bless::<Naive>);
    }
    follow_the_scripts::<Naive>();
}

fn follow_the_scripts<E: Engine>() {
    let differences: Vec<String> =
        Script::all().iter().filter_map(|script| script.run::<E>().err()).collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}
