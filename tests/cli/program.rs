//! The real program, as a user meets it: run to its end, or served until it is told to stop.

#![expect(clippy::disallowed_methods, reason = "a test may have threads")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use ringframe::exchange::command::{Cancel, Enter};
use ringframe::exchange::ids::{Side, Symbol, Token};
use ringframe::exchange_json::write_command;
use rustix::process::{Pid, Signal, kill_process};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ringframe");
/// No word of the program takes longer, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command of the program on a data directory.
pub(crate) fn ringframe(arguments: &[&str], data: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).arg("--data").arg(data).stdin(Stdio::null());
    if arguments.first() == Some(&"serve") && !arguments.contains(&"--listen") {
        // Several run at a time: see `Serving::addresses`.
        let any = "127.0.0.1:0";
        command.args(["--listen", any, "--market-data", any, "--glimpse", any]);
        command.args(["--replication", any]);
    }
    if arguments.first() == Some(&"serve") && !arguments.contains(&"--log") {
        command.args(["--log", "text"]);
    }
    if arguments.first() == Some(&"serve") && !arguments.contains(&"--admin") {
        command.args(["--admin", "127.0.0.1:0"]);
    }
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str], data: &Path) -> Done {
    Done::new(&ringframe(arguments, data).output().unwrap())
}

/// What it said, and how it ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    pub(crate) fn new(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Ended with this code, and said all of this somewhere.
    #[track_caller]
    pub(crate) fn expect(self, code: i32, said: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for what in said {
            assert!(self.out.contains(what) || self.err.contains(what), "{what:?} in {self:#?}");
        }
        self
    }
}

/// Orders of the demo's users that trade with each other, as lines; the same numbers give the same
/// lines.
pub(crate) fn orders(numbers: std::ops::Range<u64>) -> String {
    let mut lines = String::new();
    for number in numbers {
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let session = (mixed % 99 + 1) as u16;
        let command = if number % 4 == 3 {
            let mixed = (number - 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            let session = (mixed % 99 + 1) as u16;
            Cancel { token: Token::number(number - 1), session, ..Cancel::default() }.into()
        } else {
            Enter {
                symbol: Symbol::new(["AAPL", "MSFT"][(mixed >> 8) as usize % 2]).unwrap(),
                token: Token::number(number),
                session,
                side: if (mixed >> 16).is_multiple_of(2) { Side::Buy } else { Side::Sell },
                price: [2_300_000, 4_200_000][(mixed >> 8) as usize % 2]
                    + 100 * ((mixed >> 17) % 20) as u32,
                quantity: (mixed >> 22) as u32 % 99 + 1,
                ..Enter::default()
            }
            .into()
        };
        write_command(&mut lines, &command);
        lines.push('\n');
    }
    lines
}

/// Applies lines to a data directory.
pub(crate) fn apply(settings: &[&str], data: &Path, lines: &str) -> Done {
    let arguments = [&["apply"], settings].concat();
    let mut command = ringframe(&arguments, data);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines = lines.to_owned();
    // One that refuses to start does not read.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(lines.as_bytes())));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    Done::new(&output)
}

/// A program that runs until it is told to stop, or is dropped.
pub(crate) struct Serving {
    pub(crate) child: Child,
    lines: Receiver<String>,
    said: String,
    /// Where order entry and market data are.
    pub(crate) addresses: [SocketAddr; 2],
    /// Where snapshots of the market are.
    pub(crate) glimpse: SocketAddr,
    /// The line that says so.
    pub(crate) places: String,
}

impl Serving {
    /// Starts `serve` and waits until it says that it is ready.
    pub(crate) fn start(settings: &[&str], data: &Path) -> Self {
        let mut serving = Self::spawn(&mut ringframe(&[&["serve"], settings].concat(), data));
        let line = serving.wait_for("order entry on ");
        serving.places.clone_from(&line);
        let mut addresses = line.split([' ', ',']).filter_map(|word| word.parse().ok());
        serving.addresses = [(); 2].map(|()| addresses.next().expect("two addresses"));
        serving.glimpse = addresses.next().expect("a third one");
        serving.wait_for("ready");
        serving
    }

    /// Starts any command.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (line, lines) = channel();
        let out: Box<dyn Read + Send> = Box::new(child.stdout.take().unwrap());
        let err: Box<dyn Read + Send> = Box::new(child.stderr.take().unwrap());
        for stream in [out, err] {
            let line = line.clone();
            std::thread::spawn(move || {
                for text in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = line.send(text);
                }
            });
        }
        let nowhere = SocketAddr::from(([0; 4], 0));
        let (said, places) = (String::new(), String::new());
        Self { child, lines, said, addresses: [nowhere; 2], glimpse: nowhere, places }
    }

    /// The next line that holds `what`.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.said += &format!("{line}\n");
                    if line.contains(what) {
                        return line;
                    }
                }
                Err(error) => panic!("it never said {what:?} ({error}), but:\n{}", self.said),
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end: the exit code, and all that it said on both streams.
    #[track_caller]
    pub(crate) fn end(mut self) -> Done {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.said += &format!("{line}\n"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.said),
            }
        }
        let code = self.child.wait().unwrap().code();
        Done { code, out: std::mem::take(&mut self.said), err: String::new() }
    }

    /// Asks it to end, and expects that it does so well.
    #[track_caller]
    pub(crate) fn drain(self) -> Done {
        self.signal(Signal::TERM);
        self.end().expect(0, &["drained"])
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
