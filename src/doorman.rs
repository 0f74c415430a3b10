//! A stage: whether passwords are right. Hashing one takes milliseconds on purpose, so it happens
//! on a helper's thread, and the gateway goes on meanwhile.
//!
//! Whoever guesses is slowed down: after [`FAILURES_MAX`] failures in a minute, an address gets no
//! more guesses, and its requests cost nothing, until the minute has passed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Weak;

use argon2::password_hash::generate_salt;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::queue;
use crate::stage::{Fault, Sleeper, Stage};
use crate::types::Nanos;
use crate::users::{User, Users};

/// An address may fail so often …
pub const FAILURES_MAX: u32 = 10;
/// … in this time, from the first of them on.
const MINUTE: u64 = 60 * Nanos::SECOND;
/// So many addresses are remembered; of more, those that failed first are forgotten.
const ADDRESSES_MAX: usize = 4_096;
/// So many requests may wait, and as many verdicts: a gateway waits with logins when they are full.
const REQUESTS: usize = 256;
/// So many requests may wait for their hash; of more, those that came first are refused.
const GUESSES_MAX: usize = 1 << 14;

/// Somebody wants in.
#[derive(Clone)]
pub struct Request {
    /// What the gateway calls it.
    pub ticket: u64,
    /// From where.
    pub from: IpAddr,
    /// As it came.
    pub username: [u8; 6],
    /// As it came.
    pub password: [u8; 10],
    /// Is gone when who asks is: then nobody looks.
    pub asker: Weak<()>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The request's.
    pub ticket: u64,
    /// Who that is, or why nobody gets in.
    pub user: Result<User, Denied>,
}

/// Why somebody does not get in. The client is not told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Nobody has this name and this password.
    Unknown,
    /// Its address failed too often: whether this password is right nobody looked.
    LockedOut,
    /// So many want in that its turn did not come.
    Crowded,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("wrong name or password"),
            Self::LockedOut => write!(
                f,
                "locked out: {FAILURES_MAX} logins from its address have failed in a minute, and \
                 until that has passed none is looked at"
            ),
            Self::Crowded => f.write_str("too many logins wait for their turn"),
        }
    }
}

/// The gateway's side: both ends are bounded, and neither must be waited for.
#[derive(Debug)]
pub struct Door {
    /// Takes requests.
    pub requests: Sender<Request>,
    /// Gives verdicts, in the order of the requests.
    pub verdicts: Receiver<Verdict>,
}

/// The stage.
pub struct Doorman {
    users: Users,
    proven: Proven,
    requests: Receiver<Request>,
    verdicts: Sender<Verdict>,
    /// Requests that need a hash.
    guesses: VecDeque<Request>,
    failed: Failed,
}

impl Doorman {
    /// One who knows these users, and his door.
    pub fn new(users: Users) -> (Self, Door) {
        let (request, requests) = bounded(REQUESTS);
        let (verdict, verdicts) = bounded(REQUESTS);
        let doorman = Self {
            users,
            requests,
            verdicts: verdict,
            guesses: VecDeque::new(),
            failed: Failed::default(),
            proven: Proven::new(),
        };
        (doorman, Door { requests: request, verdicts })
    }
}

impl Stage for Doorman {
    fn name(&self) -> &'static str {
        "doorman"
    }

    fn sleeper(&mut self) -> Option<Box<dyn Sleeper>> {
        Some(queue::sleeper(&self.requests))
    }

    /// Everything that costs nothing, and at most one request more, because one hash is much.
    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        let mut work = 0;
        while !self.verdicts.is_full()
            && let Ok(request) = self.requests.try_recv()
        {
            let known = self.proven.known(&request);
            let is_too_often = self.failed.is_too_often(request.from, now);
            if known.is_none() && !is_too_often {
                self.guesses.push_back(request);
                continue;
            }
            self.decide(&request, known.filter(|_| !is_too_often).ok_or(Denied::LockedOut));
            work += 1;
        }
        if self.verdicts.is_full() {
            return Ok(work);
        }
        // Whoever asks and does not wait costs no hash.
        let is_there = |request: &Request| request.asker.strong_count() > 0;
        let next = std::iter::from_fn(|| self.guesses.pop_front()).find(is_there);
        let Some(request) = next else { return Ok(work) };
        let user = self.guess(&request, now);
        self.decide(&request, user);
        Ok(work + 1)
    }
}

impl Doorman {
    fn guess(&mut self, request: &Request, now: Nanos) -> Result<User, Denied> {
        // Of more than can be looked at, those that came first have gone by now.
        if self.guesses.len() >= GUESSES_MAX {
            return Err(Denied::Crowded);
        }
        if self.failed.is_too_often(request.from, now) {
            return Err(Denied::LockedOut);
        }
        let user = self.proven.verify(&self.users, request);
        user.ok_or_else(|| {
            self.failed.note(request.from, now);
            Denied::Unknown
        })
    }

    fn decide(&self, request: &Request, user: Result<User, Denied>) {
        // A gateway that is gone needs no verdict.
        let _ = self.verdicts.try_send(Verdict { ticket: request.ticket, user });
    }
}

/// Passwords that were right, as hashes that cost nothing: after a lost network a thousand clients
/// come back at once, and would otherwise wait for each other for as many slow hashes. Only this
/// process knows the key, and its memory only has what a login has brought into it anyway.
struct Proven {
    key: [u8; blake3::KEY_LEN],
    users: BTreeMap<[u8; blake3::OUT_LEN], User>,
}

impl Proven {
    /// A user who writes the same name in many ways counts often.
    const USERS_MAX: usize = 1 << 16;

    fn new() -> Self {
        Self { key: *blake3::hash(&generate_salt()).as_bytes(), users: BTreeMap::new() }
    }

    fn proof(&self, request: &Request) -> [u8; blake3::OUT_LEN] {
        let both = [&request.username[..], &request.password[..]].concat();
        *blake3::keyed_hash(&self.key, &both).as_bytes()
    }

    fn known(&self, request: &Request) -> Option<User> {
        self.users.get(&self.proof(request)).copied()
    }

    fn verify(&mut self, users: &Users, request: &Request) -> Option<User> {
        if let Some(user) = self.known(request) {
            return Some(user);
        }
        let user = users.verify(&request.username, &request.password)?;
        if self.users.len() >= Self::USERS_MAX {
            self.users.clear();
        }
        self.users.insert(self.proof(request), user);
        Some(user)
    }
}

/// Who failed how often: by address, and for IPv6 by network, since a host has many addresses.
#[derive(Default)]
struct Failed(BTreeMap<IpAddr, Failures>);

struct Failures {
    /// When the first of them was.
    since: Nanos,
    count: u32,
}

impl Failed {
    fn is_too_often(&self, from: IpAddr, now: Nanos) -> bool {
        let failures = self.0.get(&network(from));
        failures.is_some_and(|it| it.count >= FAILURES_MAX && now < it.since.after(MINUTE))
    }

    fn note(&mut self, from: IpAddr, now: Nanos) {
        let from = network(from);
        if self.0.len() >= ADDRESSES_MAX && !self.0.contains_key(&from) {
            self.forget(now);
        }
        let failures = self.0.entry(from).or_insert(Failures { since: now, count: 0 });
        if now >= failures.since.after(MINUTE) {
            *failures = Failures { since: now, count: 0 };
        }
        failures.count += 1;
    }

    /// Makes room: those whose minute has passed, or else the one that failed first.
    fn forget(&mut self, now: Nanos) {
        self.0.retain(|_, failures| now < failures.since.after(MINUTE));
        if self.0.len() < ADDRESSES_MAX {
            return;
        }
        let first = self.0.iter().min_by_key(|(_, failures)| failures.since);
        if let Some(address) = first.map(|(address, _)| *address) {
            self.0.remove(&address);
        }
    }
}

/// The first 64 bits of an IPv6 address; an IPv4 address as it is, however it is written.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::{Arc, LazyLock};

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn at(seconds: u64) -> Nanos {
        Nanos(1_000 * Nanos::SECOND).after(seconds * Nanos::SECOND)
    }

    /// Of one that stays.
    fn request(ticket: u64, from: IpAddr, password: &[u8; 10]) -> Request {
        static STAYS: LazyLock<Arc<()>> = LazyLock::new(Arc::default);
        let asker = Arc::downgrade(&STAYS);
        Request { ticket, from, username: *b"TRDR05", password: *password, asker }
    }

    const RIGHT: &[u8; 10] = b"secret    ";
    const WRONG: &[u8; 10] = b"guess     ";

    /// Asks once, and says which session came of it.
    fn ask(
        doorman: &mut Doorman,
        door: &Door,
        request: Request,
        now: Nanos,
    ) -> Result<u16, Denied> {
        let ticket = request.ticket;
        door.requests.send(request).unwrap();
        assert_eq!(doorman.poll(now).unwrap(), 1);
        let verdict = door.verdicts.try_recv().unwrap();
        assert_eq!(verdict.ticket, ticket);
        verdict.user.map(|user| user.session)
    }

    #[test]
    fn requests_are_answered_one_by_one_and_wait_while_verdicts_do() {
        let (mut doorman, door) = Doorman::new(Users::demo());
        assert_eq!(doorman.poll(at(0)).unwrap(), 0);
        assert_eq!(ask(&mut doorman, &door, request(1, HERE, RIGHT), at(0)), Ok(5));
        assert_eq!(ask(&mut doorman, &door, request(2, HERE, WRONG), at(0)), Err(Denied::Unknown));
        for ticket in 0..REQUESTS as u64 {
            door.requests.send(request(ticket, HERE, RIGHT)).unwrap();
            assert_eq!(doorman.poll(at(0)).unwrap(), 1);
        }
        door.requests.send(request(999, HERE, RIGHT)).unwrap();
        assert_eq!(doorman.poll(at(0)).unwrap(), 0);
        assert_eq!(door.verdicts.recv().unwrap().ticket, 0);
        assert_eq!(doorman.poll(at(0)).unwrap(), 1);
        let tickets: Vec<u64> = door.verdicts.try_iter().map(|verdict| verdict.ticket).collect();
        assert_eq!(tickets, (1..REQUESTS as u64).chain([999]).collect::<Vec<_>>());
        drop(door);
        assert_eq!(doorman.poll(at(0)).unwrap(), 0);
    }

    #[test]
    fn an_address_that_guesses_gets_no_more_until_the_minute_has_passed() {
        let (mut doorman, door) = Doorman::new(Users::demo());
        let other = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        for ticket in 0..u64::from(FAILURES_MAX) {
            assert_eq!(ask(&mut doorman, &door, request(ticket, HERE, RIGHT), at(ticket)), Ok(5));
            assert_eq!(
                ask(&mut doorman, &door, request(ticket, HERE, WRONG), at(ticket)),
                Err(Denied::Unknown)
            );
        }
        assert_eq!(
            ask(&mut doorman, &door, request(50, HERE, RIGHT), at(20)),
            Err(Denied::LockedOut)
        );
        assert_eq!(
            ask(&mut doorman, &door, request(51, HERE, RIGHT), at(59)),
            Err(Denied::LockedOut)
        );
        assert_eq!(
            ask(&mut doorman, &door, request(56, HERE, WRONG), at(59)),
            Err(Denied::LockedOut)
        );
        assert_eq!(ask(&mut doorman, &door, request(52, other, RIGHT), at(20)), Ok(5));
        assert_eq!(ask(&mut doorman, &door, request(53, HERE, RIGHT), at(60)), Ok(5));
        // A new minute begins with the next failure.
        assert_eq!(
            ask(&mut doorman, &door, request(54, HERE, WRONG), at(61)),
            Err(Denied::Unknown)
        );
        assert_eq!(ask(&mut doorman, &door, request(55, HERE, RIGHT), at(62)), Ok(5));
    }

    #[test]
    fn who_is_known_does_not_wait_behind_those_who_guess() {
        let (mut doorman, door) = Doorman::new(Users::demo());
        assert_eq!(ask(&mut doorman, &door, request(1, HERE, RIGHT), at(0)), Ok(5));
        for ticket in 2..8 {
            door.requests.send(request(ticket, HERE, WRONG)).unwrap();
        }
        door.requests.send(request(9, HERE, RIGHT)).unwrap();
        assert_eq!(doorman.poll(at(1)).unwrap(), 2, "the known one, and one guess");
        let tickets: Vec<u64> = door.verdicts.try_iter().map(|verdict| verdict.ticket).collect();
        assert_eq!(tickets, [9, 2]);
    }

    #[test]
    fn nobody_looks_for_those_who_are_gone() {
        let (mut doorman, door) = Doorman::new(Users::demo());
        let mut waits = Vec::new();
        for ticket in 0..9 {
            let asker = Arc::new(());
            let asks = Request { asker: Arc::downgrade(&asker), ..request(ticket, HERE, WRONG) };
            door.requests.send(asks).unwrap();
            waits.extend((ticket == 7).then_some(asker));
        }
        assert_eq!(doorman.poll(at(0)).unwrap(), 1, "one guess");
        let tickets: Vec<u64> = door.verdicts.try_iter().map(|verdict| verdict.ticket).collect();
        assert_eq!(tickets, [7]);
        assert_eq!(doorman.poll(at(0)).unwrap(), 0);
    }

    #[test]
    fn a_password_is_proven_once_for_its_user_alone() {
        let users = Users::demo();
        let mut proven = Proven::new();
        let by = |username: &[u8; 6], password| Request {
            username: *username,
            ..request(1, HERE, password)
        };
        let mut verify =
            |name, users| proven.verify(users, &by(name, RIGHT)).map(|user| user.session);
        assert_eq!(verify(b"TRDR05", &users), Some(5));
        assert_eq!(verify(b"TRDR06", &users), Some(6));
        let nobody = Users::default();
        assert_eq!(verify(b"TRDR05", &nobody), Some(5), "it is known");
        assert_eq!(verify(b"TRDR07", &nobody), None);
        assert_eq!(proven.verify(&users, &by(b"TRDR05", WRONG)), None);
        assert_eq!(proven.users.len(), 2);
    }

    #[test]
    fn the_addresses_of_one_network_count_together() {
        let mut failed = Failed::default();
        for host in 0..FAILURES_MAX {
            failed.note(format!("2001:db8:0:1::{host:x}").parse().unwrap(), at(0));
        }
        assert!(failed.is_too_often("2001:db8:0:1:ffff::1".parse().unwrap(), at(1)));
        assert!(!failed.is_too_often("2001:db8:0:2::1".parse().unwrap(), at(1)));
        for _ in 0..FAILURES_MAX {
            failed.note("::ffff:10.0.0.1".parse().unwrap(), at(0));
        }
        assert!(failed.is_too_often("10.0.0.1".parse().unwrap(), at(1)));
        assert!(!failed.is_too_often("10.0.0.2".parse().unwrap(), at(1)));
    }

    #[test]
    fn it_remembers_only_so_many_addresses() {
        let mut failed = Failed::default();
        let address = |number| IpAddr::V4(Ipv4Addr::from_bits(number));
        let many = ADDRESSES_MAX as u32;
        for number in 0..many {
            failed.note(address(number), Nanos(u64::from(number)));
        }
        failed.note(address(many), Nanos(u64::from(many)));
        assert_eq!(failed.0.len(), ADDRESSES_MAX);
        assert!(!failed.0.contains_key(&address(0)) && failed.0.contains_key(&address(1)));
        failed.note(address(1), at(0));
        assert_eq!(failed.0.len(), ADDRESSES_MAX);
        failed.note(address(0), at(0));
        assert_eq!(failed.0.len(), 2, "all whose minute has passed are forgotten");
    }
}
