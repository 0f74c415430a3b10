use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn parse(line: &str) -> Result<Command, clap::Error> {
    Ok(Cli::try_parse_from(line.split(' '))?.command)
}

fn run(line: &str) -> Options {
    let Ok(Command::Run(args)) = parse(line) else { panic!("{line}") };
    args.options().expect(line)
}

#[test]
fn the_command_line_becomes_options() {
    let line = "loadgen echo --rate 70 --duration 250ms --sessions 3 --arrival bursts --burst 5";
    let Ok(Command::Echo(args)) = parse(line) else { panic!("{line}") };
    let pace = args.pace();
    assert_eq!(pace.rate.get(), 70);
    assert_eq!(pace.length, Length::Time(Duration::from_millis(250)));
    let size = NonZeroU32::new(5).expect("not zero");
    assert_eq!(pace.arrival, Arrival::Bursts { size });
    assert_eq!(args.options().expect("good").sessions, 3);
    let target = parse("loadgen echo --target 127.0.0.1:1");
    assert!(matches!(target, Ok(Command::Echo(EchoArgs { target: Some(_), .. }))));
}

#[test]
fn a_run_has_defaults_and_its_own_options() {
    let options = run("loadgen run --quiet");
    assert_eq!(options.login.targets, ["127.0.0.1:9001"]);
    assert_eq!(options.login.users, ["TRDR01", "TRDR02", "TRDR03", "TRDR04"]);
    assert_eq!((options.listed.len(), options.view), (103, View::Quiet));
    let line = "loadgen run --target a:1,b:2 --count 9 --flow fmod --symbols AB=1.50,C=200 --echo";
    let options = run(line);
    assert_eq!(options.login.targets, ["a:1", "b:2"]);
    assert_eq!(options.pace.length, Length::Count(9));
    assert_eq!(options.listed[0], Listed { symbol: "AB".into(), reference: 15_000 });
    assert!(options.echo && !options.own_times);
    let options = run("loadgen run --replay day.itch");
    assert_eq!(options.source, Source::File("day.itch".into()));
    assert!(options.own_times);
    assert_eq!(options.pace.length, Length::Time(Duration::MAX));
    let options = run("loadgen run --replay day.itch --duration 2s");
    assert_eq!((options.own_times, options.pace.length), (true, Length::Time(2 * SECOND)));
    assert!(!run("loadgen run --replay day.itch --rate 5").own_times);
}

#[test]
fn too_many_sessions_for_the_demo_ask_for_users() {
    let Ok(Command::Run(args)) = parse("loadgen run --sessions 100") else { panic!("parses") };
    assert!(args.options().expect_err("too many").contains("--users"));
}

#[test]
fn a_sweep_has_one_limit() {
    let limit = |line: &str| {
        let Ok(Command::Sweep(args)) = parse(line) else { panic!("{line}") };
        args.options().map(|options| (options.limit.percentile, options.limit.ns))
    };
    assert_eq!(limit("loadgen sweep"), Ok(("p99", 1_000_000)));
    assert_eq!(limit("loadgen sweep --p50 20us"), Ok(("p50", 20_000)));
    assert_eq!(limit("loadgen sweep --p99.9 2ms --rate 5"), Ok(("p99_9", 2_000_000)));
    assert!(limit("loadgen sweep --replay file").is_err());
    assert!(parse("loadgen sweep --p50 1ms --p99 2ms").is_err());
    assert!(parse("loadgen sweep --p50 0us").is_err());
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
        "loadgen echo --rate 1000000001",
        "loadgen echo --burst 4294967296",
        "loadgen echo --sessions 60001",
        "loadgen sweep --rate-max 18446744073709551615",
        "loadgen echo --sessions 0",
        "loadgen echo --duration 5",
        "loadgen echo --arrival never",
        "loadgen run --flow nothing",
        "loadgen run --symbols AAPL",
        "loadgen run --quiet --plain",
        "loadgen run --count 5 --duration 5s",
    ];
    for line in lines {
        assert_eq!(parse(line).expect_err(line).exit_code(), 2, "{line}");
    }
}
