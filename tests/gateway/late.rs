//! Who comes late to market data: a snapshot and what follows make the same books as all messages
//! from the first on, while orders keep coming.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{ScopedJoinHandle, scope};
use std::time::Duration;

use fastrand::Rng;
use ringframe::client::{Client, Feed, Login, Timing};
use ringframe::exchange::command::Enter;
use ringframe::exchange::ids::{Side as ExchangeSide, Symbol, Token as ExchangeToken};
use ringframe::exchange_json::write_command;
use ringframe::wire::glimpse;
use ringframe::wire::itch::{Added, Message, StockDirectory, SystemEvent, TradingAction};
use ringframe::wire::layout::Alpha;
use ringframe::wire::ouch::{self, Cancel, Inbound, Replace};
use ringframe::wire::soup::{FromClient, LoginReject, Session};

use crate::peer::{Heard, PATIENCE, PRICE, Peer, Stops, login, order, token};
use crate::program::{Serving, apply};
use crate::sessions::end_day;

const WATCHER: u16 = 9;
const SETTINGS: [&str; 4] = ["--release", "journaled", "--set", "event_segment_bytes=256KiB"];
/// What a late one hears after its snapshot, before it goes.
const LIVE: usize = 200;

/// A queue: stock, side, price.
type Place = (u16, u8, u32);

/// All books, with the place of each order in its queue, as a reader of ITCH knows them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Books {
    said: Vec<SystemEvent>,
    stocks: BTreeMap<u16, (Option<StockDirectory>, Option<TradingAction>)>,
    orders: BTreeMap<u64, Place>,
    /// By stock, side and price: who stands there with how many shares, the first in line first.
    levels: BTreeMap<Place, Vec<(u64, u32)>>,
}

impl Books {
    fn of<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Self {
        let mut books = Self::default();
        messages.into_iter().for_each(|message| books.apply(message));
        books
    }

    fn apply(&mut self, message: &Message) {
        match message {
            Message::SystemEvent(it) => self.said.push(*it),
            Message::StockDirectory(it) => {
                self.stocks.entry(it.header.locate.get()).or_default().0 = Some(*it);
            }
            Message::TradingAction(it) => {
                self.stocks.entry(it.header.locate.get()).or_default().1 = Some(*it);
            }
            Message::Added(Added { header, reference, side, shares, price, .. }) => {
                self.add(reference.get(), (header.locate.get(), side.0, price.get()), shares.get());
            }
            Message::Executed(it) => self.reduce(it.reference.get(), it.shares.get()),
            Message::Reduced(it) => self.reduce(it.reference.get(), it.shares.get()),
            Message::Deleted(it) => drop(self.remove(it.reference.get())),
            Message::Replaced(it) => {
                let (locate, side, _) = self.remove(it.old.get());
                self.add(it.new.get(), (locate, side, it.price.get()), it.shares.get());
            }
            Message::Traded(_) => {}
            other => panic!("{other:?} in this flow"),
        }
    }

    fn add(&mut self, reference: u64, place: Place, shares: u32) {
        assert!(self.orders.insert(reference, place).is_none(), "{reference} comes twice");
        self.levels.entry(place).or_default().push((reference, shares));
    }

    fn reduce(&mut self, reference: u64, shares: u32) {
        let queue = self.levels.get_mut(&self.orders[&reference]).unwrap();
        let order = queue.iter_mut().find(|(of, _)| *of == reference).unwrap();
        order.1 -= shares;
        if order.1 == 0 {
            self.remove(reference);
        }
    }

    fn remove(&mut self, reference: u64) -> Place {
        let place = self.orders.remove(&reference).expect("it is known");
        let queue = self.levels.get_mut(&place).unwrap();
        queue.retain(|(of, _)| *of != reference);
        if queue.is_empty() {
            self.levels.remove(&place);
        }
        place
    }
}

/// Orders, cancels and replaces of one user until it is told to stop, in one stock.
fn trade(address: SocketAddr, user: u16, stop: &AtomicBool, numbers: &AtomicU64) {
    let login = Login::new(&address.to_string(), &format!("TRDR{user:02}"), "secret");
    let mut client = Client::connect(Login { sequence: 0, ..login }).unwrap();
    let mut rng = Rng::with_seed(numbers.load(Ordering::SeqCst) + u64::from(user));
    let mut mine: Vec<ouch::Token> = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        for _ in 0..16 {
            let number = numbers.fetch_add(1, Ordering::SeqCst);
            let side = if rng.bool() { ouch::Side::BUY } else { ouch::Side::SELL };
            // Long queues on both sides, and trades where they meet.
            let lowest = if side == ouch::Side::BUY { PRICE - 200 } else { PRICE };
            let price = lowest + 100 * rng.u32(0..4);
            let old = if mine.is_empty() { None } else { Some(rng.usize(0..mine.len())) };
            let message: Inbound = match (rng.u8(0..10), old) {
                (0, Some(old)) => Cancel { token: mine.swap_remove(old), shares: 0.into() }.into(),
                (1, Some(old)) => Cancel { token: mine[old], shares: rng.u32(1..50).into() }.into(),
                (2, Some(old)) => {
                    let old = std::mem::replace(&mut mine[old], token(number));
                    replace(old, number, price, rng.u32(1..200)).into()
                }
                _ => {
                    mine.push(token(number));
                    order(number, side, rng.u32(1..200), price).into()
                }
            };
            client.send(message).unwrap();
        }
        while client.receive(Duration::from_millis(1)).unwrap().is_some() {}
    }
}

fn replace(old: ouch::Token, number: u64, price: u32, shares: u32) -> Replace {
    let like = order(number, ouch::Side::BUY, shares, price);
    Replace {
        old,
        new: like.token,
        shares: like.shares,
        price: like.price,
        time_in_force: like.time_in_force,
        display: like.display,
        sweep: like.sweep,
        minimum: like.minimum,
    }
}

/// Orders whose next slices stand behind others that came later, and have other references.
fn icebergs() -> String {
    let sell = |number: u64| {
        let price = PRICE + 100 * (number % 4) as u32;
        enter(number, 3, ExchangeSide::Sell, price, 20_000, 50)
    };
    (0..80).map(sell).collect()
}

/// A line that enters an order for AAPL.
fn enter(
    number: u64,
    session: u16,
    side: ExchangeSide,
    price: u32,
    quantity: u32,
    display: u32,
) -> String {
    let (symbol, token) = (Symbol::new("AAPL").unwrap(), ExchangeToken::number(number));
    let enter =
        Enter { symbol, token, session, side, price, quantity, display, ..Enter::default() };
    let mut line = String::new();
    write_command(&mut line, &enter.into());
    line + "\n"
}

/// What a late one heard.
struct Late {
    state: Vec<Message>,
    /// The number of the first message after that.
    next: u64,
    live: Vec<Message>,
}

fn market(serving: &Serving) -> Login {
    let login =
        Login::new(&serving.addresses[1].to_string(), &format!("TRDR{WATCHER:02}"), "secret");
    // However busy the machine is.
    let timing = Timing { connect: PATIENCE, silence: PATIENCE, ..login.timing };
    Login { timing, ..login }
}

fn come_late(market: &Login, glimpse: SocketAddr, live: usize) -> Late {
    let (state, mut feed) =
        Feed::late(market, &[glimpse.to_string()]).expect("there is a snapshot");
    let next = feed.soup().next();
    let live = (next..next + live as u64)
        .map(|number| {
            let received = feed.receive(PATIENCE).unwrap().expect("orders keep coming");
            assert_eq!(received.number, number);
            received.message
        })
        .collect();
    feed.logout().unwrap();
    Late { state, next, live }
}

/// Some come late while users trade, one after the other and two at once.
fn live(serving: &Serving, numbers: &AtomicU64) -> Vec<Late> {
    let stop = AtomicBool::new(false);
    let (market, glimpse) = (&market(serving), serving.glimpse);
    scope(|scope| {
        let (stop, address) = (&stop, serving.addresses[0]);
        let stops = Stops(stop);
        let trading = [1, 2].map(|user| scope.spawn(move || trade(address, user, stop, numbers)));
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(come_late(market, glimpse, LIVE));
            let both = [(); 2].map(|()| scope.spawn(move || come_late(market, glimpse, LIVE)));
            all.extend(both.map(|late| ScopedJoinHandle::join(late).unwrap()));
        }
        drop(stops);
        for each in trading {
            each.join().unwrap();
        }
        all
    })
}

/// All messages from the first on, up to this one.
fn heard(serving: &Serving, last: u64) -> Vec<Message> {
    let mut feed = Feed::connect(market(serving)).unwrap();
    (0..last).map(|_| feed.receive(PATIENCE).unwrap().expect("it was said").message).collect()
}

#[test]
fn who_comes_late_knows_what_those_know_who_heard_everything() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let numbers = AtomicU64::new(0);
    let mut all = Vec::new();
    let done = apply(&SETTINGS[..2], data, &icebergs()).expect(0, &[]);
    assert!(!done.out.contains("rejected"), "{}", done.out);
    let serving = Serving::start(&SETTINGS, data);
    all.extend(live(&serving, &numbers));
    serving.drain();
    let serving = Serving::start(&SETTINGS, data);
    all.extend(live(&serving, &numbers));
    // Here it is killed.
    drop(serving);
    let serving = Serving::start(&SETTINGS, data);
    all.extend(live(&serving, &numbers));
    // Nobody trades any more.
    all.push(come_late(&market(&serving), serving.glimpse, 0));
    let last = all.iter().map(|late| late.next - 1 + late.live.len() as u64).max().unwrap();
    let heard = heard(&serving, last);
    let mut orders = 0;
    for late in &all {
        let next = late.next as usize - 1;
        let books = Books::of(&heard[..next]);
        assert!(Books::of(&late.state) == books, "the books before message {}", late.next);
        assert!(heard[next..next + late.live.len()] == late.live, "after a snapshot");
        orders = orders.max(books.orders.len());
    }
    assert!(orders > 100, "{orders} orders at most");
    serving.drain();
    ends_a_day(data);
}

/// Of a new day it says nothing that is older.
fn ends_a_day(data: &Path) {
    end_day(data);
    let serving = Serving::start(&SETTINGS, data);
    let late = come_late(&market(&serving), serving.glimpse, 0);
    let heard = heard(&serving, late.next - 1);
    assert!(late.next > 100 && Books::of(&late.state) == Books::of(&heard), "{}", late.next);
}

#[test]
fn a_snapshot_is_a_session_that_ends_with_where_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(&SETTINGS, directory.path());
    let refused = |session, sequence| Peer::log_in(serving.glimpse, WATCHER, session, sequence);
    let none = Some(LoginReject::SessionNotAvailable);
    assert_eq!(refused(Session::BLANK, 2).err(), none);
    assert_eq!(refused(Alpha::new("YESTERDAY").unwrap(), 1).err(), none);
    let mut peer = Peer::from(serving.glimpse, WATCHER, 1);
    let mut messages = Vec::new();
    let end = loop {
        match peer.next() {
            Heard::Message(number, bytes) => {
                assert_eq!(number, messages.len() as u64 + 1);
                messages.push(bytes);
            }
            Heard::Heartbeat => {}
            other => break other,
        }
    };
    assert_eq!(end, Heard::End);
    assert_eq!(peer.next(), Heard::Gone);
    let last = messages.pop().unwrap();
    let next = Peer::from(serving.addresses[1], WATCHER, 0).next;
    assert_eq!(last, format!("G{next:>20}").as_bytes());
    assert_eq!(glimpse::Message::decode(&last), Ok(glimpse::Message::End { next }));
    assert!(messages.iter().all(|it| Message::decode(it).is_ok()));
    // A word that nobody may say here ends it, or comes too late.
    let mut peer = Peer::from(serving.glimpse, WATCHER, 1);
    let _ = peer.say(FromClient::Data(b"O"));
    peer.hear_the_end();
}

/// More than any socket holds.
const MANY: u64 = 120_000;

#[test]
fn one_that_does_not_read_its_snapshot_is_cut_off_and_holds_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let buy = |number: u64| {
        let price = PRICE - 100 * (number % 1_000) as u32;
        enter(number, 1, ExchangeSide::Buy, price, 1, 0)
    };
    let lines: String = (0..MANY).map(buy).collect();
    apply(&SETTINGS[..2], directory.path(), &lines).expect(0, &[]);
    let settings = ["--release", "journaled", "--silence-seconds", "10"];
    let mut serving = Serving::start(&settings, directory.path());
    let stuck: Vec<Peer> = (0..6)
        .map(|_| {
            let mut peer = Peer::open_from(Ipv4Addr::LOCALHOST, serving.glimpse, 4096);
            peer.say(FromClient::Login(login(WATCHER, Session::BLANK, 1))).unwrap();
            peer
        })
        .collect();
    // Others get theirs, and trade, meanwhile.
    for number in 0..8 {
        let mut trader = Peer::from(serving.addresses[0], 2, 0);
        trader.order(&order(MANY + number, ouch::Side::BUY, 1, PRICE / 2 + 10_000)).unwrap();
        trader.told();
        let late = come_late(&market(&serving), serving.glimpse, 0);
        let orders = late.state.iter().filter(|it| matches!(it, Message::Added(_))).count();
        assert!(orders as u64 >= MANY, "{orders}");
    }
    for _ in &stuck {
        serving.wait_for("it does not read");
    }
    // One with as little room that reads, and says now and then that it is there, hears the end:
    // by then the server has been done for long, and a word to a closed socket would undo it.
    let mut slow = Peer::open_from(Ipv4Addr::LOCALHOST, serving.glimpse, 4096);
    slow.say(FromClient::Login(login(WATCHER, Session::BLANK, 1))).unwrap();
    let mut messages = 0;
    loop {
        match slow.next() {
            Heard::Message(..) => messages += 1,
            Heard::End => break,
            Heard::Gone => panic!("it lost the end after {messages} messages"),
            _ => {}
        }
        if messages % 64 == 0 {
            let _ = slow.say(FromClient::Heartbeat);
        }
    }
    assert!(messages >= MANY, "{messages}");
}
