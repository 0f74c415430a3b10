//! Scripts: text tables of commands and what the exchange must say to them.
//!
//! ```text
//! == a partial fill
//! bid  A1 100@50            -> accepted A1
//! ask  B1  30@50            -> accepted B1 shows 0, trade B1/A1 30@50 maker_left=70
//! cancel A1                 -> canceled A1 70 user
//! ```
//!
//! Each case begins with a market of its own ([`MARKET`]), or with nothing where the heading begins
//! with `== bare`. Session and token are one word: `A1` is
//! token A1 of session A. After `->` stands all that must be said, in order; more `->` lines may
//! follow. A word with `=` or `#` (a reference) is a detail, looked at where a script names it. A
//! command without `->` must not be refused; what else it says does not matter there.
//!
//! With `RINGFRAME_BLESS=1` the naive exchange writes what it says into the files: read the diff.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ringframe::exchange::command::{AddInstrument, Command, Terms};
use ringframe::exchange::ids::Symbol;
use ringframe::logic::{Moment, Nanos, Sequence};

use crate::engine::Engine;
use crate::naive::Outcome;
use command::Line;
use outcome::Said;

pub(crate) mod command;
pub(crate) mod outcome;

/// What is there when a case begins.
const MARKET: &str = "
    instrument ABC
    participant 1
    participant 2
    participant 3
    session A of 1
    session B of 2
    session C of 3
    session D of 1
    state ABC pre-open
    state ABC open
";

/// How the heading of a case begins that has no such market.
pub(crate) const BARE: &str = "== bare";

/// A file of cases.
pub(crate) struct Script {
    path: PathBuf,
    text: String,
}

impl Script {
    /// All that there are, by name.
    pub(crate) fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exchange/scripts");
        let entries = std::fs::read_dir(&folder).expect("the folder of scripts");
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.expect("a file of the folder").path()).collect();
        paths.sort();
        let read = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).expect("a script is text");
            Self { path, text }
        };
        paths.into_iter().map(read).collect()
    }

    pub(crate) fn name(&self) -> String {
        self.path.file_name().expect("a file").to_string_lossy().into_owned()
    }

    /// Runs all cases on engines of their own. `Ok`: all that was said; `Err`: the differences.
    pub(crate) fn run<E: Engine>(&self) -> Result<Vec<Outcome>, String> {
        let mut all = Vec::new();
        let mut differences = String::new();
        let mut player = Player::<E>::default();
        for step in steps(&self.text) {
            let at = || format!("{}:{}: {}", self.name(), step.line, step.command);
            if step.command.starts_with("==") {
                player = Player::begin(step.command);
                continue;
            }
            let outcomes = player.play(step.command).unwrap_or_else(|e| panic!("{}: {e}", at()));
            if let Some(difference) = step.difference(&outcomes) {
                let _ = writeln!(differences, "{}\n{difference}", at());
            }
            all.extend(outcomes);
        }
        if differences.is_empty() { Ok(all) } else { Err(differences) }
    }

    /// Writes what `E` says into the file, where it says something else.
    pub(crate) fn bless<E: Engine>(&self) {
        let mut lines: Vec<String> = self.text.lines().map(str::to_owned).collect();
        let mut player = Player::<E>::default();
        for step in steps(&self.text) {
            if step.command.starts_with("==") {
                player = Player::begin(step.command);
                continue;
            }
            let outcomes = player.play(step.command).unwrap_or_default();
            if step.difference(&outcomes).is_some() {
                let said = outcomes.iter().map(|outcome| Said::new(outcome).words);
                let said: Vec<String> = said.collect();
                let said = if said.is_empty() { "nothing".into() } else { said.join(", ") };
                lines[step.line - 1] = format!("{:<38} -> {said}", step.command);
                for more in &mut lines[step.line..step.last] {
                    more.clear();
                }
            }
        }
        std::fs::write(&self.path, lines.join("\n") + "\n").expect("the script can be written");
    }
}

/// One command of a script and what is expected, if the script cares.
struct Step<'a> {
    line: usize,
    last: usize,
    command: &'a str,
    expected: Option<Vec<&'a str>>,
}

impl Step<'_> {
    fn difference(&self, outcomes: &[Outcome]) -> Option<String> {
        let said: Vec<Said> = outcomes.iter().map(Said::new).collect();
        let agrees = match &self.expected {
            None => outcomes.iter().all(Result::is_ok),
            Some(expected) => {
                said.len() == expected.len()
                    && said.iter().zip(expected).all(|(said, expected)| said.is(expected))
            }
        };
        if agrees {
            return None;
        }
        let mut text = match &self.expected {
            None => "    expected: no refusal\n".to_owned(),
            Some(expected) => format!("    expected: {}\n", expected.join(", ")),
        };
        for said in said {
            let _ = writeln!(text, "    said: {said}    {}", said.details.join(" "));
        }
        Some(text)
    }
}

fn steps(text: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let is_comment = |at: &usize| *at == 0 || text.as_bytes()[at - 1] == b' ';
        let comment = text.match_indices("# ").map(|(at, _)| at).find(is_comment);
        let text = text[..comment.unwrap_or(text.len())].trim();
        let (command, expected) = match text.split_once("->") {
            None => (text, None),
            Some((command, expected)) => (command.trim(), Some(expected.trim())),
        };
        let expected = expected.map(|text| match text {
            "nothing" => Vec::new(),
            text => text.split(',').map(str::trim).collect(),
        });
        if command.is_empty() {
            let Some(expected) = expected else { continue };
            let step = steps.last_mut().expect("a command before what is expected of it");
            step.expected.get_or_insert_default().extend(expected);
            step.last = line;
        } else {
            steps.push(Step { line, last: line, command, expected });
        }
    }
    steps
}

/// Plays lines on an engine, one command a sequence number.
#[derive(Default)]
struct Player<E> {
    engine: E,
    at: Moment,
}

impl<E: Engine> Player<E> {
    /// A case begins.
    fn begin(heading: &str) -> Self {
        let mut player = Self::default();
        if !heading.starts_with(BARE) {
            MARKET.lines().for_each(|line| player.prepare(line.trim()));
        }
        player
    }

    fn prepare(&mut self, line: &str) {
        if !line.is_empty() {
            let outcomes = self.play(line).expect("the market's lines are right");
            assert!(outcomes.iter().all(Result::is_ok), "{line}: {outcomes:?}");
        }
    }

    fn play(&mut self, line: &str) -> Result<Vec<Outcome>, String> {
        match command::read(line)? {
            Line::Command(command) => Ok(self.step(&command)),
            Line::Time(time) => {
                self.at.time = Nanos(time);
                Ok(Vec::new())
            }
            Line::Instruments(count) => {
                for number in 0..count {
                    let symbol = Symbol::new(&format!("I{number}")).expect("it is short");
                    let terms = Terms {
                        symbol,
                        tick: 1,
                        lot: 1,
                        lowest: 1,
                        highest: 1,
                        collar: 0,
                        reference: 0,
                    };
                    self.step(&AddInstrument(terms).into());
                }
                Ok(Vec::new())
            }
        }
    }

    fn step(&mut self, command: &Command) -> Vec<Outcome> {
        self.at.sequence = Sequence(self.at.sequence.0 + 1);
        self.engine.step(command, &self.at)
    }
}
