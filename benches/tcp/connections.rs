//! A thousand sessions that trade at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use loadgen::schedule::Length;
use ringframe::exchange::command::{Command, SetParticipant, SetSession};
use ringframe::exchange::demo::opening;
use ringframe::exchange_json::write_command;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::table::{Table, compare, latency_columns};
use crate::world::{Server, directory, medians, play};
use crate::{Scale, policies};

const RATE: u64 = 10_000;

pub(crate) fn run(scale: &Scale) {
    let sessions = scale.pick(1_000, 110);
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("its own limit");
    let home = directory();
    let file = home.path().join("users");
    let users = list(&file, sessions);
    let commands = admissions(sessions);
    let title = format!("f1, {sessions} sessions at {} k/s: from due to answered, µs", RATE / 1000);
    let mut table = Table::new(&title, &latency_columns(""));
    let mut memory = Vec::new();
    for policy in policies(scale) {
        let (mut ours, mut echo) = (vec![], vec![]);
        for _ in 0..scale.pick(3, 1) {
            let file = file.to_str().expect("a path of letters");
            let server = Server::start_with(policy, &["--users", file], &commands);
            let before = server.memory();
            let time = Duration::from_millis(scale.pick(3_000, 200));
            let rate = scale.pick(RATE, 1_000);
            let mut load = server.load(rate, Length::Time(time), scale.smoke);
            load.login.users.clone_from(&users);
            load.echo = true;
            let results = play(&load).results;
            ours.push(results.measured.latency_ns);
            echo.push(results.echo.expect("it was asked for").latency_ns);
            memory.push((policy, before, server.memory()));
            server.end();
        }
        compare(&mut table, [policy, "  echo"], &medians(&ours), &medians(&echo));
    }
    table.print();
    println!("\nresident memory of the server before and after, MiB");
    for (policy, before, after) in memory {
        println!("  {policy}: {before:.0} {after:.0}");
    }
}

/// What lets more sessions in than the demo exchange has: each is a participant like its first.
fn admissions(count: usize) -> String {
    let is_first = |command: &Command| matches!(command, Command::SetParticipant(_));
    let first = opening().into_iter().find(is_first).expect("the demo has participants");
    let Command::SetParticipant(first) = first else { unreachable!("it is what was looked for") };
    let mut lines = String::new();
    for session in 1..=count as u16 {
        let participant = SetParticipant { participant: session, ..first };
        let session = SetSession { session, participant: session, cancel_on_disconnect: 0 };
        for command in [participant.into(), session.into()] {
            write_command(&mut lines, &command);
            lines.push('\n');
        }
    }
    lines
}

/// Users with the load generator's password, whose hash costs the least there is: logins are not
/// what is measured.
fn list(path: &Path, count: usize) -> Vec<String> {
    let params = Params::new(Params::MIN_M_COST, 1, 1, None).expect("the least there is");
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = cheap.hash_password_with_salt(b"SECRET", b"everybody").expect("a salt that fits");
    let names: Vec<String> = (1..=count).map(|number| format!("C{number:05}")).collect();
    let lines = names
        .iter()
        .zip(1..)
        .map(|(name, session)| format!("{name} {session} market-data {hash}\n"));
    fs::write(path, lines.collect::<String>()).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("our file");
    names
}
