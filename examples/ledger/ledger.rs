//! Accounts and transfers, in the manner of `TigerBeetle`: every transfer debits one account and
//! credits another, at once or in two phases, and no limit is ever passed.
//!
//! A logic of your own is the same five things: what comes in, what happened, why not, the state,
//! and between them `check`, which decides, and `apply`, which does.

use std::collections::{BTreeMap, BTreeSet};

use ringframe::codec::SerdeRecord;
use ringframe::logic::{Emit, Logic, Moment, Nanos};
use serde::{Deserialize, Serialize};

/// An account's number, chosen by whoever opens it.
pub type AccountId = u32;
/// A transfer's number: the sequence of its command. So the ledger hands out ids that are unique,
/// and the same on every replay, without asking anyone.
pub type TransferId = u64;
/// In the smallest unit of the currency.
pub type Amount = u64;

/// What comes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A new account, without a balance.
    Open { account: AccountId, currency: [u8; 3], limit: Limit },
    /// Moves the amount now.
    Transfer(Order),
    /// Sets the amount aside, until it is posted, voided, or so many nanoseconds have passed.
    Reserve { order: Order, lifetime: u64 },
    /// Moves what was set aside, or less of it; the rest is free again.
    Post { transfer: TransferId, amount: Amount },
    /// Frees what was set aside.
    Void { transfer: TransferId },
    /// Time passes: logic has no clock, so whoever runs it sends these.
    Tick,
}

/// From whom to whom, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub debit: AccountId,
    pub credit: AccountId,
    pub amount: Amount,
    /// The version that the debit account must have: whoever decided by looking at it wants to be
    /// refused when it has changed since.
    pub expect_version: Option<u64>,
}

/// What an account may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// Anything goes: the bank's own accounts.
    None,
    /// It cannot be overdrawn: a customer's account.
    DebitsWithinCredits,
    /// It cannot be overpaid: a loan's account.
    CreditsWithinDebits,
}

/// What happened. Enough to rebuild every balance without asking the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Opened { account: AccountId },
    Transferred { transfer: TransferId, debit: AccountId, credit: AccountId, amount: Amount },
    Reserved { transfer: TransferId, order: Order, expires: Nanos },
    Posted { transfer: TransferId, amount: Amount },
    Voided { transfer: TransferId },
    Expired { transfer: TransferId },
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reject {
    AccountExists,
    UnknownAccount {
        account: AccountId,
    },
    SameAccount,
    OtherCurrency,
    ZeroAmount,
    WrongVersion {
        found: u64,
    },
    /// The debit account does not have so much.
    ExceedsCredits,
    /// The credit account does not owe so much.
    ExceedsDebits,
    /// An account's sum would not fit its 64 bits.
    Overflow {
        account: AccountId,
    },
    /// It never was, or it was posted, voided or expired.
    NotPending {
        transfer: TransferId,
    },
    ExceedsReserved {
        reserved: Amount,
    },
}

// serde writes them; this says what they are called and how long they may be.
impl SerdeRecord for Command {
    const NAME: &'static str = "ledger command";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 64;
}
impl SerdeRecord for Event {
    const NAME: &'static str = "ledger event";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 64;
}
impl SerdeRecord for Reject {
    const NAME: &'static str = "ledger reject";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 32;
}

/// All state. Only ordered maps: the same commands must give the same bytes on every node.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    accounts: BTreeMap<AccountId, Account>,
    /// What is set aside, and when that ends.
    pending: BTreeMap<TransferId, Pending>,
    /// The same by time, so that a tick looks only at what has ended.
    expiries: BTreeSet<(Nanos, TransferId)>,
}

/// One account. Sums only grow, but for what is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub currency: [u8; 3],
    pub limit: Limit,
    /// Rises with each change.
    pub version: u64,
    pub debits: Sum,
    pub credits: Sum,
}

/// One side of an account; `posted + pending` fits 64 bits, or the transfer was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    pub posted: Amount,
    pub pending: Amount,
}

impl Sum {
    /// With this much more, posted or pending; `None` when that does not fit.
    fn with(self, amount: Amount) -> Option<Amount> {
        self.posted.checked_add(self.pending)?.checked_add(amount)
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Pending {
    debit: AccountId,
    credit: AccountId,
    amount: Amount,
    expires: Nanos,
}

/// The proof that a command is valid. Its field is private, so only `check` makes one.
pub struct Checked(Plan);

enum Plan {
    Open { account: AccountId, currency: [u8; 3], limit: Limit },
    Transfer(Order),
    Reserve(Order, Nanos),
    Post(TransferId, Pending, Amount),
    Void(TransferId, Pending),
    Tick,
}

impl Logic for Ledger {
    const NAME: &'static str = "ledger";
    const VERSION: u32 = 1;

    type Command = Command;
    type Event = Event;
    type Reject = Reject;
    type Checked = Checked;

    /// Looks, and decides. `&self`: it could not change anything if it wanted to.
    fn check(&self, command: &Command, at: &Moment) -> Result<Checked, Reject> {
        let plan = match *command {
            Command::Open { account, currency, limit } => {
                if self.accounts.contains_key(&account) {
                    return Err(Reject::AccountExists);
                }
                Plan::Open { account, currency, limit }
            }
            Command::Transfer(order) => {
                self.check_order(&order)?;
                Plan::Transfer(order)
            }
            Command::Reserve { order, lifetime } => {
                self.check_order(&order)?;
                Plan::Reserve(order, at.time.after(lifetime))
            }
            Command::Post { transfer, amount } => {
                let pending = self.find_pending(transfer)?;
                match amount {
                    0 => return Err(Reject::ZeroAmount),
                    _ if amount > pending.amount => {
                        return Err(Reject::ExceedsReserved { reserved: pending.amount });
                    }
                    _ => Plan::Post(transfer, pending, amount),
                }
            }
            Command::Void { transfer } => Plan::Void(transfer, self.find_pending(transfer)?),
            Command::Tick => Plan::Tick,
        };
        Ok(Checked(plan))
    }

    /// Does, and tells. It has no way to fail: what could go wrong was refused above.
    fn apply(&mut self, checked: Checked, at: &Moment, emit: &mut Emit<'_, Event>) {
        let id = at.sequence.0;
        match checked.0 {
            Plan::Open { account, currency, limit } => {
                let (debits, credits) = (Sum::default(), Sum::default());
                self.accounts
                    .insert(account, Account { currency, limit, version: 0, debits, credits });
                emit.event(&Event::Opened { account });
            }
            Plan::Transfer(Order { debit, credit, amount, .. }) => {
                self.both(debit, credit, |sum| sum.posted += amount);
                emit.event(&Event::Transferred { transfer: id, debit, credit, amount });
            }
            Plan::Reserve(order, expires) => {
                let Order { debit, credit, amount, .. } = order;
                self.both(debit, credit, |sum| sum.pending += amount);
                self.pending.insert(id, Pending { debit, credit, amount, expires });
                self.expiries.insert((expires, id));
                emit.event(&Event::Reserved { transfer: id, order, expires });
            }
            Plan::Post(transfer, pending, amount) => {
                self.release(transfer, &pending, amount);
                emit.event(&Event::Posted { transfer, amount });
            }
            Plan::Void(transfer, pending) => {
                self.release(transfer, &pending, 0);
                emit.event(&Event::Voided { transfer });
            }
            Plan::Tick => self.expire(at.time, emit),
        }
    }

    /// Nobody has to send ticks: the node does, when the time has come.
    fn tick() -> Option<Command> {
        Some(Command::Tick)
    }

    fn wakes_at(&self) -> Option<Nanos> {
        self.expiries.first().map(|&(expires, _)| expires)
    }
}

impl Ledger {
    /// All accounts, by number.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, &Account)> {
        self.accounts.iter().map(|(id, account)| (*id, account))
    }

    fn check_order(&self, order: &Order) -> Result<(), Reject> {
        let find = |account| self.accounts.get(&account).ok_or(Reject::UnknownAccount { account });
        let (debit, credit) = (find(order.debit)?, find(order.credit)?);
        if order.debit == order.credit {
            return Err(Reject::SameAccount);
        }
        if debit.currency != credit.currency {
            return Err(Reject::OtherCurrency);
        }
        if order.amount == 0 {
            return Err(Reject::ZeroAmount);
        }
        if order.expect_version.is_some_and(|version| version != debit.version) {
            return Err(Reject::WrongVersion { found: debit.version });
        }
        let debits =
            (debit.debits.with(order.amount)).ok_or(Reject::Overflow { account: order.debit })?;
        let credits = (credit.credits.with(order.amount))
            .ok_or(Reject::Overflow { account: order.credit })?;
        // What is pending counts against the limit, and does not count for it: it may be voided.
        if debit.limit == Limit::DebitsWithinCredits && debits > debit.credits.posted {
            return Err(Reject::ExceedsCredits);
        }
        if credit.limit == Limit::CreditsWithinDebits && credits > credit.debits.posted {
            return Err(Reject::ExceedsDebits);
        }
        Ok(())
    }

    fn find_pending(&self, transfer: TransferId) -> Result<Pending, Reject> {
        self.pending.get(&transfer).copied().ok_or(Reject::NotPending { transfer })
    }

    /// The same change to the debits of one account and the credits of the other: so the sum of
    /// all debits is the sum of all credits, always.
    fn both(&mut self, debit: AccountId, credit: AccountId, change: impl Fn(&mut Sum)) {
        if let Some(account) = self.accounts.get_mut(&debit) {
            change(&mut account.debits);
            account.version += 1;
        }
        if let Some(account) = self.accounts.get_mut(&credit) {
            change(&mut account.credits);
            account.version += 1;
        }
    }

    /// Ends what was set aside: so much of it is posted, the rest is free.
    fn release(&mut self, transfer: TransferId, pending: &Pending, post: Amount) {
        self.pending.remove(&transfer);
        self.expiries.remove(&(pending.expires, transfer));
        self.both(pending.debit, pending.credit, |sum| {
            sum.pending -= pending.amount;
            sum.posted += post;
        });
    }

    fn expire(&mut self, now: Nanos, emit: &mut Emit<'_, Event>) {
        while let Some(&(expires, transfer)) = self.expiries.first()
            && expires <= now
        {
            let pending = self.pending[&transfer];
            self.release(transfer, &pending, 0);
            emit.event(&Event::Expired { transfer });
        }
    }
}
