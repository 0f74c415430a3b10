//! The command line.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use loadgen::echo::Options;
use loadgen::schedule::Arrival;

/// Open-loop load and honest latency.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure the machine's floor: a bare TCP echo on loopback, busy polling on two cores.
    #[command(after_help = "Example:\n  loadgen echo --rate 10000 --duration 5s --sessions 4")]
    Echo(EchoArgs),
}

#[derive(Args, Debug)]
pub(crate) struct EchoArgs {
    /// Messages a second, over all sessions.
    #[arg(long, default_value = "10000")]
    rate: NonZeroU64,
    /// How long to send: a number with ms, s or m.
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    duration: Duration,
    /// Connections, which take turns.
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u16).range(1..=400))]
    sessions: u16,
    /// How messages are spread over time.
    #[arg(long, default_value = "constant")]
    arrival: ArrivalArg,
    /// Messages in each burst, when they arrive in bursts.
    #[arg(long, default_value = "32")]
    burst: NonZeroU32,
    /// The same seed gives the same schedule.
    #[arg(long, default_value = "1")]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ArrivalArg {
    /// One every 1/rate.
    Constant,
    /// Independent senders: exponential gaps.
    Poisson,
    /// Groups that are due at the same instant.
    Bursts,
}

impl EchoArgs {
    pub(crate) fn options(&self) -> Options {
        let arrival = match self.arrival {
            ArrivalArg::Constant => Arrival::Constant,
            ArrivalArg::Poisson => Arrival::Poisson,
            ArrivalArg::Bursts => Arrival::Bursts { size: self.burst },
        };
        let &Self { rate, duration, seed, .. } = self;
        Options { arrival, rate, duration, sessions: usize::from(self.sessions), seed }
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let advice = "write a whole number above 0 with ms, s or m, such as 500ms or 5s";
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(advice.to_owned()),
    };
    match number.parse::<u32>() {
        Ok(0) | Err(_) => Err(advice.to_owned()),
        Ok(number) => Ok(Duration::from_millis(u64::from(number) * scale)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        let Command::Echo(args) = Cli::try_parse_from(line.split(' '))?.command;
        Ok(args.options())
    }

    #[test]
    fn the_command_line_becomes_options() {
        let line = "loadgen echo --rate 7 --duration 250ms --sessions 3 --arrival bursts --burst 5";
        let options = parse(line).expect("good");
        assert_eq!(options.rate.get(), 7);
        assert_eq!(options.duration, Duration::from_millis(250));
        assert_eq!(options.sessions, 3);
        let size = NonZeroU32::new(5).expect("not zero");
        assert_eq!(options.arrival, Arrival::Bursts { size });
    }

    #[test]
    fn durations_have_units() {
        let seconds = |text| parse_duration(text).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds("500ms"), Ok(0.5));
        assert_eq!(seconds("5s"), Ok(5.0));
        assert_eq!(seconds("2m"), Ok(120.0));
        for bad in ["", "5", "s", "0s", "-1s", "1.5s", "5h", "99999999999s", "5 s", "٥s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn wrong_usage_exits_with_two() {
        let lines = [
            "loadgen ecko",
            "loadgen echo --rate 0",
            "loadgen echo --rate many",
            "loadgen echo --sessions 0",
            "loadgen echo --duration 5",
            "loadgen echo --arrival never",
            "loadgen echo --target 127.0.0.1:1",
        ];
        for line in lines {
            assert_eq!(parse(line).expect_err(line).exit_code(), 2, "{line}");
        }
    }
}
