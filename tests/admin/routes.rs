//! Every route, and every command of the program that asks there.

use serde_json::Value;

use crate::http::{admin, audited, get, operate, post, status, status_when};
use crate::peer::{PRICE, Peer, order};
use crate::program::{Serving, run};
use ringframe::wire::ouch::{Outbound, Side};

const JOURNALED: [&str; 2] = ["--release", "journaled"];

#[derive(Debug)]
struct Histogram {
    count: u64,
    sum: f64,
}

/// A histogram for Prometheus: its buckets only grow, and the last has all.
#[track_caller]
fn histogram(lines: &[&str], name: &str, labels: &str) -> Histogram {
    let begin = format!("ringframe_{name}_bucket{{{labels},le=\"");
    let buckets: Vec<(f64, u64)> = lines
        .iter()
        .filter_map(|line| line.strip_prefix(&begin)?.split_once("\"} "))
        .map(|(end, count)| (end.parse().unwrap(), count.parse().unwrap()))
        .collect();
    assert!(buckets.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1), "{buckets:?}");
    let value = |part: &str| {
        let begin = format!("ringframe_{name}_{part}{{{labels}}} ");
        lines.iter().find_map(|line| line.strip_prefix(&begin)).expect("each has one")
    };
    let count = value("count").parse().unwrap();
    assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)));
    Histogram { count, sum: value("sum").parse().unwrap() }
}

#[test]
fn a_status_says_what_replay_finds_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let serving = Serving::start(&JOURNALED, data);
    let to = admin(&serving);
    assert_eq!(get(to, "/healthz"), (200, "ok\n".into()));
    assert_eq!(get(to, "/readyz"), (200, "ready\n".into()));
    let mut peer = Peer::from(serving.addresses[0], 5, 0);
    for number in 0..20 {
        peer.order(&order(number, Side::BUY, 100, PRICE)).unwrap();
        assert!(matches!(peer.told(), Outbound::Accepted(_)));
    }
    // One that came already has no answer.
    for number in [0, 20] {
        peer.order(&order(number, Side::BUY, 100, PRICE)).unwrap();
    }
    assert!(matches!(peer.told(), Outbound::Accepted(_)));
    let _reader = Peer::from(serving.addresses[1], 5, 0);
    let said =
        status_when(to, |it| it["clients"]["sessions"] == 1 && it["clients"]["readers"] == 1);
    assert!(said["state"] == "serving" && said["release"] == "journaled", "{said:#}");
    assert_eq!(said["pid"], serving.child.id());
    assert_eq!(said["clients"]["connections"], 2);
    assert_eq!(said["clients"]["day"].as_str().unwrap(), peer.session.to_string());
    let count = |what: &str| {
        let counted = said["traffic"].as_array().unwrap();
        counted.iter().find(|it| it["what"] == what).unwrap()["count"].as_u64().unwrap()
    };
    assert_eq!((count("messages in"), count("logins")), (22, 2));
    let of = |name: &str| said["positions"][name].as_u64().unwrap();
    assert!(of("released") <= of("applied") && of("applied") <= of("journaled"), "{said:#}");
    assert!(of("journaled") <= of("published") && of("synced") <= of("journaled"), "{said:#}");
    let sequence = said["sequence"].as_u64().unwrap();
    assert!(sequence > 22 && said["disk"]["journal_bytes"].as_u64().unwrap() > 0, "{said:#}");
    let stages = said["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert!(["gateway", "journaler", "processor"].iter().all(|it| names.contains(it)), "{names:?}");
    let stage = |name: &str| stages.iter().find(|it| it["name"] == name).unwrap();
    for name in ["journaler", "processor", "event_log"] {
        let ages = stage(name)["ages"].as_array().unwrap();
        let batches: u64 = ages.iter().map(|it| it[1].as_u64().unwrap()).sum();
        assert!(batches > 0 && stage(name)["ages_nanos"].as_u64().unwrap() > 0, "{name}");
    }
    // The same, for Prometheus, and by the program.
    let (code, metrics) = get(to, "/metrics");
    assert_eq!(code, 200);
    let lines: Vec<&str> = metrics.lines().collect();
    assert!(lines.contains(&"ringframe_traffic_total{what=\"messages in\"} 22"), "{metrics}");
    assert!(lines.contains(&"ringframe_rejects_total{reason=\"duplicate_token\"} 1"), "{metrics}");
    assert!(lines.contains(&"ringframe_duplicates_total 1"), "{metrics}");
    assert!(lines.contains(&"ringframe_unauthorised_total{at=\"admin\"} 0"), "{metrics}");
    for stage in ["journaler", "processor", "event_log", "gateway"] {
        let ages = histogram(&lines, "stage_latency_seconds", &format!("stage=\"{stage}\""));
        assert!(ages.count > 0 && ages.sum > 0.0, "{stage}: {ages:?}");
    }
    let syncs = histogram(&lines, "sync_seconds", "log=\"journal\"");
    assert!(syncs.count > 0 && syncs.sum > 0.0, "{syncs:?}");
    assert!(lines.contains(&"ringframe_state{state=\"serving\"} 1"), "{metrics}");
    assert!(lines.iter().all(|it| it.starts_with("ringframe_") || it.starts_with("# ")));
    let by_program = operate(to, &["status", "--json"], "").expect(0, &[]);
    let by_program: Value = serde_json::from_str(&by_program.out).unwrap();
    let (at, digest) = (&by_program["sequence"], by_program["digest"].as_str().unwrap());
    operate(to, &["status"], "").expect(0, &["serving for", "positions", "journal "]);
    serving.drain();
    // Time may have been told since.
    let until = ["replay", "--digest", "--json", "--until", &at.to_string()];
    let replayed = run(&until, data).expect(0, &[]);
    let replayed: Value = serde_json::from_str(&replayed.out).unwrap();
    assert_eq!((&replayed["sequence"], replayed["digest"].as_str()), (at, Some(digest)));
    assert_eq!(replayed["events"], by_program["events"]);
}

#[test]
fn an_operator_s_command_is_answered_with_what_came_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(&[], directory.path());
    let to = admin(&serving);
    let before = status(to)["positions"]["published"].as_u64().unwrap();
    let halt = r#"{"change_state":{"symbol":"AAPL","state":"halted"}}"#;
    let (code, said) = post(to, "/command", halt);
    assert_eq!((code, &said["accepted"]), (200, &Value::Bool(true)), "{said}");
    assert!(said["sequence"].as_u64().unwrap() > before);
    let events = said["events"].as_array().unwrap();
    let [event] = &events[..] else { panic!("{said}") };
    assert!(event["state_changed"]["to"] == "halted" && event["cause"] == said["sequence"]);
    // It was released, as durably as the policy says.
    assert!(status(to)["positions"]["synced"].as_u64() >= said["sequence"].as_u64());
    // What the exchange refuses is an answer, too.
    let (code, said) = post(to, "/command", r#"{"kill":{"participant":60000,"on":true}}"#);
    assert_eq!((code, &said["accepted"]), (200, &Value::Bool(false)), "{said}");
    for (wrong, why) in [
        (r#"{"cancel":{"session":1,"token":"A"}}"#, "a client's command"),
        (r#"{"tick":{}}"#, "a client's command, or the node's"),
        (r#"{"change_state":{"symbol":"AAPL"}}"#, "state"),
        ("", "column"),
    ] {
        let (code, said) = post(to, "/command", wrong);
        let error = said["error"].as_str().unwrap();
        assert!(code == 400 && error.contains(why), "{wrong}: {code} {error}");
    }
    operate(to, &["command", halt], "").expect(1, &["\"accepted\":false"]);
    let kill = r#"{"kill":{"participant":1,"on":true}}"#;
    let lines = format!("{kill}\n\n{}\n", kill.replace("true", "false"));
    let done = operate(to, &["command", "-"], &lines).expect(0, &["killed"]);
    assert_eq!(done.out.lines().count(), 2);
    let done = operate(to, &["command", "-"], &format!("{kill}\nnonsense\n{kill}\n"));
    done.expect(2, &["line 2", "the lines before it are done"]);
    let (code, said) = post(to, "/activate", "");
    assert!(code == 200 && said["version"].as_u64().unwrap() > 0, "{said}");
    operate(to, &["activate", "999"], "").expect(2, &["this build has the versions"]);
    operate(to, &["activate"], "").expect(0, &["from command"]);
    assert_eq!(post(to, "/nothing", "").0, 404);
    assert_eq!(post(to, "/drain?now", "").0, 400);
    assert_eq!(get(to, "/drain").0, 405);
    serving.drain();
    // Each call stands there before it was done, and once more with its outcome.
    let lines = audited(directory.path());
    let halts: Vec<&Value> = lines.iter().filter(|it| it["body"] == halt).collect();
    let [first, second] = halts[..] else { panic!("{lines:#?}") };
    assert!(first["call"] == "POST /command" && first["who"] == "127.0.0.1", "{first}");
    for asked in [first, second] {
        let ended =
            lines.iter().find(|it| it["number"] == asked["number"] && it["outcome"].is_number());
        assert_eq!(ended.unwrap()["outcome"], 200);
    }
}

#[test]
fn a_node_saves_and_ends_when_an_operator_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let serving = Serving::start(&[], data);
    let to = admin(&serving);
    let (code, said) = post(to, "/snapshot", "");
    assert_eq!(code, 200, "{said}");
    assert!(std::path::Path::new(said["path"].as_str().unwrap()).exists(), "{said}");
    let now = status(to);
    assert_eq!(now["positions"]["snapshotted"], said["sequence"]);
    assert!(now["snapshots"]["age_seconds"].as_u64().is_some(), "{now:#}");
    operate(to, &["snapshot"], "").expect(0, &["snapshot ", " bytes)"]);
    let kill = r#"{"kill":{"participant":1,"on":true}}"#;
    let last = post(to, "/command", kill).1["sequence"].as_u64().unwrap();
    let done = operate(to, &["drain", "--snapshot"], "");
    done.expect(0, &["drained at command ", "snapshot "]);
    serving.end().expect(0, &["drained"]);
    let snapshots = std::fs::read_dir(data.join("snapshots")).unwrap();
    let names = snapshots.map(|it| it.unwrap().file_name().into_string().unwrap());
    let newest = names.filter_map(|it| it.split(['.', '-']).find_map(|it| it.parse().ok())).max();
    assert!(newest >= Some(last), "{newest:?} is not {last}");
    let call = audited(data).into_iter().find(|it| it["call"] == "POST /drain?snapshot=true");
    assert_eq!(call.unwrap()["role"], "operate");
    operate(to, &["status"], "").expect(3, &["nobody listens at", "ringframe serve", "--admin"]);
    // Without anybody who takes snapshots that is said, and nothing ends.
    let serving = Serving::start(&["--snapshots", "off"], data);
    let to = admin(&serving);
    operate(to, &["snapshot"], "").expect(2, &["snapshots.mode is off"]);
    operate(to, &["drain", "--snapshot"], "").expect(2, &["snapshots.mode is off"]);
    operate(to, &["drain"], "").expect(0, &["drained at command"]);
    serving.end().expect(0, &["drained"]);
}

#[test]
fn a_mark_is_a_command_after_which_the_digest_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let serving = Serving::start(&[], data);
    let to = admin(&serving);
    let (code, said) = post(to, "/mark", "");
    assert_eq!(code, 200, "{said}");
    let sequence = said["sequence"].as_u64().unwrap();
    status_when(to, |it| it["sequence"].as_u64() >= Some(sequence));
    let kill = r#"{"kill":{"participant":1,"on":true}}"#;
    assert_eq!(post(to, "/command", kill).0, 200);
    let (code, digest) = get(to, &format!("/digest?sequence={sequence}"));
    assert_eq!(code, 200, "{digest}");
    let digest: Value = serde_json::from_str(&digest).unwrap();
    // The leader's own digest follows in the journal, and nothing follows that.
    status_when(to, |it| it["positions"]["journaled"].as_u64() >= Some(sequence + 2));
    let (code, why) = get(to, &format!("/digest?sequence={}", sequence + 1));
    assert!(code == 404 && why.contains("not marked"), "{code} {why}");
    assert_eq!(get(to, "/digest").0, 400);
    assert_eq!(get(to, "/who"), (200, "{\"name\":\"127.0.0.1\",\"role\":\"operate\"}\n".into()));
    assert_eq!(post(to, "/archive", "").0, 409, "the setting is off");
    serving.drain();
    let until = ["replay", "--digest", "--json", "--until", &sequence.to_string()];
    let replayed: Value = serde_json::from_str(&run(&until, data).expect(0, &[]).out).unwrap();
    assert_eq!((&replayed["sequence"], &replayed["digest"]), (&sequence.into(), &digest["digest"]));
    run(&["replay", "--verify"], data).expect(0, &[]);
}

#[test]
fn a_node_archives_by_itself_and_prunes_what_its_snapshots_cover() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let place = directory.path().join("archive");
    let place = place.to_str().unwrap();
    let settings = ["--archive", place, "--segment-bytes", "72KiB", "--release", "journaled"];
    let serving = Serving::start(&settings, &data);
    let to = admin(&serving);
    let mut peer = Peer::from(serving.addresses[0], 5, 0);
    for number in 0..3_000 {
        peer.order(&order(number, Side::BUY, 100, PRICE)).unwrap();
        assert!(matches!(peer.told(), Outbound::Accepted(_)));
    }
    let (code, said) = post(to, "/archive?prune=true", "");
    let why = said["error"].as_str().unwrap_or_default();
    assert!(code == 409 && why.contains("nothing is pruned without a snapshot"), "{code} {said}");
    assert_eq!(post(to, "/snapshot", "").0, 200);
    // Segments are sealed a little after they are full.
    let give_up = std::time::Instant::now() + crate::http::PATIENCE;
    let said = loop {
        let (code, said) = post(to, "/archive?prune=true", "");
        assert!(code == 200 && std::time::Instant::now() < give_up, "{code} {said}");
        if said["pruned"].as_u64() > Some(0) {
            break said;
        }
    };
    let of = |name: &str| said[name].as_u64().unwrap();
    assert!(of("segments") > 1 && of("pruned_bytes") > 0, "{said}");
    assert_eq!(of("below"), status(to)["snapshots"]["sequence"].as_u64().unwrap(), "{said}");
    assert!(said["kept_back"].as_array().unwrap().is_empty(), "{said}");
    serving.drain();
    let verify = ["journal", "archive", "--to", place, "--verify"];
    let verified = std::process::Command::new(crate::program::PROGRAM).args(verify).output();
    crate::program::Done::new(&verified.unwrap()).expect(0, &["whole: "]);
    // What is left is enough to go on.
    Serving::start(&settings, &data).drain();
}
