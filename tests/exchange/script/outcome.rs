//! Outcomes as text: in few words what matters, and apart from them the rest, field by field.

use std::collections::BTreeSet;

use ringframe::exchange::command::SetSession;
use ringframe::exchange::event::{Accepted, Canceled, Event, OrderId, Reason, Traded, Venue};
use ringframe::exchange::ids::Token;
use ringframe::exchange::reject::{Reject, Why};
use ringframe::record::{KIND_LIMIT, Record};
use zerocopy::TryFromBytes;

use super::command::{SIDES, STATES, name, write_name, write_session};
use crate::naive::Outcome;

/// All that an exchange can say: every event, every reason, every refusal but these.
pub(crate) fn kinds(except: &[Why]) -> BTreeSet<String> {
    let bytes = || (0..=u8::MAX).map(|byte| [byte]);
    let whys = bytes().filter_map(|byte| Why::try_read_from_bytes(&byte).ok());
    let reasons = bytes().filter_map(|byte| Reason::try_read_from_bytes(&byte).ok());
    // Zeros of the right length are an event of every kind.
    let zeros = [0; Event::BYTES_MAX];
    let reads = |kind| (1..=zeros.len()).find_map(|length| Event::read(kind, &zeros[..length]));
    let is_other = |event: &Event| !matches!(event, Event::Canceled(_));
    let events = (0..KIND_LIMIT).filter_map(reads).filter(is_other).map(|e| event_kind(&e));
    whys.filter(|why| !except.contains(why))
        .map(why_kind)
        .chain(reasons.map(reason_kind))
        .chain(events)
        .collect()
}

/// Which of [`kinds`] it is.
pub(crate) fn kind(outcome: &Outcome) -> String {
    match outcome {
        Ok(Event::Canceled(canceled)) => reason_kind(canceled.reason),
        Ok(event) => event_kind(event),
        Err(Reject::Rejected(reject)) => why_kind(reject.why),
    }
}

fn event_kind(event: &Event) -> String {
    format!("event {}", event.kind())
}

fn reason_kind(reason: Reason) -> String {
    format!("canceled {reason:?}")
}

fn why_kind(why: Why) -> String {
    format!("refused {why:?}")
}

/// An outcome as scripts know it.
pub(crate) struct Said {
    /// What a script must say of it, …
    pub(crate) words: String,
    /// … and what it may say besides.
    pub(crate) details: Vec<String>,
}

impl Said {
    pub(crate) fn new(outcome: &Outcome) -> Self {
        match outcome {
            Ok(event) => of_event(event),
            Err(Reject::Rejected(reject)) => {
                let who = if reject.token == Token::default() {
                    String::new()
                } else {
                    write_name(reject.session, reject.token) + " "
                };
                let used_up = if reject.used_up == 0 { "" } else { " used-up" };
                let words = format!("refused {who}{:?}{used_up}", reject.why);
                said(words, &[format!("session={}", write_session(reject.session))])
            }
        }
    }

    /// Whether `expected` says nothing else: its words, then any of the details.
    pub(crate) fn is(&self, expected: &str) -> bool {
        let is_detail = |word: &&str| word.contains('=') || word.starts_with('#');
        let (details, words): (Vec<&str>, Vec<&str>) =
            expected.split_whitespace().partition(is_detail);
        let known = |detail: &&str| self.details.iter().any(|known| known == detail);
        words.join(" ") == self.words && details.iter().all(known)
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words)
    }
}

fn said(words: String, details: &[String]) -> Said {
    Said { words, details: details.to_vec() }
}

fn who(order: &OrderId) -> String {
    write_name(order.session, order.token)
}

/// `#7`, and `#7.2` for an iceberg that was shown anew twice.
fn reference(reference: u64) -> String {
    match (reference as u32, reference >> 32) {
        (number, 0) => format!("#{number}"),
        (number, refreshes) => format!("#{number}.{refreshes}"),
    }
}

/// ` word number`, unless it is the usual one.
fn unless(usual: u32, word: &str, number: u32) -> String {
    if number == usual { String::new() } else { format!(" {word} {number}") }
}

fn of_event(event: &Event) -> Said {
    match event {
        Event::Accepted(new) => {
            let shows = unless(new.quantity, "shows", new.displayed);
            said(format!("accepted {}{shows}", who(&new.order)), &of_new(new))
        }
        Event::Replaced(replaced) => {
            let new = &replaced.new;
            let shows = unless(new.quantity, "shows", new.displayed);
            let old = write_name(new.order.session, replaced.old_token);
            let mut details = of_new(new);
            details.push(format!("old={}", reference(replaced.old_reference)));
            details.push(format!("old_shown={}", replaced.old_shown));
            said(format!("replaced {old} by {}{shows}", who(&new.order)), &details)
        }
        Event::Canceled(canceled) => of_canceled(canceled),
        Event::Modified(modified) => {
            let shows = unless(modified.remaining, "shows", modified.displayed);
            let side = format!("side={}", name(&SIDES, &modified.side));
            said(
                format!("modified {} left {}{shows}", who(&modified.order), modified.remaining),
                &[
                    reference(modified.order.reference),
                    side,
                    format!("less={}", modified.decrement),
                    format!("shown={}", modified.shown),
                ],
            )
        }
        Event::Traded(traded) => of_traded(traded),
        Event::Rested(rested) => {
            let of = unless(rested.displayed, "of", rested.remaining);
            let side = format!("side={}", name(&SIDES, &rested.side));
            said(
                format!("rests {} {}@{}{of}", who(&rested.order), rested.displayed, rested.price),
                &[
                    reference(rested.order.reference),
                    format!("old_shown={}", rested.old_shown),
                    side,
                ],
            )
        }
        Event::Triggered(triggered) => said(
            format!("triggered {}", who(&triggered.order)),
            &[
                reference(triggered.order.reference),
                format!("stop={}", triggered.stop),
                format!("quantity={}", triggered.quantity),
            ],
        ),
        other => of_other(other),
    }
}

fn of_other(event: &Event) -> Said {
    match event {
        Event::MassCanceled(mass) => {
            said(format!("mass-canceled {} {}", write_session(mass.session), mass.count), &[])
        }
        Event::InstrumentAdded(added) => {
            let id = format!("id={}", added.instrument);
            said(format!("added {}", added.terms.symbol), &[id])
        }
        Event::InstrumentChanged(changed) => {
            let id = format!("id={}", changed.instrument);
            said(format!("changed {}", changed.terms.symbol), &[id])
        }
        Event::StateChanged(change) => {
            let (from, to) = (name(&STATES, &change.from), name(&STATES, &change.to));
            let id = format!("id={}", change.instrument);
            said(format!("state {} {from}>{to}", change.symbol), &[id])
        }
        Event::Crossed(crossed) => {
            let venue = venue(crossed.venue);
            let details =
                [format!("id={}", crossed.instrument), format!("match={}", crossed.match_number)];
            said(format!("crossed {}@{}{venue}", crossed.volume, crossed.price), &details)
        }
        Event::ParticipantSet(set) => said(format!("participant {}", set.0.participant), &[]),
        Event::SessionSet(set) => {
            let SetSession { session, participant, .. } = set.terms;
            said(
                format!("session {} of {participant}", write_session(session)),
                &[format!("new={}", set.is_new)],
            )
        }
        Event::Killed(killed) => {
            let verb = if killed.on == 0 { "revived" } else { "killed" };
            said(format!("{verb} {}", killed.participant), &[])
        }
        Event::DayEnded(ended) => said(format!("day-ended {}", ended.tokens), &[]),
        _ => unreachable!("`of_event` knows the others"),
    }
}

fn of_new(new: &Accepted) -> Vec<String> {
    let side = name(&SIDES, &new.side);
    vec![
        reference(new.order.reference),
        format!("id={}", new.order.instrument),
        format!("expires={}", new.expires),
        format!("price={}", new.price),
        format!("quantity={}", new.quantity),
        format!("shows={}", new.displayed),
        format!("display={}", new.display),
        format!("minimum={}", new.minimum),
        format!("stop={}", new.stop),
        format!("side={side}"),
        format!("pricing={:?}", new.pricing).to_lowercase(),
        format!("lifetime={:?}", new.lifetime).to_lowercase(),
        format!("handling={:?}", new.handling).to_lowercase(),
        format!("marks={}", new.marks),
    ]
}

pub(crate) fn reason(reason: Reason) -> String {
    format!("{reason:?}").to_lowercase()
}

fn of_canceled(canceled: &Canceled) -> Said {
    let left = unless(0, "left", canceled.remaining);
    let shows = unless(canceled.remaining, "shows", canceled.displayed);
    let prevented = match canceled.prevented {
        0 => String::new(),
        prevented => format!(" prevented {prevented}@{}", canceled.price),
    };
    let reason = reason(canceled.reason);
    said(
        format!(
            "canceled {} {} {reason}{left}{shows}{prevented}",
            who(&canceled.order),
            canceled.decrement
        ),
        &[
            reference(canceled.order.reference),
            format!("price={}", canceled.price),
            format!("side={}", name(&SIDES, &canceled.side)),
            format!("shown={}", canceled.shown),
            format!("incoming={}", canceled.incoming),
        ],
    )
}

fn venue(venue: Venue) -> String {
    match venue {
        Venue::Continuous => String::new(),
        venue => format!(" {venue:?}").to_lowercase(),
    }
}

/// The taker first: `trade B1/A1 30@50`, B1 came and A1 was there.
fn of_traded(traded: &Traded) -> Said {
    let (maker, taker) = (who(&traded.maker), who(&traded.taker));
    let venue = venue(traded.venue);
    let hidden = if traded.maker_hidden == 0 { "" } else { " hidden" };
    said(
        format!("trade {taker}/{maker} {}@{}{venue}{hidden}", traded.quantity, traded.price),
        &[
            format!("match={}", traded.match_number),
            format!("maker={}", reference(traded.maker.reference)),
            format!("taker={}", reference(traded.taker.reference)),
            format!("maker_left={}", traded.maker_remaining),
            format!("maker_shows={}", traded.maker_displayed),
            format!("maker_shown={}", traded.maker_shown),
            format!("taker_left={}", traded.taker_remaining),
            format!("taker_shown={}", traded.taker_shown),
            format!("maker_side={}", name(&SIDES, &traded.maker_side)),
            format!("taker_side={}", name(&SIDES, &traded.taker_side)),
        ],
    )
}
