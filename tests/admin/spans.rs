//! Spans of sampled orders: what a collector gets, and what it cannot do to orders.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ringframe::journal::MappedStorage;
use ringframe::replication::Epochs;
use ringframe::wire::ouch::{Cancel, Inbound, Outbound, Side};
use ringframe::wire::soup::FromClient;
use rustix::process::Signal;
use serde_json::Value;

use crate::http::{PATIENCE, admin, get, status, status_when};
use crate::peer::{PRICE, Peer, order};
use crate::program::{Serving, ringframe};

const USER: u16 = 5;
/// Tokens of orders that are refused.
const NONSENSE: u64 = 1_000_000;

/// What a collector does with a call.
#[derive(Clone, Copy)]
enum Manner {
    Says(&'static str),
    /// Takes it, and says nothing.
    Hangs,
}

const OK: Manner = Manner::Says("200 OK\r\nContent-Length: 2\r\n\r\n{}");
/// In pieces, as servers do that do not count before.
const CHUNKED: Manner = Manner::Says(
    "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n16\r\n{\"partialSuccess\": {}}\r\n0\r\n\r\n",
);

const REFUSES: Manner = Manner::Says("503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
const REFUSES_SOME: Manner = Manner::Says(
    "200 OK\r\nContent-Length: 70\r\n\r\n\
     {\"partialSuccess\":{\"rejectedSpans\":\"5\",\"errorMessage\":\"no room here\"}}",
);

/// Calls, and when they came.
type Heard = Receiver<(Instant, Call)>;

/// Hears calls, each in the next manner, the last one for good.
fn collector(at: &str, manners: &'static [Manner]) -> (String, Heard) {
    let listener = TcpListener::bind(at).unwrap();
    let to = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut manners = manners.iter().copied();
        let mut manner = manners.next().unwrap();
        let mut hung = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let call = Call::hear(&mut stream);
            match manner {
                Manner::Says(answer) => {
                    let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes());
                }
                Manner::Hangs => hung.push(stream),
            }
            manner = manners.next().unwrap_or(manner);
            if tell.send((Instant::now(), call)).is_err() {
                return;
            }
        }
    });
    (to, told)
}

/// What came.
struct Call {
    head: String,
    body: Value,
}

impl Call {
    fn hear(stream: &mut TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = Vec::new();
        let (mut end, mut length) = (None, 0);
        while end.is_none_or(|end| heard.len() < end + length) {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "it is whole");
            heard.extend(&piece[..count]);
            if let (None, Some(at)) = (end, heard.windows(4).position(|it| it == b"\r\n\r\n")) {
                let head = String::from_utf8_lossy(&heard[..at]).to_lowercase();
                let counted = head.lines().find_map(|it| it.strip_prefix("content-length: "));
                (end, length) = (Some(at + 4), counted.unwrap().parse().unwrap());
            }
        }
        let (head, body) = heard.split_at(end.unwrap());
        let head = String::from_utf8(head.to_vec()).unwrap();
        Self { head, body: serde_json::from_slice(body).unwrap() }
    }
}

/// A span, with its numbers read.
#[derive(Debug)]
struct Span {
    trace: String,
    id: String,
    parent: Option<String>,
    kind: u64,
    from: u64,
    to: u64,
    attributes: BTreeMap<String, String>,
}

fn hexadecimal(value: &Value, digits: usize) -> String {
    let text = value.as_str().unwrap();
    let is_hexadecimal = |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
    assert!(text.len() == digits && text.bytes().all(is_hexadecimal), "{text}");
    assert!(text.bytes().any(|it| it != b'0'), "zero is no name");
    text.to_owned()
}

/// The spans of a call by their names, each well formed.
fn spans(call: &Call) -> BTreeMap<String, Span> {
    assert!(call.head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{}", call.head);
    assert!(call.head.to_lowercase().contains("content-type: application/json"), "{}", call.head);
    let only = |value: &Value| {
        let [one] = value.as_array().unwrap().as_slice() else { panic!("{value}") };
        one.clone()
    };
    let resource = only(&call.body["resourceSpans"]);
    assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "ringframe");
    let scope = only(&resource["scopeSpans"]);
    let mut spans = BTreeMap::new();
    for span in scope["spans"].as_array().unwrap() {
        let nanos = |name: &str| span[name].as_str().unwrap().parse().unwrap();
        let attributes = span["attributes"].as_array().into_iter().flatten();
        let attributes = attributes.map(|it| {
            let value = &it["value"];
            let value = value["stringValue"].as_str().or(value["intValue"].as_str());
            (it["key"].as_str().unwrap().to_owned(), value.unwrap().to_owned())
        });
        let it = Span {
            trace: hexadecimal(&span["traceId"], 32),
            id: hexadecimal(&span["spanId"], 16),
            parent: span.get("parentSpanId").map(|it| hexadecimal(it, 16)),
            kind: span["kind"].as_u64().unwrap(),
            from: nanos("startTimeUnixNano"),
            to: nanos("endTimeUnixNano"),
            attributes: attributes.collect(),
        };
        let name = span["name"].as_str().unwrap().to_owned();
        assert!(spans.insert(name, it).is_none(), "each is there once: {scope}");
    }
    spans
}

/// The spans of an order are one tree, and its times go forward. What the order was.
fn tree(spans: &BTreeMap<String, Span>, names: &[&str]) -> BTreeMap<String, String> {
    let there: BTreeSet<&str> = spans.keys().map(String::as_str).collect();
    assert_eq!(there, names.iter().copied().collect());
    let root = &spans["order"];
    assert!(root.parent.is_none() && root.kind == 2 && root.from < root.to, "{root:?}");
    for (name, span) in spans.iter().filter(|(name, _)| *name != "order") {
        assert!(span.parent.as_ref() == Some(&root.id) && span.kind == 1, "{name}: {span:?}");
        assert_eq!(span.trace, root.trace);
        assert!(root.from <= span.from && span.from <= span.to && span.to <= root.to, "{spans:#?}");
    }
    let names: BTreeSet<&String> = spans.values().map(|span| &span.id).collect();
    assert_eq!(names.len(), spans.len(), "each has its own name");
    let (journal, apply) = (&spans["journal"], &spans["apply"]);
    assert_eq!((journal.from, journal.to), (root.from, apply.from));
    assert_eq!(spans["release"].to, root.to);
    root.attributes.clone()
}

/// What the root says.
fn root(call: &Call, name: &str) -> String {
    spans(call)["order"].attributes[name].clone()
}

/// Orders, their cancels, and orders that are refused, about a thousand a second, each answered
/// before the next one, until it is enough. The calls meanwhile, and how many answers there were.
fn trade(
    peer: &mut Peer,
    calls: &Heard,
    first: u64,
    mut is_enough: impl FnMut(&[(Instant, Call)]) -> bool,
) -> (Vec<(Instant, Call)>, u64) {
    let (mut heard, give_up) = (Vec::new(), Instant::now() + PATIENCE);
    for number in first.. {
        let enter = order(number, Side::BUY, 100, PRICE);
        send(peer, enter.into());
        assert!(matches!(peer.told(), Outbound::Accepted(_)));
        send(peer, Cancel { token: enter.token, shares: 0.into() }.into());
        assert!(matches!(peer.told(), Outbound::Canceled(_)));
        send(peer, order(number + NONSENSE, Side::BUY, 0, PRICE).into());
        assert!(matches!(peer.told(), Outbound::Rejected(_)));
        heard.extend(calls.try_iter());
        if is_enough(&heard) {
            return (heard, number - first);
        }
        assert!(Instant::now() < give_up, "{} calls", heard.len());
        std::thread::sleep(Duration::from_millis(3));
    }
    unreachable!("numbers do not end")
}

fn send(peer: &mut Peer, message: Inbound) {
    let mut bytes = [0; Inbound::BYTES_MAX];
    let length = message.encode(&mut bytes).unwrap();
    peer.say(FromClient::Data(&bytes[..length])).unwrap();
}

fn metric(to: SocketAddr, name: &str) -> Option<u64> {
    let (_, text) = get(to, "/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("ringframe_{name} ")));
    line.map(|value| value.parse().unwrap())
}

/// What the event log has of a command: its first event.
fn event(admin: SocketAddr, sequence: &str) -> Value {
    let (code, said) = get(admin, &format!("/events?sequence={sequence}&limit=1"));
    assert_eq!(code, 200, "{said}");
    serde_json::from_str::<Value>(&said).unwrap()["events"][0].clone()
}

#[test]
fn a_collector_is_told_of_sampled_orders_from_ingress_to_release() {
    let directory = tempfile::tempdir().unwrap();
    let (to, calls) = collector("127.0.0.1:0", &[OK, CHUNKED]);
    let settings = ["--spans-to", &to, "--spans-per-second", "20"];
    let mut serving = Serving::start(&settings, directory.path());
    let mut peer = Peer::from(serving.addresses[0], USER, 0);
    let mut outcomes = BTreeSet::new();
    let (heard, count) = trade(&mut peer, &calls, 0, |heard| {
        outcomes.extend(heard.iter().map(|(_, call)| root(call, "ringframe.outcome")));
        heard.len() >= 12 && outcomes.len() == 3
    });
    let store = MappedStorage::new(directory.path().join("journal"));
    let history = Epochs::open(store, 1).unwrap().history().0;
    let admin = admin(&serving);
    let mut seen = BTreeSet::new();
    for (_, call) in &heard {
        let spans = spans(call);
        let told = tree(&spans, &["order", "journal", "sync", "apply", "release"]);
        assert_eq!(spans["sync"].from, spans["journal"].to);
        let told = |name: &str| told[&format!("ringframe.{name}")].as_str();
        assert_eq!((told("session"), told("release")), ("5", "synced"));
        let sequence: u64 = told("sequence").parse().unwrap();
        assert!(seen.insert(sequence), "{sequence} twice");
        // It is the event log's order, with its time and token.
        let event = event(admin, told("sequence"));
        assert_eq!(event["cause"], sequence);
        assert_eq!(event["nanos"], spans["order"].from);
        let it = &event[told("outcome")];
        let it = if told("outcome") == "rejected" { it } else { &it["order"] };
        assert_eq!(it["token"], told("token"), "{event}");
        // Whoever knows the command knows the trace.
        let mut name = blake3::Hasher::new();
        let epoch: u32 = told("epoch").parse().unwrap();
        name.update(&history.to_le_bytes()).update(&sequence.to_le_bytes());
        name.update(&epoch.to_le_bytes());
        assert_eq!(spans["order"].trace, name.finalize().to_hex().as_str()[..32]);
    }
    let sent = heard.len() as u64;
    let status = status_when(admin, |it| it["spans"]["sent"].as_u64() >= Some(sent));
    assert_eq!(status["spans"]["dropped"], 0);
    assert!(metric(admin, "spans_sent_total") >= Some(sent));
    assert_eq!(metric(admin, "spans_dropped_total"), Some(0));
    // Without the history they would have a name that others may have, too.
    std::fs::write(directory.path().join("journal/epochs"), "nothing").unwrap();
    let is_lost = |_: &[_]| metric(admin, "spans_dropped_total") >= Some(1);
    trade(&mut peer, &calls, count + 1, is_lost);
    let why = serving.wait_for("spans: on this node: ");
    assert!(why.contains("epochs"), "{why}");
}

#[test]
fn a_collector_that_is_away_or_hangs_or_refuses_costs_spans_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let to = format!("http://{nobody}/v1/traces");
    let quick = ["--release", "journaled", "--spans-per-second", "20"];
    let settings = [&["--spans-to", &to], &quick[..]].concat();
    let mut serving = Serving::start(&settings, directory.path());
    let admin = admin(&serving);
    let mut peer = Peer::from(serving.addresses[0], USER, 0);
    let dropped = || status(admin)["spans"]["dropped"].as_u64().unwrap();
    let (_, more) = trade(&mut peer, &channel().1, 0, |_| dropped() >= 3);
    serving.wait_for("no connection");
    let manners: &[Manner] = &[REFUSES, REFUSES_SOME, Manner::Hangs, OK, Manner::Hangs];
    let (_, calls) = collector(&nobody.to_string(), manners);
    let mut next = more + 1;
    let mut until = |count: usize| {
        let (heard, more) = trade(&mut peer, &calls, next, |heard| heard.len() >= count);
        next += more + 1;
        (heard, more)
    };
    let (heard, _) = until(3);
    // It hangs. As many orders are answered meanwhile as ever; each call is of another one.
    let (again, more) = until(1);
    let waited = again[0].0 - heard[2].0;
    assert!(waited >= Duration::from_secs(4), "{waited:?}");
    assert!(more >= 20, "{more} orders in {waited:?}");
    let sequences: BTreeSet<String> =
        heard.iter().chain(&again).map(|(_, call)| root(call, "ringframe.sequence")).collect();
    assert_eq!(sequences.len(), 4);
    let told = status_when(admin, |it| it["spans"]["sent"] == 1);
    assert!(told["spans"]["dropped"].as_u64() >= Some(6), "{}", told["spans"]);
    // It hangs again, and nobody waits for it at the end.
    let (_, _) = until(1);
    let asked = Instant::now();
    serving.signal(Signal::TERM);
    let done = serving.end().expect(0, &[]);
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    // Said once, whatever came after: nothing was well for a minute.
    let said = done.out + &done.err;
    for once in ["no connection", "spans: "] {
        assert_eq!(said.matches(once).count(), 1, "{said}");
    }
}

#[test]
fn the_leader_of_a_pair_tells_of_the_standby_and_the_standby_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (to, calls) = collector("127.0.0.1:0", &[OK]);
    let settings = ["--spans-to", &to, "--release", "replicated"];
    let leader = Serving::start(&settings, &directory.path().join("one"));
    let (_, others) = leader.places.split_once("other nodes at ").unwrap();
    let (others, _) = others.split_once(',').unwrap();
    let follows = [&["serve", "--standby-of", others], &settings[..]].concat();
    let mut standby = Serving::spawn(&mut ringframe(&follows, &directory.path().join("other")));
    standby.places = standby.wait_for("operators at ");
    standby.wait_for("standing by");
    let mut peer = Peer::from(leader.addresses[0], USER, 0);
    let is_replicated = |call: &Call| root(call, "ringframe.release") == "replicated";
    let (heard, _) = trade(&mut peer, &calls, 0, |heard| {
        heard.iter().filter(|(_, call)| is_replicated(call)).count() >= 3
    });
    for pair in heard.windows(2) {
        let between = pair[1].0 - pair[0].0;
        assert!(between >= Duration::from_millis(500), "{between:?}, at one a second");
    }
    for (_, call) in heard.iter().filter(|(_, call)| is_replicated(call)) {
        let spans = spans(call);
        tree(&spans, &["order", "journal", "replicate", "apply", "release"]);
        assert!(spans["release"].from >= spans["replicate"].to);
    }
    let told = status(admin(&standby));
    assert_eq!((&told["spans"]["sent"], &told["spans"]["dropped"]), (&0.into(), &0.into()));
}
