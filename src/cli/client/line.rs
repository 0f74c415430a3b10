//! What a line asks for.

use ringframe::client::limit_order;
use ringframe::wire::layout::Alpha;
use ringframe::wire::ouch::{
    Cancel, Display, Inbound, MARKET_PRICE, Modify, Replace, SHARES_MAX, Side, Stock, Sweep, Token,
    time_in_force,
};

pub(super) const HELP: &str = "\
buy SHARES SYMBOL PRICE [OPTION …]      sell and short likewise; PRICE may be market
replace TOKEN SHARES PRICE [OPTION …]   SHARES in all, those already executed included
cancel TOKEN [SHARES]                   so many are still wanted in all, or none
modify TOKEN buy|sell|short SHARES      likewise, in place
    OPTION: token=T  ioc  day  seconds=N  hidden  post-only  min=N
unanswered                              what has no answer yet
resend, forget                          what becomes of it after a lost connection
help, quit";

/// What a line asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    Message(Inbound),
    Unanswered,
    Resend,
    Forget,
    Help,
    Quit,
    Nothing,
}

/// Reads a line; tokens that it does not name are made from `fresh`.
pub(super) fn parse(line: &str, fresh: &mut dyn FnMut() -> Token) -> Result<Line, String> {
    let line = line.split('#').next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    Ok(match words[..] {
        [] => Line::Nothing,
        [verb @ ("buy" | "sell" | "short"), count, symbol, at, ref options @ ..] => {
            let stock: Stock = Alpha::new(&symbol.to_ascii_uppercase())
                .ok_or_else(|| format!("'{symbol}' has more than 8 letters"))?;
            let options = Options::read(options, fresh)?;
            let side = side(verb)?;
            let mut enter = limit_order(options.token, side, shares(count)?, stock, price(at)?);
            enter.time_in_force = options.time_in_force.into();
            enter.display = options.display;
            enter.minimum = options.minimum.into();
            Line::Message(enter.into())
        }
        ["replace", old, count, at, ref options @ ..] => {
            let options = Options::read(options, fresh)?;
            Line::Message(Inbound::from(Replace {
                old: token(old)?,
                new: options.token,
                shares: shares(count)?.into(),
                price: price(at)?.into(),
                time_in_force: options.time_in_force.into(),
                display: options.display,
                sweep: Sweep::NO,
                minimum: options.minimum.into(),
            }))
        }
        ["cancel", name, ref left @ ..] if left.len() <= 1 => {
            let shares = left.first().map_or(Ok(0), |left| number(left))?.into();
            Line::Message(Cancel { token: token(name)?, shares }.into())
        }
        ["modify", name, verb, count] => {
            let (token, side, shares) = (token(name)?, side(verb)?, shares(count)?.into());
            Line::Message(Modify { token, side, shares }.into())
        }
        ["unanswered"] => Line::Unanswered,
        ["resend"] => Line::Resend,
        ["forget"] => Line::Forget,
        ["help"] => Line::Help,
        ["quit"] => Line::Quit,
        [verb, ..] => {
            return Err(format!("'{verb}' is none of these, or has not what it needs:\n{HELP}"));
        }
    })
}

/// What stands behind an order.
struct Options {
    token: Token,
    time_in_force: u32,
    display: Display,
    minimum: u32,
}

impl Options {
    fn read(words: &[&str], fresh: &mut dyn FnMut() -> Token) -> Result<Self, String> {
        let mut own = None;
        let mut options = Self {
            token: Token::BLANK,
            time_in_force: time_in_force::MARKET_HOURS,
            display: Display::ANONYMOUS,
            minimum: 0,
        };
        for word in words {
            match word.split_once('=').unwrap_or((word, "")) {
                ("token", name) => own = Some(token(name)?),
                ("ioc", "") => options.time_in_force = time_in_force::IMMEDIATE,
                ("day", "") => options.time_in_force = time_in_force::MARKET_HOURS,
                ("seconds", count) => options.time_in_force = number(count)?,
                ("hidden", "") => options.display = Display::HIDDEN,
                ("post-only", "") => options.display = Display::POST_ONLY,
                ("min", count) => options.minimum = number(count)?,
                _ => {
                    return Err(format!(
                        "'{word}' is none of token=T, ioc, day, seconds=N, hidden, post-only, min=N"
                    ));
                }
            }
        }
        options.token = own.unwrap_or_else(fresh);
        Ok(options)
    }
}

fn side(verb: &str) -> Result<Side, String> {
    match verb {
        "buy" => Ok(Side::BUY),
        "sell" => Ok(Side::SELL),
        "short" => Ok(Side::SHORT),
        _ => Err(format!("'{verb}' is none of buy, sell, short")),
    }
}

fn token(name: &str) -> Result<Token, String> {
    let is_word = name.bytes().all(|letter| letter.is_ascii_alphanumeric());
    Alpha::new(name)
        .filter(|token| is_word && !token.is_blank())
        .ok_or_else(|| format!("'{name}' is no token: use 1 to 14 letters and digits"))
}

fn shares(text: &str) -> Result<u32, String> {
    Some(number(text)?)
        .filter(|count| (1..=SHARES_MAX).contains(count))
        .ok_or_else(|| format!("{text} shares cannot be ordered: 1 to {SHARES_MAX} can"))
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("'{text}' is no whole number"))
}

/// Decimals of a price, and what 1 is in ten-thousandths.
const PLACES: usize = 4;
const UNITS: u32 = 10_000;

fn price(text: &str) -> Result<u32, String> {
    if text == "market" {
        return Ok(MARKET_PRICE);
    }
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let units = || {
        let decimals: u32 = format!("{decimals:0<PLACES$}").parse().ok()?;
        whole.parse::<u32>().ok()?.checked_mul(UNITS)?.checked_add(decimals)
    };
    let is_price = are_digits(whole) && are_digits(decimals) && decimals.len() <= PLACES;
    units().filter(|_| is_price).ok_or_else(|| {
        format!("'{text}' is no price: write market, or a number with at most {PLACES} decimals")
    })
}

/// A price as people write it.
pub(in crate::cli) fn decimal(price: u32) -> String {
    match price {
        MARKET_PRICE => "market".to_owned(),
        _ => format!("{}.{:0PLACES$}", price / UNITS, price % UNITS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Line, String> {
        parse(line, &mut || Alpha::new("FRESH").unwrap())
    }

    #[test]
    fn lines_become_messages() {
        let stock = Alpha::new("AAPL").unwrap();
        let fresh = Alpha::new("FRESH").unwrap();
        let plain = limit_order(fresh, Side::BUY, 100, stock, 230_0000);
        assert_eq!(read("buy 100 aapl 230"), Ok(Line::Message(plain.into())));
        assert_eq!(read(" buy  100 AAPL 230.0000 day # now"), Ok(Line::Message(plain.into())));
        let mut order = limit_order(Alpha::new("a1").unwrap(), Side::SELL, 7, stock, MARKET_PRICE);
        order.time_in_force = 0.into();
        order.display = Display::HIDDEN;
        order.minimum = 5.into();
        let line = "sell 7 AAPL market token=a1 ioc hidden min=5";
        assert_eq!(read(line), Ok(Line::Message(order.into())));
        let token = Alpha::new("a1").unwrap();
        let cancel = |shares: u32| Cancel { token, shares: shares.into() }.into();
        assert_eq!(read("cancel a1"), Ok(Line::Message(cancel(0))));
        assert_eq!(read("cancel a1 30"), Ok(Line::Message(cancel(30))));
        let modify = Modify { token, side: Side::SHORT, shares: 9.into() };
        assert_eq!(read("modify a1 short 9"), Ok(Line::Message(modify.into())));
        let Ok(Line::Message(Inbound::Replace(replace))) = read("replace a1 50 1.5 post-only")
        else {
            panic!("no replace")
        };
        assert_eq!((replace.old, replace.new, replace.price.get()), (token, fresh, 15_000));
        assert_eq!((replace.shares.get(), replace.display), (50, Display::POST_ONLY));
        assert_eq!(read("  # nothing"), Ok(Line::Nothing));
        assert_eq!(read("quit"), Ok(Line::Quit));
    }

    #[test]
    fn wrong_lines_say_what_is_right() {
        for (line, says) in [
            ("buy 100 AAPL", "'buy' is none of these, or has not what it needs"),
            ("bye", "'bye' is none of these"),
            ("buy x AAPL 1", "'x' is no whole number"),
            ("buy 0 AAPL 1", "0 shares cannot be ordered: 1 to 999999 can"),
            ("buy 1000000 AAPL 1", "1000000 shares cannot be ordered"),
            ("buy 1 TOOLONGNAME 1", "'TOOLONGNAME' has more than 8 letters"),
            ("buy 1 AAPL 1.00001", "'1.00001' is no price"),
            ("buy 1 AAPL -1", "'-1' is no price"),
            ("buy 1 AAPL 1.-5", "'1.-5' is no price"),
            ("buy 1 AAPL 999999999", "'999999999' is no price"),
            ("buy 1 AAPL 1 token=a_b", "'a_b' is no token"),
            ("buy 1 AAPL 1 token=", "'' is no token"),
            ("buy 1 AAPL 1 gtc", "'gtc' is none of token=T"),
            ("modify a1 up 5", "'up' is none of buy, sell, short"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
