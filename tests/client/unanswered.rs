//! Which messages still wait for an answer, and what becomes of them.

use ringframe::client::{Client, ClientError};
use ringframe::wire::ouch::{
    BboWeight, Cancel, CancelReason, Canceled, Display, Inbound, Modified, Modify, Outbound,
    RejectReason, Rejected, Replace, Replaced, Side, Sweep,
};

use crate::server::{PATIENCE, Peer, Said, Server, order, taken, token};

fn cancel(number: u64) -> Inbound {
    Cancel { token: token(number), shares: 0.into() }.into()
}

fn modify(number: u64) -> Inbound {
    Modify { token: token(number), side: Side::BUY, shares: 50.into() }.into()
}

fn replace(old: u64, new: u64) -> Inbound {
    Replace {
        old: token(old),
        new: token(new),
        shares: 100.into(),
        price: 1.into(),
        time_in_force: 0.into(),
        display: Display::ANONYMOUS,
        sweep: Sweep::NO,
        minimum: 0.into(),
    }
    .into()
}

fn canceled(number: u64, reason: CancelReason) -> Outbound {
    Canceled { time: 1.into(), token: token(number), decrement: 1.into(), reason }.into()
}

fn rejected(number: u64) -> Outbound {
    Rejected { time: 1.into(), token: token(number), reason: RejectReason::OTHER }.into()
}

fn replaced(old: u64, new: u64) -> Outbound {
    let Outbound::Accepted(accepted) = taken(&order(new)) else { unreachable!() };
    let Outbound::Replaced(replaced) = Outbound::from(Replaced {
        time: 1.into(),
        order: accepted.order,
        old: token(old),
        bbo: BboWeight::NONE,
    }) else {
        unreachable!()
    };
    replaced.into()
}

fn modified(number: u64) -> Outbound {
    let shares = 50.into();
    Modified { time: 1.into(), token: token(number), side: Side::BUY, shares }.into()
}

/// What is left of `sent` after each of the messages that `said` names.
fn left(sent: &[Inbound], said: Vec<Outbound>) -> Vec<Vec<Inbound>> {
    let answers = said.len();
    let server = Server::start(move |listener| {
        let mut peer = Peer::accept(listener);
        peer.accept_login(1);
        for message in &said {
            peer.say(message);
        }
        peer.hear_it_go();
    });
    let mut client = Client::connect(server.login()).unwrap();
    for message in sent {
        client.send(*message).unwrap();
    }
    let lefts = (0..answers).map(|_| {
        client.receive(PATIENCE).unwrap().unwrap();
        client.unanswered().copied().collect()
    });
    let lefts = lefts.collect();
    client.logout().unwrap();
    server.end();
    lefts
}

#[test]
fn an_answer_is_one_to_all_that_was_sent_before() {
    let sent = [
        order(1).into(),
        order(2).into(),
        cancel(9),
        replace(1, 3),
        modify(3),
        replace(3, 4),
        cancel(9),
    ];
    let said = vec![taken(&order(1)), rejected(2), replaced(1, 3), modified(3), rejected(4)];
    let lefts = left(&sent, said);
    let expected = [&sent[1..], &sent[2..], &sent[4..], &sent[5..], &sent[6..]];
    assert_eq!(lefts, expected);
}

#[test]
fn a_cancel_is_answered_by_what_the_user_asked_for_and_says_nothing_of_the_rest() {
    let sent = [order(5).into(), cancel(1), cancel(2), cancel(1)];
    let said = vec![
        canceled(1, CancelReason::SELF_MATCH),
        canceled(3, CancelReason::USER),
        canceled(1, CancelReason::USER),
        taken(&order(6)),
    ];
    let rest = [sent[0], sent[2], sent[3]];
    assert_eq!(left(&sent, said), [&sent[..], &sent, &rest, &rest]);
}

#[test]
fn what_is_in_doubt_is_decided_before_anything_new_is_sent() {
    let server = Server::start(|listener| {
        let mut peer = Peer::accept(listener);
        peer.accept_login(1);
        for _ in 0..3 {
            assert!(matches!(peer.next_said(), Said::Message(_)));
        }
        peer.say(&taken(&order(1)));
        drop(peer);
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.accept_login(2).sequence, 2);
        for message in [order(2).into(), cancel(1), order(3).into()] {
            assert_eq!(peer.next_said(), Said::Message(message));
        }
        drop(peer);
        let mut peer = Peer::accept(listener);
        peer.accept_login(2);
        assert_eq!(peer.next_said(), Said::Message(order(4).into()));
        peer.hear_it_go();
    });
    let mut client = Client::connect(server.login()).unwrap();
    for message in [order(1).into(), order(2).into(), cancel(1)] {
        client.send(message).unwrap();
    }
    assert_eq!(client.receive(PATIENCE).unwrap().unwrap().message, taken(&order(1)));
    assert!(client.receive(PATIENCE).unwrap_err().is_lost());
    assert_eq!(client.reconnect(), Ok(2));
    assert_eq!(client.send(order(3)), Err(ClientError::InDoubt { count: 2 }));
    assert_eq!(client.unanswered().copied().collect::<Vec<_>>(), [order(2).into(), cancel(1)]);
    assert_eq!(client.resend(), Ok(2));
    client.send(order(3)).unwrap();
    assert!(client.receive(PATIENCE).unwrap_err().is_lost());
    assert_eq!(client.reconnect(), Ok(3));
    assert_eq!(client.forget(), [order(2).into(), cancel(1), order(3).into()]);
    client.send(order(4)).unwrap();
    assert_eq!(client.unanswered().len(), 1);
    client.logout().unwrap();
    server.end();
}
