//! What can be looked at beside a running node: books, sessions, files, events; and the page.

use std::net::SocketAddr;

use ringframe::wire::ouch::{Outbound, Side};
use serde_json::Value;

use crate::http::{PATIENCE, admin, ask, get, post, status};
use crate::peer::{PRICE, Peer, order};
use crate::program::Serving;

const QUICK: [&str; 4] = ["--release", "journaled", "--segment-bytes", "72KiB"];

fn json(to: SocketAddr, path: &str) -> Value {
    let (code, said) = get(to, path);
    assert_eq!(code, 200, "{path}: {said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{path}: {error}: {said}"))
}

/// The answer once it is so: the shadow is a little behind.
#[track_caller]
fn json_when(to: SocketAddr, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let give_up = std::time::Instant::now() + PATIENCE;
    loop {
        let said = json(to, path);
        if is_so(&said) {
            return said;
        }
        assert!(std::time::Instant::now() < give_up, "{path} stays {said:#}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[track_caller]
fn wrong(to: SocketAddr, path: &str, code: u16, why: &str) {
    let (found, said) = get(to, path);
    assert!(found == code && said.contains(why), "{path}: {found} {said}");
}

fn enter(peer: &mut Peer, numbers: std::ops::Range<u64>, side: Side, price: u32) {
    for number in numbers {
        peer.order(&order(number, side, 100, price)).unwrap();
        assert!(matches!(peer.told(), Outbound::Accepted(_)));
    }
}

#[test]
fn books_and_sessions_are_seen_beside_the_processor() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(&QUICK, directory.path());
    let to = admin(&serving);
    let mut peer = Peer::from(serving.addresses[0], 5, 0);
    enter(&mut peer, 0..3, Side::BUY, PRICE);
    enter(&mut peer, 3..5, Side::BUY, PRICE - 100);
    enter(&mut peer, 5..6, Side::SELL, PRICE + 300);
    let _reader = Peer::from(serving.addresses[1], 7, 0);
    let applied = status(to)["positions"]["applied"].as_u64().unwrap();
    let has_all = |it: &Value| it["sequence"].as_u64() >= Some(applied);
    let said = json_when(to, "/books/AAPL", has_all);
    let book = &said["book"];
    assert_eq!((&book["symbol"], &book["state"]), (&"AAPL".into(), &"open".into()));
    let level = |side: &str, at: usize| {
        let level = &book[side][at];
        (level["price"].clone(), level["quantity"].clone(), level["orders"].clone())
    };
    assert_eq!(level("buys", 0), ("230.0000".into(), 300.into(), 3.into()));
    assert_eq!(level("buys", 1), ("229.9900".into(), 200.into(), 2.into()));
    assert_eq!(level("sells", 0), ("230.0300".into(), 100.into(), 1.into()));
    // Of many books there are the best levels, unless more are wanted.
    let books = &json(to, "/books")["books"];
    assert!(books.as_array().unwrap().len() > 100 && books[0]["symbol"] == "AAPL", "{books}");
    assert_eq!(books[0]["buys"].as_array().unwrap().len(), 1);
    assert_eq!(json(to, "/books?levels=2")["books"][0]["buys"].as_array().unwrap().len(), 2);
    assert_eq!(json(to, "/books/AAPL?levels=1")["book"]["buys"].as_array().unwrap().len(), 1);
    wrong(to, "/books/NONE", 404, "no instrument NONE here");
    wrong(to, "/books/AAAAAAAAA", 400, "up to 8 printable");
    wrong(to, "/books/%zz", 400, "hexadecimal");
    wrong(to, "/books?levels=1001", 400, "up to 1000");
    wrong(to, "/books?level=1", 400, "level is not understood: levels");

    let is_there = |it: &Value| {
        let connections = it["connections"].as_array().unwrap();
        connections.len() == 2 && connections.iter().any(|it| it["session"].is_null())
    };
    let said = json_when(to, "/sessions", is_there);
    let known = said["sessions"].as_array().unwrap();
    let five = known.iter().find(|it| it["session"] == 5).unwrap();
    assert!(five["open_orders"] == 6 && five["participant"].is_number(), "{five}");
    assert_eq!(said["users"]["5"], "TRDR05");
    let connections = said["connections"].as_array().unwrap();
    let talker = connections.iter().find(|it| it["session"] == 5).unwrap();
    assert_eq!((&talker["next"], &talker["behind_bytes"]), (&peer.next.into(), &0.into()));
    let from = peer.stream.local_addr().unwrap().to_string();
    assert_eq!(talker["from"], from);
    let orders = &json(to, "/sessions/5")["session"]["orders"];
    let token = orders[0]["token"].as_str().unwrap();
    assert_eq!(orders.as_array().unwrap().len(), 6);
    assert_eq!(json(to, "/sessions/5?limit=2")["session"]["orders"].as_array().unwrap().len(), 2);
    assert_eq!(json(to, "/sessions/TRDR05")["session"]["session"], 5);
    let found = json(to, &format!("/events?session=5&token={}", token.replace('#', "%23")));
    assert_eq!(found["events"][0]["accepted"]["order"]["token"], token, "{found}");
    wrong(to, "/sessions/60000", 404, "no session 60000 here");
    wrong(to, "/sessions/x", 400, "whole number");
    wrong(to, "/sessions?levels=1", 400, "not understood");
    assert_eq!(ask(to, "POST", "/books", "", "").0, 405);
    serving.drain();

    // Without a shadow that is said; the connections are there all the same.
    let serving = Serving::start(&["--snapshots", "off"], directory.path());
    let to = admin(&serving);
    wrong(to, "/books", 409, "snapshots.mode = shadow");
    let said = json(to, "/sessions");
    assert!(said["sessions"].is_null() && said["connections"] == serde_json::json!([]), "{said}");
    serving.drain();
}

#[test]
fn files_are_described_the_newest_first() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("archive");
    let place = place.to_str().unwrap();
    let data = directory.path().join("data");
    let more = ["--event-segment-bytes", "72KiB", "--archive", place];
    let serving = Serving::start(&[&QUICK[..], &more].concat(), &data);
    let to = admin(&serving);
    let mut peer = Peer::from(serving.addresses[0], 5, 0);
    enter(&mut peer, 0..2_000, Side::BUY, PRICE);
    let (_, saved) = post(to, "/snapshot", "");
    let is_sealed = |it: &Value| {
        ["journal", "events"].iter().all(|log| it[log]["newest"][2]["state"] == "sealed")
    };
    json_when(to, "/segments", is_sealed);
    assert_eq!(post(to, "/archive", "").0, 200);
    let said = json(to, "/segments");
    let journal = said["journal"]["newest"].as_array().unwrap();
    assert_eq!(said["journal"]["count"], journal.len());
    for pair in journal.windows(2) {
        let [newer, older] = pair else { unreachable!() };
        assert!(newer["number"].as_u64() > older["number"].as_u64(), "{said:#}");
        if newer["first"].is_number() {
            let next = older["last"].as_u64().unwrap() + 1;
            assert_eq!(newer["first"], next, "{said:#}");
        }
    }
    let oldest = journal.last().unwrap();
    assert!(oldest["state"] == "sealed" && oldest["archived"] == true, "{oldest}");
    assert!(oldest["first"] == 1 && oldest["bytes"].as_u64() >= oldest["used_bytes"].as_u64());
    assert_eq!(oldest["digest"].as_str().unwrap().len(), 64);
    let oldest = said["events"]["newest"].as_array().unwrap().last().unwrap();
    assert!(oldest["state"] == "sealed" && oldest["archived"] == true, "{oldest}");
    let newest = &said["snapshots"]["newest"][0];
    assert_eq!((&newest["sequence"], &newest["bytes"]), (&saved["sequence"], &saved["bytes"]));
    let one = json(to, "/segments?limit=1");
    assert_eq!(one["journal"]["newest"].as_array().unwrap().len(), 1);
    assert_eq!(one["journal"]["count"], said["journal"]["count"]);
    wrong(to, "/segments?limit=501", 400, "up to 500");
    serving.drain();
}

fn numbers(found: &Value) -> Vec<u64> {
    let events = found["events"].as_array().unwrap();
    events.iter().map(|it| it["number"].as_u64().unwrap()).collect()
}

#[test]
fn events_are_found_by_what_they_are_of_and_from_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(&QUICK, directory.path());
    let to = admin(&serving);
    let mut peer = Peer::from(serving.addresses[0], 5, 0);
    enter(&mut peer, 0..700, Side::BUY, PRICE);
    let mut other = Peer::from(serving.addresses[0], 6, 0);
    other.order(&order(7, Side::SELL, 250, PRICE)).unwrap();
    assert!(matches!(other.told(), Outbound::Accepted(_)));
    (0..3).for_each(|_| assert!(matches!(other.told(), Outbound::Executed(_))));
    let last = json_when(to, "/events", |it| it["events"][0]["cause"] != 0)["last"].clone();
    let last = last.as_u64().unwrap();

    // Piece by piece backwards: all of them, each once.
    let (mut all, mut path) = (Vec::new(), "/events?limit=97".to_owned());
    loop {
        let found = json(to, &path);
        all.extend(numbers(&found));
        match found["next"]["before"].as_u64() {
            Some(number) => path = format!("/events?limit=97&before={number}"),
            None => break,
        }
    }
    let first = *all.last().unwrap();
    assert!(first == 1 && all[0] >= last, "{first} to {}, not {last}", all[0]);
    assert!(all.windows(2).all(|pair| pair[0] == pair[1] + 1), "dense, the newest first");
    // And forwards, from anywhere.
    let found = json(to, "/events?from=250&limit=3");
    assert_eq!((numbers(&found), &found["next"]["from"]), (vec![250, 251, 252], &253.into()));
    let beyond = json(to, &format!("/events?from={}", last + 1000));
    assert!(numbers(&beyond).is_empty(), "{beyond}");

    // By order, by token, by session: what is of them, and nothing else.
    let of_other = json(to, "/events?session=6");
    let trades: Vec<&Value> = of_other["events"].as_array().unwrap().iter().rev().collect();
    let accepted = trades.iter().find(|it| !it["accepted"].is_null()).unwrap();
    let own = &accepted["accepted"]["order"];
    let traded: Vec<&&Value> = trades.iter().filter(|it| !it["traded"].is_null()).collect();
    assert_eq!(traded.len(), 3);
    let maker = &traded[0]["traded"]["maker"];
    let of_maker = json(to, &format!("/events?order={}", maker["reference"]));
    let newest = &of_maker["events"][0];
    assert_eq!(newest["traded"]["maker"], *maker, "the newest is the trade");
    let token = maker["token"].as_str().unwrap().replace('#', "%23");
    let by_token = json(to, &format!("/events?token={token}"));
    for event in by_token["events"].as_array().unwrap() {
        assert!(event.to_string().contains(maker["token"].as_str().unwrap()), "{event}");
    }
    assert!(numbers(&by_token).contains(&newest["number"].as_u64().unwrap()));
    let token = own["token"].as_str().unwrap().replace('#', "%23");
    let nobody = json(to, &format!("/events?session=7&token={token}"));
    assert!(numbers(&nobody).is_empty() && nobody["next"].is_null(), "{nobody}");

    // By command and by time.
    let cause = accepted["cause"].as_u64().unwrap();
    let found = json(to, &format!("/events?sequence={cause}&limit=4"));
    assert!(found["events"].as_array().unwrap().iter().all(|it| it["cause"] == cause), "{found}");
    assert_eq!(found["events"][0], **accepted);
    let time = accepted["time"].as_str().unwrap();
    for time in [time, &accepted["nanos"].to_string()] {
        let found = json(to, &format!("/events?time={time}&limit=1"));
        assert_eq!(found["events"][0]["time"], accepted["time"], "{time}");
    }

    wrong(to, "/events?token=THISISFARTOOLONG", 400, "up to 14 letters");
    wrong(to, "/events?session=70000", 400, "up to 65535");
    wrong(to, "/events?order=x", 400, "whole number");
    wrong(to, "/events?before=1&from=1", 400, "begins in one place");
    wrong(to, "/events?time=yesterday", 400, "2026-01-02T15:30:00Z");
    wrong(to, "/events?limit=501", 400, "up to 500");
    wrong(to, "/events?limit=1&limit=2", 400, "there twice");
    wrong(to, "/events?symbol=AAPL", 400, "not understood");
    serving.drain();
}

#[test]
fn the_page_is_whole_and_asks_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(&QUICK, directory.path());
    let to = admin(&serving);
    let (code, page) = get(to, "/");
    assert!(code == 200 && page.starts_with("<!DOCTYPE html>"), "{code} {page}");
    let head = crate::http::say(to, format!("GET / HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes());
    let head = head.split_once("\r\n\r\n").unwrap().0.to_lowercase();
    for said in ["content-security-policy: default-src 'none'", "nosniff", "no-referrer"] {
        assert!(head.contains(said), "{said}: {head}");
    }
    // Every file that the page names is there, and what these name.
    let (mut waiting, mut seen) = (vec![page], Vec::new());
    while let Some(text) = waiting.pop() {
        assert!(!text.replace("http://www.w3.org/", "").contains("://"), "{text}");
        let quoted = text.split('"').filter_map(|it| {
            it.strip_prefix("/assets/").or_else(|| it.strip_prefix("./")).map(str::to_owned)
        });
        for name in quoted {
            if !seen.contains(&name) {
                let (code, text) = get(to, &format!("/assets/{name}"));
                assert_eq!(code, 200, "{name}");
                waiting.push(text);
                seen.push(name);
            }
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
    wrong(to, "/assets/none.js", 404, "no such file");
    wrong(to, "/assets/..%2frouter.rs", 404, "no such file");
    let (code, _) = ask(to, "POST", "/", "", "");
    assert_eq!(code, 405);
    serving.drain();
}
