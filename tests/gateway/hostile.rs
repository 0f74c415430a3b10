//! Clients that mean harm: others go on being served, and memory stays bounded.

use std::fs;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use fastrand::Rng;
use ringframe::wire::layout::Alpha;
use ringframe::wire::ouch::{Outbound, Side};
use ringframe::wire::soup::{FromClient, LoginReject, LoginRequest, Session};
use serde_json::Value;

use crate::crowd::raise_limit;
use crate::peer::{Heard, PRICE, Peer, Stops, answered, login, order, packed, packed_order, token};
use crate::program::{PROGRAM, Serving};

/// Who means no harm.
const GOOD: u16 = 1;
const BAD: u16 = 66;
/// What a server of the demo may need for itself, and for all that is done to it here.
const MEMORY_MAX: u64 = 256 << 20;

/// What the server has of its own, without the pages of files.
fn memory(serving: &Serving) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", serving.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// Orders and answers, until it is told to stop.
fn trade(address: SocketAddr, answers: &AtomicU64, stop: &AtomicBool) {
    let mut peer = Peer::from(address, GOOD, 0);
    while !stop.load(Ordering::SeqCst) {
        let number = answers.load(Ordering::SeqCst);
        peer.order(&order(number, Side::BUY, 1, PRICE / 2)).unwrap();
        assert_eq!(answered(&peer.told()), Some(token(number)));
        answers.fetch_add(1, Ordering::SeqCst);
    }
}

/// Does harm while a good client trades, who must get on meanwhile.
fn endured(harm: impl FnOnce(&mut Serving)) {
    raise_limit();
    let directory = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(&["--release", "journaled"], directory.path());
    let address = serving.addresses[0];
    let (answers, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    scope(|scope| {
        let good = scope.spawn(|| trade(address, &answers, &stop));
        let wait_for_more = || {
            let before = answers.load(Ordering::SeqCst);
            while answers.load(Ordering::SeqCst) < before + 3 && !good.is_finished() {
                sleep(Duration::from_millis(1));
            }
        };
        let stops = Stops(&stop);
        wait_for_more();
        harm(&mut serving);
        wait_for_more();
        drop(stops);
        good.join().unwrap();
    });
    let memory = memory(&serving);
    assert!(memory < MEMORY_MAX, "{} MiB", memory >> 20);
    serving.drain();
}

/// Says these bytes, and nothing else: the server ends it.
fn is_cut(address: SocketAddr, bytes: &[u8]) -> Vec<Heard> {
    let mut peer = Peer::open(address);
    peer.is_alive = false;
    // It may be cut while it says them.
    let _ = peer.write(bytes);
    peer.hear_the_end()
}

fn logged_in(address: SocketAddr, bytes: &[u8]) -> Peer {
    let mut peer = Peer::from(address, BAD, 0);
    let _ = peer.write(bytes);
    peer
}

#[test]
fn garbage_ends_a_connection_and_nothing_else() {
    endured(|serving| {
        let mut rng = Rng::with_seed(1);
        for round in 0..200 {
            let address = serving.addresses[round % 2];
            let most = 1 << rng.u32(2..17);
            let mut bytes = vec![0; rng.usize(2..most)];
            rng.fill(&mut bytes);
            let mut peer =
                if round % 4 < 2 { Peer::open(address) } else { Peer::from(address, BAD, 0) };
            let _ = peer.write(&bytes);
            // What is no packet yet could become one.
            let _ = peer.stream.shutdown(Shutdown::Write);
            peer.hear_the_end();
        }
    });
}

#[test]
fn a_line_for_programs_says_which_session_it_is_about() {
    let directory = tempfile::tempdir().unwrap();
    let settings = ["--log", "json", "--release", "journaled"];
    let mut serving = Serving::start(&settings, directory.path());
    logged_in(serving.addresses[0], &[0xFF; 64]).hear_the_end();
    let line: Value = serde_json::from_str(&serving.wait_for("cut off")).unwrap();
    assert_eq!(
        (line["level"].as_str(), line["session"].as_u64()),
        (Some("INFO"), Some(BAD.into()))
    );
    assert!(line["time"].as_str().unwrap().ends_with('Z') && line["epoch"].is_null(), "{line}");
    serving.drain();
}

#[test]
fn lengths_that_no_client_may_say_end_a_connection_at_once() {
    endured(|serving| {
        let lengths: [&[u8]; 4] = [&[0, 0], &[0xFF, 0xFF], &[0xFF, 0xFF, b'L'], &[2, 1, b'+']];
        for bytes in lengths.repeat(20) {
            for address in serving.addresses {
                let said = is_cut(address, bytes);
                assert!(matches!(&said[..], [] | [Heard::Debug(_)]), "{said:?}");
                let said = logged_in(address, bytes).hear_the_end();
                assert!(matches!(&said[..], [] | [Heard::Debug(_)]), "{said:?}");
            }
        }
        let why = |said: Vec<Heard>| match &said[..] {
            [Heard::Debug(why)] => why.clone(),
            other => panic!("{other:?}"),
        };
        let address = serving.addresses[0];
        assert!(why(is_cut(address, &[0, 0])).contains("length 0"));
        assert!(why(is_cut(address, &[0xFF, 0xFF])).contains("65537 bytes"));
        let order = packed_order(&order(0, Side::BUY, 1, PRICE));
        assert!(why(is_cut(address, &order)).contains("no login"));
    });
}

#[test]
fn malformed_messages_are_counted_and_then_it_is_enough() {
    endured(|serving| {
        let address = serving.addresses[0];
        let messages = [&b""[..], b"?", b"O", &[b'X'; 18], &[0xFF; 49], &[b'O'; 400]];
        for (number, message) in (0..).zip(messages) {
            let said = logged_in(address, &packed(FromClient::Data(message)).repeat(17));
            let said = { said }.hear_the_end();
            let told = matches!(&said[..], [Heard::Debug(why)] if why.contains("malformed"));
            assert!(told, "{message:?}: {said:?}");
            // A few are borne, and what comes after them is heard.
            let mut peer = logged_in(address, &packed(FromClient::Data(message)).repeat(16));
            peer.order(&order(number, Side::BUY, 1, PRICE)).unwrap();
            assert!(answered(&peer.told()).is_some());
        }
        let mut login =
            logged_in(address, &packed(FromClient::Login(login(BAD, Session::BLANK, 0))));
        assert!(matches!(&login.hear_the_end()[..], [Heard::Debug(why)] if why.contains("twice")));
        let market = serving.addresses[1];
        let mut market = logged_in(market, &packed_order(&order(0, Side::BUY, 1, PRICE)));
        let said = market.hear_the_end();
        assert!(matches!(&said[..], [Heard::Debug(why)] if why.contains("no messages")));
    });
}

#[test]
fn half_a_login_and_none_are_cut_after_a_while() {
    endured(|serving| {
        let mut peers = Vec::new();
        let whole = packed(FromClient::Login(login(BAD, Session::BLANK, 0)));
        for bytes in 0..whole.len() {
            for address in serving.addresses {
                let mut peer = Peer::open(address);
                peer.is_alive = false;
                peer.write(&whole[..bytes]).unwrap();
                // Some are gone, and the others say nothing more.
                if bytes % 3 == 0 {
                    peer.stream.shutdown(Shutdown::Write).unwrap();
                }
                peers.push(peer);
            }
        }
        for mut peer in peers {
            let said = peer.hear_the_end();
            assert!(matches!(&said[..], [] | [Heard::Debug(_)]), "{said:?}");
        }
    });
}

#[test]
fn who_guesses_passwords_gets_no_more_guesses_and_others_get_in() {
    endured(|serving| {
        let guesser = Ipv4Addr::new(127, 0, 0, 2);
        let address = serving.addresses[0];
        let good = login(BAD, Session::BLANK, 0);
        let attempt = |login| {
            let mut peer = Peer::open_from(guesser, address, 4096);
            peer.say(FromClient::Login(login)).unwrap();
            peer.next()
        };
        let refused = Heard::Rejected(LoginReject::NotAuthorized);
        assert_eq!(attempt(good), Heard::Accepted);
        let begun = Instant::now();
        for guess in 0..50 {
            let password = Alpha::new(&format!("guess{guess}")).unwrap();
            assert_eq!(attempt(LoginRequest { password, ..good }), refused);
        }
        // What is right counts no more, until the minute has passed.
        let right = attempt(good);
        let in_time = begun.elapsed() < Duration::from_secs(30);
        assert!(right == refused || !in_time);
        Peer::log_in(address, BAD, Session::BLANK, 0).unwrap();
        serving.wait_for("trdr66: refused: wrong name or password");
        if in_time {
            serving.wait_for("trdr66: refused: locked out: 10 logins from its address");
        }
    });
}

#[test]
fn floods_of_heartbeats_hold_nobody_up() {
    const FLOODS: u16 = 4;
    endured(|serving| {
        let address = serving.addresses[0];
        let beats = packed(FromClient::Heartbeat).repeat(1 << 14);
        let is_over = AtomicBool::new(false);
        scope(|scope| {
            let stops = Stops(&is_over);
            for flood in 0..FLOODS {
                let (is_over, beats) = (&is_over, &beats);
                scope.spawn(move || {
                    let mut flood = Peer::from(address, BAD + flood, 0);
                    while !is_over.load(Ordering::SeqCst) {
                        flood.write(beats).unwrap();
                    }
                });
            }
            // Another one comes meanwhile, and trades.
            let mut peer = Peer::from(address, BAD - 1, 0);
            for number in 0..20 {
                peer.order(&order(number, Side::BUY, 1, PRICE / 2)).unwrap();
                assert_eq!(answered(&peer.told()), Some(token(number)));
            }
            drop(stops);
        });
    });
}

#[test]
fn one_that_floods_and_never_reads_is_cut_off_and_may_resume() {
    endured(|serving| {
        let address = serving.addresses[0];
        let mut flood = Peer::open_from(Ipv4Addr::LOCALHOST, address, 4096);
        flood.say(FromClient::Login(login(BAD, Session::BLANK, 1))).unwrap();
        // Until the server closes, which resets what is sent.
        let mut sent = 0;
        while flood.order(&order(sent, Side::SELL, 1, 2 * PRICE - 100)).is_ok() {
            sent += 1;
            assert!(sent < 10_000_000, "it is not cut off");
        }
        let mut again = Peer::from(address, BAD, 1);
        again.order(&order(u64::from(u32::MAX), Side::BUY, 1, PRICE / 2)).unwrap();
        let mut answers = 0;
        loop {
            match answered(&again.told()) {
                None => {}
                Some(last) if last == token(u64::from(u32::MAX)) => break,
                Some(next) => {
                    assert_eq!(next, token(answers));
                    answers += 1;
                }
            }
        }
        assert!(answers > 1_000 && answers <= sent, "{answers} of {sent}");
    });
}

#[test]
fn market_data_goes_on_while_some_do_not_read_it() {
    endured(|serving| {
        let [address, market] = serving.addresses;
        let slow: Vec<Peer> = (0..20)
            .map(|_| {
                let mut peer = Peer::open_from(Ipv4Addr::LOCALHOST, market, 4096);
                peer.say(FromClient::Login(login(BAD, Session::BLANK, 1))).unwrap();
                peer
            })
            .collect();
        let mut quick = Peer::from(market, BAD, 0);
        let mut trader = Peer::from(address, BAD, 0);
        for number in 0..20_000 {
            trader.order(&order(number, Side::BUY, 1, PRICE / 2)).unwrap();
            assert!(matches!(trader.told(), Outbound::Accepted(_)));
            if number % 100 == 0 {
                let first = quick.next;
                while quick.next < first + 50 {
                    quick.message();
                }
            }
        }
        drop(slow);
    });
}

#[test]
fn no_client_takes_the_files_that_the_journal_needs() {
    let directory = tempfile::tempdir().unwrap();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 200 && exec \"$0\" \"$@\"", PROGRAM, "serve"]);
    limited.args(["--segment-bytes", "128 KiB", "--event-segment-bytes", "128 KiB"]);
    let any = "127.0.0.1:0";
    limited.args([
        "--listen",
        any,
        "--market-data",
        any,
        "--glimpse",
        any,
        "--admin",
        "off",
        "--data",
    ]);
    let mut serving = Serving::spawn(limited.arg(directory.path()));
    serving.wait_for("72 connections at most, not 4096");
    let line = serving.wait_for("order entry on ");
    let address = line.split([' ', ',']).find_map(|word| word.parse().ok()).unwrap();
    let mut good = Peer::from(address, GOOD, 0);
    let crowd: Vec<Peer> = (0..200).map(|_| Peer::open(address)).collect();
    // Each file of the journal and of the event log has room for a few hundred.
    for number in 0..2_000 {
        good.order(&order(number, Side::BUY, 1, PRICE / 2)).unwrap();
        assert_eq!(answered(&good.told()), Some(token(number)));
    }
    drop(crowd);
    serving.wait_for("turned away");
    drop(good);
    serving.drain();
}
