//! A reader's book, and the messages that make one.

use ringframe::client::{Book, Level, Trade};
use ringframe::wire::itch::{
    Added, Authenticity, Category, Class, Deleted, Executed, ExecutedAtPrice, Finances, Flag,
    Header, Message, Reduced, Replaced, ShortSale, ShortSaleRule, Side, State, Stock,
    StockDirectory, Tier, Traded, TradingAction,
};
use ringframe::wire::layout::{Alpha, U48};

pub(crate) fn stock(name: &str) -> Stock {
    Alpha::new(name).unwrap()
}

fn header(locate: u16) -> Header {
    Header { locate: locate.into(), tracking: 0.into(), time: U48::new(1) }
}

pub(crate) fn listed(locate: u16, name: &str) -> Message {
    StockDirectory {
        header: header(locate),
        stock: stock(name),
        category: Category::NONE,
        finances: Finances::NONE,
        round_lot: 100.into(),
        round_lots_only: Flag::NO,
        class: Class::COMMON,
        subtype: Alpha::BLANK,
        authenticity: Authenticity::TEST,
        short_sale_threshold: Flag::NONE,
        new_issue: Flag::NONE,
        tier: Tier::NONE,
        tracks: Flag::NONE,
        leverage: 0.into(),
        inverse: Flag::NO,
    }
    .into()
}

pub(crate) fn trading(locate: u16, name: &str) -> Message {
    TradingAction {
        header: header(locate),
        stock: stock(name),
        state: State::TRADING,
        reserved: b' ',
        reason: Alpha::BLANK,
    }
    .into()
}

pub(crate) fn added(locate: u16, reference: u64, side: Side, shares: u32, price: u32) -> Message {
    Added {
        header: header(locate),
        reference: reference.into(),
        side,
        shares: shares.into(),
        stock: stock("AAPL"),
        price: price.into(),
    }
    .into()
}

fn executed_body(reference: u64, shares: u32) -> Executed {
    let (reference, shares) = (reference.into(), shares.into());
    Executed { header: header(1), reference, shares, match_number: 9.into() }
}

pub(crate) fn executed(reference: u64, shares: u32) -> Message {
    executed_body(reference, shares).into()
}

fn level(shares: u64, orders: u32) -> Level {
    Level { shares, orders }
}

#[test]
fn a_book_follows_every_kind_of_message() {
    let mut book = Book::new(stock("AAPL"));
    assert_eq!(book.apply(&added(1, 1, Side::BUY, 5, 100)), Ok(false), "not yet listed");
    assert_eq!(book.apply(&listed(2, "MSFT")), Ok(false));
    assert!(!book.is_listed());
    assert_eq!(book.apply(&listed(1, "AAPL")), Ok(true));
    assert_eq!(book.apply(&trading(1, "AAPL")), Ok(true));
    assert_eq!((book.is_listed(), book.state()), (true, Some(State::TRADING)));
    assert_eq!(book.apply(&added(2, 1, Side::BUY, 5, 100)), Ok(false));
    for (reference, side, shares, price) in [
        (1, Side::BUY, 100, 10),
        (2, Side::BUY, 50, 10),
        (3, Side::BUY, 70, 9),
        (4, Side::SELL, 30, 12),
        (5, Side::SELL, 40, 11),
    ] {
        assert_eq!(book.apply(&added(1, reference, side, shares, price)), Ok(true));
    }
    let bids = |book: &Book| book.bids().collect::<Vec<_>>();
    let asks = |book: &Book| book.asks().collect::<Vec<_>>();
    assert_eq!(bids(&book), [(10, level(150, 2)), (9, level(70, 1))]);
    assert_eq!(asks(&book), [(11, level(40, 1)), (12, level(30, 1))]);

    let mut take = |message: Message| assert_eq!(book.apply(&message), Ok(true), "{message:?}");
    take(executed(1, 40));
    take(Reduced { header: header(1), reference: 2.into(), shares: 20.into() }.into());
    take(Deleted { header: header(1), reference: 3.into() }.into());
    let (old, new) = (4.into(), 6.into());
    let replaced = Replaced { header: header(1), old, new, shares: 7.into(), price: 11.into() };
    take(replaced.into());
    let rule = ShortSaleRule { header: header(1), stock: stock("AAPL"), rule: ShortSale::FREE };
    take(rule.into());
    assert_eq!(book.last(), Some(Trade { shares: 40, price: 10 }));
    assert_eq!(bids(&book), [(10, level(90, 2))]);
    assert_eq!(asks(&book), [(11, level(47, 2))]);

    let mut take = |message: Message| assert_eq!(book.apply(&message), Ok(true), "{message:?}");
    let at_price =
        |printable| ExecutedAtPrice { executed: executed_body(5, 20), printable, price: 13.into() };
    take(at_price(Flag::NO).into());
    take(executed(1, 60));
    take(executed(2, 30));
    assert_eq!((bids(&book), asks(&book)), (vec![], vec![(11, level(27, 2))]));
    assert_eq!(book.last(), Some(Trade { shares: 30, price: 10 }));
    assert_eq!(book.apply(&at_price(Flag::YES).into()), Ok(true));
    assert_eq!(book.last(), Some(Trade { shares: 20, price: 13 }));
    let traded = Traded {
        header: header(1),
        reference: 0.into(),
        side: Side::BUY,
        shares: 3.into(),
        stock: stock("AAPL"),
        price: 12.into(),
        match_number: 1.into(),
    };
    assert_eq!(book.apply(&traded.into()), Ok(true));
    assert_eq!(book.last(), Some(Trade { shares: 3, price: 12 }));
    assert_eq!(asks(&book), [(11, level(7, 1))]);
}

#[test]
fn missing_messages_are_noticed() {
    let mut book = Book::new(stock("AAPL"));
    book.apply(&listed(1, "AAPL")).unwrap();
    book.apply(&added(1, 1, Side::SELL, 5, 100)).unwrap();
    let error = book.apply(&executed(2, 1)).unwrap_err();
    assert!(error.contains("order 2 is unknown: messages are missing"), "{error}");
    let error = book.apply(&executed(1, 6)).unwrap_err();
    assert_eq!(error, "order 1 has 5 shares and loses 6");
    let error = book.apply(&added(1, 1, Side::SELL, 5, 100)).unwrap_err();
    assert_eq!(error, "order 1 was added twice");
    let deleted = Deleted { header: header(1), reference: 7.into() };
    assert!(book.apply(&deleted.into()).is_err());
}
