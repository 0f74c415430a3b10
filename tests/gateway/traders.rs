//! Clients that go on through whatever happens to the server: they send orders, again what has no
//! answer when they come back, and check that all they are told comes once, in order, with the same
//! bytes as before, and that every order is executed at most once.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle, sleep};
use std::time::{Duration, Instant};

use fastrand::Rng;
use ringframe::client::{ClientError, Login, Soup};
use ringframe::tls::Connector;
use ringframe::wire::itch::Message;
use ringframe::wire::ouch::{Enter, Inbound, Outbound, Side};

use crate::peer::{PATIENCE, PRICE, answered, order};

/// Who trade with each other.
const TRADERS: u16 = 4;
/// So many orders of each are on their way.
const UNANSWERED_MAX: usize = 32;
/// Nobody else's order is so large.
const GOOD_BYE: u32 = 5_000;

/// What the clients share.
pub(crate) struct Venue {
    /// Order entry and market data; nowhere while it is down.
    addresses: Mutex<Option<[SocketAddr; 2]>>,
    heard: AtomicU64,
    /// Nobody sends new orders any more.
    is_closing: AtomicBool,
    tls: Option<Connector>,
}

impl Venue {
    pub(crate) fn new(tls: Option<Connector>) -> Self {
        Self {
            addresses: Mutex::new(None),
            heard: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
            tls,
        }
    }

    /// Where the server is from now on.
    pub(crate) fn set(&self, addresses: Option<[SocketAddr; 2]>) {
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// Waits until clients have heard so much more.
    pub(crate) fn wait_for(&self, messages: u64) {
        let before = self.heard.load(Ordering::Relaxed);
        let give_up = Instant::now() + PATIENCE;
        while self.heard.load(Ordering::Relaxed) < before + messages {
            assert!(Instant::now() < give_up, "clients hear nothing");
            sleep(Duration::from_millis(1));
        }
    }

    fn get(&self) -> Option<[SocketAddr; 2]> {
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn login(&self, address: &str, user: &str) -> Login {
        Login { tls: self.tls.clone(), ..Login::new(address, user, "secret") }
    }
}

/// A stream of numbered messages, as it is known to a client that asks for some of it again
/// whenever it comes back.
struct Log<'a> {
    venue: &'a Venue,
    market: bool,
    user: u16,
    session: String,
    messages: Vec<Vec<u8>>,
    rng: Rng,
    returns: u64,
    seen_again: u64,
    /// When the last message came.
    heard: Instant,
}

impl<'a> Log<'a> {
    fn new(venue: &'a Venue, user: u16, market: bool) -> Self {
        Self {
            venue,
            market,
            user,
            session: String::new(),
            messages: Vec::new(),
            rng: Rng::with_seed(u64::from(user)),
            returns: 0,
            seen_again: 0,
            heard: Instant::now(),
        }
    }

    /// From the next message on, or from one that it had already.
    fn connect(&mut self) -> Soup {
        let next = self.messages.len() as u64 + 1;
        let sequence = match self.rng.u8(0..3) {
            0 => 1,
            1 => self.rng.u64(1..=next),
            _ => next,
        };
        let give_up = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < give_up, "no server comes back");
            if let Some(addresses) = self.venue.get() {
                let address = addresses[usize::from(self.market)].to_string();
                let user = format!("TRDR{:02}", self.user);
                let session = self.session.clone();
                let login = Login { sequence, session, ..self.venue.login(&address, &user) };
                match Soup::connect(login) {
                    Ok(soup) => {
                        assert_eq!(soup.next(), sequence);
                        self.session = soup.session().to_string();
                        self.returns += 1;
                        return soup;
                    }
                    Err(error) => assert!(error.is_lost(), "{error}"),
                }
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// The next message, if it is new.
    fn hear(&mut self, soup: &mut Soup) -> Result<Option<&[u8]>, ClientError> {
        let Some((number, bytes)) = soup.receive(Duration::from_millis(5))? else {
            let quiet = self.heard.elapsed();
            assert!(quiet < PATIENCE, "user {} waits for an answer", self.user);
            return Ok(None);
        };
        self.heard = Instant::now();
        let place = number as usize - 1;
        if let Some(before) = self.messages.get(place) {
            assert_eq!(before, bytes, "message {number} of user {}", self.user);
            self.seen_again += 1;
            return Ok(None);
        }
        assert_eq!(place, self.messages.len(), "the number of what user {} hears", self.user);
        self.messages.push(bytes.to_vec());
        self.venue.heard.fetch_add(1, Ordering::Relaxed);
        Ok(self.messages.last().map(Vec::as_slice))
    }

    /// Asks for all of it once more: it is the same, and there is no more of it.
    fn is_whole(&mut self) {
        let address = self.venue.get().unwrap()[usize::from(self.market)].to_string();
        let user = format!("TRDR{:02}", self.user);
        let login = Login { session: self.session.clone(), ..self.venue.login(&address, &user) };
        let mut soup = Soup::connect(login).unwrap();
        for (number, message) in (1..).zip(&self.messages) {
            let (again, bytes) = soup.receive(PATIENCE).unwrap().expect("all come again");
            assert_eq!((again, bytes), (number, &message[..]), "user {}", self.user);
            self.seen_again += 1;
        }
        let more = soup.receive(Duration::from_millis(200)).unwrap();
        assert_eq!(more, None, "user {}", self.user);
        soup.logout().unwrap();
    }
}

/// Sends orders until it is told to stop, and again whatever has no answer when it comes back.
struct Trader<'a> {
    log: Log<'a>,
    orders: Vec<Enter>,
    unanswered: VecDeque<Enter>,
}

impl Trader<'_> {
    fn trade(mut self) -> Self {
        loop {
            let mut soup = self.log.connect();
            let lost = self.trade_over(&mut soup);
            match lost {
                Ok(()) => return self,
                Err(error) => assert!(error.is_lost(), "{error}"),
            }
        }
    }

    fn trade_over(&mut self, soup: &mut Soup) -> Result<(), ClientError> {
        for order in &self.unanswered {
            send(soup, order)?;
        }
        loop {
            let is_closing = self.log.venue.is_closing.load(Ordering::SeqCst);
            if is_closing && self.unanswered.is_empty() {
                return Ok(());
            }
            while !is_closing && self.unanswered.len() < UNANSWERED_MAX {
                let side = if self.log.rng.bool() { Side::BUY } else { Side::SELL };
                let price = PRICE + 100 * self.log.rng.u32(0..10);
                let order = order(self.orders.len() as u64, side, self.log.rng.u32(1..100), price);
                self.orders.push(order);
                self.unanswered.push_back(order);
                send(soup, &order)?;
            }
            let Some(bytes) = self.log.hear(soup)? else { continue };
            if let Some(token) = answered(&Outbound::decode(bytes).unwrap()) {
                let at = self.unanswered.iter().position(|order| order.token == token);
                self.unanswered.remove(at.expect("an order is answered once"));
            }
        }
    }

    /// One more order, with which nobody trades: what others did to the orders before it comes
    /// before its answer.
    fn say_good_bye(&mut self) {
        let number = self.orders.len() as u64;
        let order = order(number, Side::BUY, GOOD_BYE, PRICE / 100 * 90);
        self.orders.push(order);
        self.unanswered.push_back(order);
        let mut soup = self.log.connect();
        self.trade_over(&mut soup).unwrap();
        soup.logout().unwrap();
    }

    /// Each order was answered once, and no more of it executed than there was. Gives how often
    /// each trade was told here.
    fn check(&self, trades: &mut BTreeMap<u64, u32>) {
        let mut answers = BTreeMap::new();
        let mut left = BTreeMap::new();
        for order in &self.orders {
            left.insert(order.token.0, order.shares.get());
        }
        for message in &self.log.messages {
            let message = Outbound::decode(message).unwrap();
            if let Some(token) = answered(&message) {
                *answers.entry(token.0).or_insert(0) += 1;
            }
            if let Outbound::Executed(executed) = message {
                let left = left.get_mut(&executed.token.0).expect("an order of its own");
                *left = left.checked_sub(executed.shares.get()).expect("no more than it had");
                *trades.entry(executed.match_number.get()).or_default() += 1;
            }
        }
        assert_eq!(answers.len(), self.orders.len());
        assert!(answers.values().all(|times| *times == 1), "an order was answered twice");
    }
}

fn send(soup: &mut Soup, order: &Enter) -> Result<(), ClientError> {
    let mut bytes = [0; Inbound::BYTES_MAX];
    let length = Inbound::from(*order).encode(&mut bytes).unwrap();
    soup.send(&bytes[..length])
}

/// Hears the market until each trader has said good-bye.
fn watch(mut log: Log<'_>) -> Log<'_> {
    let mut good_byes = 0;
    loop {
        let mut soup = log.connect();
        let error = loop {
            match log.hear(&mut soup) {
                Ok(Some(bytes)) => {
                    let message = Message::decode(bytes).unwrap();
                    good_byes += u16::from(
                        matches!(message, Message::Added(added) if added.shares.get() == GOOD_BYE),
                    );
                    if good_byes == TRADERS {
                        return log;
                    }
                }
                Ok(None) => {}
                Err(error) => break error,
            }
        };
        assert!(error.is_lost(), "{error}");
    }
}

/// Clients that trade, and one that watches them.
pub(crate) struct Crowd<'scope, 'env> {
    venue: &'env Venue,
    traders: Vec<ScopedJoinHandle<'scope, Trader<'env>>>,
    market: ScopedJoinHandle<'scope, Log<'env>>,
}

impl<'scope, 'env> Crowd<'scope, 'env> {
    pub(crate) fn start(scope: &'scope Scope<'scope, 'env>, venue: &'env Venue) -> Self {
        let trader = |user| {
            let log = Log::new(venue, user, false);
            let trader = Trader { log, orders: Vec::new(), unanswered: VecDeque::new() };
            scope.spawn(|| trader.trade())
        };
        let traders = (1..=TRADERS).map(trader).collect();
        let market = Log::new(venue, TRADERS + 1, true);
        Self { venue, traders, market: scope.spawn(|| watch(market)) }
    }

    /// Lets them come to their end at a server that stays, and checks what they were told.
    pub(crate) fn finish(self) {
        self.venue.is_closing.store(true, Ordering::SeqCst);
        let traders = self.traders.into_iter().map(|trader| trader.join().unwrap()).collect();
        check(traders, || self.market.join().unwrap());
    }
}

fn check<'a>(traders: Vec<Trader<'a>>, market: impl FnOnce() -> Log<'a>) {
    let mut trades = BTreeMap::new();
    let (mut orders, mut heard, mut returns, mut again) = (0, 0, 0, 0);
    for mut trader in traders {
        trader.say_good_bye();
        trader.log.is_whole();
        trader.check(&mut trades);
        orders += trader.orders.len();
        heard += trader.log.messages.len();
        returns += trader.log.returns;
        again += trader.log.seen_again;
    }
    assert!(trades.values().all(|times| *times == 2), "a trade has two sides");
    let mut market = market();
    market.is_whole();
    println!(
        "{orders} orders, {} trades, {heard} messages of sessions and {} of the market, {} of them \
         seen again after {} logins",
        trades.len(),
        market.messages.len(),
        again + market.seen_again,
        returns + market.returns,
    );
    assert!(!trades.is_empty() && again > 0);
}
