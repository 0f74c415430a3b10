//! What the history answers goes to who asked, on the day of the question: here the test is the
//! history.

use std::net::UdpSocket;

use ringframe::gateway::GatewayOptions;
use ringframe::history::{Answer, Found};
use ringframe::streams::Piece;
use ringframe::wire::mold::{self, Datagram, Request, Said};
use ringframe::wire::ouch::Side;
use ringframe::wire::soup::FromServer;

use crate::peer::{Heard, PATIENCE, PRICE, order};
use crate::polled::{Polled, mold_to, until};
use crate::sessions::next_day;

const USER: u16 = 3;
/// The least there is.
const WINDOW_BYTES: usize = 4 << 10;
/// So many questions for datagrams may wait.
const QUESTIONS: usize = 64;

fn piece(text: &[u8], next: u64) -> Found {
    let mut bytes = [0; 64];
    let length = FromServer::Data(text).encode(&mut bytes).unwrap();
    Found::Piece(Piece { packets: bytes[..length].to_vec(), next })
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let options = GatewayOptions { window_bytes: WINDOW_BYTES, ..GatewayOptions::default() };
    let mut polled = Polled::open(options);
    let mut trader = polled.log_in(0, USER, 0);
    for number in 0..100 {
        trader.order(&order(number, Side::BUY, 1, PRICE / 2)).unwrap();
    }
    let mut count = 0;
    until(|| {
        polled.turn();
        count += trader.heard().len();
        count == 100
    });
    let next = trader.next;
    let mut late = polled.log_in(0, USER, 1);
    until(|| {
        polled.turn();
        !polled.asks.is_empty()
    });
    let token = polled.asks.remove(0).token;
    let answer = |found| polled.answers.send(Answer { token, found }).unwrap();
    answer(Ok(piece(b"the past", next)));
    answer(Err("it is gone".into()));
    late.order(&order(100, Side::BUY, 1, PRICE / 2)).unwrap();
    let mut heard = Vec::new();
    until(|| {
        polled.turn();
        heard.extend(late.heard());
        heard.len() == 2
    });
    assert_eq!(heard[0], Heard::Message(1, b"the past".to_vec()));
    assert!(matches!(heard[1], Heard::Message(2, _)), "{heard:?}");
}

/// The session of the newest datagram.
fn newest(receiver: &UdpSocket) -> Option<mold::Session> {
    let mut bytes = [0; 2_000];
    let newest = std::iter::from_fn(|| {
        receiver
            .recv(&mut bytes)
            .ok()
            .map(|length| Datagram::decode(&bytes[..length]).unwrap().session)
    });
    newest.last()
}

#[test]
fn a_datagram_of_the_day_before_is_not_sent_on_the_next() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_nonblocking(true).unwrap();
    let mold = mold_to(receiver.local_addr().unwrap());
    let options = GatewayOptions {
        mold: Some(mold),
        feed_window_bytes: WINDOW_BYTES,
        ..GatewayOptions::default()
    };
    let mut polled = Polled::open(options);
    let asker = UdpSocket::bind("127.0.0.1:0").unwrap();
    asker.set_read_timeout(Some(PATIENCE)).unwrap();
    let ask = |polled: &mut Polled, session, times| {
        let request = Request { session, sequence: 1, count: 1 };
        for _ in 0..times {
            asker.send_to(&request.encode(), polled.requests_at()).unwrap();
        }
        until(|| {
            polled.turn();
            polled.asks.len() == times
        });
        std::mem::take(&mut polled.asks)
    };
    let session = |polled: &mut Polled| {
        let mut found = None;
        until(|| {
            polled.clients();
            polled.turn();
            found = newest(&receiver).or(found);
            found.is_some()
        });
        found.unwrap()
    };
    let before = session(&mut polled);
    let old = ask(&mut polled, before, 1);
    polled.submit(next_day());
    let mut today = before;
    until(|| {
        today = session(&mut polled);
        today != before
    });
    let new = ask(&mut polled, today, QUESTIONS);
    let answer = |token, text: &[u8]| {
        polled.answers.send(Answer { token, found: Ok(piece(text, 2)) }).unwrap();
    };
    answer(old[0].token, b"yesterday");
    answer(new.last().unwrap().token, b"today");
    polled.turn();
    let mut bytes = [0; 2_000];
    let length = asker.recv(&mut bytes).unwrap();
    let datagram = Datagram::decode(&bytes[..length]).unwrap();
    let Said::Messages(mut messages) = datagram.said else { panic!("{datagram:?}") };
    assert_eq!(messages.next(), Some(&b"today"[..]));
}
