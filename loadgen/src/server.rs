//! What the server says of itself, at its admin address: one HTTP/1.0 request, whose answer ends
//! with its connection.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Clock;
use crate::results::{Age, Fact, ServerWork, StageWork};

/// A server that answers at all does so in this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// No status is longer.
const BYTES_MAX: usize = 1 << 20;
/// How often it is asked during a run: an answer costs the server about a millisecond.
const LOOK: Duration = Duration::from_secs(1);
/// The environment's name for a token.
const TOKEN: &str = "RINGFRAME_ADMIN_TOKEN";

/// What the server said of itself at one moment.
#[derive(Debug)]
pub struct Status(Value);

/// Asks for it.
pub fn status(admin: SocketAddr) -> Result<Status, String> {
    let failed = |why: String| format!("the server's admin address {admin}: {why}");
    let answer = ask(admin).map_err(|error| failed(error.to_string()))?;
    Status::parse(&answer).map_err(failed)
}

fn ask(admin: SocketAddr) -> io::Result<String> {
    let clock = Clock::start();
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    let token = std::env::var(TOKEN);
    let token =
        token.map_or_else(|_| String::new(), |it| format!("Authorization: Bearer {it}\r\n"));
    let request = format!("GET /status HTTP/1.0\r\nHost: {admin}\r\n{token}\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut room) = (Vec::new(), [0; 4096]);
    loop {
        // One that says a little at a time has no longer than one that says nothing.
        let left = PATIENCE.saturating_sub(Duration::from_nanos(clock.now()));
        if left.is_zero() || answer.len() > BYTES_MAX {
            return Err(io::Error::new(ErrorKind::TimedOut, "its answer does not end"));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut room)? {
            0 => return String::from_utf8(answer).map_err(io::Error::other),
            read => answer.extend_from_slice(&room[..read]),
        }
    }
}

impl Status {
    fn parse(answer: &str) -> Result<Self, String> {
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer in HTTP")?;
        let said: Value = serde_json::from_str(body).unwrap_or_default();
        if head.split(' ').nth(1) != Some("200") {
            let line = head.lines().next().unwrap_or_default();
            let why = said["error"].as_str().unwrap_or_default();
            return Err(format!("{line}: {why}; {TOKEN} may hold a token"));
        }
        if said["release"].is_null() {
            return Err("it is not a node's: its status names no release policy".into());
        }
        Ok(Self(said))
    }

    /// What belongs beside the figures: version, policy, rings, stages.
    pub fn facts(&self) -> Vec<Fact> {
        let Self(said) = self;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let stages: Vec<String> = self.stages().map(|it| text(&it["name"])).collect();
        let facts = [
            ("version", text(&said["version"])),
            ("a reply means", text(&said["release"])),
            ("logic", format!("{} {}", text(&said["logic"]["name"]), said["logic"]["active"])),
            ("ring slots", said["rings"]["slots"].to_string()),
            ("stages", stages.join(" ")),
        ];
        facts.map(|(name, value)| Fact { name: name.into(), value }).into()
    }

    fn stages(&self) -> impl Iterator<Item = &Value> {
        self.0["stages"].as_array().into_iter().flatten()
    }

    /// A number of it; 0 where it says none.
    fn number(&self, path: &str) -> u64 {
        self.0.pointer(path).and_then(Value::as_u64).unwrap_or(0)
    }

    /// What its stages did since `before`.
    fn work_since(&self, before: &Self) -> ServerWork {
        let since = |path: &str| self.number(path).saturating_sub(before.number(path));
        let nanos = since("/uptime_nanos");
        let stages = self.stages().zip(0..).map(|(stage, index)| {
            let since = |name: &str| since(&format!("/stages/{index}/{name}"));
            StageWork {
                name: stage["name"].as_str().unwrap_or_default().to_owned(),
                items: since("items"),
                batches: since("worked"),
                batch_max: stage["largest"].as_u64().unwrap_or(0),
                busy_share: since("busy_nanos") as f64 / nanos.max(1) as f64,
                age_ns: Age::of(&ages_since(stage, before.0.pointer(&format!("/stages/{index}")))),
            }
        });
        ServerWork {
            seconds: nanos as f64 / 1e9,
            commands: since("/positions/published"),
            events: since("/event_log/emitted"),
            looks: 0,
            ring_slots: self.number("/rings/slots"),
            commands_waiting_max: 0,
            events_waiting_max: 0,
            stages: stages.collect(),
        }
    }
}

/// Batches of a stage by the age of their oldest command, as [`Age::of`] takes them.
fn ages_since(stage: &Value, before: Option<&Value>) -> Vec<(u64, u64)> {
    let ages = |stage: &Value| -> BTreeMap<u64, u64> {
        let pairs = stage["ages"].as_array().into_iter().flatten();
        pairs.filter_map(|pair| Some((pair[0].as_u64()?, pair[1].as_u64()?))).collect()
    };
    let before = before.map(ages).unwrap_or_default();
    let since =
        |(ns, count): (u64, u64)| (ns, count.saturating_sub(before.get(&ns).copied().unwrap_or(0)));
    ages(stage).into_iter().map(since).collect()
}

/// Asks what the stages did since `before`, until `over`: at the end, and now and then before it,
/// for how full the rings are. Whoever sets `over` unparks the thread.
pub(crate) fn watch(
    admin: SocketAddr,
    before: &Status,
    over: &AtomicBool,
) -> Result<ServerWork, String> {
    let waiting = |status: &Status, ring: &str| status.number(&format!("/rings/{ring}"));
    let (mut looks, mut commands, mut events) = (0, 0, 0);
    loop {
        std::thread::park_timeout(LOOK);
        let is_over = over.load(Relaxed);
        let now = status(admin)?;
        looks += 1;
        commands = waiting(&now, "commands").max(commands);
        events = waiting(&now, "events").max(events);
        if is_over {
            return Ok(ServerWork {
                looks,
                commands_waiting_max: commands,
                events_waiting_max: events,
                ..now.work_since(before)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    const STATUS: &str = r#"{"version":"0.1.0","release":"synced","logic":{"name":"it","active":1},
        "rings":{"slots":64},"stages":[{"name":"gateway"},{"name":"journaler"}]}"#;

    fn said(body: &str) -> Status {
        Status::parse(&format!("HTTP/1.0 200 OK\r\nX: y\r\n\r\n{body}\n")).expect("a node's")
    }

    /// A node that has been up for so many seconds, and did so much.
    fn node(seconds: u64, done: u64, waiting: u64) -> String {
        let (nanos, busy) = (seconds * 1_000_000_000, done * 1_000_000);
        let stage = |name: &str, items: u64| {
            let worked = done;
            serde_json::json!({"name": name, "polls": 9, "worked": worked, "items": items,
                "largest": 64, "busy_nanos": busy, "busy_share": 0.5,
                "ages": [[1023, done / 2], [2047, 7], [4095, done / 2]]})
        };
        let stages = [stage("gateway", 5 * done), stage("processor", 2 * done)];
        serde_json::json!({"release": "synced", "uptime_nanos": nanos, "stages": stages,
            "positions": {"published": 3 * done}, "event_log": {"emitted": 7 * done},
            "rings": {"slots": 4096, "commands": waiting, "events": waiting + 1}})
        .to_string()
    }

    #[test]
    fn work_is_what_was_done_between_two_looks() {
        let work = said(&node(12, 600, 0)).work_since(&said(&node(10, 100, 0)));
        assert_eq!((work.seconds, work.commands, work.events), (2.0, 1_500, 3_500));
        let [gateway, processor] = &work.stages[..] else { panic!("{work:?}") };
        assert_eq!(
            (gateway.name.as_str(), gateway.items, gateway.batches),
            ("gateway", 2_500, 500)
        );
        assert_eq!((processor.items, processor.batch_max), (1_000, 64));
        assert!((processor.busy_share - 0.25).abs() < 1e-9 && processor.mean_batch() == Some(2.0));
        let age = Age { p50: 1_023, p99: 4_095, max: 4_095 };
        assert_eq!(processor.age_ns, Some(age), "what was counted before does not count");
        let idle = said(&node(12, 600, 0)).work_since(&said(&node(10, 600, 0)));
        assert_eq!((idle.stages[0].mean_batch(), idle.commands), (None, 0));
        assert_eq!(idle.stages[0].age_ns, None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the server's side runs beside it")]
    fn a_watch_asks_to_the_end_and_keeps_the_fullest_rings() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let admin = listener.local_addr().expect("bound");
        let over = AtomicBool::new(false);
        let work = std::thread::scope(|scope| {
            let watch = scope.spawn(|| watch(admin, &said(&node(1, 0, 900)), &over));
            for (seconds, done, waiting) in [(2, 10, 40), (3, 20, 5)] {
                let (mut stream, _) = listener.accept().expect("loopback");
                // Its question, or closing would reset the connection before the answer is read.
                let _ = stream.read(&mut [0; 1024]);
                let answer = format!("HTTP/1.0 200 OK\r\n\r\n{}", node(seconds, done, waiting));
                over.store(done == 10, Relaxed);
                stream.write_all(answer.as_bytes()).expect("loopback");
                drop(stream);
                watch.thread().unpark();
            }
            watch.join().expect("no panic").expect("answered")
        });
        assert_eq!((work.looks, work.commands, work.ring_slots), (2, 60, 4_096));
        assert_eq!((work.commands_waiting_max, work.events_waiting_max), (40, 41));
    }

    #[test]
    fn a_status_is_read_and_anything_else_refused() {
        let facts = said(STATUS).facts();
        let facts: Vec<String> =
            facts.iter().map(|it| format!("{}={}", it.name, it.value)).collect();
        let expected = [
            "version=0.1.0",
            "a reply means=synced",
            "logic=it 1",
            "ring slots=64",
            "stages=gateway journaler",
        ];
        assert_eq!(facts, expected);
        let parse = Status::parse;
        let refused =
            parse("HTTP/1.0 401 Unauthorized\r\n\r\n{\"error\":\"a token\"}").unwrap_err();
        assert!(refused.contains("401") && refused.contains("a token"), "{refused}");
        assert!(parse("HTTP/1.0 200 OK\r\n\r\n{}").is_err(), "another server");
        assert!(parse("220 smtp").is_err());
    }
}
