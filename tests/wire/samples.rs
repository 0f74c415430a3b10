//! One value of each message, and the bytes they are pinned to: `tests/golden/wire/messages.txt`.
//! `RINGFRAME_BLESS=1 cargo test --test wire` writes them anew, which is right only when a message
//! is added: clients that we do not know read the others.

use ringframe::wire::layout::{Alpha, U48};
use ringframe::wire::mold::{Packer, Request};
use ringframe::wire::soup::{
    FromClient, FromServer, LoginAccepted, LoginReject, LoginRequest, PACKET_BYTES_MAX,
};
use ringframe::wire::{itch, ouch};

use crate::hex_of;

/// What both sides of a protocol have in common, for tests that look at all of them.
pub(crate) fn encoded<const N: usize>(write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Vec<u8> {
    let mut bytes = [0xEE; N];
    let length = write(&mut bytes).expect("room for any message");
    assert!(bytes[length..].iter().all(|byte| *byte == 0xEE), "written beyond its end");
    bytes[..length].to_vec()
}

pub(crate) fn alpha<const N: usize>(text: &str) -> Alpha<N> {
    Alpha::new(text).expect("short enough")
}

pub(crate) fn login() -> LoginRequest {
    LoginRequest {
        username: alpha("TRDR01"),
        password: alpha("secret"),
        session: Alpha::BLANK,
        sequence: 1,
        timeout: None,
    }
}

pub(crate) fn from_clients() -> Vec<FromClient<'static>> {
    vec![
        FromClient::Debug(b"any text"),
        FromClient::Login(login()),
        FromClient::Login(LoginRequest {
            session: alpha("SESS7"),
            sequence: u64::MAX,
            timeout: Some(15_000),
            ..login()
        }),
        FromClient::Data(b"XORD2          ,"),
        FromClient::Data(b""),
        FromClient::Heartbeat,
        FromClient::Logout,
    ]
}

pub(crate) fn from_servers() -> Vec<FromServer<'static>> {
    vec![
        FromServer::Debug(b""),
        FromServer::Accepted(LoginAccepted { session: alpha("SESS7"), sequence: 1_234 }),
        FromServer::Rejected(LoginReject::NotAuthorized),
        FromServer::Rejected(LoginReject::SessionNotAvailable),
        FromServer::Data(b"S\0\0\0\0\0\0\0\x01S"),
        FromServer::Heartbeat,
        FromServer::End,
    ]
}

pub(crate) fn enter() -> ouch::Enter {
    ouch::Enter {
        token: alpha("ORD1"),
        side: ouch::Side::BUY,
        shares: 500.into(),
        stock: alpha("AAPL"),
        price: 1_234_500.into(),
        time_in_force: ouch::time_in_force::SYSTEM_HOURS.into(),
        firm: alpha("FIRM"),
        display: ouch::Display::ANONYMOUS,
        capacity: ouch::Capacity::PRINCIPAL,
        sweep: ouch::Sweep::NO,
        minimum: 0.into(),
        cross: ouch::Cross::NONE,
        customer: ouch::Customer::DEFAULT,
    }
}

pub(crate) fn replace() -> ouch::Replace {
    ouch::Replace {
        old: alpha("ORD1"),
        new: alpha("ORD2"),
        shares: 600.into(),
        price: 1_234_600.into(),
        time_in_force: ouch::time_in_force::SYSTEM_HOURS.into(),
        display: ouch::Display::ANONYMOUS,
        sweep: ouch::Sweep::NO,
        minimum: 0.into(),
    }
}

pub(crate) fn inbound() -> Vec<ouch::Inbound> {
    vec![
        enter().into(),
        replace().into(),
        ouch::Cancel { token: alpha("ORD2"), shares: 300.into() }.into(),
        ouch::Modify { token: alpha("ORD2"), side: ouch::Side::SHORT_EXEMPT, shares: 100.into() }
            .into(),
    ]
}

/// 09:30:00.000000001
pub(crate) const TIME: u64 = 34_200_000_000_001;

pub(crate) fn order() -> ouch::Order {
    let ouch::Enter { token, side, shares, stock, price, time_in_force, firm, .. } = enter();
    let ouch::Enter { display, capacity, sweep, minimum, cross, .. } = enter();
    let reference = 77.into();
    let state = ouch::OrderState::LIVE;
    ouch::Order {
        token,
        side,
        shares,
        stock,
        price,
        time_in_force,
        firm,
        display,
        reference,
        capacity,
        sweep,
        minimum,
        cross,
        state,
    }
}

fn executed() -> ouch::Executed {
    ouch::Executed {
        time: TIME.into(),
        token: alpha("ORD2"),
        shares: 100.into(),
        price: 1_234_600.into(),
        liquidity: ouch::Liquidity::ADDED,
        match_number: 9_001.into(),
    }
}

pub(crate) fn outbound() -> Vec<ouch::Outbound> {
    let (time, token, price) = (TIME.into(), alpha("ORD2"), 1_234_600.into());
    let replaced =
        ouch::Order { token, shares: 600.into(), price, reference: 78.into(), ..order() };
    let bbo = ouch::BboWeight::NONE;
    let user = ouch::CancelReason::USER;
    let reference_price = 1_234_550.into();
    let kind = ouch::ReferenceKind::MIDPOINT;
    vec![
        ouch::SystemEvent { time, event: ouch::Day::START }.into(),
        ouch::Accepted { time, order: order(), bbo }.into(),
        ouch::Replaced { time, order: replaced, old: alpha("ORD1"), bbo }.into(),
        ouch::Canceled { time, token, decrement: 200.into(), reason: user }.into(),
        executed().into(),
        ouch::Rejected { time, token: alpha("ORD3"), reason: ouch::RejectReason::PRICE }.into(),
        ouch::Broken {
            time,
            token,
            match_number: 9_001.into(),
            reason: ouch::BrokenReason::ERRONEOUS,
        }
        .into(),
        ouch::SelfMatch {
            time,
            token: alpha("ORD4"),
            decrement: 10.into(),
            reason: ouch::CancelReason::SELF_MATCH,
            prevented: 10.into(),
            price,
            liquidity: ouch::Liquidity::REMOVED,
        }
        .into(),
        ouch::ExecutedAtReference { executed: executed(), reference_price, kind }.into(),
        ouch::CancelPending { time, token }.into(),
        ouch::CancelRejected { time, token }.into(),
        ouch::PriorityUpdated {
            time,
            token,
            price,
            display: ouch::Display::ANONYMOUS,
            reference: ((1 << 32) + 78).into(),
        }
        .into(),
        ouch::Modified { time, token, side: ouch::Side::SHORT, shares: 100.into() }.into(),
    ]
}

pub(crate) fn directory(header: itch::Header) -> itch::StockDirectory {
    itch::StockDirectory {
        header,
        stock: alpha("AAPL"),
        category: itch::Category(b'Q'),
        finances: itch::Finances::NORMAL,
        round_lot: 100.into(),
        round_lots_only: itch::Flag::NO,
        class: itch::Class::COMMON,
        subtype: alpha("Z"),
        authenticity: itch::Authenticity::PRODUCTION,
        short_sale_threshold: itch::Flag::NO,
        new_issue: itch::Flag::NO,
        tier: itch::Tier::ONE,
        tracks: itch::Flag::NO,
        leverage: 0.into(),
        inverse: itch::Flag::NO,
    }
}

pub(crate) fn market() -> Vec<itch::Message> {
    let header = itch::Header { locate: 1.into(), tracking: 0.into(), time: U48::new(TIME) };
    let of_all = itch::Header { locate: 0.into(), ..header };
    let (stock, reference, participant) = (alpha("AAPL"), 77.into(), alpha("FIRM"));
    let (match_number, price) = (9_003.into(), 1_234_500.into());
    let added =
        itch::Added { header, reference, side: itch::Side::BUY, shares: 500.into(), stock, price };
    let executed =
        itch::Executed { header, reference, shares: 100.into(), match_number: 9_001.into() };
    vec![
        itch::SystemEvent { header: of_all, event: itch::Day::MESSAGES_START }.into(),
        directory(header).into(),
        itch::TradingAction {
            header,
            stock,
            state: itch::State::TRADING,
            reserved: b' ',
            reason: Alpha::BLANK,
        }
        .into(),
        added.into(),
        executed.into(),
        itch::Reduced { header, reference, shares: 100.into() }.into(),
        itch::Deleted { header, reference }.into(),
        itch::Replaced {
            header,
            old: reference,
            new: 78.into(),
            shares: 600.into(),
            price: 1_234_600.into(),
        }
        .into(),
        itch::Traded {
            header,
            reference: 0.into(),
            side: itch::Side::BUY,
            shares: 5.into(),
            stock,
            price,
            match_number,
        }
        .into(),
        itch::Broken { header, match_number }.into(),
        itch::ShortSaleRule { header, stock, rule: itch::ShortSale::TODAY }.into(),
        itch::ParticipantPosition {
            header,
            participant,
            stock,
            primary: itch::Flag::YES,
            mode: b'N',
            standing: b'A',
        }
        .into(),
        itch::AddedWithName { added, participant }.into(),
        itch::ExecutedAtPrice { executed, printable: itch::Flag::NO, price }.into(),
        itch::Crossed {
            header,
            shares: 5_000_000_000.into(),
            stock,
            price,
            match_number,
            cross: itch::Cross::OPENING,
        }
        .into(),
    ]
}

pub(crate) fn datagrams() -> Vec<Vec<u8>> {
    let messages: Vec<Vec<u8>> = [77, 78]
        .map(|reference| {
            let time = U48::new(TIME);
            let header = itch::Header { locate: 1.into(), tracking: 0.into(), time };
            let message =
                itch::Message::from(itch::Deleted { header, reference: reference.into() });
            encoded::<64>(|into| message.encode(into))
        })
        .to_vec();
    let session = alpha("SESS000001");
    let mut buffer = [0xEE; 64];
    let mut packer = Packer::new(&mut buffer, session, 5).expect("room");
    assert!(messages.iter().all(|message| packer.push(message)));
    let two = packer.finish().to_vec();
    let heartbeat = Packer::new(&mut buffer, session, 7).expect("room").finish().to_vec();
    let end = Packer::new(&mut buffer, session, 7).expect("room").end().to_vec();
    let request = Request { session, sequence: 5, count: 2 }.encode().to_vec();
    vec![two, heartbeat, end, request]
}

/// Each sample's bytes, by protocol and type.
pub(crate) fn all() -> Vec<(String, Vec<u8>)> {
    const N: usize = PACKET_BYTES_MAX;
    let named = |protocol: &str, bytes: Vec<u8>, kind: usize| {
        (format!("{protocol} {}", bytes[kind].escape_ascii()), bytes)
    };
    let clients = from_clients();
    let clients = clients.iter().map(|said| encoded::<N>(|into| said.encode(into)));
    let servers = from_servers();
    let servers = servers.iter().map(|said| encoded::<N>(|into| said.encode(into)));
    let inbound = inbound();
    let inbound = inbound.iter().map(|said| encoded::<N>(|into| said.encode(into)));
    let outbound = outbound();
    let outbound = outbound.iter().map(|said| encoded::<N>(|into| said.encode(into)));
    let market = market();
    let market = market.iter().map(|said| encoded::<N>(|into| said.encode(into)));
    clients
        .map(|bytes| named("soup client", bytes, 2))
        .chain(servers.map(|bytes| named("soup server", bytes, 2)))
        .chain(inbound.map(|bytes| named("ouch in", bytes, 0)))
        .chain(outbound.map(|bytes| named("ouch out", bytes, 0)))
        .chain(market.map(|bytes| named("itch", bytes, 0)))
        .chain(datagrams().into_iter().map(|bytes| ("mold".to_owned(), bytes)))
        .collect()
}

#[test]
fn messages_are_the_bytes_they_always_were() {
    let mut text = String::new();
    for (name, bytes) in all() {
        text.push_str(&format!("{name:<16} {:>3} {}\n", bytes.len(), hex_of(&bytes)));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/wire/messages.txt");
    if std::env::var_os("RINGFRAME_BLESS").is_some() {
        std::fs::write(path, &text).expect("written");
    }
    let golden = std::fs::read_to_string(path).expect("readable; RINGFRAME_BLESS=1 writes it");
    for (now, then) in text.lines().zip(golden.lines()) {
        assert_eq!(now, then);
    }
    assert_eq!(text.lines().count(), golden.lines().count());
}
