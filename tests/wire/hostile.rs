//! Bytes as an enemy or a bad line would send them: nothing panics, nothing is read beyond its end,
//! and what is not exactly a message is none.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use ringframe::wire::mold::{Datagram, HEADER_BYTES, Packer, Request, Said};
use ringframe::wire::soup::{Broken, FromClient, FromServer, PACKET_BYTES_MAX};
use ringframe::wire::{itch, ouch};

use crate::samples::{
    alpha, datagrams, encoded, from_clients, from_servers, inbound, market, outbound,
};

const N: usize = PACKET_BYTES_MAX;

/// Every length but the right ones is refused.
fn refuses_other_lengths<T: Debug + PartialEq, E: Debug>(
    bytes: &[u8],
    lengths: &[usize],
    decode: impl Fn(&[u8]) -> Result<T, E>,
) {
    let longer = [bytes, &[b' '; 100]].concat();
    for length in 0..longer.len() {
        let is_good = decode(&longer[..length]).is_ok();
        assert_eq!(is_good, lengths.contains(&length), "{length} of {bytes:?}");
    }
}

#[test]
fn messages_have_one_length() {
    for said in inbound() {
        let bytes = encoded::<N>(|into| said.encode(into));
        let older = if bytes[0] == b'O' { bytes.len() - 1 } else { bytes.len() };
        refuses_other_lengths(&bytes, &[older, bytes.len()], ouch::Inbound::decode);
    }
    for said in outbound() {
        let bytes = encoded::<N>(|into| said.encode(into));
        let older = if matches!(bytes.len(), 66 | 80) { bytes.len() - 1 } else { bytes.len() };
        refuses_other_lengths(&bytes, &[older, bytes.len()], ouch::Outbound::decode);
    }
    for said in market() {
        let bytes = encoded::<N>(|into| said.encode(into));
        refuses_other_lengths(&bytes, &[bytes.len()], itch::Message::decode);
    }
}

#[test]
fn what_has_no_room_is_not_written() {
    for said in outbound() {
        let length = encoded::<N>(|into| said.encode(into)).len();
        for room in 0..length {
            assert_eq!(said.encode(&mut [0; 128][..room]), None);
        }
        assert_eq!(said.encode(&mut [0; 128][..length]), Some(length));
    }
    for said in from_servers() {
        let length = encoded::<N>(|into| said.encode(into)).len();
        assert!((0..length).all(|room| said.encode(&mut [0; 128][..room]).is_none()));
    }
    let longest = vec![7; PACKET_BYTES_MAX - 3];
    let mut buffer = vec![0; PACKET_BYTES_MAX + 9];
    assert_eq!(FromClient::Data(&longest).encode(&mut buffer), Some(PACKET_BYTES_MAX));
    let longer = vec![7; PACKET_BYTES_MAX - 2];
    assert_eq!(FromClient::Data(&longer).encode(&mut buffer), None);
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let clients: Vec<_> =
        from_clients().iter().map(|said| encoded::<N>(|into| said.encode(into))).collect();
    let stream = clients.concat();
    for cut in 0..=stream.len() {
        let mut seen = Vec::new();
        let mut at = 0;
        for end in [cut, stream.len()] {
            while let Some((said, length)) =
                FromClient::split(&stream[at..end], 128).expect("a good stream")
            {
                seen.push(said);
                at += length;
            }
        }
        assert_eq!((seen, at), (from_clients(), stream.len()), "cut at {cut}");
    }
    for said in from_servers() {
        let bytes = encoded::<N>(|into| said.encode(into));
        for cut in 0..bytes.len() {
            assert_eq!(FromServer::split(&bytes[..cut], 128), Ok(None), "{said:?} cut at {cut}");
        }
    }
}

/// Every packet with every other length: too short or too long for its type, or not all there.
#[test]
fn a_wrong_length_never_passes_for_another_message() {
    for said in from_clients() {
        let bytes = encoded::<N>(|into| said.encode(into));
        let is_free = matches!(said, FromClient::Debug(_) | FromClient::Data(_));
        for length in 0..=u16::MAX {
            let mut flipped = [&bytes[..], &[b' '; 80]].concat();
            flipped[..2].copy_from_slice(&length.to_be_bytes());
            let whole = usize::from(length) + 2;
            let split = FromClient::split(&flipped, 100);
            match length {
                0 => assert_eq!(split, Err(Broken::NoType)),
                _ if whole > 100 => {
                    assert_eq!(split, Err(Broken::TooLong { bytes: whole, bytes_max: 100 }));
                }
                _ if whole > flipped.len() => assert_eq!(split, Ok(None)),
                _ if is_free || whole == bytes.len() => {
                    assert_eq!(split.expect("good").expect("whole").1, whole);
                }
                // A login of either version, with spaces after it.
                _ if bytes[2] == b'L' && matches!(length, 47 | 52) => {}
                _ => {
                    let wrong = Broken::Length { kind: bytes[2], bytes: whole - 3 };
                    assert_eq!(split, Err(wrong));
                }
            }
        }
    }
    assert_eq!(
        FromClient::split(&[0xFF, 0xFF], 100),
        Err(Broken::TooLong { bytes: PACKET_BYTES_MAX, bytes_max: 100 })
    );
}

#[test]
fn neither_side_says_what_is_the_others() {
    for kind in 0..=u8::MAX {
        let packet = [0, 1, kind];
        let client = FromClient::split(&packet, 100);
        let server = FromServer::split(&packet, 100);
        assert_eq!(client == Err(Broken::UnknownType(kind)), !b"+LURO".contains(&kind));
        assert_eq!(server == Err(Broken::UnknownType(kind)), !b"+AJSHZ".contains(&kind));
    }
}

#[test]
fn a_datagram_is_taken_whole_or_not_at_all() {
    let [two, heartbeat, end, request] = <[_; 4]>::try_from(datagrams()).expect("four");
    for bytes in [&two, &heartbeat, &end] {
        for cut in 0..bytes.len() {
            assert_eq!(Datagram::decode(&bytes[..cut]), None, "{bytes:?} cut at {cut}");
        }
        assert_eq!(Datagram::decode(&[&bytes[..], &[0]].concat()), None);
    }
    for count in 0..=u16::MAX {
        let mut flipped = two.clone();
        flipped[18..20].copy_from_slice(&count.to_be_bytes());
        assert_eq!(Datagram::decode(&flipped).is_some(), count == 2, "{count}");
    }
    for length in (0..=u16::MAX).filter(|length| *length != 19) {
        let mut flipped = two.clone();
        flipped[20..22].copy_from_slice(&length.to_be_bytes());
        assert_eq!(Datagram::decode(&flipped), None, "{length}");
    }
    assert!((0..40).all(|length| {
        let longer = [&request[..], &[0; 20]].concat();
        Request::decode(&longer[..length]).is_some() == (length == HEADER_BYTES)
    }));
}

#[test]
fn a_datagram_has_room_for_what_fits() {
    let session = alpha("SESS000001");
    let mut buffer = [0; HEADER_BYTES + 12];
    assert!(Packer::new(&mut buffer[..HEADER_BYTES - 1], session, 1).is_none());
    let mut packer = Packer::new(&mut buffer, session, 1).expect("room");
    assert!(packer.push(b"four"));
    assert!(packer.push(b""));
    assert!(!packer.push(b"fiver"));
    assert!(packer.push(b"or"));
    assert!(!packer.push(b""));
    let bytes = packer.finish();
    let Some(Datagram { said: Said::Messages(blocks), .. }) = Datagram::decode(bytes) else {
        panic!("no datagram");
    };
    assert_eq!(blocks.collect::<Vec<_>>(), [&b"four"[..], b"", b"or"]);
    // As many as the count has words for: 0xFFFF is the end.
    let mut buffer = vec![0; HEADER_BYTES + 2 * 0x1_0000];
    let mut packer = Packer::new(&mut buffer, session, 1).expect("room");
    assert_eq!((0..0x1_0000).filter(|_| packer.push(b"")).count(), 0xFFFE);
}

/// Whatever is read is written as the same bytes, whatever they are.
fn is_exact(bytes: &[u8]) {
    if let Ok(said) = ouch::Inbound::decode(bytes) {
        let again = encoded::<128>(|into| said.encode(into));
        assert_eq!(&again[..bytes.len()], bytes);
        assert_eq!(ouch::Inbound::decode(&again), Ok(said));
    }
    if let Ok(said) = ouch::Outbound::decode(bytes) {
        let again = encoded::<128>(|into| said.encode(into));
        assert_eq!(&again[..bytes.len()], bytes);
        assert_eq!(ouch::Outbound::decode(&again), Ok(said));
    }
    if let Ok(said) = itch::Message::decode(bytes) {
        assert_eq!(encoded::<128>(|into| said.encode(into)), bytes);
    }
    if let Ok(Some((said, length))) = FromClient::split(bytes, 1_000) {
        let again = encoded::<1_024>(|into| said.encode(into));
        assert_eq!(again.len(), length);
        assert_eq!(FromClient::split(&again, 1_000), Ok(Some((said, length))));
    }
    if let Ok(Some((said, length))) = FromServer::split(bytes, 1_000) {
        let again = encoded::<1_024>(|into| said.encode(into));
        assert_eq!(again.len(), length);
        assert_eq!(FromServer::split(&again, 1_000), Ok(Some((said, length))));
    }
    if let Some(Datagram { session, sequence, said: Said::Messages(blocks) }) =
        Datagram::decode(bytes)
    {
        let mut buffer = [0; 1_024];
        let mut packer = Packer::new(&mut buffer, session, sequence).expect("room");
        assert!(blocks.into_iter().all(|block| packer.push(block)));
        assert_eq!(packer.finish(), bytes);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_borne(bytes in vec(any::<u8>(), 0..200)) {
        is_exact(&bytes);
    }

    /// The right type and length, and any fields.
    #[test]
    fn any_fields_are_borne(fields in vec(any::<u8>(), 80)) {
        let inbound = inbound().into_iter().map(|said| encoded::<128>(|into| said.encode(into)));
        let outbound = outbound().into_iter().map(|said| encoded::<128>(|into| said.encode(into)));
        let market = market().into_iter().map(|said| encoded::<128>(|into| said.encode(into)));
        for sample in inbound.chain(outbound).chain(market) {
            let bytes = [&sample[..1], &fields[..sample.len() - 1]].concat();
            let is_known = ouch::Inbound::decode(&bytes).is_ok()
                || ouch::Outbound::decode(&bytes).is_ok()
                || itch::Message::decode(&bytes).is_ok();
            assert!(is_known);
            is_exact(&bytes);
            let packet = [&[0, fields[0] % 60, b'L'], &fields[..]].concat();
            is_exact(&packet);
        }
    }
}
