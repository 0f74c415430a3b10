#![expect(clippy::disallowed_methods, reason = "the toy server has a thread")]

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringframe_wire::layout::Alpha;
use ringframe_wire::ouch::{Accepted, BboWeight, RejectReason, Rejected, Replaced};
use ringframe_wire::ouch::{CancelReason, Canceled, Executed, Liquidity, OrderState};

use super::*;
use crate::results::Measured;
use crate::run::{Options, RunError, demo_users, run};
use crate::schedule::{Length, Pace};

const NAMES: u64 = 7;

/// A checker of two sessions, its tally, and a clock that a test turns by hand.
struct Desk {
    checker: Checker,
    tally: Tally,
}

fn desk() -> Desk {
    let mut tally = Tally::new(Arc::default());
    tally.begin(0, 1_000_000_000, 0);
    Desk { checker: Checker::new(Names::new(NAMES), 10, 2), tally }
}

fn token(id: u32) -> ouch::Token {
    Names::new(NAMES).token(id)
}

fn add(id: u32, quantity: u32) -> Op {
    let side = Side::Buy;
    Op::Add { id, instrument: 0, side, price: 100, quantity, immediate: false }
}

fn replace(old: u32, new: u32, quantity: u32) -> Op {
    Op::Replace { old, new, price: 100, quantity }
}

fn order(token: ouch::Token, shares: u32) -> ouch::Order {
    ouch::Order {
        token,
        side: ouch::Side::BUY,
        shares: shares.into(),
        stock: Alpha(*b"AAPL    "),
        price: 100.into(),
        time_in_force: time_in_force::MARKET_HOURS.into(),
        firm: ouch::Firm::BLANK,
        display: ouch::Display::ANONYMOUS,
        reference: 1.into(),
        capacity: ouch::Capacity::AGENCY,
        sweep: ouch::Sweep::NO,
        minimum: 0.into(),
        cross: ouch::Cross::NONE,
        state: OrderState::LIVE,
    }
}

fn accepted(token: ouch::Token, shares: u32) -> Outbound {
    Accepted { time: 1.into(), order: order(token, shares), bbo: BboWeight::NONE }.into()
}

fn replaced(old: u32, new: u32, shares: u32) -> Outbound {
    let (time, order, bbo) = (1.into(), order(token(new), shares), BboWeight::NONE);
    Replaced { time, order, old: token(old), bbo }.into()
}

fn canceled(token: ouch::Token, by: u32, reason: CancelReason) -> Outbound {
    Canceled { time: 1.into(), token, decrement: by.into(), reason }.into()
}

fn executed(token: ouch::Token, shares: u32) -> Outbound {
    let (time, shares, price) = (1.into(), shares.into(), 100.into());
    Executed { time, token, shares, price, liquidity: Liquidity::ADDED, match_number: 1.into() }
        .into()
}

impl Desk {
    fn ask(&mut self, op: Op) -> &mut Self {
        let sent = Sent { due: 0, out: 0 };
        self.tally.sent(sent);
        self.checker.asked(0, op, sent);
        self
    }

    fn hear(&mut self, message: Outbound) -> &mut Self {
        self.checker.hear(0, &message, 5, &mut self.tally);
        self
    }

    /// Answered, silent, lost, repeated, unexpected.
    #[track_caller]
    fn expect(&mut self, counts: [u64; 5]) -> &mut Self {
        let Measured { answered, silent, lost, repeated, unexpected, errors, .. } =
            self.tally.measured(&[], Vec::new());
        assert_eq!([answered, silent, lost, repeated, unexpected], counts, "{errors:?}");
        self
    }
}

#[test]
fn every_kind_of_message_is_answered_by_its_kind() {
    let mut desk = desk();
    desk.ask(add(0, 100)).ask(replace(0, 1, 150)).ask(Op::Cancel { id: 1 }).ask(add(2, 5));
    desk.hear(accepted(token(0), 100)).hear(executed(token(0), 30));
    desk.hear(replaced(0, 1, 120)).hear(canceled(token(1), 120, CancelReason::USER));
    let why = RejectReason::STOCK;
    desk.hear(Rejected { time: 1.into(), token: token(2), reason: why }.into());
    desk.expect([4, 0, 0, 0, 0]);
    assert_eq!((desk.checker.open().count(), desk.checker.waiting()), (0, 0));
}

#[test]
fn a_cancel_of_what_is_gone_is_rightly_silent_and_one_of_what_is_there_is_lost() {
    let mut gone = desk();
    gone.ask(add(0, 100)).hear(accepted(token(0), 100)).hear(executed(token(0), 100));
    gone.ask(Op::Cancel { id: 0 }).ask(replace(0, 1, 5)).ask(Op::Cancel { id: 1 }).ask(add(2, 5));
    gone.expect([1, 0, 0, 0, 0]).hear(accepted(token(2), 5)).expect([2, 3, 0, 0, 0]);
    let mut there = desk();
    there.ask(add(0, 100)).hear(accepted(token(0), 100)).ask(Op::Cancel { id: 0 }).ask(add(2, 5));
    there.hear(accepted(token(2), 5)).expect([2, 0, 1, 0, 0]);
}

#[test]
fn answers_that_never_come_are_lost() {
    let mut desk = desk();
    desk.ask(add(0, 1)).ask(add(1, 1)).hear(accepted(token(1), 1)).expect([1, 0, 1, 0, 0]);
    desk.ask(add(2, 1));
    desk.checker.give_up(9, &mut desk.tally);
    desk.expect([1, 0, 2, 0, 0]);
}

#[test]
fn a_silence_at_the_end_is_right_only_where_the_order_was_told_to_be_gone() {
    let mut desk = desk();
    desk.ask(add(0, 9)).hear(accepted(token(0), 9)).hear(executed(token(0), 9));
    desk.ask(Op::Cancel { id: 0 }).ask(add(1, 9)).ask(replace(1, 2, 9)).ask(Op::Cancel { id: 2 });
    desk.checker.give_up(9, &mut desk.tally);
    desk.expect([1, 1, 3, 0, 0]);
}

#[test]
fn answers_that_come_twice_are_repeated() {
    let mut desk = desk();
    desk.ask(add(0, 9)).hear(accepted(token(0), 9)).hear(accepted(token(0), 9));
    desk.expect([1, 0, 0, 1, 0]).ask(Op::Cancel { id: 0 });
    let gone = canceled(token(0), 9, CancelReason::USER);
    desk.hear(gone).hear(gone).expect([2, 0, 0, 2, 0]);
}

#[test]
fn what_nobody_asked_for_is_unexpected() {
    let wrong: [(&str, Outbound); 7] = [
        ("a token that was never sent", accepted(token(5), 9)),
        ("a token beyond all", accepted(token(99), 9)),
        ("a token of nobody", accepted(Alpha(*b"NOBODY        "), 9)),
        ("an execution of what was never sent", executed(token(5), 1)),
        ("more shares than there are", executed(token(0), 10)),
        ("a cancel that nobody sent", canceled(token(0), 9, CancelReason::USER)),
        ("a replace that nobody sent", replaced(0, 5, 9)),
    ];
    for (what, message) in wrong {
        let mut desk = desk();
        desk.ask(add(0, 9)).hear(accepted(token(0), 9)).hear(message);
        let measured = desk.tally.measured(&[], Vec::new());
        assert_eq!((measured.unexpected, measured.answered), (1, 1), "{what}");
    }
    let mut desk = desk();
    desk.ask(add(0, 9)).hear(accepted(token(0), 8)).expect([1, 0, 0, 0, 1]);
    desk.ask(replace(0, 1, 20)).hear(replaced(0, 1, 19)).expect([2, 0, 0, 0, 2]);
    // Another session may not answer.
    desk.ask(add(3, 1));
    desk.checker.hear(1, &accepted(token(3), 1), 5, &mut desk.tally);
    desk.expect([2, 0, 0, 0, 3]);
}

#[test]
fn a_message_takes_the_room_that_it_asks_for() {
    let ops = [add(0, 5), replace(0, 1, 5), Op::Cancel { id: 1 }];
    let script = Script {
        name: "three".into(),
        listings: vec![Listing { stock: Alpha(*b"AAPL    "), shift: 7 }],
        setup: Vec::new(),
        ops: ops.to_vec(),
        times: None,
    };
    let login = &one_session("127.0.0.1:1".into()).login;
    let orders = Orders::new(login, &script, NAMES).expect("an address");
    for op in ops {
        let mut bytes = Vec::new();
        orders.encode(&op, &mut bytes);
        assert_eq!(bytes.len(), wire_bytes(&op), "{op:?}");
        let said = FromClient::split(&bytes, PACKET_BYTES_MAX).expect("a packet").expect("all");
        let FromClient::Data(message) = said.0 else { panic!("{said:?}") };
        assert_eq!((Inbound::decode(message), said.1), (Ok(orders.message(&op)), bytes.len()));
    }
}

#[test]
fn what_an_earlier_run_left_may_trade() {
    let mut desk = desk();
    let earlier = Names::new(NAMES + 1).token(0);
    desk.hear(executed(earlier, 5)).hear(canceled(earlier, 5, CancelReason::SELF_MATCH));
    desk.expect([0; 5]);
    assert_eq!(desk.checker.kinds()[2].name, "of an earlier run's orders");
}

/// How the toy server misbehaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Good,
    /// Hangs up once, after so many answers; on the next connection it goes on where the client is.
    HangsUp(u64),
    /// The same, but the next connection begins one message too late.
    Forgets(u64),
    /// Answers every hundredth order twice.
    Repeats,
    /// Does not answer every hundredth order.
    Swallows,
    /// Ends the session for good at the first cancel.
    Ends,
    /// Answers no more after so many answers.
    FallsSilent(usize),
}

/// A server for one session, which accepts all and forgets nothing: every answer by its number.
fn serve(listener: &TcpListener, manner: Manner) {
    let mut answers: Vec<Vec<u8>> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut is_first = true;
    loop {
        let Ok((stream, _)) = listener.accept() else { return };
        if !serve_one(&stream, manner, is_first, &mut answers, &mut seen) {
            return;
        }
        is_first = false;
    }
}

/// Whether the client is to come again.
fn serve_one(
    mut stream: &TcpStream,
    manner: Manner,
    is_first: bool,
    answers: &mut Vec<Vec<u8>>,
    seen: &mut std::collections::BTreeSet<ouch::Token>,
) -> bool {
    use std::io::{Read, Write};
    let mut room = [0; 4_096];
    let mut input: Vec<u8> = Vec::new();
    loop {
        let read = stream.read(&mut room).unwrap_or(0);
        if read == 0 {
            return false;
        }
        input.extend_from_slice(&room[..read]);
        let mut output = Vec::new();
        let mut say = |packet: FromServer<'_>| {
            let mut bytes = [0; 128];
            let length = packet.encode(&mut bytes).expect("short");
            output.extend_from_slice(&bytes[..length]);
        };
        while let Some((packet, length)) =
            FromClient::split(&input, PACKET_BYTES_MAX).expect("a good client")
        {
            match packet {
                FromClient::Login(login) => {
                    let late = u64::from(matches!(manner, Manner::Forgets(_)) && !is_first);
                    let sequence = login.sequence.max(1) + late;
                    let session = Alpha(*b"S         ");
                    say(FromServer::Accepted(LoginAccepted { session, sequence }));
                    for answer in answers.iter().skip(sequence as usize - 1) {
                        say(FromServer::Data(answer));
                    }
                }
                FromClient::Data([b'X', ..]) if manner == Manner::Ends => {
                    say(FromServer::End);
                    let _ = stream.write_all(&output);
                    return false;
                }
                FromClient::Data(message) => {
                    let is_last = match manner {
                        Manner::HangsUp(after) | Manner::Forgets(after) => {
                            is_first && answers.len() as u64 > after
                        }
                        _ => false,
                    };
                    if is_last {
                        // It never saw this one, and what it just said may not be heard.
                        return true;
                    }
                    if matches!(manner, Manner::FallsSilent(after) if answers.len() >= after) {
                        input.drain(..length);
                        continue;
                    }
                    for answer in answers_to(message, manner, seen) {
                        answers.push(answer);
                        say(FromServer::Data(answers.last().expect("just pushed")));
                    }
                }
                FromClient::Logout => return false,
                FromClient::Debug(_) | FromClient::Heartbeat => {}
            }
            input.drain(..length);
        }
        if stream.write_all(&output).is_err() {
            return true;
        }
    }
}

/// Takes every order once; immediate ones do not trade. Nothing is said to what is known.
fn answers_to(
    message: &[u8],
    manner: Manner,
    seen: &mut std::collections::BTreeSet<ouch::Token>,
) -> Vec<Vec<u8>> {
    let bytes = |message: Outbound| {
        let mut bytes = vec![0; Outbound::BYTES_MAX];
        let length = message.encode(&mut bytes).expect("as long as the longest");
        bytes.truncate(length);
        bytes
    };
    match Inbound::decode(message).expect("a good client") {
        Inbound::Enter(it) if seen.insert(it.token) => {
            let taken = bytes(accepted(it.token, it.shares.get()));
            if it.time_in_force.get() == time_in_force::IMMEDIATE {
                let gone = canceled(it.token, it.shares.get(), CancelReason::IMMEDIATE);
                return vec![taken, bytes(gone)];
            }
            match manner {
                Manner::Repeats if seen.len().is_multiple_of(100) => vec![taken.clone(), taken],
                Manner::Swallows if seen.len().is_multiple_of(100) => Vec::new(),
                _ => vec![taken],
            }
        }
        _ => Vec::new(),
    }
}

/// A thousand orders of one session, none of them canceled.
fn one_session(address: String) -> Options {
    let rate = NonZeroU64::new(20_000).expect("not zero");
    let options = Options::new(address, rate, Duration::from_secs(1));
    let mut options = Options {
        source: "mix:add=95,cancel=0,replace=0,take=5".parse().expect("a mix"),
        pace: Pace { length: Length::Count(1_000), warm_up: Duration::ZERO, ..options.pace },
        keep_orders: true,
        is_polite: true,
        patience: Some(Duration::from_mins(1)),
        ..options
    };
    options.login.users = demo_users(1);
    options
}

/// What comes of them.
fn played(manner: Manner) -> Measured {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let address = listener.local_addr().expect("bound").to_string();
    let options = Options { keep_orders: manner != Manner::Ends, ..one_session(address) };
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&listener, manner));
        run(&options).expect("it logs in").results.measured
    })
}

#[test]
fn a_good_server_is_found_good() {
    let measured = played(Manner::Good);
    assert!(measured.is_complete(), "{measured:?}");
    assert_eq!((measured.sent, measured.answered), (1_000, 1_000));
}

#[test]
fn after_a_lost_connection_a_session_goes_on_where_it_was() {
    let measured = played(Manner::HangsUp(500));
    assert!(measured.is_complete(), "{measured:?}");
    assert_eq!((measured.sent, measured.answered), (1_000, 1_000));
    assert_eq!(measured.reconnected, 1);
    assert!(measured.resent > 0, "{measured:?}");
}

/// A server that has gone wrong: it takes connections and hangs up, as long as there is a caller.
fn hang_up_always(listener: &TcpListener, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        drop(listener.accept());
    }
}

/// What comes of a session whose first target serves it once, and from then on hangs up at once.
/// The second target, when there is one, does not let it in the first time.
fn failed_over(targets: usize, give_up: Duration) -> Measured {
    let bound = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let listeners = [bound(), bound()];
    let address = |listener: &TcpListener| listener.local_addr().expect("bound").to_string();
    let addresses: Vec<String> = listeners[..targets].iter().map(address).collect();
    let mut options = one_session(addresses[0].clone());
    options.login.targets.clone_from(&addresses);
    options.login.give_up = give_up;
    let [first, second] = &listeners;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut answers, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
            let (stream, _) = first.accept().expect("loopback");
            serve_one(&stream, Manner::HangsUp(500), true, &mut answers, &mut seen);
            drop(stream);
            scope.spawn(|| hang_up_always(first, &over));
            if targets > 1 {
                let (stream, _) = second.accept().expect("loopback");
                refuse(&stream);
                let (stream, _) = second.accept().expect("loopback");
                serve_one(&stream, Manner::Good, false, &mut answers, &mut seen);
            }
        });
        let outcome = run(&options).expect("it logs in");
        over.store(true, Ordering::Relaxed);
        // Those that still wait for a caller get their last.
        for address in [&addresses[0], addresses.last().expect("one"), addresses.last().expect("")]
        {
            drop(TcpStream::connect(address));
        }
        outcome.results.measured
    })
}

fn refuse(mut stream: &TcpStream) {
    use std::io::{Read, Write};
    let mut bytes = [0; 64];
    // Its login is read, or closing would reset the connection before the answer is.
    let _ = stream.read(&mut bytes);
    let packet = FromServer::Rejected(LoginReject::SessionNotAvailable);
    let length = packet.encode(&mut bytes).expect("short");
    stream.write_all(&bytes[..length]).expect("loopback");
}

#[test]
fn a_session_comes_back_wherever_it_is_let_in() {
    let measured = failed_over(2, Duration::from_mins(1));
    assert!(measured.is_complete(), "{measured:?}");
    assert_eq!((measured.sent, measured.answered, measured.reconnected), (1_000, 1_000, 1));
}

#[test]
fn a_session_that_gets_in_nowhere_gives_up() {
    let measured = failed_over(1, Duration::from_millis(100));
    let why = measured.given_up.as_ref().expect("it gave up");
    assert!(why.contains("there is no other") && why.contains("did not get in"), "{why}");
    assert!(!measured.is_complete());
}

#[test]
fn wrong_servers_are_found_wrong() {
    let forgets = played(Manner::Forgets(500));
    // Whether an answer is lost with it depends on what was heard before.
    assert_eq!(forgets.unexpected, 1, "{forgets:?}");
    let repeats = played(Manner::Repeats);
    assert!(repeats.repeated >= 9 && repeats.lost == 0, "{repeats:?}");
    let swallows = played(Manner::Swallows);
    assert!(swallows.lost >= 9 && swallows.repeated == 0, "{swallows:?}");
}

/// Long enough for a server that is only slow.
const SILENCE: Duration = Duration::from_secs(3);

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let address = listener.local_addr().expect("bound").to_string();
    let options = Options { silence: SILENCE, ..one_session(address) };
    let measured = std::thread::scope(|scope| {
        scope.spawn(|| serve(&listener, Manner::FallsSilent(600)));
        run(&options).expect("it logs in").results.measured
    });
    let why = measured.given_up.as_ref().expect("it gave up");
    assert!(why.starts_with("silent: no answer came for 3"), "{why}");
    assert!(measured.lost > 0 && !measured.is_complete(), "{measured:?}");
}

/// Says that it is there, and nothing else, until the client goes.
fn only_heartbeats(listener: &TcpListener, lets_in: bool, pause: Duration) {
    use std::io::{Read, Write};
    let (mut stream, _) = listener.accept().expect("loopback");
    let mut room = [0; 64];
    let _ = stream.read(&mut room);
    let (session, sequence) = (Alpha(*b"S         "), 1);
    let accepted = FromServer::Accepted(LoginAccepted { session, sequence });
    let length = accepted.encode(&mut room).expect("short");
    let mut said = Ok(());
    if lets_in {
        said = stream.write_all(&room[..length]);
    }
    let length = FromServer::Heartbeat.encode(&mut room).expect("short");
    let heartbeats = room[..length].repeat(if pause.is_zero() { 10_000 } else { 1 });
    while said.is_ok() {
        said = stream.write_all(&heartbeats);
        std::thread::sleep(pause);
    }
}

#[test]
fn heartbeats_are_no_answers() {
    let ms = Duration::from_millis;
    for (lets_in, pause, what) in
        [(false, ms(50), "log in"), (true, ms(50), "fill the books"), (true, ms(0), "fill the")]
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let address = listener.local_addr().expect("bound").to_string();
        let options = Options { silence: ms(300), ..one_session(address) };
        let error = std::thread::scope(|scope| {
            scope.spawn(|| only_heartbeats(&listener, lets_in, pause));
            run(&options).expect_err("it answers nothing")
        });
        let RunError::Silent(why) = &error else { panic!("{error:?}") };
        assert!(why.starts_with("silent: ") && why.contains(what), "{why}");
    }
}

#[test]
fn figures_stand_when_what_rests_cannot_be_taken_back() {
    let measured = played(Manner::Ends);
    assert_eq!((measured.sent, measured.answered), (1_000, 1_000));
    assert!(measured.errors[0].contains("take back what rests"), "{:?}", measured.errors);
    assert!(!measured.is_complete());
}

#[test]
fn where_nobody_listens_there_are_no_results() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let rate = NonZeroU64::new(1_000).expect("not zero");
    let error = run(&Options::new(address.clone(), rate, Duration::from_millis(10)));
    assert!(matches!(&error, Err(RunError::Fault(why)) if why.contains(&address)), "{error:?}");
}

#[test]
fn a_host_that_does_not_answer_is_left() {
    let (_socket, address, _full) = crate::engine::dead();
    let error = run(&one_session(address.to_string()));
    let is_said = |why: &str| why.contains("no answer to a connection");
    assert!(matches!(&error, Err(RunError::Fault(why)) if is_said(why)), "{error:?}");
}
