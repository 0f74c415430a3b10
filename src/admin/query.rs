//! The words behind the question mark of a call.

/// Names and values, in the order in which they came; no name comes twice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads them, where all names are known.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, String> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let spaced = |text: &str| decoded(&text.replace('+', " "));
            let (Some(name), Some(value)) = (spaced(name), spaced(value)) else {
                return Err(format!("?{pair}: a % is followed by two hexadecimal digits"));
            };
            if !known.contains(&name.as_str()) {
                return Err(format!("?{name} is not understood: {}", known.join(", ")));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(format!("?{name} is there twice"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A whole number up to `most`, or `usual` where nobody gives one.
    pub(super) fn number(&self, name: &str, usual: u64, most: u64) -> Result<u64, String> {
        let Some(value) = self.get(name) else { return Ok(usual) };
        value
            .parse()
            .ok()
            .filter(|number| *number <= most)
            .ok_or_else(|| format!("?{name}={value}: expected a whole number up to {most}"))
    }
}

/// What `%41%20B` stands for: `A B`.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                (digit()? << 4 | digit()?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["token", "limit"];

    #[test]
    fn words_are_decoded_and_known() {
        let query = Query::read(Some("token=A%201+%c3%84&limit=7"), KNOWN).unwrap();
        assert_eq!(query.get("token"), Some("A 1 Ä"));
        assert_eq!((query.number("limit", 50, 500), query.get("other")), (Ok(7), None));
        assert_eq!(Query::read(None, KNOWN), Ok(Query::default()));
        assert_eq!(Query::default().number("limit", 50, 500), Ok(50));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |query: &str| Query::read(Some(query), KNOWN).unwrap_err();
        assert!(wrong("tokens=1").contains("tokens is not understood: token, limit"));
        assert!(wrong("token=1&token=2").contains("there twice"));
        for broken in ["token=%", "token=%4", "token=%zz", "token=%ff"] {
            assert!(wrong(broken).contains("hexadecimal"), "{broken}");
        }
        let query = Query::read(Some("limit=501"), KNOWN).unwrap();
        assert!(query.number("limit", 50, 500).unwrap_err().contains("up to 500"));
    }
}
