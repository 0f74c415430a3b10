//! Order entry and market data inside TLS: who is trusted, and what is borne from those who are
//! not.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ringframe::client::{Client, ClientError, Feed, Login, Received};
use ringframe::tls::{Connector, Identity, Trust};
use ringframe::wire::ouch::{Outbound, Side};
use ringframe::wire::soup::FromClient;
use ringframe::wire::{itch, soup};
use rustix::process::Signal;

use crate::certificates::{Authority, settings};
use crate::peer::{PATIENCE, PRICE, Peer, login as peer_login, order, packed, token};
use crate::program::{PROGRAM, Serving};
use crate::start::make_pipe;

fn serve(server: &Identity, more: &[&str], data: &Path) -> Serving {
    let tls = settings(server);
    let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
    Serving::start(&[&["--release", "journaled"], &tls[..], more].concat(), data)
}

fn login(address: SocketAddr, user: u16, tls: &Connector) -> Login {
    let login = Login::new(&address.to_string(), &format!("TRDR{user:02}"), "secret");
    Login { sequence: 0, tls: Some(tls.clone()), ..login }
}

#[track_caller]
fn told<M>(received: Result<Option<Received<M>>, ClientError>) -> M {
    received.unwrap().expect("it comes in time").message
}

/// An order and its answer.
fn trade(client: &mut Client, number: u64) {
    client.send(order(number, Side::BUY, 1, PRICE / 2)).unwrap();
    match told(client.receive(PATIENCE)) {
        Outbound::Accepted(accepted) => assert_eq!(accepted.order.token, token(number)),
        other => panic!("{other:?}"),
    }
}

fn refused(login: Login) -> String {
    match Client::connect(login) {
        Err(ClientError::NotTrusted { why, .. } | ClientError::Lost { why }) => why,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it got in"),
    }
}

#[test]
fn orders_and_market_data_come_inside_tls_from_who_is_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let ours = Authority::new(directory.path(), "ours");
    let other = Authority::new(directory.path(), "other");
    let server = ours.vouch("server");
    let mut serving = serve(&server, &[], &directory.path().join("data"));
    assert!(serving.places.contains("inside TLS"), "{}", serving.places);
    let [orders, market] = serving.addresses;
    let mut client = Client::connect(login(orders, 1, &ours.trusted())).unwrap();
    let mut feed = Feed::connect(login(market, 2, &ours.trusted())).unwrap();
    for number in 0..100 {
        trade(&mut client, number);
        match told(feed.receive(PATIENCE)) {
            itch::Message::Added(added) => assert_eq!(added.price.get(), PRICE / 2),
            other => panic!("{other:?}"),
        }
    }
    client.reconnect().unwrap();
    trade(&mut client, 100);
    client.logout().unwrap();
    feed.logout().unwrap();
    // Whoever believes one certificate alone needs no name.
    let pin = |identity: &Identity, name| {
        Connector::new(&Trust::Pinned(identity.certificate.clone()), None, name).unwrap()
    };
    let pinned = login(orders, 1, &pin(&server, Some("elsewhere.example")));
    trade(&mut Client::connect(pinned).unwrap(), 101);
    for tls in [other.trusted(), pin(&ours.vouch("another"), None)] {
        refused(login(orders, 1, &tls));
        serving.wait_for("no TLS with it: received fatal alert");
    }
    let named = Connector::new(&Trust::Authorities(ours.file()), None, Some("elsewhere.example"));
    let why = refused(login(orders, 1, &named.unwrap()));
    assert!(why.contains("not valid for name"), "{why}");
    serving.wait_for("no TLS with it");
    serving.signal(Signal::TERM);
    serving.wait_for("3 failed TLS handshakes");
}

#[test]
fn plain_and_tls_where_the_other_is_asked_for_end_that_connection_only() {
    let directory = tempfile::tempdir().unwrap();
    let ours = Authority::new(directory.path(), "ours");
    let mut serving = serve(&ours.vouch("server"), &[], &directory.path().join("tls"));
    let mut client = Client::connect(login(serving.addresses[0], 1, &ours.trusted())).unwrap();
    for (number, address) in (0..).zip(serving.addresses.repeat(3)) {
        let mut plain = Peer::open(address);
        plain.write(&packed(FromClient::Login(peer_login(2, soup::Session::BLANK, 1)))).unwrap();
        plain.is_alive = false;
        plain.hear_the_end();
        serving.wait_for("it speaks no TLS");
        trade(&mut client, number);
    }
    serving.signal(Signal::TERM);
    serving.wait_for("6 clients without TLS turned away");
    drop(serving);
    let mut serving = Serving::start(&["--release", "journaled"], &directory.path().join("plain"));
    refused(login(serving.addresses[0], 1, &ours.trusted()));
    serving.wait_for("it speaks TLS, and this port does not: tls.certificate");
    serving.signal(Signal::TERM);
    serving.wait_for("1 clients with TLS at a plain port");
}

#[test]
fn half_a_handshake_is_cut_after_a_while_and_holds_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let ours = Authority::new(directory.path(), "ours");
    let mut serving = serve(&ours.vouch("server"), &[], &directory.path().join("data"));
    let [address, market] = serving.addresses;
    let mut hello = Vec::new();
    ours.trusted().connect(&address.to_string()).unwrap().write_tls(&mut hello).unwrap();
    let half = |bytes| {
        let to = if bytes % 2 == 0 { address } else { market };
        let mut stream = TcpStream::connect(to).unwrap();
        stream.write_all(&hello[..bytes]).unwrap();
        stream
    };
    let mut halves: Vec<TcpStream> = (0..=hello.len()).map(half).collect();
    let mut client = Client::connect(login(address, 1, &ours.trusted())).unwrap();
    for number in 0..100 {
        trade(&mut client, number);
    }
    for stream in &mut halves {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // What the server has said by then, and its end.
        if let Err(error) = stream.read_to_end(&mut Vec::new()) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
    serving.wait_for("it said nothing for too long");
    client.receive(Duration::ZERO).unwrap();
    trade(&mut client, 100);
}

#[test]
fn clients_show_a_certificate_where_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let ours = Authority::new(directory.path(), "ours");
    let clients = Authority::new(directory.path(), "clients");
    let file = clients.file();
    let more = ["--tls-clients", file.to_str().unwrap()];
    let mut serving = serve(&ours.vouch("server"), &more, &directory.path().join("data"));
    let address = serving.addresses[0];
    let known = ours.trusted_by(&clients.vouch("client"));
    let mut client = Client::connect(login(address, 1, &known)).unwrap();
    trade(&mut client, 0);
    refused(login(address, 2, &ours.trusted()));
    serving.wait_for("no TLS with it: peer sent no certificates");
    refused(login(address, 2, &ours.trusted_by(&ours.vouch("client"))));
    serving.wait_for("no TLS with it: invalid peer certificate");
    trade(&mut client, 1);
}

#[test]
fn certificates_are_read_again_while_clients_trade() {
    let directory = tempfile::tempdir().unwrap();
    let old = Authority::new(directory.path(), "old");
    let new = Authority::new(directory.path(), "new");
    let server = old.vouch("server");
    let mut serving = serve(&server, &[], &directory.path().join("data"));
    let address = serving.addresses[0];
    let mut client = Client::connect(login(address, 1, &old.trusted())).unwrap();
    fs::write(&server.key, "no key").unwrap();
    serving.signal(Signal::HUP);
    serving.wait_for("certificates stay as they were");
    Client::connect(login(address, 2, &old.trusted())).unwrap();
    fs::remove_file(&server.key).unwrap();
    make_pipe(&server.key);
    serving.signal(Signal::HUP);
    serving.wait_for("certificates stay as they were");
    fs::remove_file(&server.key).unwrap();
    let renewed = new.vouch("server");
    fs::copy(&renewed.certificate, &server.certificate).unwrap();
    fs::copy(&renewed.key, &server.key).unwrap();
    serving.signal(Signal::HUP);
    serving.wait_for("certificates were read again");
    trade(&mut client, 0);
    refused(login(address, 2, &old.trusted()));
    Client::connect(login(address, 2, &new.trusted())).unwrap();
    trade(&mut client, 1);
}

#[test]
fn dates_that_are_wrong_are_said_at_the_start_and_when_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let ours = Authority::new(directory.path(), "ours");
    let server = ours.vouch_within("server", 2019..2020);
    let mut serving = serve(&server, &[], &directory.path().join("data"));
    for (years, said) in [
        (2090..2099, "certificate 1 of 1 is not valid before 2090-01-01T00:00:00Z"),
        (2020..2099, "certificates were read again"),
    ] {
        let renewed = ours.vouch_within("renewed", years);
        fs::copy(&renewed.certificate, &server.certificate).unwrap();
        fs::copy(&renewed.key, &server.key).unwrap();
        serving.signal(Signal::HUP);
        serving.wait_for(said);
    }
    let file = server.certificate.to_str().unwrap();
    let expired = format!("WARNING: {file}: certificate 1 of 1 expired at 2020-01-01T00:00:00Z");
    let done = serving.drain().expect(0, &[&expired]);
    assert_eq!(done.out.matches(file).count(), 2, "{done:?}");
}

#[test]
fn one_that_does_not_read_is_cut_off_inside_tls_and_gets_all_of_it_later() {
    let directory = tempfile::tempdir().unwrap();
    let ours = Authority::new(directory.path(), "ours");
    let more = ["--window-bytes", "64 KiB"];
    let serving = serve(&ours.vouch("server"), &more, &directory.path().join("data"));
    let address = serving.addresses[0];
    let mut flood = Client::connect(login(address, 1, &ours.trusted())).unwrap();
    let mut sent = 0;
    while flood.send(order(sent, Side::SELL, 1, 2 * PRICE - 100)).is_ok() {
        sent += 1;
        assert!(sent < 10_000_000, "it is not cut off");
    }
    let again = Login { sequence: 1, ..login(address, 1, &ours.trusted()) };
    let mut again = Client::connect(again).unwrap();
    again.send(order(u64::from(u32::MAX), Side::BUY, 1, PRICE / 2)).unwrap();
    let mut answers = 0;
    loop {
        let Outbound::Accepted(accepted) = told(again.receive(PATIENCE)) else { continue };
        if accepted.order.token == token(u64::from(u32::MAX)) {
            break;
        }
        assert_eq!(accepted.order.token, token(answers));
        answers += 1;
    }
    assert!(answers > 1_000 && answers <= sent, "{answers} of {sent}");
}

/// OpenSSL's TLS, and a login as it stands in the protocol's own words.
const PYTHON: &str = r"
import socket, ssl, struct, sys
context = ssl.create_default_context(cafile=sys.argv[1])
plain = socket.create_connection(('127.0.0.1', int(sys.argv[2])), timeout=120)
secret = context.wrap_socket(plain, server_hostname='127.0.0.1', suppress_ragged_eofs=False)
login = b'L' + b'TRDR03' + b'secret'.ljust(10) + b' ' * 10 + b'1'.rjust(20)
secret.sendall(struct.pack('>H', len(login)) + login)
answer = b''
while len(answer) < 33:
    answer += secret.recv(33 - len(answer))
print(secret.version(), answer[2:3].decode(), int(answer[13:33]))
logout = b'O'
secret.sendall(struct.pack('>H', len(logout)) + logout)
while secret.recv(4096):
    pass
print('closed')
";

#[test]
fn clients_of_other_makers_and_the_program_itself_get_in() {
    let directory = tempfile::tempdir().unwrap();
    let ours = Authority::new(directory.path(), "ours");
    let server = ours.vouch("server");
    let serving = serve(&server, &[], &directory.path().join("data"));
    let [orders, market] = serving.addresses;
    let mut python = Command::new("python3");
    python.args(["-c", PYTHON]).arg(ours.file()).arg(orders.port().to_string());
    let output = python.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    // A clean end: where close_notify is missing, OpenSSL calls it an error.
    assert_eq!(said, "TLSv1.3 A 1\nclosed\n", "{}", String::from_utf8_lossy(&output.stderr));
    let mut client = Command::new(PROGRAM);
    client.args(["client", "--target", &orders.to_string(), "--tls-ca"]).arg(ours.file());
    client.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.spawn().unwrap();
    client.stdin.take().unwrap().write_all(b"buy 100 AAPL 230.00\n").unwrap();
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout.len() > 100, "{output:?}");
    let mut watch = Command::new(PROGRAM);
    watch.args(["watch", "AAPL", "--once", "--target", &market.to_string(), "--tls-pin"]);
    let output = watch.arg(&server.certificate).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("230.00") && output.status.success(), "{output:?}");
}
