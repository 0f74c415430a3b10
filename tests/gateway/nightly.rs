//! The nightly routine on two real nodes under load, while a supervisor starts what has ended: the
//! roles change, clients lose nothing and hear nothing twice, wherever the routine is killed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::failover::{Node, are_the_same, at};
use crate::peer::{PATIENCE, wait_until};
use crate::program::{Done, PROGRAM};
use crate::traders::{Crowd, Venue};

/// Clients hear so much before something happens.
const MESSAGES: u64 = 300;
const LOOK: Duration = Duration::from_millis(10);
const DAY: &str = "2026-11-22";

/// The steps, as reports call them.
const STEPS: [&str; 8] = [
    "snapshot",
    "restart the standby",
    "compare digests",
    "hand over",
    "restart the former leader",
    "compare digests again",
    "archive at the new leader",
    "archive at the new standby",
];

/// Two nodes, the first of which leads, whose archives are beside them.
fn pair(net: u8, directory: &Path) -> [Node; 2] {
    [1, 2].map(|number| {
        let mut node = Node::new(net, number, "replicated", directory);
        // Clients go on while the standby is away.
        node.set("--on-standby-loss", "degrade");
        let archive = directory.join("archive").to_str().unwrap().to_owned();
        node.add("--archive", &archive);
        node.add("--keep", "1");
        node
    })
}

/// Starts nodes that have ended, and lets clients know who leads.
struct Supervisor<'a> {
    nodes: Mutex<&'a mut [Node; 2]>,
    is_done: AtomicBool,
    restarts: AtomicU64,
}

/// Whatever happens, those who watch come to their end, and clients that would go on for ever.
struct AtEnd<'a, 'b>(&'a Supervisor<'b>);

impl Drop for AtEnd<'_, '_> {
    fn drop(&mut self) {
        self.0.is_done.store(true, Ordering::SeqCst);
        if std::thread::panicking() {
            let mut nodes = self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner);
            nodes.iter_mut().for_each(|node| node.serving = None);
        }
    }
}

impl<'a> Supervisor<'a> {
    fn new(nodes: &'a mut [Node; 2]) -> Self {
        nodes.iter_mut().for_each(Node::start);
        nodes.iter_mut().for_each(Node::is_there);
        nodes[0].wait_for("\"stands_by\":true");
        // The other one hears of it a moment later.
        nodes[1].wait_for("\"leader\":\"127.");
        Self {
            nodes: Mutex::new(nodes),
            is_done: AtomicBool::new(false),
            restarts: AtomicU64::new(0),
        }
    }

    fn watch(&self, venue: &Venue) {
        while !self.is_done.load(Ordering::SeqCst) {
            let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
            for node in nodes.iter_mut() {
                let serving = node.serving.as_mut().unwrap();
                if serving.child.try_wait().unwrap().is_some() {
                    node.start();
                    self.restarts.fetch_add(1, Ordering::SeqCst);
                } else if node.leads() {
                    venue.set(Some(node.addresses()));
                }
            }
            drop(nodes);
            sleep(LOOK);
        }
    }
}

fn command(net: u8, reports: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["nightly", "--admin", &at(net, 1, 9000), "--admin", &at(net, 2, 9000)]);
    command.arg("--reports").arg(reports).args(["--day", DAY]).args(more);
    command.env_remove("RINGFRAME_ADMIN_TOKEN").stdin(Stdio::null());
    command
}

fn nightly(net: u8, reports: &Path, more: &[&str]) -> Done {
    Done::new(&command(net, reports, more).output().unwrap())
}

fn report(reports: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(reports.join(format!("nightly-{DAY}.json"))).ok()?;
    Some(serde_json::from_str(&text).expect("a report is whole at any moment"))
}

fn steps(report: &Value) -> Vec<&str> {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().map(|it| it["step"].as_str().unwrap()).collect()
}

/// Everything was done once, and the roles are swapped.
fn is_complete(net: u8, reports: &Path) -> Value {
    let report = report(reports).unwrap();
    assert_eq!(steps(&report), STEPS, "{report:#}");
    assert!(report["finished"].is_string() && report["stopped"].is_null(), "{report:#}");
    assert_eq!(report["led_before"], at(net, 1, 9000));
    assert_eq!(report["leads_after"], at(net, 2, 9000));
    let found = |step: usize| report["steps"][step]["found"].clone();
    assert!(found(2)["digest"].as_str().unwrap().len() == 32, "{report:#}");
    assert!(found(5)["sequence"].as_u64() > found(2)["sequence"].as_u64(), "{report:#}");
    // The upper bits count promotions.
    let promotions = found(3)["epoch"].as_u64().unwrap() >> 20;
    assert_eq!(promotions, 1, "one hand-over, whatever happened: {report:#}");
    let text = std::fs::read_to_string(reports.join(format!("nightly-{DAY}.md"))).unwrap();
    assert!(STEPS.iter().all(|step| text.contains(&format!("| {step} |"))), "{text}");
    report
}

/// How many segments the leader's journal has.
fn segments(directory: &Path) -> usize {
    std::fs::read_dir(directory.join("node-1/journal")).unwrap().count()
}

/// A pair and its supervisor with clients, whose roles a night swaps.
fn under_load(net: u8, event_segments: &str, night: impl FnOnce(&Path, &Supervisor<'_>)) {
    let directory = tempfile::tempdir().unwrap();
    let mut nodes = pair(net, directory.path());
    for node in &mut nodes {
        node.set("--segment-bytes", "256KiB");
        node.set("--event-segment-bytes", event_segments);
    }
    let supervisor = Supervisor::new(&mut nodes);
    let venue = Venue::new(None);
    scope(|scope| {
        let _end = AtEnd(&supervisor);
        scope.spawn(|| supervisor.watch(&venue));
        let crowd = Crowd::start(scope, &venue);
        venue.wait_for(MESSAGES);
        // Whatever snapshot the night takes or finds, a whole segment is below it.
        wait_until("the first segments are full", || segments(directory.path()) >= 4);
        night(directory.path(), &supervisor);
        venue.wait_for(MESSAGES);
        crowd.finish();
    });
    are_the_same(supervisor.nodes.into_inner().unwrap(), 1);
}

#[test]
fn a_night_under_load_loses_nothing_and_swaps_the_roles() {
    const NET: u8 = 120;
    under_load(NET, "1MiB", |directory, supervisor| {
        let reports = directory.join("reports");
        let dry = nightly(NET, &reports, &["--dry-run"]);
        let dry = dry.expect(0, &["leads term 257", "lets 127.", "would  hand over"]);
        assert!(!dry.out.contains("WRONG") && report(&reports).is_none(), "{dry:?}");
        for number in [1, 2] {
            let audited = directory.join(format!("node-{number}/audit.log"));
            assert_eq!(std::fs::read_to_string(audited).unwrap(), "", "nobody commanded anything");
        }
        let json = nightly(NET, &reports, &["--dry-run", "--json"]).expect(0, &[]);
        let json: Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(json["would"].as_array().unwrap().len(), STEPS.len(), "{json:#}");
        let done = nightly(NET, &reports, &[]).expect(0, &["done: ", " leads, "]);
        println!("{}", done.out);
        let report = is_complete(NET, &reports);
        assert_eq!(report["runs"], 1);
        // Segments were sealed meanwhile; both nodes have the same, so one place will do.
        for step in [6, 7] {
            let found = &report["steps"][step]["found"];
            let whole = found["segments"].as_u64() > Some(0) && found["kept_back"] == json!([]);
            assert!(whole && found["pruned"].as_u64() > Some(0), "{report:#}");
            let events = &found["events"];
            let whole = events["segments"].as_u64() > Some(0) && events["kept_back"] == json!([]);
            // The day has not ended.
            assert!(whole && events["below"] == 0 && events["pruned"] == 0, "{report:#}");
        }
        nightly(NET, &reports, &[]).expect(0, &["is done, since", "nothing was changed"]);
        assert_eq!(self::report(&reports).unwrap(), report);
        assert_eq!(supervisor.restarts.load(Ordering::SeqCst), 2, "each node once");
    });
}

#[test]
fn a_night_that_is_killed_at_every_step_is_gone_on_with() {
    const NET: u8 = 124;
    // Each archive that is killed is begun anew: what is compressed is the journal alone.
    under_load(NET, "64MiB", |directory, _| {
        let reports = directory.join("reports");
        let mut runs = 0;
        for done in 0..STEPS.len() {
            // Once something is noted or done that was not before, it is killed, wherever it is.
            let mut child = command(NET, &reports, &["--json"]).stdout(Stdio::null()).spawn();
            let child = child.as_mut().unwrap();
            runs += 1;
            wait_until_done(child, &reports, done);
            let _ = child.kill();
            child.wait().unwrap();
        }
        let report = report(&reports).unwrap();
        assert!(steps(&report).len() >= STEPS.len() - 1, "{report:#}");
        nightly(NET, &reports, &[]).expect(0, &[]);
        let report = is_complete(NET, &reports);
        println!("{runs} runs were killed: {report:#}");
    });
}

/// Waits until so many steps are done and the next one has begun, or the routine has ended.
fn wait_until_done(child: &mut Child, reports: &Path, steps_done: usize) {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let done = report(reports).map_or(0, |report| steps(&report).len());
        if done >= steps_done || child.try_wait().unwrap().is_some() {
            // In the middle of the next one.
            sleep(LOOK * steps_done as u32);
            return;
        }
        assert!(Instant::now() < give_up, "{:#?}", report(reports));
        sleep(Duration::from_millis(1));
    }
}

/// Passes on what a node says, with another digest in it.
fn liar(to: SocketAddr, is_done: &AtomicBool, listener: &TcpListener) {
    listener.set_nonblocking(true).unwrap();
    while !is_done.load(Ordering::SeqCst) {
        match listener.accept() {
            // Where the node ends meanwhile, there is no answer.
            Ok((client, _)) => drop(lie(client, to)),
            Err(_) => sleep(LOOK),
        }
    }
}

fn lie(mut client: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    client.set_nonblocking(false)?;
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while !request.windows(4).any(|it| it == b"\r\n\r\n") {
        let read = client.read(&mut piece)?;
        request.extend_from_slice(&piece[..read]);
    }
    let mut node = TcpStream::connect(to)?;
    node.write_all(&request)?;
    let mut answer = String::new();
    node.read_to_string(&mut answer)?;
    if request.starts_with(b"GET /digest") && answer.contains("200 OK") {
        let at = answer.find("\"digest\":\"").unwrap() + 10;
        let other = if answer.as_bytes()[at] == b'0' { "1" } else { "0" };
        answer.replace_range(at..=at, other);
    }
    client.write_all(answer.as_bytes())
}

#[test]
fn a_night_is_refused_when_the_standby_is_missing_or_digests_differ() {
    const NET: u8 = 128;
    let directory = tempfile::tempdir().unwrap();
    let reports = directory.path().join("reports");
    let mut nodes = pair(NET, directory.path());
    nodes[0].start();
    nodes[0].is_there();
    // Nobody stands by.
    for more in [&[][..], &["--dry-run"]] {
        let done = nightly(NET, &reports, more);
        done.expect(1, &["the standby 127.", "is not there: nobody listens at"]);
    }
    assert!(report(&reports).is_none());
    let supervisor = Supervisor::new(&mut nodes);
    let venue = Venue::new(None);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let lies = listener.local_addr().unwrap().to_string();
    let to = at(NET, 2, 9000).parse().unwrap();
    scope(|scope| {
        let _end = AtEnd(&supervisor);
        scope.spawn(|| supervisor.watch(&venue));
        scope.spawn(|| liar(to, &supervisor.is_done, &listener));
        let reports = directory.path().join("lies");
        let mut command = Command::new(PROGRAM);
        command.args(["nightly", "--admin", &at(NET, 1, 9000), "--admin", &lies]);
        command.arg("--reports").arg(&reports).args(["--day", DAY]).stdin(Stdio::null());
        let done = Done::new(&command.output().unwrap());
        done.expect(1, &["at the step \"compare digests\"", " differ: ", "nothing is handed over"]);
        let report = self::report(&reports).unwrap();
        assert_eq!(steps(&report), STEPS[..2], "{report:#}");
        assert_eq!(report["stopped"]["step"], "compare digests");
        // Another pair's report is not gone on with.
        nightly(NET, &reports, &[]).expect(2, &["is of other nodes"]);
        let nodes = supervisor.nodes.lock().unwrap();
        assert!(nodes[0].leads() && !nodes[1].leads());
        drop(nodes);
    });
    nightly(NET, &reports, &["--admin", "127.0.0.1:1"]).expect(2, &["given twice"]);
}
