//! How one value is written: each form reads it, writes it, and says what it allows.

use std::fmt::{Debug, Write as _};

use jiff::Timestamp;
use serde_json::Value;
use zerocopy::{Immutable, KnownLayout, TryFromBytes};

use crate::exchange::ids::{Symbol, Token};

/// One way of writing a value.
pub(super) struct Form<T> {
    /// What an error says is allowed.
    pub(super) allowed: fn() -> String,
    /// `None`: that is not allowed.
    pub(super) read: fn(&Value) -> Option<T>,
    pub(super) write: fn(T, &mut String),
}

// Derived, they would ask the same of `T`.
impl<T> Clone for Form<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Form<T> {}

/// An unsigned integer of some size.
pub(super) trait Whole: Copy + TryFrom<u64> + Into<u64> {}

impl<T: Copy + TryFrom<u64> + Into<u64>> Whole for T {}

const fn largest<T>() -> u64 {
    u64::MAX >> (64 - 8 * size_of::<T>())
}

/// A whole number.
pub(super) const fn number<T: Whole>() -> Form<T> {
    Form {
        allowed: || format!("a whole number up to {}", largest::<T>()),
        read: |value| T::try_from(value.as_u64()?).ok(),
        write: |number, out| {
            let _ = write!(out, "{}", number.into());
        },
    }
}

/// Decimals of a price.
const PLACES: usize = 4;
/// How many units of the exchange are 1.
const UNITS: u64 = 10_u64.pow(PLACES as u32);

/// A price, or an amount in the same unit: ten-thousandths, written as a text with a point.
pub(super) const fn price<T: Whole>() -> Form<T> {
    Form {
        allowed: || {
            let largest = decimal(largest::<T>());
            format!(
                "a text with at most {PLACES} decimals, such as \"101.25\", up to {largest}, or \
                 a whole number of ten-thousandths"
            )
        },
        read: |value| match value {
            Value::String(text) => T::try_from(units(text)?).ok(),
            value => T::try_from(value.as_u64()?).ok(),
        },
        write: |price, out| {
            let _ = write!(out, "\"{}\"", decimal(price.into()));
        },
    }
}

/// As people write it, with all its decimals.
pub(super) fn decimal(units: u64) -> String {
    format!("{}.{:0PLACES$}", units / UNITS, units % UNITS)
}

fn units(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if decimals.len() > PLACES {
        return None;
    }
    let decimals: u64 = format!("{:0<PLACES$}", digits(decimals)?).parse().ok()?;
    digits(whole)?.parse::<u64>().ok()?.checked_mul(UNITS)?.checked_add(decimals)
}

/// The text, if it is decimal digits and nothing else: `parse` would take a sign.
fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// A moment, exact to the nanosecond; 0 for none.
pub(super) const fn time() -> Form<u64> {
    Form {
        allowed: || {
            "a time such as \"2026-01-02T15:30:00Z\", or nanoseconds since 1970; 0 for none".into()
        },
        read: |value| match value {
            Value::String(text) => text.parse::<Timestamp>().ok()?.as_nanosecond().try_into().ok(),
            value => value.as_u64(),
        },
        write: |nanos, out| {
            let time = Timestamp::from_nanosecond(nanos.into()).expect("64 bits end in 2554");
            let _ = if nanos == 0 { write!(out, "0") } else { write!(out, "\"{time:.9}\"") };
        },
    }
}

/// Yes or no. The exchange takes every number but 0 for yes, so such a number is kept as it is.
pub(super) const fn flag<T: Whole>() -> Form<T> {
    Form {
        allowed: || "true or false".into(),
        read: |value| match value {
            Value::Bool(yes) => T::try_from(u64::from(*yes)).ok(),
            value => (number().read)(value),
        },
        write: |flag, out| match flag.into() {
            0 => out.push_str("false"),
            1 => out.push_str("true"),
            _ => (number().write)(flag, out),
        },
    }
}

/// The sessions of the demo have names.
const DEMO_SESSION: &str = "TRDR";

/// A session's number, or the name that it has in the demo.
pub(super) const fn session() -> Form<u16> {
    Form {
        allowed: || "a whole number up to 65535, or \"TRDR01\" to \"TRDR99\" for 1 to 99".into(),
        read: |value| match value {
            Value::String(text) => {
                let number = text.strip_prefix(DEMO_SESSION).filter(|number| number.len() == 2)?;
                digits(number)?.parse().ok().filter(|number| *number > 0)
            }
            value => (number().read)(value),
        },
        write: number().write,
    }
}

/// Bits that are no text are written in hexadecimal, behind this.
const BITS: char = '#';

/// The number behind [`BITS`], of at most so many bits.
fn bits(text: &str, most: u32) -> Option<u128> {
    let digits = text.strip_prefix(BITS)?;
    let hexadecimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bits = hexadecimal.then(|| u128::from_str_radix(digits, 16).ok()).flatten()?;
    (bits < 1 << most).then_some(bits)
}

/// A text that is a symbol. Where its bytes are no text, they stand behind `#`, as 16 digits.
pub(super) const fn symbol() -> Form<Symbol> {
    Form {
        allowed: || "up to 8 printable ASCII characters".into(),
        read: |value| {
            let text = value.as_str()?;
            if text.len() == 1 + 2 * size_of::<Symbol>() {
                let bits = u64::try_from(bits(text, u64::BITS)?).ok()?;
                return Some(Symbol(bits.to_be_bytes()));
            }
            is_printable(text).then(|| Symbol::new(text)).flatten()
        },
        write: |symbol, out| {
            let text = symbol.to_string();
            if Symbol::new(&text) == Some(symbol) && is_printable(&text) {
                out.push_str(&Value::String(text).to_string());
            } else {
                let _ = write!(out, "\"{BITS}{:016x}\"", u64::from_be_bytes(symbol.0));
            }
        },
    }
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A text that is a token; `#` and hexadecimal digits for one that is a number.
pub(super) const fn token() -> Form<Token> {
    Form {
        allowed: || "up to 14 letters, digits and spaces, or # and a hexadecimal number".into(),
        read: |value| {
            let text = value.as_str()?;
            if text.starts_with(BITS) {
                return Some(Token::from_bits(bits(text, Token::BITS)?));
            }
            let text = format!("{text:<0$}", Token::LETTERS);
            Token::from_wire(text.as_bytes().try_into().ok()?)
        },
        write: |token, out| {
            let wire = token.to_wire();
            let text = String::from_utf8_lossy(&wire);
            // One that begins with a space is most likely a number.
            let is_text = Token::from_wire(&wire) == Some(token) && !text.starts_with(' ');
            let _ = if is_text || token == Token::default() {
                write!(out, "\"{}\"", text.trim_end())
            } else {
                write!(out, "\"{BITS}{:x}\"", token.bits())
            };
        },
    }
}

/// Something that has a name for each value of its one byte.
pub(super) trait Named: Copy + Debug + TryFromBytes + KnownLayout + Immutable {}

impl<T: Copy + Debug + TryFromBytes + KnownLayout + Immutable> Named for T {}

/// The name of a value: the variant's own, `ShortExempt` as `short_exempt`.
pub(super) fn name<T: Named>(value: T) -> String {
    let mut name = String::new();
    for letter in format!("{value:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn values<T: Named>() -> impl Iterator<Item = T> {
    (0..=u8::MAX).filter_map(|byte| T::try_read_from_bytes(&[byte]).ok())
}

/// One of several names.
pub(super) const fn named<T: Named>() -> Form<T> {
    Form {
        allowed: || format!("one of {}", values::<T>().map(name).collect::<Vec<_>>().join(", ")),
        read: |value| {
            let text = value.as_str()?;
            values::<T>().find(|value| name(*value) == text)
        },
        write: |value, out| {
            let _ = write!(out, "\"{}\"", name(value));
        },
    }
}
