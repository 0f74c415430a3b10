//! The real program is killed under load, again and again: whatever it has told is there
//! afterwards, once, as it was told. `RINGFRAME_KILLS=300 cargo test --release --test kill` is the
//! long form.
#![expect(clippy::disallowed_methods, reason = "pipes are fed and drained, and life takes time")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use fastrand::Rng;
use ringframe::exchange::command::{Cancel, Enter};
use ringframe::exchange::ids::{Side, Symbol, Token};
use ringframe::exchange_json::write_command;

/// A quick run in `./test`.
const KILLS: u64 = 4;
/// It is killed so long after its first word at most.
const LIFE: Duration = Duration::from_millis(150);

fn ringframe(arguments: &[&str], data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringframe"));
    command.args(arguments).arg("--data").arg(data);
    command
}

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
}

/// What a killed program had told: whole lines only.
fn told_until_killed(mut child: Child, orders: Orders, life: Duration) -> (Vec<String>, Orders) {
    let stdin = child.stdin.take().unwrap();
    let stdout = child.stdout.take().unwrap();
    let feeding = std::thread::spawn(move || feed(stdin, orders));
    let (line, lines): (_, Receiver<String>) = channel();
    let reading = std::thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut text = String::new();
        while stdout.read_line(&mut text).is_ok_and(|read| read > 0) {
            if text.ends_with('\n') {
                line.send(std::mem::take(&mut text)).unwrap();
            }
        }
    });
    let mut told: Vec<String> = vec![lines.recv().expect("it says something")];
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap();
    told.extend(lines);
    (told, feeding.join().unwrap())
}

/// Until nobody reads any more.
fn feed(mut stdin: ChildStdin, mut orders: Orders) -> Orders {
    while stdin.write_all(orders.line().as_bytes()).is_ok() {}
    orders
}

fn events(data: &Path) -> Vec<String> {
    let all = ["replay", "--from-start", "--events", "1..18446744073709551615"];
    let output = ringframe(&all, data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn kill_again_and_again(release: &str, seed: u64) {
    let kills = std::env::var("RINGFRAME_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut orders = Orders { rng: Rng::with_seed(seed), token: 0 };
    let mut all_told = 0;
    let small = ["apply", "--set", "segment_bytes=1MiB", "--set", "event_segment_bytes=1MiB"];
    let arguments = [&small[..], &["--release", release]].concat();
    for kill in 1..=kills {
        let life = LIFE.mul_f64(orders.rng.f64());
        let child = ringframe(&arguments, &data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (told, back) = told_until_killed(child, orders, life);
        orders = back;
        all_told += told.len();
        let events = events(&data);
        for line in &told {
            let number: usize =
                line["{\"number\":".len()..].split(',').next().unwrap().parse().unwrap();
            assert_eq!(events[number - 1], line.trim_end(), "kill {kill}: event {number}");
        }
    }
    // A start with nothing to do; then the log holds what replay gives, and the digests agree.
    let output = ringframe(&arguments, &data).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for check in [&["replay", "--verify"][..], &["journal", "verify"]] {
        let output = ringframe(check, &data).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    println!("{kills} kills, {all_told} events told, all there");
    assert!(all_told > 100, "{all_told} events were told");
}

#[test]
fn nothing_told_is_lost_when_replies_mean_synced() {
    kill_again_and_again("synced", 1);
}

#[test]
fn nothing_told_is_lost_when_replies_mean_journaled() {
    kill_again_and_again("journaled", 2);
}
