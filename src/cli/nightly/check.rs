//! What has to be so before anything is changed, and the dry run, which looks only at that.

use std::io::Write;

use serde_json::json;

use super::node::{Facts, Peer, Trouble};
use super::report::Report;
use super::steps::{STEPS, Step, refused, whole};
use super::{NightlyArgs, Stop, all_done, ended};
use crate::cli::{Answer, Failure};

/// A snapshot needs this much besides its own size: segments that are prepared ahead.
const ROOM_BYTES: u64 = 64 << 20;

/// Who leads, and who stands by.
pub(super) fn roles([one, other]: [Peer; 2]) -> Result<(Peer, Peer), Stop> {
    let facts = [one.facts(), other.facts()];
    let leads = facts.each_ref().map(|facts| facts.as_ref().is_ok_and(Facts::leads));
    match leads {
        [true, false] => return Ok((one, other)),
        [false, true] => return Ok((other, one)),
        _ => {}
    }
    let mut states = Vec::new();
    for (peer, facts) in [&one, &other].into_iter().zip(facts) {
        states.push(match facts {
            Ok(facts) => format!("{} is {}", peer.admin, facts.state),
            Err(Trouble::Stop(stop)) => return Err(stop),
            Err(trouble) => trouble.why().to_owned(),
        });
    }
    let advice =
        "one node has to lead and the other to stand by; `ringframe promote` lets one lead";
    Err(Stop::No(format!("{}: {advice}", states.join("; "))))
}

/// As a run before found them.
pub(super) fn as_reported(pair: [Peer; 2], report: &Report) -> Result<(Peer, Peer), Stop> {
    let reported = [report.led_before, report.leads_after];
    let [one, other] = pair;
    if [one.admin, other.admin] == reported {
        return Ok((one, other));
    }
    if [other.admin, one.admin] == reported {
        return Ok((other, one));
    }
    Err(Stop::Usage(format!(
        "the report of {} is of other nodes, {} and {}: give each pair --reports of its own",
        report.day, report.led_before, report.leads_after
    )))
}

/// What was looked at besides the roles: what is well, and what is not.
pub(super) fn found(old: &Peer, new: &Peer) -> Vec<Result<String, Stop>> {
    [old, new].into_iter().flat_map(|peer| [may(peer), has_room(peer)]).collect()
}

fn may(peer: &Peer) -> Result<String, Stop> {
    let (name, role) = peer.who().map_err(refused)?;
    if role == "operate" {
        return Ok(format!("{} lets {name} operate", peer.admin));
    }
    Err(Stop::Usage(format!(
        "{} lets {name} only {role}: a token with the role operate is needed",
        peer.admin
    )))
}

fn has_room(peer: &Peer) -> Result<String, Stop> {
    let facts = peer.facts().map_err(refused)?;
    let at = peer.admin;
    if !facts.snapshots.taken {
        return Err(Stop::No(format!("{at} takes no snapshots: its snapshots.mode is off")));
    }
    // One beside the one that it replaces.
    let needs = 2 * facts.snapshots.bytes + ROOM_BYTES;
    let free = facts.disk.free_bytes;
    if free < needs {
        return Err(Stop::No(format!(
            "{at} has {free} bytes free, and a snapshot needs {needs}: make room by `ringframe \
             journal archive` and `prune`"
        )));
    }
    Ok(format!(
        "{at} has {free} bytes free, {needs} are needed; it archives to {}",
        facts.disk.archive.as_deref().unwrap_or("nowhere, the setting archive is off")
    ))
}

/// Looks, says what would be done, and changes nothing.
pub(super) fn dry_run(
    args: &NightlyArgs,
    pair: [Peer; 2],
    known: Option<&Report>,
    out: &mut dyn Write,
) -> Result<Answer, Failure> {
    if let Some(report) = known.filter(|report| report.finished.is_some()) {
        return all_done(args, report, out);
    }
    let (well, stops) = look(pair, known);
    let is_left = |step: &&Step| known.is_none_or(|report| report.done(step.name).is_none());
    let left: Vec<&Step> = STEPS.iter().filter(is_left).collect();
    if args.json {
        let would: Vec<&str> = left.iter().map(|step| step.name).collect();
        let wrong: Vec<&str> = stops.iter().map(Stop::why).collect();
        writeln!(
            out,
            "{}",
            json!({ "dry_run": true, "well": well, "wrong": wrong, "would": would })
        )?;
    } else {
        well.iter().try_for_each(|line| writeln!(out, "well   {line}"))?;
        stops.iter().try_for_each(|stop| writeln!(out, "WRONG  {}", stop.why()))?;
        left.iter().try_for_each(|step| writeln!(out, "would  {}: {}", step.name, step.does))?;
    }
    match stops.into_iter().next() {
        None => Ok(Answer::Yes),
        Some(stop) => ended(stop, out),
    }
}

/// What is well, and what is not.
fn look(pair: [Peer; 2], known: Option<&Report>) -> (Vec<String>, Vec<Stop>) {
    let roles = match known {
        None => roles(pair).and_then(|(old, new)| {
            let (leader, _) = whole(&old, &new)?;
            let said = format!(
                "{} leads term {}, {} stands by; a reply means: {}",
                old.admin,
                leader.epoch(),
                new.admin,
                leader.release
            );
            Ok((old, new, said))
        }),
        Some(report) => as_reported(pair, report).map(|(old, new)| {
            let said = format!("goes on with what was begun {}", report.begun);
            (old, new, said)
        }),
    };
    let (old, new, said) = match roles {
        Ok(roles) => roles,
        Err(stop) => return (Vec::new(), vec![stop]),
    };
    let (mut well, mut wrong) = (vec![said], Vec::new());
    for found in found(&old, &new) {
        match found {
            Ok(said) => well.push(said),
            Err(stop) => wrong.push(stop),
        }
    }
    (well, wrong)
}
