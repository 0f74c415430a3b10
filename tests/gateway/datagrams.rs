//! Market data to a group: on loopback, where the requests for lost datagrams are.

use std::net::{Ipv4Addr, UdpSocket};

use ringframe::gateway::GatewayOptions;
use ringframe::wire::mold::{Datagram, Said};
use ringframe::wire::ouch::Side;

use crate::peer::{Heard, PRICE, order};
use crate::polled::{Polled, mold_to, until};

const USER: u16 = 2;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 77, 1);
const ORDERS: u64 = 200;

#[test]
fn a_group_is_told_what_connections_are() {
    let receiver = UdpSocket::bind("0.0.0.0:0").unwrap();
    let to = (GROUP, receiver.local_addr().unwrap().port()).into();
    let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
    if receiver.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).is_err()
        || probe.send_to(b"", to).is_err()
    {
        return println!("this machine's loopback has no groups");
    }
    receiver.set_nonblocking(true).unwrap();
    let mut polled = Polled::open(GatewayOptions { mold: Some(mold_to(to)), ..Default::default() });
    let mut reader = polled.log_in(1, USER, 0);
    let first = reader.next;
    let mut trader = polled.log_in(0, USER, 0);
    for number in 0..ORDERS {
        trader.order(&order(number, Side::BUY, 1, PRICE / 2)).unwrap();
    }
    let (mut told, mut received) = (Vec::new(), Vec::new());
    let mut bytes = [0; 2_000];
    until(|| {
        polled.turn();
        told.extend(reader.heard().into_iter().filter_map(|heard| match heard {
            Heard::Message(number, bytes) => Some((number, bytes)),
            _ => None,
        }));
        while let Ok(length) = receiver.recv(&mut bytes) {
            let Some(datagram) = Datagram::decode(&bytes[..length]) else { continue };
            if let Said::Messages(messages) = datagram.said {
                let messages = (datagram.sequence..).zip(messages.map(<[u8]>::to_vec));
                received.extend(messages.filter(|(number, _)| *number >= first));
            }
        }
        told.len() as u64 == ORDERS && received.len() == told.len()
    });
    assert!(received == told);
}
