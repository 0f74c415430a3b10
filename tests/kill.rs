//! The real program is killed under load, and killed again while it starts: whatever it has told is
//! there afterwards, once, as it was told, and what nobody was told yet is lost by no start either.
//! `RINGFRAME_KILLS=300 cargo test --release --test kill` is the long form.
//!
//! A kill leaves the page cache, so here `synced` can promise no more than `journaled` does: what a
//! loss of power takes is tried on simulated disks, by `tests/crash` and `tests/exchange/node.rs`.
#![expect(clippy::disallowed_methods, reason = "pipes are fed and drained, and life takes time")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use fastrand::Rng;
use ringframe::embed::Outcome;
use ringframe::exchange::Exchange;
use ringframe::exchange::command::{Cancel, Enter};
use ringframe::exchange::ids::{Side, Symbol, Token};
use ringframe::exchange_json::{write_command, write_event};
use ringframe::journal::{ArchiveHome, Frame, MappedStorage, Reader, restore};
use ringframe::machine::Machine;
use ringframe::node::Stores;
use ringframe::recovery::{self, Cores, Watch};
use ringframe::snapshot;
use ringframe::stage::Fault;
use tempfile::TempDir;

/// A quick run in `./test`.
const KILLS: u64 = 4;
/// It is killed so long after it has told enough, at most.
const LIFE: Duration = Duration::from_millis(100);
/// So many events are enough.
const WORDS: usize = 50;
/// Every so many kills, old segments are archived and deleted while it runs.
const PRUNED_EVERY: u64 = 4;
/// Small files, and a state that is saved often.
const SETTINGS: [&str; 3] =
    ["segment_bytes=1MiB", "event_segment_bytes=1MiB", "snapshots.every_commands=1000"];

/// Orders of a hundred sessions that trade with each other, without end.
struct Orders {
    rng: Rng,
    token: u64,
}

impl Orders {
    fn line(&mut self) -> String {
        self.token += 1;
        let mut line = String::new();
        let session = self.rng.u16(1..=99);
        let (token, before) = (Token::number(self.token), Token::number(self.token - 1));
        if self.rng.u8(0..4) == 0 {
            write_command(
                &mut line,
                &Cancel { token: before, session, ..Cancel::default() }.into(),
            );
        } else {
            let enter = Enter {
                symbol: Symbol::new("AAPL").unwrap(),
                token,
                session,
                side: if self.rng.bool() { Side::Buy } else { Side::Sell },
                price: 2_300_000 + 100 * self.rng.u32(0..20),
                quantity: self.rng.u32(1..100),
                ..Enter::default()
            };
            write_command(&mut line, &enter.into());
        }
        line.push('\n');
        line
    }

    /// Until nobody reads any more.
    fn feed(mut self, mut stdin: ChildStdin) -> Self {
        while stdin.write_all(self.line().as_bytes()).is_ok() {}
        self
    }
}

/// Follows the journal with a machine of its own, and remembers what the event log owes.
struct Witness {
    stores: Stores<MappedStorage>,
    machine: Machine<Exchange>,
    /// The last event that was seen in the log, …
    logged: u64,
    /// … and those after it, as they must stand there.
    owed: VecDeque<Vec<u8>>,
}

/// What replay emits.
#[derive(Default)]
struct Emitted {
    lines: Vec<String>,
    frames: Vec<Vec<u8>>,
}

impl Watch for Emitted {
    fn event(&mut self, event: &Frame<'_>) -> Result<(), Fault> {
        let (mut frame, mut line) = (Vec::new(), String::new());
        event.encode(&mut frame);
        let Outcome { number, cause, time, result } = Outcome::<Exchange>::decode(event)?;
        write_event(&mut line, number, cause, time, result.as_ref());
        self.frames.push(frame);
        self.lines.push(line);
        Ok(())
    }
}

impl Witness {
    fn new(data: &Path) -> Self {
        let (machine, owed) = (Machine::default(), VecDeque::new());
        Self { stores: Stores::mapped(data), machine, logged: 0, owed }
    }

    /// Looks at what was journaled and logged since the last time, all of it by a program that has
    /// told these lines.
    fn look(&mut self, told: &[String]) {
        let journal = &self.stores.journal;
        let last = recovery::last_sequence(journal).unwrap().unwrap_or_default();
        assert!(last >= self.machine.applied().sequence, "the journal ends with {last:?}");
        let mut emitted = Emitted::default();
        recovery::replay(journal, &mut self.machine, last, Cores::One, &mut emitted).unwrap();
        assert!(told.len() <= emitted.lines.len(), "told {} events", told.len());
        for (told, emitted) in told.iter().zip(&emitted.lines) {
            assert_eq!(told.trim_end(), emitted);
        }
        self.owed.extend(emitted.frames);
        let Ok(mut log) = Reader::open(self.stores.events.clone(), self.logged + 1) else {
            assert_eq!(self.logged, 0, "event {} of the log was there", self.logged);
            return;
        };
        while let Some(logged) = log.next_frame().unwrap() {
            let owed = self.owed.pop_front();
            assert!(owed.as_deref() == Some(logged.bytes()), "event {}", logged.sequence());
            self.logged += 1;
        }
    }

    /// The newest state that was saved before what we have seen.
    fn snapshot(&self) -> Option<u64> {
        let seen = self.machine.applied();
        let infos = snapshot::candidates(&self.stores.snapshots, seen.sequence.0, seen.events);
        infos.unwrap().first().and_then(|info| Some(info.sequence()?.0))
    }
}

/// A data directory, the program that is killed in it, and who watches.
struct World {
    directory: TempDir,
    release: &'static str,
    rng: Rng,
    orders: Option<Orders>,
    witness: Witness,
    /// How long the program took last from its start to its first word.
    start: Duration,
    told: usize,
    killed_while_starting: u64,
    from_snapshot: u64,
    /// Whether segments were deleted on the way.
    was_pruned: bool,
}

impl World {
    fn new(release: &'static str, seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            witness: Witness::new(&directory.path().join("data")),
            directory,
            release,
            rng: Rng::with_seed(seed),
            orders: Some(Orders { rng: Rng::with_seed(seed), token: 0 }),
            start: LIFE,
            told: 0,
            killed_while_starting: 0,
            from_snapshot: 0,
            was_pruned: false,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn ringframe(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringframe"));
        command.args(arguments).arg("--data").arg(self.path("data"));
        command
    }

    /// Runs a command to its end, which must be a good one.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.ringframe(arguments).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}:\n{out}{err}");
        out
    }

    /// A node that applies orders until it is killed.
    fn spawn(&mut self) -> (Child, Receiver<String>, impl FnOnce() -> Orders + use<>) {
        let mode = ["snapshots.mode=shadow", "snapshots.mode=inline"][self.rng.usize(0..2)];
        let layout = ["auto", "1", "2", "4"][self.rng.usize(0..4)];
        let mut command = self.ringframe(&["apply", "--release", self.release, "--set", mode]);
        command.args(["--layout", layout]);
        let said = std::fs::File::create(self.path("said")).unwrap();
        command.args(SETTINGS.iter().flat_map(|setting| ["--set", setting]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(said);
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let orders = self.orders.take().expect("one node runs at a time");
        let feeding = std::thread::spawn(move || orders.feed(stdin));
        let (line, lines) = channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut text = String::new();
            // Whole lines only.
            while stdout.read_line(&mut text).is_ok_and(|read| read > 0) && text.ends_with('\n') {
                line.send(std::mem::take(&mut text)).unwrap();
            }
        });
        (child, lines, move || feeding.join().unwrap())
    }

    /// Starts it, kills it when `live` has come back with what it has told so far, and looks.
    fn kill(&mut self, live: impl FnOnce(&mut Self, &Receiver<String>) -> Vec<String>) {
        let (mut child, lines, orders) = self.spawn();
        let mut told = live(self, &lines);
        child.kill().unwrap();
        child.wait().unwrap();
        told.extend(lines);
        self.orders = Some(orders());
        self.told += told.len();
        let said = std::fs::read_to_string(self.path("said")).unwrap();
        self.killed_while_starting += u64::from(!said.contains("a reply means"));
        self.from_snapshot += u64::from(said.contains("from the snapshot at"));
        assert!(!said.contains("not used") && !said.contains("panicked"), "{said}");
        self.witness.look(&told);
    }

    /// Kills it in the middle of its recovery, or a little before or after.
    fn kill_while_it_starts(&mut self) {
        let life = self.start.mul_f64(1.25 * self.rng.f64());
        self.kill(|_, _| {
            std::thread::sleep(life);
            Vec::new()
        });
    }

    /// Kills it in the middle of its work.
    fn kill_at_work(&mut self, prune: bool) {
        let life = LIFE.mul_f64(self.rng.f64());
        let began = Instant::now();
        self.kill(|world, lines| {
            let next = || lines.recv().expect("it says something");
            let mut told = vec![next()];
            world.start = began.elapsed();
            told.extend((1..WORDS).map(|_| next()));
            if prune {
                world.prune();
            }
            std::thread::sleep(life);
            told
        });
    }

    /// Deletes the segments that nobody needs any more.
    fn prune(&self) {
        let home = self.path("archive");
        let home = home.to_str().unwrap();
        self.done(&["journal", "archive", "--to", home]);
        if let Some(below) = self.witness.snapshot() {
            let below = below.to_string();
            self.done(&["journal", "prune", "--archive", home, "--below", &below]);
        }
    }

    /// What was pruned, from the archive; false where too little was written for that.
    fn put_back(&self) -> bool {
        let first = Reader::open_first(self.witness.stores.journal.clone()).unwrap();
        if first.next_sequence() == 1 {
            return false;
        }
        let home = ArchiveHome::open(self.path("archive").to_str().unwrap()).unwrap();
        restore(&home, None, &self.witness.stores.journal, &mut |_, _| ()).unwrap();
        true
    }

    /// A start with nothing to do. Then the log holds what replay gives, to the last event, and
    /// with what was pruned put back, so says the program itself.
    fn end(&mut self) {
        let told = self.done(&["apply", "--release", self.release]);
        let told: Vec<String> = told.lines().map(str::to_owned).collect();
        self.witness.look(&told);
        assert!(self.witness.owed.is_empty(), "{} events are not logged", self.witness.owed.len());
        let (machine, digest) = (&self.witness.machine, self.witness.machine.digest().to_string());
        assert!(self.done(&["replay", "--digest"]).contains(&digest), "from a snapshot");
        self.was_pruned = self.put_back();
        self.done(&["journal", "verify"]);
        let verified = self.done(&["replay", "--verify"]);
        let all = format!("{} events are as in the log, 0 are not", machine.applied().events);
        assert!(verified.contains(&digest) && verified.contains(&all), "{verified}");
    }
}

fn kill_again_and_again(release: &'static str, seed: u64) {
    let kills = std::env::var("RINGFRAME_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut world = World::new(release, seed);
    for kill in 1..=kills {
        world.kill_while_it_starts();
        world.kill_at_work(kill % PRUNED_EVERY == 0);
    }
    world.end();
    let World { told, killed_while_starting, from_snapshot, was_pruned, witness, .. } = &world;
    let sequence = witness.machine.applied().sequence.0;
    println!(
        "{release}: {} kills, {killed_while_starting} of them before it was ready, {from_snapshot} \
         starts from a snapshot; {sequence} commands, {told} events told, all there",
        2 * kills
    );
    assert!(*told as u64 >= kills * WORDS as u64);
    assert!(kills < 100 || *from_snapshot > 0, "no start used a snapshot");
    assert!(kills < 100 || *was_pruned, "nothing was pruned");
}

#[test]
fn nothing_told_is_lost_when_replies_mean_synced() {
    kill_again_and_again("synced", 1);
}

#[test]
fn nothing_told_is_lost_when_replies_mean_journaled() {
    kill_again_and_again("journaled", 2);
}
