//! Any bytes as messages, packets and datagrams: no panic, what is read is written as the same
//! bytes, and the dialect of the exchange bears every message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringframe::dialect::ouch::{Account, command};
use ringframe::types::Nanos;
use ringframe::wire::layout::Alpha;
use ringframe::wire::mold::{Datagram, Packer, Request, Said};
use ringframe::wire::soup::{FromClient, FromServer};
use ringframe::wire::{glimpse, itch, ouch};

const ACCOUNT: Account = Account { session: 1, firm: Alpha(*b"FIRM") };

fuzz_target!(|bytes: &[u8]| {
    message(bytes);
    datagram(bytes);
    let mut buffer = [0; 4_096];
    let mut rest = bytes;
    while let Ok(Some((said, length))) = FromClient::split(rest, buffer.len()) {
        if let FromClient::Data(bytes) = said {
            message(bytes);
        }
        let written = said.encode(&mut buffer).expect("no longer than it was");
        let again = FromClient::split(&buffer[..written], written);
        assert_eq!(again, Ok(Some((said, length))));
        rest = &rest[length..];
    }
    let mut rest = bytes;
    while let Ok(Some((said, length))) = FromServer::split(rest, buffer.len()) {
        let written = said.encode(&mut buffer).expect("no longer than it was");
        let again = FromServer::split(&buffer[..written], written);
        assert_eq!(again, Ok(Some((said, length))));
        rest = &rest[length..];
    }
});

fn message(bytes: &[u8]) {
    let mut buffer = [0; 128];
    if let Ok(said) = ouch::Inbound::decode(bytes) {
        said.encode(&mut buffer).expect("room");
        assert_eq!(&buffer[..bytes.len()], bytes);
        let _ = command(&said, ACCOUNT, Nanos(u64::MAX));
    }
    if let Ok(said) = ouch::Outbound::decode(bytes) {
        said.encode(&mut buffer).expect("room");
        assert_eq!(&buffer[..bytes.len()], bytes);
    }
    let _ = glimpse::Message::decode(bytes);
    if let Ok(said) = itch::Message::decode(bytes) {
        said.encode(&mut buffer).expect("room");
        assert_eq!(&buffer[..bytes.len()], bytes);
    }
}

fn datagram(bytes: &[u8]) {
    if let Some(request) = Request::decode(bytes) {
        assert_eq!(request.encode(), bytes);
    }
    let Some(Datagram { session, sequence, said }) = Datagram::decode(bytes) else { return };
    let mut buffer = vec![0; bytes.len()];
    let mut packer = Packer::new(&mut buffer, session, sequence).expect("room");
    let again = match said {
        Said::Messages(mut blocks) => {
            assert!(blocks.all(|block| packer.push(block)));
            packer.finish()
        }
        Said::Heartbeat => packer.finish(),
        Said::End => packer.end(),
    };
    assert_eq!(again, bytes);
}
