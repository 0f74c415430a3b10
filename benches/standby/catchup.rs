//! A standby that was away, and one that lost all it had: how fast it has everything again.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use loadgen::run::demo_users;
use loadgen::schedule::Length;
use ringframe::journal::{MappedStorage, Reader};

use crate::copies::{over_loopback, sync_all};
use crate::http;
use crate::pair::{Pair, ask};
use crate::table::{Table, median};
use crate::world::play;
use crate::{Scale, segments};

const SESSIONS: usize = 16;
/// Beyond any machine.
const ENDLESS: u64 = 1_000_000_000;
/// What the last command has to be at the standby.
const POSITIONS: [&str; 3] = ["journaled", "synced", "applied"];
/// So often it is asked how far it is.
const LOOK: Duration = Duration::from_millis(2);

/// What came over, and how long that took.
#[derive(Clone, Copy)]
struct Took {
    bytes: u64,
    seconds: f64,
}

impl Took {
    /// In MB/s.
    fn rate(self) -> f64 {
        self.bytes as f64 / self.seconds / 1e6
    }
}

pub(crate) fn run(scale: &Scale) {
    let columns = ["", "commands", "MB", "s", "M commands/s", "MB/s", "bare", "of it"];
    let title = "a standby comes back: from `standing by` to the last command, journaled, synced \
                 and applied there; bare: the same bytes over loopback, appended, synced by \
                 pieces; a standby without data: its copy; bare: cp -r and a sync of the same \
                 files";
    let mut table = Table::new(title, &columns);
    let (mut away, mut empty) = (Vec::new(), Vec::new());
    for _ in 0..scale.pick(3, 1) {
        let mut pair = Pair::start("synced", segments(scale));
        away.push(come_back(&mut pair, scale));
        empty.push(begin_again(&mut pair));
        pair.end();
    }
    for (which, name) in POSITIONS.into_iter().enumerate() {
        let found: Vec<_> = away.iter().map(|it| (it.commands, it.took[which], it.bare)).collect();
        row(&mut table, name, &found);
    }
    let found: Vec<_> = empty.iter().map(|&(took, bare)| (0, took, bare)).collect();
    row(&mut table, "copy", &found);
    table.print();
}

fn row(table: &mut Table, name: &str, found: &[(u64, Took, Took)]) {
    let of = |figure: fn(&(u64, Took, Took)) -> f64| median(found.iter().map(figure).collect());
    let figures = [
        of(|(commands, ..)| *commands as f64),
        of(|(_, took, _)| took.bytes as f64 / 1e6),
        of(|(_, took, _)| took.seconds),
        of(|(commands, took, _)| *commands as f64 / took.seconds / 1e6),
        of(|(_, took, _)| took.rate()),
        of(|(.., bare)| bare.rate()),
        of(|(_, took, bare)| took.rate() / bare.rate()),
    ];
    let [commands, rest @ ..] = figures;
    let rest = rest.map(|figure| format!("{figure:.3}"));
    table.row([name.to_owned(), format!("{commands:.0}")].into_iter().chain(rest));
}

/// What a standby lacked, and took.
struct Away {
    commands: u64,
    /// Until all was at each of the positions.
    took: [Took; POSITIONS.len()],
    bare: Took,
}

fn come_back(pair: &mut Pair, scale: &Scale) -> Away {
    pair.standby().drain();
    let first = pair.leader().position("journaled") + 1;
    let count = Length::Count(scale.pick(4_000_000, 2_000));
    let mut load = pair.load(ENDLESS, count, scale.smoke);
    load.login.users = demo_users(SESSIONS);
    load.pace.warm_up = Duration::ZERO;
    play(&load);
    let last = pair.leader().position("published");
    let bytes = stored(&pair.leader().data.join("journal"), first, last);
    pair.standby().start("standing by");
    let began = Instant::now();
    let admin = pair.standby().admin();
    let mut seconds = [0.0; POSITIONS.len()];
    while seconds.contains(&0.0) {
        let status = http::status(admin);
        for (name, seconds) in POSITIONS.into_iter().zip(&mut seconds) {
            if *seconds == 0.0 && status["positions"][name].as_u64() >= Some(last) {
                *seconds = began.elapsed().as_secs_f64();
            }
        }
        std::thread::sleep(LOOK);
    }
    pair.wait_for_standby();
    let room = pair.directory.path().join("bare");
    let bare = over_loopback(bytes, &room).as_secs_f64();
    fs::remove_file(room).expect("it was there");
    Away {
        commands: last + 1 - first,
        took: seconds.map(|seconds| Took { bytes, seconds }),
        bare: Took { bytes, seconds: bare },
    }
}

/// The bytes of the commands from `first` to `last`.
fn stored(journal: &Path, first: u64, last: u64) -> u64 {
    let mut reader = Reader::open(MappedStorage::new(journal), first).expect("it opens");
    let mut bytes = 0;
    while reader.next_sequence() <= last {
        bytes += reader.next_frame().expect("it reads").expect("it is there").bytes().len() as u64;
    }
    bytes
}

/// The standby's disk is lost; beside it the same files by `cp`.
fn begin_again(pair: &mut Pair) -> (Took, Took) {
    ask(pair.leader().admin(), "/snapshot").expect("it has a state to save");
    let standby = pair.standby();
    standby.drain();
    fs::remove_dir_all(&standby.data).expect("it has ended");
    standby.start("takes a copy of what");
    let began = Instant::now();
    let whole = standby.serving.as_mut().expect("it runs").wait_for("the copy is whole, ");
    let seconds = began.elapsed().as_secs_f64();
    let bytes = whole.split(' ').find_map(|word| word.parse().ok()).expect("it says how many");
    pair.wait_for_standby();
    let standby = pair.standby();
    standby.drain();
    let (from, to) = (standby.data.clone(), pair.directory.path().join("copied"));
    let began = Instant::now();
    let copied = Command::new("cp").arg("-r").args([&from, &to]).status().expect("there is a cp");
    assert!(copied.success(), "{copied}");
    let files = sync_all(&to);
    let bare = Took { bytes: files, seconds: began.elapsed().as_secs_f64() };
    fs::remove_dir_all(to).expect("it was there");
    pair.standby().start("standing by");
    pair.wait_for_standby();
    (Took { bytes, seconds }, bare)
}
