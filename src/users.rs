//! Who may log in. A file has one user a line: name, session, access, hash of the password.
//!
//! ```text
//! # NAME SESSION ACCESS HASH
//! ALICE 1 market-data $argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA
//! BOB 2 orders-only $argon2id$…
//! ```
//!
//! Case does not matter to the protocol, neither in names nor in passwords: both are folded to
//! upper case, and spaces around them dropped, before anything is compared or hashed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::small_file::SmallFile;
use crate::wire::layout::Alpha;
use crate::wire::soup::Username;

/// The name of the demo's list among settings.
const DEMO: &str = "demo";
/// The demo's users.
const DEMO_USERS: u16 = 99;
const DEMO_PASSWORD: &str = "secret";
/// What a server says that lets the demo's users in.
pub const DEMO_WARNING: &str = "\
WARNING: users TRDR01 to TRDR99 may log in with the password 'secret', which everybody knows.
WARNING: this is for trying things out on one machine. For anything else make a list of users with
WARNING: `ringframe user add NAME --users FILE` and start with the setting users = \"FILE\".";

/// The protocol has room for so many letters.
const NAME_LETTERS_MAX: usize = 6;
const PASSWORD_LETTERS_MAX: usize = 10;

const MARKET_DATA: &str = "market-data";
const ORDERS_ONLY: &str = "orders-only";

/// Where the list of users is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UserList {
    /// Nowhere: the demo's users, whose password everybody knows.
    #[default]
    Demo,
    /// In this file.
    File(PathBuf),
}

impl UserList {
    /// Reads it.
    pub fn load(&self) -> Result<Users, UsersError> {
        match self {
            Self::Demo => Ok(Users::demo()),
            Self::File(path) => Users::read(path),
        }
    }
}

impl FromStr for UserList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err(format!("it is empty: name a file, or write {DEMO}")),
            DEMO => Ok(Self::Demo),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl fmt::Display for UserList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Demo => f.write_str(DEMO),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// What is wrong with a list of users, or with what should become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsersError(String);

impl fmt::Display for UsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsersError {}

/// One who may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// In upper case.
    pub name: Username,
    /// The exchange's session that is this user's, and nobody else's.
    pub session: u16,
    /// Whether the user may read market data.
    pub market_data: bool,
}

/// All who may log in.
#[derive(Clone, Debug, Default)]
pub struct Users(BTreeMap<Username, Entry>);

#[derive(Clone, Debug)]
struct Entry {
    user: User,
    hash: PasswordHash,
}

impl Users {
    /// TRDR01 to TRDR99 with sessions 1 to 99 and the password `secret`. It is no secret, so
    /// hashing it is made to cost nothing.
    pub fn demo() -> Self {
        let params = Params::new(Params::MIN_M_COST, 1, 1, None).expect("the least there is");
        let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = cheap.hash_password_with_salt(&fold(DEMO_PASSWORD.as_bytes()), b"everybody");
        let hash = hash.expect("a salt of the right length");
        let users = (1..=DEMO_USERS).map(|session| {
            let name = Alpha::new(&format!("TRDR{session:02}")).expect("six letters");
            let user = User { name, session, market_data: true };
            (name, Entry { user, hash: hash.clone() })
        });
        Self(users.collect())
    }

    /// Reads a file that nobody else may write, and not everybody read.
    pub fn read(path: &Path) -> Result<Self, UsersError> {
        Self::parse(&read_private(path)?, path)
    }

    /// Every user, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &User> {
        self.0.values().map(|entry| &entry.user)
    }

    /// Whose session it is, for people.
    pub fn names(&self) -> BTreeMap<u16, String> {
        self.iter().map(|user| (user.session, user.name.to_string())).collect()
    }

    /// The user who has this name and this password, as a login has them. It takes as long for a
    /// name that nobody has.
    pub fn verify(&self, name: &[u8; 6], password: &[u8; 10]) -> Option<User> {
        let name = std::str::from_utf8(name).ok().and_then(fold_name);
        let known = name.and_then(|name| self.0.get(&name));
        let entry = known.or_else(|| self.0.values().next())?;
        let verified = Argon2::default().verify_password(&fold(password), &entry.hash);
        (verified.is_ok() && known.is_some()).then_some(entry.user)
    }

    /// Adds a user to a file, which need not exist, and says which session that is: the one asked
    /// for, or the lowest that nobody has.
    pub fn add(
        path: &Path,
        name: &str,
        password: &str,
        session: Option<u16>,
        market_data: bool,
    ) -> Result<User, UsersError> {
        let name = new_name(name)?;
        check_password(password)?;
        let hash = Argon2::default()
            .hash_password(&fold(password.as_bytes()))
            .map_err(|error| UsersError(format!("the password cannot be hashed: {error}")))?;
        let _lock = lock(path)?;
        let mut text = if path.exists() { read_private(path)? } else { HEADING.to_owned() };
        let users = Self::parse(&text, path)?;
        if users.0.contains_key(&name) {
            return Err(UsersError(format!(
                "{}: there is a user {name} already: `ringframe user remove {name}` first",
                path.display()
            )));
        }
        let taken: BTreeSet<u16> = users.iter().map(|user| user.session).collect();
        let lowest = || (1..=u16::MAX).find(|session| !taken.contains(session));
        let session = session
            .or_else(lowest)
            .ok_or_else(|| UsersError(format!("{}: every session has a user", path.display())))?;
        let access = if market_data { MARKET_DATA } else { ORDERS_ONLY };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text += &format!("{name} {session} {access} {hash}\n");
        // Whatever is wrong with the new line is said as it would be at the next start.
        Self::parse(&text, path)?;
        write_private(path, &text)?;
        Ok(User { name, session, market_data })
    }

    /// Removes a user from a file; `false` when there is none of this name.
    pub fn remove(path: &Path, name: &str) -> Result<bool, UsersError> {
        let name = new_name(name)?;
        let _lock = lock(path)?;
        let text = read_private(path)?;
        let users = Self::parse(&text, path)?;
        if !users.0.contains_key(&name) {
            return Ok(false);
        }
        let is_other =
            |line: &&str| line.split_whitespace().next().and_then(fold_name) != Some(name);
        let rest: String = text.lines().filter(is_other).flat_map(|line| [line, "\n"]).collect();
        write_private(path, &rest)?;
        Ok(true)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, UsersError> {
        let mut users = Self::default();
        let mut sessions = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |why| UsersError(format!("{}:{number}: {why}", path.display()));
            let entry = parse_line(line).map_err(wrong)?;
            let User { name, session, .. } = entry.user;
            if let Some(other) = sessions.insert(session, name) {
                return Err(wrong(format!(
                    "session {session} is {other}'s already: give {name} another one"
                )));
            }
            if users.0.insert(name, entry).is_some() {
                return Err(wrong(format!("there is a user {name} already: remove one line")));
            }
        }
        Ok(users)
    }
}

const HEADING: &str = "\
# Who may log in: NAME SESSION ACCESS HASH. `ringframe user add NAME` makes a line.
";

fn parse_line(line: &str) -> Result<Entry, String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [name, session, access, hash] = fields[..] else {
        return Err(format!(
            "{} words where NAME SESSION ACCESS HASH is expected: `ringframe user add` writes such \
             a line",
            fields.len()
        ));
    };
    let name = new_name(name).map_err(|error| error.0)?;
    let session = session.parse().ok().filter(|&session| session > 0).ok_or_else(|| {
        format!("'{session}' is no session: write a number from 1 to {}", u16::MAX)
    })?;
    let market_data = match access {
        MARKET_DATA => true,
        ORDERS_ONLY => false,
        _ => return Err(format!("'{access}' is neither {MARKET_DATA} nor {ORDERS_ONLY}")),
    };
    let hash = PasswordHash::new(hash).map_err(|error| error.to_string()).and_then(|hash| {
        let is_ours = hash.algorithm == Algorithm::Argon2id.ident() && hash.hash.is_some();
        if is_ours { Ok(hash) } else { Err("it is not of argon2id".to_owned()) }
    });
    let hash = hash.map_err(|why| {
        format!("the hash of {name} cannot be used: {why}; remove the user and add it again")
    })?;
    Ok(Entry { user: User { name, session, market_data }, hash })
}

/// In upper case, without the spaces around it.
fn fold(text: &[u8]) -> Vec<u8> {
    text.trim_ascii().to_ascii_uppercase()
}

fn fold_name(name: &str) -> Option<Username> {
    Alpha::new(&name.to_ascii_uppercase()).filter(|name| !name.is_blank())
}

fn new_name(name: &str) -> Result<Username, UsersError> {
    let is_word = name.bytes().all(|letter| letter.is_ascii_alphanumeric());
    fold_name(name).filter(|_| is_word).ok_or_else(|| {
        UsersError(format!(
            "'{name}' is no name: use 1 to {NAME_LETTERS_MAX} letters and digits, the protocol has \
             room for no more"
        ))
    })
}

fn check_password(password: &str) -> Result<(), UsersError> {
    let fits = (1..=PASSWORD_LETTERS_MAX).contains(&password.len());
    if fits && password.bytes().all(|letter| letter.is_ascii_graphic()) {
        return Ok(());
    }
    Err(UsersError(format!(
        "a password has 1 to {PASSWORD_LETTERS_MAX} letters, digits and signs, without spaces: the \
         protocol has room for no more, and case does not matter, so use all {PASSWORD_LETTERS_MAX}"
    )))
}

/// Bits of a file's mode: written by others, or read by all.
const TOO_OPEN: u32 = 0o027;

fn read_private(path: &Path) -> Result<String, UsersError> {
    let failed = |error: std::io::Error| {
        let advice = match error.kind() {
            ErrorKind::NotFound => "; `ringframe user add NAME --users FILE` makes one",
            _ => "",
        };
        UsersError(format!("cannot read the users in {}: {error}{advice}", path.display()))
    };
    let file = SmallFile::read(path).map_err(failed)?;
    if file.mode & TOO_OPEN != 0 {
        return Err(UsersError(format!(
            "{}: others may read or write it (mode {:o}), and short passwords can be found from \
             their hashes: chmod 600 it",
            path.display(),
            file.mode
        )));
    }
    file.text().map_err(failed)
}

/// Whoever reads it finds the old list or the new one, also after a loss of power.
fn write_private(path: &Path, text: &str) -> Result<(), UsersError> {
    let write = || -> std::io::Result<()> {
        let directory = directory_of(path);
        // Such a file has mode 0600.
        let mut aside = tempfile::NamedTempFile::new_in(directory)?;
        aside.write_all(text.as_bytes())?;
        aside.as_file().sync_all()?;
        aside.persist(path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| {
        UsersError(format!("cannot write the users to {}: {error}", path.display()))
    })
}

/// Two who change a list do so one after the other.
fn lock(path: &Path) -> Result<File, UsersError> {
    let directory = directory_of(path);
    let lock = || File::open(directory).and_then(|file| file.lock().map(|()| file));
    lock().map_err(|error| UsersError(format!("cannot lock {}: {error}", directory.display())))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
