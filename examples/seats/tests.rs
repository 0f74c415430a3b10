//! Stories first, then what must hold for any commands at all.

use proptest::prelude::*;
use ringframe::kit::{self, given};
use ringframe::logic::Nanos;

use super::seats::{Command, Event, Hall, Reject};

#[test]
fn a_seat_is_sold_once() {
    given::<Hall>([])
        .travel_to(Nanos(7))
        .when(Command::Sell { seat: 12, to: 1 })
        .then([Event::Sold { seat: 12, to: 1, ticket: 1 }])
        .when(Command::Sell { seat: 12, to: 2 })
        .then_reject(Reject::Taken { since: Nanos(7) })
        .when(Command::GiveBack { seat: 12, by: 2 })
        .then_reject(Reject::NotYours)
        .when(Command::GiveBack { seat: 12, by: 1 })
        .then([Event::GivenBack { seat: 12 }])
        .when(Command::Sell { seat: 101, to: 2 })
        .then_reject(Reject::NoSuchSeat);
}

fn any_command() -> impl Strategy<Value = Command> {
    // Few seats and few people, so that they meet.
    prop_oneof![
        (0..5u16, 0..3u64).prop_map(|(seat, to)| Command::Sell { seat, to }),
        (0..5u16, 0..3u64).prop_map(|(seat, by)| Command::GiveBack { seat, by }),
    ]
}

proptest! {
    #[test]
    fn it_is_deterministic(commands in prop::collection::vec(any_command(), 0..50)) {
        kit::properties::<Hall>(commands);
    }
}
