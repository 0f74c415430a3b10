//! Two `ringframe serve` of our own, each the other's standby in turn.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::super::Failure;
use super::super::operate::http::{self, Answer};
use super::{PATIENCE, fault};

/// Small, so that a node that comes back soon has room.
const SEGMENT: &str = "4MiB";
/// A standby that lacks no more commands than this fell behind a moment ago at most, so the leader
/// does not do without it yet.
const LAG_MAX: u64 = 1_000;
/// The standard ports, of an address of its own.
const ADMIN: u16 = 9000;
const ORDERS: u16 = 9001;
const MARKET: u16 = 9002;
const REPLICATION: u16 = 9003;
const GLIMPSE: u16 = 9004;

/// One of the two.
pub(super) struct Node {
    /// 1 or 2.
    pub(super) number: u8,
    data: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

struct Process {
    child: Child,
    said: BufReader<ChildStdout>,
}

/// Where a node has a port: it comes back where it was, and this machine's own network is large
/// enough for an address that nobody else uses.
fn at(number: u8, port: u16) -> SocketAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 64 + 2 * (high % 64) + number, middle, low], port))
}

impl Node {
    /// One that has never run; what it has to say goes to `logs`.
    pub(super) fn new(number: u8, directory: &Path, logs: &Path) -> Self {
        let data = directory.join(format!("node-{number}"));
        Self { number, data, log: logs.join(format!("node-{number}.log")), process: None }
    }

    /// Where clients log in.
    pub(super) fn orders(&self) -> SocketAddr {
        at(self.number, ORDERS)
    }

    /// Where operators ask.
    pub(super) fn admin(&self) -> SocketAddr {
        at(self.number, ADMIN)
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.data.join("journal")
    }

    /// Starts it, and waits until it leads or stands by: the settings are the same each time.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        let program = std::env::current_exe().map_err(fault("find this program"))?;
        let log = File::options().append(true).create(true).open(&self.log);
        let log = log.map_err(fault("write a node's log; name another --out"))?;
        let place = |port| at(self.number, port).to_string();
        let role = if self.number == 1 { "--peer" } else { "--standby-of" };
        let mut child = Command::new(program)
            .args(["serve", "--listen", &place(ORDERS), "--market-data", &place(MARKET)])
            .args(["--glimpse", &place(GLIMPSE), "--admin", &place(ADMIN)])
            .args(["--replication", &place(REPLICATION), "--node", &self.number.to_string()])
            .args([role, &at(3 - self.number, REPLICATION).to_string()])
            .args(["--release", "replicated", "--log", "text", "--segment-bytes", SEGMENT])
            .args(["--event-segment-bytes", SEGMENT, "--data"])
            .arg(&self.data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(fault("start a node"))?;
        let said = BufReader::new(child.stdout.take().expect("its output is piped"));
        let process = self.process.insert(Process { child, said });
        let mut line = String::new();
        while !matches!(line.trim_end(), "ready" | "standing by") {
            line.clear();
            if process.said.read_line(&mut line).map_err(fault("hear a node"))? == 0 {
                return Err(self.failed("does not start"));
            }
        }
        Ok(())
    }

    fn failed(&self, what: &str) -> Failure {
        Failure::Fault(format!("node {} {what}: see {}", self.number, self.log.display()))
    }

    /// By SIGKILL.
    pub(super) fn kill(&mut self) -> Result<(), Failure> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.child.kill().map_err(fault("kill a node"))?;
        process.child.wait().map_err(fault("wait for a node"))?;
        Ok(())
    }

    /// Lets it end well.
    pub(super) fn drain(&mut self) -> Result<(), Failure> {
        let Some(process) = &self.process else { return Ok(()) };
        kill_process(Pid::from_child(&process.child), Signal::TERM)
            .map_err(|error| Failure::Fault(format!("cannot stop a node: {error}")))?;
        self.end()
    }

    /// Waits until it has ended well.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let ended = process.child.wait().map_err(fault("wait for a node"))?;
        if ended.success() { Ok(()) } else { Err(self.failed(&format!("ended badly, {ended}"))) }
    }

    /// Asks it as an operator does.
    pub(super) fn ask(&self, method: &str, path: &str) -> Result<Answer, Failure> {
        let answer = http::ask(self.admin(), None, method, path, "", Some(PATIENCE));
        answer.map_err(|error| self.failed(&format!("was asked {path}: {error}")))
    }

    fn status(&self) -> Result<Value, Failure> {
        let answer = self.ask("GET", "/status")?;
        serde_json::from_str(&answer.body).map_err(|_| self.failed("says what is no JSON"))
    }

    /// Whether the other one could lead, and no reply leaves that it does not have.
    pub(super) fn has_standby(&self) -> Result<bool, Failure> {
        let status = self.status()?;
        let stands_by = |it: &Value| {
            it["stands_by"] == true && it["lag"].as_u64().is_some_and(|lag| lag < LAG_MAX)
        };
        let followers = status["replication"]["followers"].as_array();
        let has_one = followers.is_some_and(|followers| followers.iter().any(stands_by));
        Ok(has_one && status["release"] == "replicated")
    }

    /// The last command, and the digest there.
    pub(super) fn state(&self) -> Result<(u64, String), Failure> {
        let status = self.status()?;
        let digest = status["digest"].as_str().unwrap_or_default().to_owned();
        Ok((status["sequence"].as_u64().unwrap_or_default(), digest))
    }

    /// How many commands of clients were cut off its journal so far, because only it had them.
    pub(super) fn cut(&self) -> usize {
        let files = fs::read_dir(&self.data).into_iter().flatten().flatten();
        let lists = files.filter(|it| it.file_name().to_string_lossy().starts_with("cut-after-"));
        lists.filter_map(|it| fs::read_to_string(it.path()).ok()).map(|it| it.lines().count()).sum()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended, but where something else went wrong.
        if let Some(process) = &mut self.process {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}
