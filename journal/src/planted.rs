//! Bugs on purpose, so that it is known what the simulator finds. One at a time, and only with the
//! feature `planted`: without it every question here is a constant, and nothing of it is left.

use std::sync::atomic::{AtomicU8, Ordering};

macro_rules! bugs {
    ($($bug:ident $name:literal $what:literal,)*) => {
        /// A bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Bug {
            $(#[doc = $what] $bug,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug),*];

            /// What it is called.
            pub fn name(self) -> &'static str {
                match self { $(Self::$bug => $name,)* }
            }

            /// What is wrong then.
            pub fn what(self) -> &'static str {
                match self { $(Self::$bug => $what,)* }
            }
        }
    };
}

bugs! {
    SkipSync "skip-sync" "frames are reported synced that were not",
    CountLate "count-late" "what is journaled during a sync is reported synced by it",
    IgnoreFailedSync "ignore-failed-sync" "a sync that fails is taken for one that did not",
    BelieveTheCache "believe-the-cache" "a start syncs what a failed sync left clean in the cache",
    ForgetDirectory "forget-directory" "a new segment's name is not made durable",
    DropCutTail "drop-cut-tail" "what is cut off a journal is not kept",
    PruneTooMuch "prune-too-much" "the segment that a snapshot lies in is deleted, too",
    PruneUnarchived "prune-unarchived" "what is in no archive is deleted, too",
    CutAttested "cut-attested" "damage in what is durable is cut off, as a torn tail is",
    PruneToday "prune-today" "what clients may ask for is deleted, up to the last snapshot",
    ForgetDay "forget-day" "the event log is pruned and the counts of its first day are not kept",
    ApplyEarly "apply-early" "commands are applied before they are journaled",
    AckEarly "ack-early" "a standby says that it has what is only in its ring",
    AckUnsynced "ack-unsynced" "a standby says that it synced what it only journaled",
    ReleaseEarly "release-early" "replies leave before the standby has their commands",
    PromiseLess "promise-less" "without a standby a reply means less than it is to",
    StayAlone "stay-alone" "a leader goes on promising less when its standby is back",
    ReuseTerm "reuse-term" "a leader that starts again leads in the term that it led before",
    OlderTerm "older-term" "a follower listens to a leader whose term is over, and does not say so",
    OtherPrice "other-price" "clients are told another price than they traded at",
    IgnoreFence "ignore-fence" "a leader goes on that has heard of a later term",
    ForgetTerm "forget-term" "a term is not on the device when its first command is ordered",
    KeepSurplus "keep-surplus" "a former leader cuts one command too few",
    ResumeLate "resume-late" "a client that comes back gets one message too few",
    BooksLate "books-late" "a snapshot of the books says that it goes on one message later",
    TellRecovered "tell-recovered" "a leader that starts tells what no standby ever had",
    SnapshotOff "snapshot-off" "a snapshot says that it is of one command later",
    HandOverEarly "hand-over-early" "a standby is to lead before it has all that was ordered",
    ForgetVersion "forget-version" "a start from a snapshot behaves as the oldest version",
    AnyVersion "any-version" "a build goes on behind a version that it does not have",
}

static PLANTED: AtomicU8 = AtomicU8::new(u8::MAX);

/// From here on this bug is there, and no other one.
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(u8::MAX, |bug| bug as u8), Ordering::Relaxed);
}

/// Whether it is there.
#[inline]
pub fn is_planted(bug: Bug) -> bool {
    cfg!(feature = "planted") && PLANTED.load(Ordering::Relaxed) == bug as u8
}
