//! The generator's own limits, so that nobody takes them for a server's: how many messages a second
//! its one thread can send and hear, and how much later than a bare loop it sees an answer.
//!
//! Each limit stands beside what a bare loop does with the same echo, in turn, round by round, so
//! that what else the machine does meets both.

use std::io::{self, ErrorKind};
use std::num::NonZeroU64;
use std::time::Duration;

use crate::echo::{self, Report};
use crate::latency::{Latencies, Summary};
use crate::live::View;
use crate::results::Measured;
use crate::schedule::{Arrival, Length, Pace, Times};

mod bare;

/// Far beyond what any machine sends.
const ENDLESS: NonZeroU64 = NonZeroU64::new(1_000_000_000).expect("not zero");
/// The pace at which single messages are compared: each is answered long before the next.
const SINGLE: NonZeroU64 = NonZeroU64::new(2_000).expect("not zero");
/// The slowest machine is done by then: what is measured is how long it takes, not whether.
const PATIENCE: Duration = Duration::from_mins(10);
/// Turns of each.
const ROUNDS: u32 = 5;

/// A figure of the generator, and of the bare loop.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Beside<T> {
    /// Through the engine.
    pub ours: T,
    /// Through a loop of writes and reads.
    pub bare: T,
}

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceiling {
    /// Messages a second to the echo and back, as fast as they go.
    pub per_second: Beside<f64>,
    /// Single messages, from the write to the answer.
    pub from_write: Beside<Summary>,
    /// The same messages from the time when they were due: with how late each was written.
    pub from_due: Beside<Summary>,
}

impl Beside<Summary> {
    /// What the engine adds to the median and to the 99th percentile; below 0 when the machine's
    /// own noise is larger.
    pub fn added_ns(&self) -> [i64; 2] {
        let more = |ours: u64, bare: u64| ours.cast_signed() - bare.cast_signed();
        [more(self.ours.p50, self.bare.p50), more(self.ours.p99, self.bare.p99)]
    }
}

/// Single messages, by both ways to count.
#[derive(Clone, Debug, Default)]
struct Singles {
    from_write: Latencies,
    from_due: Latencies,
}

/// Finds them: `messages` as fast as they go over `sessions`, and single ones for as long as
/// `single`, each through both. On one core, or all: see [`crate::cores::on_one_core`].
pub fn find(messages: NonZeroU64, sessions: usize, single: Duration) -> io::Result<Ceiling> {
    let all = pace(ENDLESS, Length::Count(messages.get()));
    let messages = messages.get().div_ceil(u64::from(ROUNDS));
    let many = round(all, Length::Count(messages))?;
    let few = round(pace(SINGLE, Length::Time(single)), Length::Time(single / ROUNDS))?;
    // In all rounds, how long the many took, in seconds.
    let mut seconds: Beside<f64> = Beside::default();
    let mut singles = Beside { ours: Singles::default(), bare: Singles::default() };
    for _ in 0..ROUNDS {
        seconds.bare += bare::flood(messages, sessions)? as f64 / 1e9;
        let Measured { answered, answered_per_second, .. } =
            whole(&options(many.clone(), sessions))?.measured;
        seconds.ours += answered as f64 / answered_per_second;
        bare::ping_pong(&few, &mut singles.bare)?;
        let recorded = whole(&options(few.clone(), 1))?.recorded;
        singles.ours.from_write.merge(&recorded.service);
        singles.ours.from_due.merge(&recorded.latencies);
    }
    let all = (messages * u64::from(ROUNDS)) as f64;
    let summaries = |of: fn(&Singles) -> &Latencies| Beside {
        ours: of(&singles.ours).summary(),
        bare: of(&singles.bare).summary(),
    };
    Ok(Ceiling {
        per_second: Beside { ours: all / seconds.ours, bare: all / seconds.bare },
        from_write: summaries(|singles| &singles.from_write),
        from_due: summaries(|singles| &singles.from_due),
    })
}

fn pace(rate: NonZeroU64, length: Length) -> Pace {
    Pace { arrival: Arrival::Constant, rate, length, warm_up: Duration::ZERO, seed: 0 }
}

/// A round of it, if there is room for all of them.
fn round(all: Pace, length: Length) -> io::Result<Times> {
    let times = all.messages().and_then(|_| Pace { length, ..all }.times());
    times.map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))
}

fn options(times: Times, sessions: usize) -> echo::Options {
    echo::Options {
        target: None,
        times,
        sessions,
        is_polite: false,
        view: View::Quiet,
        patience: Some(PATIENCE),
    }
}

/// A run of which nothing is missing: half of one would tell no limit.
fn whole(options: &echo::Options) -> io::Result<Report> {
    let report = echo::run(options)?;
    if report.measured.is_complete() {
        return Ok(report);
    }
    let answered = report.measured.answered;
    let wanted = options.times.due.len();
    Err(io::Error::new(
        ErrorKind::TimedOut,
        format!("only {answered} of {wanted} messages came back in time; give a smaller --count"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cores;

    #[test]
    fn a_run_that_was_given_up_is_no_limit() {
        let many = pace(ENDLESS, Length::Count(100_000)).times().expect("few");
        // No machine sends so many in a tenth of a millisecond.
        let options = echo::Options { patience: Some(Duration::ZERO), ..options(many, 2) };
        let error = whole(&options).expect_err("far too fast");
        assert!(error.to_string().contains("of 100000 messages came back"), "{error}");
    }

    #[track_caller]
    fn is_whole(ceiling: &Ceiling) {
        assert!(ceiling.per_second.ours > 0.0 && ceiling.per_second.bare > 0.0, "{ceiling:?}");
        for singles in [ceiling.from_write, ceiling.from_due] {
            assert_eq!((singles.ours.count, singles.bare.count), (100, 100));
        }
        for (write, due) in [
            (ceiling.from_write.ours, ceiling.from_due.ours),
            (ceiling.from_write.bare, ceiling.from_due.bare),
        ] {
            assert!(write.p50 > 0 && write.p50 <= due.p50 && write.max <= due.max, "{ceiling:?}");
        }
    }

    #[test]
    fn limits_are_found_for_all_messages_on_one_core_and_on_all() {
        let many = NonZeroU64::new(5_003).expect("not zero");
        let find = || find(many, 3, Duration::from_millis(50));
        is_whole(&find().expect("loopback"));
        let on_one = cores::on_one_core(|_| {
            assert_eq!(cores::usable(), 1);
            find()
        });
        is_whole(&on_one.expect("loopback"));
    }

    #[test]
    fn what_is_added_is_the_difference_of_one_kind_of_latency() {
        let of = |p50, p99| Summary { p50, p99, ..Summary::default() };
        let beside = Beside { ours: of(15, 40), bare: of(12, 50) };
        assert_eq!(beside.added_ns(), [3, -10]);
    }
}
