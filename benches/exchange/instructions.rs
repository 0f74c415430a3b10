//! Instructions per command: this program runs itself under callgrind, which counts what happens in
//! the measured loop and nothing else. The same on every machine, however busy.

use std::process::{Command, Stdio};

use loadgen::flow::{Equity, Flow, Mix, Regime};

use crate::table::Table;
use crate::whole::Whole;
use crate::{Scale, alone};

/// The first argument of a run under callgrind; the part that is counted, a flow's name and a
/// number of commands follow.
pub(crate) const COUNTED: &str = "counted";

const WHOLE: &str = "whole";
const ALONE: &str = "alone";
const EQUITY: &str = "normal";

/// What runs under callgrind, without a clock: valgrind has none of the kernel's own kind.
pub(crate) fn counted(part: &str, name: &str, commands: &str) {
    let flow = flow(name, commands.parse().expect("a number of commands"));
    match part {
        WHOLE => Whole::new(&flow).play(&mut ()),
        _ => alone::play(&flow),
    }
}

fn flow(name: &str, commands: usize) -> Flow {
    let mix = Mix::ALL.into_iter().find(|mix| mix.name == name);
    let equity = Equity { regime: Regime::Normal, instruments: 1, resting: 10_000, seed: 1 };
    mix.map_or_else(|| equity.flow(commands), |mix| mix.flow(commands))
}

pub(crate) fn run(scale: &Scale) {
    if let Err(error) = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status() {
        println!(
            "\ninstructions: valgrind does not start ({error}); install your system's package"
        );
        return;
    }
    let mut table = Table::new("instructions per command (callgrind)", &["flow", "whole", "book"]);
    let names = Mix::ALL.map(|mix| mix.name).into_iter().chain([EQUITY]);
    for name in names.filter(|name| scale.wants(name)).take(scale.pick(usize::MAX, 1)) {
        let commands = scale.pick(100_000, 2_000);
        let [whole, book] = [WHOLE, ALONE]
            .map(|part| format!("{:.0}", count(part, name, commands) / commands as f64));
        table.row([name.to_owned(), whole, book]);
    }
    table.print();
}

fn count(part: &str, flow: &str, commands: usize) -> f64 {
    let this = std::env::current_exe().expect("the program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", &format!("--toggle-collect=*{part}::measured*")])
        .arg(this)
        .args([COUNTED, part, flow, &commands.to_string()])
        .output()
        .expect("valgrind starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let collected = collected.and_then(|(_, count)| count.trim().parse().ok());
    collected.filter(|&count| count > 0.0).unwrap_or_else(|| panic!("nothing counted:\n{said}"))
}
