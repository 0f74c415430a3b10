//! The generator's own limits, so that nobody takes them for a server's: how many messages a second
//! its one thread can send and hear, and how much later than a bare loop it sees an answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::clock::Clock;
use crate::echo::{self, MESSAGE_BYTES, beside_echo};
use crate::latency::{Latencies, Summary};
use crate::live::View;
use crate::results::Measured;
use crate::schedule::{Arrival, Length, Pace, Times};

/// Far beyond what any machine sends.
const ENDLESS: NonZeroU64 = NonZeroU64::new(1_000_000_000).expect("not zero");
/// The pace at which single messages are compared: each is answered long before the next.
const SINGLE: NonZeroU64 = NonZeroU64::new(2_000).expect("not zero");
/// The slowest machine is done by then: what is measured is how long it takes, not whether.
const PATIENCE: Duration = Duration::from_mins(10);

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceiling {
    /// Messages a second to the echo and back, as many at once as the sockets take.
    pub per_second: f64,
    /// From due time to answer, through the engine.
    pub engine: Summary,
    /// Same times and same echo, through a loop of a write and a read, from the write: one that
    /// waits for each answer falls behind for good on a machine that stalls.
    pub bare: Summary,
}

impl Ceiling {
    /// What the engine adds to the median and to the 99th percentile; below 0 when the machine's
    /// own noise is larger.
    pub fn added_ns(&self) -> [i64; 2] {
        let more = |ours: u64, bare: u64| ours.cast_signed() - bare.cast_signed();
        [more(self.engine.p50, self.bare.p50), more(self.engine.p99, self.bare.p99)]
    }
}

/// Finds them: `messages` as fast as they go over `sessions`, then single ones for as long as
/// `single`, through each.
pub fn find(messages: u64, sessions: usize, single: Duration) -> io::Result<Ceiling> {
    let pace = |rate, length| Pace {
        arrival: Arrival::Constant,
        rate,
        length,
        warm_up: Duration::ZERO,
        seed: 0,
    };
    let times =
        |pace: Pace| pace.times().map_err(|error| io::Error::new(ErrorKind::InvalidInput, error));
    let options = |times, sessions| echo::Options {
        target: None,
        times,
        sessions,
        is_polite: false,
        view: View::Quiet,
        patience: Some(PATIENCE),
    };
    let many = times(pace(ENDLESS, Length::Count(messages)))?;
    let many = whole(&options(many, sessions))?;
    let single = times(pace(SINGLE, Length::Time(single)))?;
    let engine = whole(&options(single.clone(), 1))?;
    let bare = ping_pong(&single)?;
    Ok(Ceiling {
        per_second: many.answered_per_second,
        engine: engine.latency_ns,
        bare: bare.summary(),
    })
}

/// A run of which nothing is missing: half of one would tell no limit.
fn whole(options: &echo::Options) -> io::Result<Measured> {
    let measured = echo::run(options)?.measured;
    if measured.is_complete() {
        return Ok(measured);
    }
    let Measured { answered, .. } = measured;
    let wanted = options.times.due.len();
    Err(io::Error::new(
        ErrorKind::TimedOut,
        format!("only {answered} of {wanted} messages came back in time; give a smaller --count"),
    ))
}

/// The least that a client can do: wait, write, read.
fn ping_pong(times: &Times) -> io::Result<Latencies> {
    beside_echo(1, |streams| {
        let mut stream: &TcpStream = &streams[0];
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut latencies = Latencies::new();
        let clock = Clock::start();
        for &due in &times.due {
            let begun = clock.spin_until(due);
            stream.write_all(&[0; MESSAGE_BYTES])?;
            let (mut answer, mut length) = ([0; MESSAGE_BYTES], 0);
            while length < MESSAGE_BYTES {
                length += match stream.read(&mut answer[length..]) {
                    Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    read => echo::now_or_zero(read)?,
                };
            }
            latencies.record(clock.now().saturating_sub(begun));
        }
        Ok(latencies)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_given_up_is_no_limit() {
        let pace = Pace {
            arrival: Arrival::Constant,
            rate: ENDLESS,
            length: Length::Count(100_000),
            warm_up: Duration::ZERO,
            seed: 0,
        };
        let options = echo::Options {
            target: None,
            times: pace.times().expect("few"),
            sessions: 2,
            is_polite: false,
            view: View::Quiet,
            // No machine sends so many in a tenth of a millisecond.
            patience: Some(Duration::ZERO),
        };
        let error = whole(&options).expect_err("far too fast");
        assert!(error.to_string().contains("of 100000 messages came back"), "{error}");
    }

    #[test]
    fn limits_are_found_for_all_messages() {
        let ceiling = find(5_000, 2, Duration::from_millis(50)).expect("loopback");
        assert!(ceiling.per_second > 0.0);
        assert_eq!((ceiling.engine.count, ceiling.bare.count), (100, 100));
    }
}
