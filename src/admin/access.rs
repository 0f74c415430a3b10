//! Who may do what. A file has one token a line:
//!
//! ```text
//! # NAME ROLE TOKEN
//! prometheus read 8c1f5b0e6a7d4b39
//! alice operate 0b3d9e2f7a61c845
//! ```
//!
//! A request says its token as `Authorization: Bearer TOKEN`. Without a file everybody may do
//! everything, but only from this machine, and not by way of a page in a browser.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};

use crate::small_file::SmallFile;

/// A shorter token could be guessed.
const TOKEN_BYTES_MIN: usize = 16;
/// Bits of a file's mode: written or read by others.
const TOO_OPEN: u32 = 0o077;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looking.
    Read,
    /// Looking and commanding.
    Operate,
}

impl Role {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }
}

/// Who asks: the name of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) name: String,
    pub(super) role: Role,
}

/// Why somebody may not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// Whose token it was, where it was somebody's.
    pub(super) name: Option<String>,
    pub(super) why: String,
}

/// Everybody's tokens.
#[derive(Debug)]
pub struct Access {
    /// None where nobody needs one.
    tokens: Option<Vec<Token>>,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Token {
    who: Who,
    /// Of the token itself nothing is kept; comparing these takes the same time for each.
    hash: blake3::Hash,
}

impl Access {
    /// Everybody may do everything.
    pub fn open() -> Self {
        Self { tokens: None, refused: AtomicU64::new(0) }
    }

    /// Reads a file of tokens that nobody else may read.
    pub fn read(path: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| {
            format!(
                "cannot read the tokens in {}: {error}; each line is NAME ROLE TOKEN",
                path.display()
            )
        };
        let file = SmallFile::read(path).map_err(failed)?;
        if file.mode & TOO_OPEN != 0 {
            return Err(format!(
                "{}: others may read or write it (mode {:o}): chmod 600 it",
                path.display(),
                file.mode
            ));
        }
        let text = file.text().map_err(failed)?;
        Self::parse(&text).map_err(|why| format!("{}:{why}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut tokens: Vec<Token> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, role, token] = words[..] else {
                return Err(format!("{number}: a line is NAME ROLE TOKEN"));
            };
            let role = match role {
                "read" => Role::Read,
                "operate" => Role::Operate,
                other => return Err(format!("{number}: '{other}' is no role: read or operate")),
            };
            if token.len() < TOKEN_BYTES_MIN {
                return Err(format!(
                    "{number}: the token of {name} is shorter than {TOKEN_BYTES_MIN} letters, and \
                     could be guessed: `openssl rand -hex 16` makes one"
                ));
            }
            let hash = blake3::hash(token.as_bytes());
            if tokens.iter().any(|it| it.who.name == name || it.hash == hash) {
                return Err(format!("{number}: {name} or its token is there already"));
            }
            tokens.push(Token { who: Who { name: name.to_owned(), role }, hash });
        }
        Ok(Self { tokens: Some(tokens), refused: AtomicU64::new(0) })
    }

    /// Whether anybody may do everything.
    pub fn is_open(&self) -> bool {
        self.tokens.is_none()
    }

    /// How many calls were refused so far.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Who that is, if it may do what needs this role.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        from: SocketAddr,
        role: Role,
    ) -> Result<Who, Refused> {
        self.find(headers, from, role).inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn find(&self, headers: &HeaderMap, from: SocketAddr, role: Role) -> Result<Who, Refused> {
        let refused = |status, name, why: &str| Err(Refused { status, name, why: why.to_owned() });
        if !is_of_this_page(headers) {
            let why = "another site's page may not ask in its reader's name";
            return refused(StatusCode::FORBIDDEN, None, why);
        }
        let Some(tokens) = &self.tokens else {
            if !names_an_address(headers) {
                let why = "without tokens, ask by IP address or as localhost: any other name could \
                           be a page's that wants to look like this machine";
                return refused(StatusCode::FORBIDDEN, None, why);
            }
            return Ok(Who { name: from.ip().to_string(), role: Role::Operate });
        };
        let given = text(headers, &AUTHORIZATION).and_then(|it| it.strip_prefix("Bearer "));
        let Some(given) = given else {
            let why = "a token is needed: Authorization: Bearer TOKEN (of the file admin_tokens)";
            return refused(StatusCode::UNAUTHORIZED, None, why);
        };
        let hash = blake3::hash(given.trim().as_bytes());
        match tokens.iter().find(|it| it.hash == hash) {
            None => refused(StatusCode::UNAUTHORIZED, None, "nobody has this token"),
            Some(Token { who, .. }) if who.role < role => {
                let why = format!(
                    "{} has the role {}, and this needs {}",
                    who.name,
                    who.role.name(),
                    role.name()
                );
                refused(StatusCode::FORBIDDEN, Some(who.name.clone()), &why)
            }
            Some(Token { who, .. }) => Ok(who.clone()),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A browser says from which page a request comes; other programs say nothing.
fn is_of_this_page(headers: &HeaderMap) -> bool {
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let host = text(headers, &HOST);
    let origin = text(headers, &ORIGIN).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, origin)| host == Some(origin))
}

/// A page can lead its own name to this machine, but no address.
fn names_an_address(headers: &HeaderMap) -> bool {
    let Some(host) = text(headers, &HOST) else {
        // Browsers always say one.
        return !headers.contains_key(HOST);
    };
    let name = host.rsplit_once(':').map_or(host, |(name, port)| match port.parse::<u16>() {
        Ok(_) => name,
        Err(_) => host,
    });
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# tokens\n\nviewer read 0123456789abcdef\nroot operate fedcba9876543210\n";

    fn admit(access: &Access, headers: &[(HeaderName, &str)], role: Role) -> (u16, String) {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        match access.admit(&headers, SocketAddr::from(([127, 0, 0, 1], 7)), role) {
            Ok(who) => (200, who.name),
            Err(refused) => (refused.status.as_u16(), refused.name.unwrap_or_default()),
        }
    }

    #[test]
    fn a_token_is_good_for_its_role_and_what_is_below() {
        let access = Access::parse(FILE).unwrap();
        let ask = |token: &str, role| admit(&access, &[(AUTHORIZATION, token)], role);
        assert_eq!(ask("Bearer 0123456789abcdef", Role::Read), (200, "viewer".into()));
        assert_eq!(ask("Bearer 0123456789abcdef", Role::Operate), (403, "viewer".into()));
        assert_eq!(ask("Bearer fedcba9876543210", Role::Read), (200, "root".into()));
        assert_eq!(ask("Bearer fedcba9876543210", Role::Operate), (200, "root".into()));
        for wrong in ["Bearer fedcba987654321", "Bearer ", "Basic fedcba9876543210", ""] {
            assert_eq!(ask(wrong, Role::Read), (401, String::new()), "{wrong:?}");
        }
        assert_eq!(admit(&access, &[], Role::Read).0, 401);
    }

    #[test]
    fn without_tokens_pages_of_other_sites_may_do_nothing() {
        let access = Access::open();
        let ask = |headers: &[(HeaderName, &str)]| admit(&access, headers, Role::Operate).0;
        assert_eq!(ask(&[]), 200);
        for host in ["127.0.0.1:9000", "localhost:9000", "LOCALHOST", "[::1]:9000", "10.0.0.1"] {
            assert_eq!(ask(&[(HOST, host)]), 200, "{host}");
        }
        for host in ["evil.example:9000", "127.0.0.1.evil.example", "localhost.evil.example"] {
            assert_eq!(ask(&[(HOST, host)]), 403, "{host}");
        }
        let host = (HOST, "127.0.0.1:9000");
        assert_eq!(ask(&[host.clone(), (ORIGIN, "http://127.0.0.1:9000")]), 200);
        for origin in ["http://evil.example", "null", "http://127.0.0.1:9001"] {
            assert_eq!(ask(&[host.clone(), (ORIGIN, origin)]), 403, "{origin}");
        }
    }

    #[test]
    fn a_file_says_what_is_wrong_with_it() {
        let wrong = |text: &str| Access::parse(text).unwrap_err();
        assert!(wrong("a read").starts_with("1: a line is NAME ROLE TOKEN"));
        assert!(wrong("\na write 0123456789abcdef").contains("2: 'write' is no role"));
        assert!(wrong("a read short").contains("shorter than 16"));
        let twice = "a read 0123456789abcdef\nb operate 0123456789abcdef\n";
        assert!(wrong(twice).contains("there already"));
    }
}
