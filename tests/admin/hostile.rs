//! Who sends too much, too slowly or nonsense: it ends, and others are served meanwhile.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::http::{PATIENCE, admin, ask, audited, get, post, say, status};
use crate::peer::{PRICE, Peer, order};
use crate::program::Serving;
use ringframe::wire::ouch::{Outbound, Side};

/// What a server of the demo may need for itself, and for all that is done to it here.
const MEMORY_MAX: u64 = 256 << 20;

fn memory(serving: &Serving) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", serving.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn nonsense_and_too_much_are_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(&["--release", "journaled"], directory.path());
    let to = admin(&serving);
    let garbage: Vec<u8> = (0..1 << 20).map(|it: u32| it.wrapping_mul(0x9E37_79B9) as u8).collect();
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20));
    let headers = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(10_000));
    let endless = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(1 << 20));
    for bytes in [&garbage, long.as_bytes(), headers.as_bytes(), endless.as_bytes(), b"\r\n\r\n"] {
        let heard = say(to, bytes);
        assert!(!heard.contains(" 200 "), "{heard}");
    }
    // A body that is longer than any command, whether it says so or not.
    let big = "x".repeat(8 << 20);
    let length = format!("Host: {to}\r\nContent-Length: {}\r\n\r\n{big}", big.len());
    let chunked =
        format!("Host: {to}\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n{big}\r\n0\r\n");
    for rest in [length, chunked] {
        let heard = say(to, format!("POST /command HTTP/1.1\r\n{rest}").as_bytes());
        assert!(heard.is_empty() || heard.contains(" 413 "), "{heard}");
    }
    // A page of another site, and one whose name leads here.
    let (code, _) = ask(to, "POST", "/drain", "Origin: http://evil.example\r\n", "");
    assert_eq!(code, 403);
    let heard = say(to, b"GET /status HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert!(heard.contains(" 403 "), "{heard}");
    assert_eq!(audited(directory.path()).len(), 1, "of these, one may have been a command");
    assert!(memory(&serving) < MEMORY_MAX, "{} bytes", memory(&serving));
    assert_eq!(get(to, "/readyz").0, 200);
    serving.drain();
}

#[test]
fn who_is_slow_holds_nobody_and_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(&["--release", "journaled"], directory.path());
    let to = admin(&serving);
    // More than it keeps, each in the middle of something.
    let begun: [&[u8]; 3] = [
        b"",
        b"GET /status HT",
        b"POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
    ];
    let open = |at: usize| {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(begun[at % begun.len()]).unwrap();
        stream
    };
    let mut slow: Vec<TcpStream> = (0..100).map(open).collect();
    assert_eq!(status(to)["state"], "serving");
    let mut peer = Peer::from(serving.addresses[0], 5, 0);
    peer.order(&order(0, Side::BUY, 100, PRICE)).unwrap();
    assert!(matches!(peer.told(), Outbound::Accepted(_)));
    assert_eq!(post(to, "/command", r#"{"kill":{"participant":9,"on":true}}"#).0, 200);
    for stream in &mut slow {
        let mut heard = Vec::new();
        // Either way it ends, by the server.
        match stream.read_to_end(&mut heard) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
        assert!(!String::from_utf8_lossy(&heard).contains(" 200 "));
    }
    assert_eq!(get(to, "/readyz").0, 200, "it was not drained by half a request");
    serving.drain();
}
