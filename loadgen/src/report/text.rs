//! Values as a person reads them, and texts that cannot break out of the page.

use std::fmt::{self, Write as _};

/// A text of somebody else, such as a server's answer or a file's name, made harmless in a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => out.write_str("&amp;")?,
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                '"' => out.write_str("&quot;")?,
                '\'' => out.write_str("&#39;")?,
                '\n' | '\t' => out.write_char(' ')?,
                letter if letter.is_control() => out.write_char('\u{fffd}')?,
                letter => out.write_char(letter)?,
            }
        }
        Ok(())
    }
}

/// For the end of an axis or a line: the beginning and the end are what tells names apart.
pub(super) fn shortened(text: &str, letters: usize) -> String {
    let count = text.chars().count();
    if count <= letters {
        return text.to_owned();
    }
    let tail = letters / 3;
    let head: String = text.chars().take(letters - tail - 1).collect();
    let tail: String = text.chars().skip(count - tail).collect();
    format!("{}…{}", head.trim_end(), tail.trim_start())
}

/// `1,234,567`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `950/s`, `12.5 k/s`, `1.20 M/s`.
pub(crate) fn rate(per_second: f64) -> String {
    if !per_second.is_finite() {
        return "–".to_owned();
    }
    let (value, unit) = thousands(per_second);
    let digits = match value {
        _ if unit.is_empty() => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}{unit}/s")
}

/// At the tick of an axis: `500/s`, `20 k/s`.
pub(super) fn rate_tick(per_second: f64) -> String {
    let (value, unit) = thousands(per_second);
    format!("{}{unit}", trimmed(value))
}

fn thousands(value: f64) -> (f64, &'static str) {
    match value {
        value if value < 999.5 => (value, ""),
        value if value < 999_500.0 => (value / 1e3, "\u{a0}k"),
        value => (value / 1e6, "\u{a0}M"),
    }
}

/// At the tick of an axis: `500 ns`, `1 µs`, `20 ms`.
pub(super) fn duration_tick(ns: f64) -> String {
    let units = [("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0)];
    let (unit, size) = units.iter().find(|(_, size)| ns >= size * 0.999_999).unwrap_or(&units[3]);
    format!("{}\u{a0}{unit}", trimmed(ns / size))
}

/// At the tick of an axis: `99.9 %`.
pub(super) fn percentile_tick(percentile: f64) -> String {
    format!("{}\u{a0}%", trimmed(percentile))
}

/// At the tick of an axis.
pub(super) fn second_tick(seconds: f64) -> String {
    format!("{}\u{a0}s", trimmed(seconds))
}

/// A change, at the tick of an axis: `−5 %`, `0`, `+20 %`.
pub(super) fn change_tick(percent: f64) -> String {
    match percent {
        percent if percent.abs() < 1e-9 => "0".to_owned(),
        percent if percent < 0.0 => format!("−{}\u{a0}%", trimmed(-percent)),
        percent => format!("+{}\u{a0}%", trimmed(percent)),
    }
}

/// As few digits as tell it from its neighbours: seven decimals are nine nines.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.7}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `1.30×`; nothing to compare with has no ratio.
pub(crate) fn ratio(value: f64, floor: f64) -> String {
    match value / floor {
        ratio if !ratio.is_finite() => "–".to_owned(),
        ratio if ratio < 99.95 => format!("{ratio:.2}×"),
        ratio => format!("{ratio:.0}×"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_page() {
        let text = "</title><script>alert('a & \"b\"')\u{0}\n</script>";
        let expected = "&lt;/title&gt;&lt;script&gt;alert(&#39;a &amp; &quot;b&quot;&#39;)\u{fffd} \
                        &lt;/script&gt;";
        assert_eq!(Escaped(text).to_string(), expected);
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("order to reply", 14), "order to reply");
        assert_eq!(shortened("order to reply, synced (2)", 14), "order to…(2)");
        assert_eq!(shortened("µµµµµµ", 4), "µµ…µ");
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!([count(0), count(999), count(1_234_567)], ["0", "999", "1,234,567"]);
        let rates = [0.0, 999.4, 12_500.0, 1_204_000.0].map(rate);
        assert_eq!(rates, ["0/s", "999/s", "12.5\u{a0}k/s", "1.20\u{a0}M/s"]);
        let ticks = [1.0, 500.0, 1e3, 2e7, 1e10].map(duration_tick);
        assert_eq!(
            ticks.map(|tick| tick.replace('\u{a0}', "")),
            ["1ns", "500ns", "1µs", "20ms", "10s"]
        );
        assert_eq!(percentile_tick(100.0 - 1e-4), "99.9999\u{a0}%");
        assert_eq!([-5.0, 0.0, 20.0].map(change_tick), ["−5\u{a0}%", "0", "+20\u{a0}%"]);
        assert_eq!([ratio(13.0, 10.0), ratio(1.0, 0.0)], ["1.30×", "–"]);
    }
}
