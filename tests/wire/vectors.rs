//! The vectors of the protocol page, which were checked against other implementations and captures:
//! each is the bytes of a value that is written down here, and reads as that value.

use ringframe::wire::mold::{Datagram, Request, Said};
use ringframe::wire::soup::{FromClient, FromServer, LoginAccepted, LoginReject, PACKET_BYTES_MAX};
use ringframe::wire::{itch, ouch};

use crate::samples::{
    alpha, datagrams, encoded, from_clients, from_servers, inbound, login, market, outbound,
};
use crate::{bytes_of, hex_of};

const VECTORS: &str = include_str!("../golden/wire/vectors.txt");
const N: usize = PACKET_BYTES_MAX;

/// Name, bytes.
fn vectors() -> Vec<(&'static str, Vec<u8>)> {
    let vectors: Vec<_> = VECTORS
        .lines()
        .map(|line| {
            let (name, hex) = line.rsplit_once(' ').expect("a name and bytes");
            let (name, length) = name.rsplit_once(' ').expect("a length");
            let bytes = bytes_of(hex);
            assert_eq!(bytes.len(), length.trim().parse::<usize>().expect("a number"), "{name}");
            (name.trim(), bytes)
        })
        .collect();
    assert_eq!(vectors.len(), 33);
    vectors
}

/// The vectors of one protocol, which are as many as there are values.
fn matching(protocol: &str, values: &[Vec<u8>]) {
    let found: Vec<_> =
        vectors().into_iter().filter(|(name, _)| name.starts_with(protocol)).collect();
    for ((name, vector), value) in found.iter().zip(values) {
        assert_eq!(hex_of(value), hex_of(vector), "{name}");
    }
    assert_eq!(found.len(), values.len(), "of {protocol}");
}

#[test]
fn soup_packets_are_the_vectors() {
    let session = alpha("SESS000001");
    let accepted = FromServer::Accepted(LoginAccepted { session, sequence: 1 });
    let rejected = FromServer::Rejected(LoginReject::NotAuthorized);
    matching(
        "soup",
        &[
            encoded::<N>(|into| FromClient::Login(login()).encode(into)),
            encoded::<N>(|into| accepted.encode(into)),
            encoded::<N>(|into| rejected.encode(into)),
            encoded::<N>(|into| FromServer::Heartbeat.encode(into)),
            encoded::<N>(|into| FromClient::Heartbeat.encode(into)),
            encoded::<N>(|into| FromClient::Logout.encode(into)),
            encoded::<N>(|into| FromServer::End.encode(into)),
        ],
    );
}

#[test]
fn ouch_messages_are_the_vectors() {
    let host = outbound();
    let client = inbound().into_iter().map(|said| encoded::<N>(|into| said.encode(into)));
    let host = host.iter().take(8).map(|said| encoded::<N>(|into| said.encode(into)));
    matching("ouch42", &client.chain(host).collect::<Vec<_>>());
}

#[test]
fn itch_messages_are_the_vectors() {
    let market = market();
    let bytes: Vec<_> =
        market.iter().take(10).map(|said| encoded::<N>(|into| said.encode(into))).collect();
    matching("itch50", &bytes);
}

#[test]
fn mold_datagrams_are_the_vectors() {
    matching("mold64", &datagrams());
    let [two, heartbeat, end, request] = <[_; 4]>::try_from(datagrams()).expect("four");
    let session = alpha("SESS000001");
    let read = Datagram::decode(&two).expect("a datagram");
    assert_eq!((read.session, read.sequence), (session, 5));
    let Said::Messages(blocks) = read.said else { panic!("{read:?}") };
    let references: Vec<u64> = blocks
        .map(|block| match itch::Message::decode(block) {
            Ok(itch::Message::Deleted(deleted)) => deleted.reference.get(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(references, [77, 78]);
    let expected = Datagram { session, sequence: 7, said: Said::Heartbeat };
    assert_eq!(Datagram::decode(&heartbeat), Some(expected.clone()));
    assert_eq!(Datagram::decode(&end), Some(Datagram { said: Said::End, ..expected }));
    assert_eq!(Request::decode(&request), Some(Request { session, sequence: 5, count: 2 }));
}

#[test]
fn each_message_reads_as_it_was_written() {
    for said in from_clients() {
        let bytes = encoded::<N>(|into| said.encode(into));
        assert_eq!(FromClient::split(&bytes, bytes.len()), Ok(Some((said, bytes.len()))));
    }
    for said in from_servers() {
        let bytes = encoded::<N>(|into| said.encode(into));
        assert_eq!(FromServer::split(&bytes, bytes.len()), Ok(Some((said, bytes.len()))));
    }
    for said in inbound() {
        let bytes = encoded::<{ ouch::Inbound::BYTES_MAX }>(|into| said.encode(into));
        assert_eq!(ouch::Inbound::decode(&bytes), Ok(said));
    }
    for said in outbound() {
        let bytes = encoded::<{ ouch::Outbound::BYTES_MAX }>(|into| said.encode(into));
        assert_eq!(ouch::Outbound::decode(&bytes), Ok(said));
    }
    for said in market() {
        let bytes = encoded::<{ itch::Message::BYTES_MAX }>(|into| said.encode(into));
        assert_eq!(itch::Message::decode(&bytes), Ok(said));
    }
}

/// What real clients send, and how it is read.
#[test]
fn logins_are_read_however_they_are_padded() {
    let sequence = "                   7";
    let cases = [
        format!("{:<6}{:<10}{:<10}{sequence}", "AB1", "pw", "SESS"),
        format!("{:>6}{:>10}{:>10}{sequence}", "AB1", "pw", "SESS"),
        format!("{:<6}{:<10}{:<10}{:<20}", "AB1", "pw", "SESS", "7"),
        format!("{:<6}{:>10}{:>10}{:020}", "AB1", "pw", "SESS", 7),
        format!("{:^6}{:^10}{:^10}{:^20}", "AB1", "pw", "SESS", "7"),
    ];
    for case in cases {
        let packet = [&[0, 47, b'L'], case.as_bytes()].concat();
        let Ok(Some((FromClient::Login(read), 49))) = FromClient::split(&packet, 64) else {
            panic!("{case:?} is no login");
        };
        let texts = [read.username.text(), read.password.text(), read.session.text()];
        assert_eq!((texts, read.sequence), ([&b"AB1"[..], b"pw", b"SESS"], 7), "{case:?}");
    }
    for number in ["", "-1", "+1", "0x10", "1 2"] {
        let case = format!("{:<26}{number:>20}", "AB1");
        let packet = [&[0, 47, b'L'], case.as_bytes()].concat();
        assert!(FromClient::split(&packet, 64).is_err(), "{number:?} is no number");
    }
    // Above any number that is: whoever asks for it asks for more than there is.
    let case = format!("{:<26}{:>20}", "AB1", "99999999999999999999");
    let packet = [&[0, 47, b'L'], case.as_bytes()].concat();
    let Ok(Some((FromClient::Login(read), 49))) = FromClient::split(&packet, 64) else {
        panic!("{case:?} is no login");
    };
    assert_eq!(read.sequence, u64::MAX);
    let debug = format!("{:?}", login());
    assert!(debug.contains("TRDR01") && !debug.contains("secret"), "{debug}");
}

#[test]
fn older_messages_lack_their_last_byte() {
    let bytes = encoded::<N>(|into| inbound()[0].encode(into));
    assert_eq!(ouch::Inbound::decode(&bytes[..48]), Ok(inbound()[0]));
    for place in [1, 2] {
        let bytes = encoded::<N>(|into| outbound()[place].encode(into));
        assert_eq!(ouch::Outbound::decode(&bytes[..bytes.len() - 1]), Ok(outbound()[place]));
    }
}
