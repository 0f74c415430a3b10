//! `ringframe client`, `watch` and `user`, as a user meets them.

use std::io::Write;
use std::process::{Command, Stdio};

use ringframe::wire::itch::{Message, Side};
use ringframe::wire::ouch::{Cancel, CancelReason, Canceled, Inbound};
use ringframe::wire::soup::{FromServer, LoginReject};

use crate::book::{added, executed, listed, trading};
use crate::server::{Peer, Said, Server, taken};

/// Its code, and what it said on both streams.
fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringframe"));
    command.args(arguments).env_remove("RINGFRAME_PASSWORD");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that refuses to start does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A server that takes each order, and cancels when asked.
fn venue() -> Server {
    Server::start(|listener| {
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.accept_login(1).sequence, 0);
        loop {
            match peer.next_said() {
                Said::Message(Inbound::Enter(enter)) => {
                    peer.say(&taken(&enter));
                }
                Said::Message(Inbound::Cancel(Cancel { token, .. })) => {
                    let (time, decrement) = (1.into(), 100.into());
                    let reason = CancelReason::USER;
                    peer.say(&Canceled { time, token, decrement, reason }.into());
                }
                Said::Message(_) => {}
                Said::Logout => return,
                other => panic!("{other:?}"),
            }
        }
    })
}

#[test]
fn a_script_is_sent_and_its_answers_are_shown() {
    let server = venue();
    let lines = "# my orders\nbuy 100 aapl 230.00 token=a1\ncancel a1\nsell 1 AAPL market\n";
    let (code, out, err) = run(&["client", "--target", &server.address], lines);
    server.end();
    assert_eq!(code, 0, "{out}{err}");
    for line in [
        "# session S1, next message 1\n",
        "> buy 100 AAPL 230.0000 token=a1\n",
        "1 accepted a1 buy 100 AAPL 230.0000 reference=7\n",
        "> cancel a1 0\n",
        "2 canceled a1 shares=100 reason=U\n",
        "> sell 1 AAPL market token=",
        "sell 1 AAPL market reference=7\n",
    ] {
        assert!(out.contains(line), "{line} in:\n{out}");
    }
}

#[test]
fn a_script_that_stays_unanswered_or_is_wrong_says_so() {
    let server = Server::start(|listener| {
        let mut peer = Peer::accept(listener);
        peer.accept_login(1);
        peer.hear_it_go();
    });
    let arguments = ["client", "--target", &server.address, "--wait", "0", "--linger", "50"];
    let (code, out, err) = run(&arguments, "buy 100 AAPL 1 token=a1\ncancel zz");
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("# unanswered: buy 100 AAPL 1.0000 token=a1\n"), "{out}");
    server.end();

    let server = venue();
    let (code, _, err) = run(&["client", "--target", &server.address], "\nbuy\nbuy 1 AAPL 1");
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("line 2: 'buy' is none of these, or has not what it needs"), "{err}");
    drop(server);

    let server = Server::start(|listener| {
        let mut peer = Peer::accept(listener);
        peer.login();
        peer.send(FromServer::Rejected(LoginReject::NotAuthorized));
    });
    let (code, _, err) = run(&["client", "--target", &server.address], "");
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("does not let user 'TRDR01' in with this password"), "{err}");
    server.end();
    let (code, _, err) = run(&["client", "--user", "alice"], "");
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("set RINGFRAME_PASSWORD"), "{err}");
}

#[test]
fn a_script_goes_on_after_a_lost_connection() {
    let server = Server::start(|listener| {
        let mut peer = Peer::accept(listener);
        peer.accept_login(1);
        assert!(matches!(peer.next_said(), Said::Message(_)));
        drop(peer);
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.accept_login(1).sequence, 1);
        let Said::Message(Inbound::Enter(enter)) = peer.next_said() else { panic!("no order") };
        peer.say(&taken(&enter));
        peer.hear_it_go();
    });
    let arguments = ["client", "--target", &server.address];
    let (code, out, err) = run(&arguments, "buy 100 AAPL 1 token=a1");
    server.end();
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("# back, from message 1\n"), "{out}");
    assert!(out.contains("1 accepted a1"), "{out}");
}

/// A feed of these messages, and no more.
fn feed(messages: Vec<Message>) -> Server {
    Server::start(move |listener| {
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.accept_login(1).sequence, 1);
        for message in messages {
            let mut bytes = [0; Message::BYTES_MAX];
            let length = message.encode(&mut bytes).unwrap();
            peer.send(FromServer::Data(&bytes[..length]));
        }
        peer.send(FromServer::End);
        peer.hear_it_go();
    })
}

fn messages() -> Vec<Message> {
    vec![
        listed(1, "AAPL"),
        trading(1, "AAPL"),
        added(1, 1, Side::BUY, 100, 229_9900),
        added(1, 2, Side::BUY, 50, 229_9900),
        added(1, 3, Side::SELL, 70, 230_0000),
        added(1, 4, Side::SELL, 10, 230_0100),
        executed(3, 20),
    ]
}

const TABLE: &str = "\
AAPL  trading  last 20 @ 230.0000
 orders     shares          bid | ask          shares     orders
      2        150     229.9900 | 230.0000     50         1
                                | 230.0100     10         1
";

#[test]
fn watch_shows_a_book() {
    let once = ["--once", "--quiet", "30000", "--target"];
    let server = feed(messages());
    let arguments = [&["watch", "aapl"], &once[..], &[&server.address]].concat();
    let (code, out, err) = run(&arguments, "");
    server.end();
    assert_eq!((code, out.as_str()), (0, TABLE), "{err}");

    let server = feed(messages());
    let arguments = [&["watch", "XYZ"], &once[..], &[&server.address]].concat();
    assert_eq!(run(&arguments, "").0, 1);
    server.end();

    let server = feed(messages());
    let (code, out, err) = run(&["watch", "AAPL", "--target", &server.address], "");
    server.end();
    assert_eq!(code, 3, "{out}{err}");
    assert!(err.contains("session S1 is over for good"), "{err}");
}

/// It lets somebody in, and then only says that it is there.
fn mute() -> Server {
    Server::start(|listener| {
        let mut peer = Peer::accept(listener);
        peer.accept_login(1);
        while peer.next() == Said::Heartbeat {
            peer.send(FromServer::Heartbeat);
        }
    })
}

#[test]
fn watch_gives_up_on_a_server_that_says_nothing() {
    let once = ["watch", "AAPL", "--once", "--wait", "1", "--target"];
    let server = mute();
    let (code, out, err) = run(&[&once[..], &[&server.address]].concat(), "");
    server.end();
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    assert!(err.contains("it let us in and then said nothing for 1 s"), "{err}");

    let server = mute();
    let glimpse = ["127.0.0.1:1", "--glimpse", &server.address];
    let (code, out, err) = run(&[&once[..], &glimpse].concat(), "");
    server.end();
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    assert!(err.contains("let us in and then said nothing of its books for 1s"), "{err}");
}

#[test]
fn users_are_added_listed_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users");
    let list = path.to_str().unwrap();
    let user = |words: &[&str], input| {
        let arguments = [&["user"], words, &["--users", list]].concat();
        run(&arguments, input)
    };
    let (code, out, err) = user(&["add", "alice"], "Secret9!\n");
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("added ALICE with session 1 to "), "{out}");
    let (code, _, err) = user(&["add", "bob", "--session", "1"], "x\n");
    assert!(code == 2 && err.contains("session 1 is ALICE's already"), "{code} {err}");
    let (code, _, err) = user(&["add", "bob"], "\n");
    assert!(code == 2 && err.contains("a password has 1 to 10 letters"), "{code} {err}");
    assert_eq!(user(&["add", "bob", "--session", "7", "--orders-only"], "x").0, 0);
    let (code, out, _) = user(&["list"], "");
    assert_eq!((code, out.as_str()), (0, "ALICE      1 market-data\nBOB        7 orders-only\n"));
    assert_eq!(user(&["remove", "Alice"], "").0, 0);
    assert_eq!(user(&["remove", "Alice"], "").0, 1);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("ALICE") && text.contains("BOB 7 orders-only $argon2id$"), "{text}");
}
