//! HTTP in the fewest words, and the program's commands that speak it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ringframe::exchange::command::{ChangeState, Command as Order, EndDay, State};
use ringframe::exchange::demo;
use ringframe::exchange_json::write_command;
use serde_json::Value;

use crate::program::{Done, PROGRAM, Serving};

/// Nothing takes longer, on the busiest machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Where a server's operators ask.
#[track_caller]
pub(crate) fn admin(serving: &Serving) -> SocketAddr {
    let (_, after) = serving.places.split_once("operators at ").expect("it says where");
    after.trim().parse().unwrap()
}

/// Says these bytes, and gives all that comes until the connection is closed.
pub(crate) fn say(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // It may be closed while it is said.
    let _ = stream.write_all(bytes);
    let mut heard = Vec::new();
    if let Err(error) = stream.read_to_end(&mut heard) {
        let is_cut = error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(is_cut, "the server leaves it open: {error}");
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// Asks for something: its status, and what was said.
pub(crate) fn ask(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    let heard = say(to, request.as_bytes());
    let (head, body) = heard.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{heard:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

pub(crate) fn get(to: SocketAddr, path: &str) -> (u16, String) {
    ask(to, "GET", path, "", "")
}

pub(crate) fn post(to: SocketAddr, path: &str, body: &str) -> (u16, Value) {
    let (status, said) = ask(to, "POST", path, "", body);
    (status, serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said:?}")))
}

pub(crate) fn status(to: SocketAddr) -> Value {
    let (code, said) = get(to, "/status");
    assert_eq!(code, 200, "{said}");
    serde_json::from_str(&said).unwrap()
}

/// The status once it is so.
#[track_caller]
pub(crate) fn status_when(to: SocketAddr, is_so: impl Fn(&Value) -> bool) -> Value {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let status = status(to);
        if is_so(&status) {
            return status;
        }
        assert!(Instant::now() < give_up, "it stays {status:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs an operator's command of the program to its end.
pub(crate) fn operate(to: SocketAddr, arguments: &[&str], lines: &str) -> Done {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).args(["--admin", &to.to_string()]).env_remove("RINGFRAME_ADMIN_TOKEN");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    Done::new(&child.wait_with_output().unwrap())
}

/// Puts all of the demo's instruments into a state.
pub(crate) fn change(to: SocketAddr, state: State) {
    let listed = demo::opening().into_iter().filter_map(|command| match command {
        Order::AddInstrument(added) => Some(added.0.symbol),
        _ => None,
    });
    let mut lines = String::new();
    for symbol in listed {
        write_command(&mut lines, &ChangeState { symbol, state, reserved: [0; 7] }.into());
        lines.push('\n');
    }
    let done = operate(to, &["command", "-"], &lines).expect(0, &[]);
    assert_eq!(done.out.matches("state_changed").count(), lines.lines().count(), "{done:#?}");
}

/// Asks for the day's end: what came of it.
pub(crate) fn end_day(to: SocketAddr) -> Value {
    let mut line = String::new();
    write_command(&mut line, &EndDay.into());
    let (code, said) = post(to, "/command", &line);
    assert_eq!(code, 200, "{said}");
    said
}

/// The lines of the audit log.
pub(crate) fn audited(data: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(data.join("audit.log")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
