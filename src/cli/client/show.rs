//! Messages as people read them: one line each.

use ringframe::client::Received;
use ringframe::wire::ouch::{Inbound, Order, Outbound, Side};

use super::line::decimal;

/// What the server said.
pub(super) fn received(received: &Received<Outbound>) -> String {
    format!("{} {}", received.number, outbound(&received.message))
}

fn outbound(message: &Outbound) -> String {
    match message {
        Outbound::SystemEvent(it) => match it.event.0 {
            b'S' => "day starts".to_owned(),
            b'E' => "day ends".to_owned(),
            other => format!("day: {}", other.escape_ascii()),
        },
        Outbound::Accepted(it) => format!("accepted {}", order(&it.order)),
        Outbound::Replaced(it) => format!("replaced {} by {}", it.old, order(&it.order)),
        Outbound::Canceled(it) => {
            format!("canceled {} shares={} reason={}", it.token, it.decrement, letter(it.reason.0))
        }
        Outbound::SelfMatch(it) => format!(
            "canceled {} shares={} reason={} prevented={} price={}",
            it.token,
            it.decrement,
            letter(it.reason.0),
            it.prevented,
            decimal(it.price.get())
        ),
        Outbound::Executed(it) => format!(
            "executed {} shares={} price={} liquidity={} match={}",
            it.token,
            it.shares,
            decimal(it.price.get()),
            letter(it.liquidity.0),
            it.match_number
        ),
        Outbound::ExecutedAtReference(it) => format!(
            "executed {} shares={} price={} reference_price={} match={}",
            it.executed.token,
            it.executed.shares,
            decimal(it.executed.price.get()),
            decimal(it.reference_price.get()),
            it.executed.match_number
        ),
        Outbound::Broken(it) => {
            format!("broken {} match={} reason={}", it.token, it.match_number, letter(it.reason.0))
        }
        Outbound::Rejected(it) => format!("rejected {} reason={}", it.token, letter(it.reason.0)),
        Outbound::CancelPending(it) => format!("cancel_pending {}", it.token),
        Outbound::CancelRejected(it) => format!("cancel_rejected {}", it.token),
        Outbound::PriorityUpdated(it) => format!(
            "priority_updated {} price={} reference={}",
            it.token,
            decimal(it.price.get()),
            it.reference
        ),
        Outbound::Modified(it) => {
            format!("modified {} {} shares={}", it.token, side(it.side), it.shares)
        }
    }
}

/// What was sent.
pub(super) fn inbound(message: &Inbound) -> String {
    match message {
        Inbound::Enter(it) => format!(
            "{} {} {} {} token={}",
            side(it.side),
            it.shares,
            it.stock,
            decimal(it.price.get()),
            it.token
        ),
        Inbound::Replace(it) => {
            format!("replace {} {} {} token={}", it.old, it.shares, decimal(it.price.get()), it.new)
        }
        Inbound::Cancel(it) => format!("cancel {} {}", it.token, it.shares),
        Inbound::Modify(it) => format!("modify {} {} {}", it.token, side(it.side), it.shares),
    }
}

fn order(order: &Order) -> String {
    format!(
        "{} {} {} {} {} reference={}",
        order.token,
        side(order.side),
        order.shares,
        order.stock,
        decimal(order.price.get()),
        order.reference
    )
}

fn side(side: Side) -> String {
    match side {
        Side::BUY => "buy".to_owned(),
        Side::SELL => "sell".to_owned(),
        Side::SHORT => "short".to_owned(),
        Side::SHORT_EXEMPT => "short_exempt".to_owned(),
        Side(other) => letter(other),
    }
}

fn letter(letter: u8) -> String {
    letter.escape_ascii().to_string()
}
