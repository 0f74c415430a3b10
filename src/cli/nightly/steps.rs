//! What is done in a night, step by step. Each step looks first whether what it is to do is there
//! already: it may have been done by a run that was interrupted before it could write that down.
#![expect(clippy::disallowed_methods, reason = "it waits for nodes that are started again")]

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use ringframe::types::Nanos;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::node::{Facts, Peer, Start, Trouble};
use super::{Found, Routine, Stop};

/// A step: what it is called, what it does, and how.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) does: &'static str,
    pub(super) run: fn(&mut Routine) -> Result<Found, Stop>,
}

/// The night, in order.
pub(super) const STEPS: &[Step] = &[
    Step {
        name: "snapshot",
        does: "the standby saves its state, reads it back, loads it and compares the digest",
        run: snapshot,
    },
    Step {
        name: "restart the standby",
        does: "the standby ends in good order, is started again, and catches up",
        run: restart_standby,
    },
    Step {
        name: "compare digests",
        does: "both nodes say their digest after the same command",
        run: compare,
    },
    Step {
        name: "hand over",
        does: "the leader lets the standby lead as soon as it has everything, and ends",
        run: hand_over,
    },
    Step {
        name: "restart the former leader",
        does: "the former leader is started again, follows, and catches up",
        run: restart_former_leader,
    },
    Step {
        name: "compare digests again",
        does: "both nodes say their digest after the same command",
        run: compare,
    },
    Step {
        name: "archive at the new leader",
        does: "it copies sealed segments to its archive, and deletes what nobody needs any more",
        run: |routine| keep(routine, &routine.new),
    },
    Step {
        name: "archive at the new standby",
        does: "the same, after a snapshot of its own",
        run: |routine| {
            let saved = save(&routine.new, &routine.old, routine.patience)?;
            let mut found = keep(routine, &routine.old)?;
            found.facts["snapshot"] = saved.facts["sequence"].clone();
            Ok(found)
        },
    },
];

/// So often it looks.
const LOOK: Duration = Duration::from_millis(20);
/// The same while clients wait.
const LOOK_OFTEN: Duration = Duration::from_millis(1);
/// Before a command starts a node that has ended, and before it does so once more.
const START: [u64; 2] = [Nanos::SECOND / 5, 10 * Nanos::SECOND];
/// Neither node leads for so long: somebody has to look.
const LEADERLESS_NANOS: u64 = 60 * Nanos::SECOND;
/// So often digests are asked for after the same mark: at full load it is long past soon.
const ASKS: u32 = 500;
/// So many marks.
const MARKS: u32 = 5;

fn snapshot(routine: &mut Routine) -> Result<Found, Stop> {
    save(&routine.old, &routine.new, routine.patience)
}

/// Lets `who` follow `leader` and have a snapshot that is as new as what it had when it was asked.
fn save(leader: &Peer, who: &Peer, patience: Duration) -> Result<Found, Stop> {
    let (_, facts) = whole(leader, who)?;
    if facts.sequence.is_some_and(|sequence| facts.snapshots.sequence == sequence) {
        let said = format!("there was one at command {} already", facts.snapshots.sequence);
        return Ok(Found { said, facts: json!({ "sequence": facts.snapshots.sequence }) });
    }
    let saved = who.operate("/snapshot", patience).map_err(|trouble| match trouble {
        Trouble::Stop(stop) => stop,
        other => Stop::Fault(format!(
            "{}; nothing has changed: {} leads and {} stands by",
            other.why(),
            leader.admin,
            who.admin
        )),
    })?;
    let said = format!(
        "at command {}, {} bytes: read back, loaded, and its digest compared before it counted",
        saved["sequence"], saved["bytes"]
    );
    Ok(Found { said, facts: saved })
}

fn restart_standby(routine: &mut Routine) -> Result<Found, Stop> {
    let before = routine.noted("restart the standby", |routine| {
        let (_, facts) = whole(&routine.old, &routine.new)?;
        Ok(facts.start)
    })?;
    let is_there = |facts: Facts| facts.start == before && facts.state != "draining";
    if routine.new.facts().is_ok_and(is_there) {
        // The leader has to be there, and a standby that it can do without.
        whole(&routine.old, &routine.new)?;
        end(&routine.new, routine.patience)?;
    }
    come_back(routine, &routine.new, &routine.old, before)
}

fn restart_former_leader(routine: &mut Routine) -> Result<Found, Stop> {
    // It ended when it handed over.
    let before = routine.noted("hand over", |_| {
        let why = "the report does not say which start of the leader handed over";
        Err(Stop::Fault(why.into()))
    })?;
    come_back(routine, &routine.old, &routine.new, before)
}

/// Ends a node in good order. Whether it did is seen by who looks on: its answer may be lost.
fn end(who: &Peer, patience: Duration) -> Result<(), Stop> {
    match who.operate("/drain", patience) {
        Ok(_) | Err(Trouble::Away(_)) => Ok(()),
        Err(Trouble::Stop(stop)) => Err(stop),
        Err(Trouble::Refused(why)) => Err(Stop::Fault(why)),
    }
}

/// Waits until a node runs again that was there before, and stands by for the leader.
fn come_back(routine: &Routine, who: &Peer, leader: &Peer, before: Start) -> Result<Found, Stop> {
    let began = routine.clock.now();
    let mut start_at = began.after(START[0]);
    loop {
        let seen = who.facts();
        let why = match seen {
            Ok(facts) if facts.start != before => match whole(leader, who) {
                Ok((_, facts)) => return Ok(came_back(routine, &facts, began.0)),
                Err(stop @ Stop::Usage(_)) => return Err(stop),
                Err(stop) => stop.why().to_owned(),
            },
            Ok(facts) => format!("it is {} still", facts.state),
            Err(Trouble::Stop(stop)) => return Err(stop),
            Err(trouble) => {
                let now = routine.clock.now();
                if let Some(command) = routine.start.as_ref().filter(|_| now >= start_at) {
                    start(command, who)?;
                    start_at = now.after(START[1]);
                }
                trouble.why().to_owned()
            }
        };
        if routine.has_waited(began) {
            return Err(Stop::Fault(format!(
                "{} does not come back: {why}; {} leads alone meanwhile: look at the log of {}, \
                 start it with the settings that it had, and run this again: it goes on from here",
                who.admin, leader.admin, who.admin
            )));
        }
        sleep(LOOK);
    }
}

fn came_back(routine: &Routine, facts: &Facts, began: u64) -> Found {
    let took = (routine.clock.now().0 - began) / 1_000_000;
    let sequence = facts.sequence.unwrap_or_default();
    let said = format!(
        "version {}, stands by at command {sequence}, {took} ms after it had ended",
        facts.version
    );
    let facts = json!({ "version": facts.version, "sequence": sequence, "back_after_ms": took });
    Found { said, facts }
}

/// Starts a node by a command of the operator's.
fn start(command: &str, who: &Peer) -> Result<(), Stop> {
    let failed = |why: &dyn std::fmt::Display| {
        Stop::Fault(format!(
            "{} is not started: `{command}` {why}; start it, and run this again: it goes on from \
             here",
            who.admin
        ))
    };
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env("NODE_ADMIN", who.admin.to_string());
    shell.env("NODE_HOST", who.admin.ip().to_string());
    let ended = shell.status().map_err(|error| failed(&format!("cannot be run: {error}")))?;
    if ended.success() { Ok(()) } else { Err(failed(&format!("ended with {ended}"))) }
}

fn compare(routine: &mut Routine) -> Result<Found, Stop> {
    // Who leads by now is asked: it depends on how far the routine is.
    let handed_over = routine.report.done("hand over").is_some();
    let (leader, standby) = match handed_over {
        false => (&routine.old, &routine.new),
        true => (&routine.new, &routine.old),
    };
    let found = same_digest(leader, standby)?;
    routine.compared = true;
    Ok(found)
}

/// Lets both say their digest after the same command, which is put into the journal for that.
fn same_digest(leader: &Peer, standby: &Peer) -> Result<Found, Stop> {
    let mut why = String::new();
    for _ in 0..MARKS {
        whole(leader, standby)?;
        let marked = leader.operate("/mark", LOOK * ASKS).map_err(refused)?;
        let sequence = marked["sequence"].as_u64().unwrap_or_default();
        let (mut ours, mut theirs) = (None, None);
        for _ in 0..ASKS {
            for (node, digest) in [(leader, &mut ours), (standby, &mut theirs)] {
                if digest.is_none() {
                    match node.digest_at(sequence) {
                        Ok(found) => *digest = Some(found),
                        Err(Trouble::Stop(stop)) => return Err(stop),
                        Err(trouble) => trouble.why().clone_into(&mut why),
                    }
                }
            }
            if let (Some(ours), Some(theirs)) = (&ours, &theirs) {
                return agreed(leader, standby, sequence, ours, theirs);
            }
            sleep(LOOK);
        }
    }
    Err(Stop::Fault(format!(
        "no digest of both nodes after the same command is known: {why}; a node that finds its own \
         digest to differ stops, and its log names the window"
    )))
}

fn agreed(
    leader: &Peer,
    standby: &Peer,
    sequence: u64,
    ours: &str,
    theirs: &str,
) -> Result<Found, Stop> {
    if ours != theirs {
        return Err(Stop::No(format!(
            "the digests after command {sequence} differ: {ours} at {}, which leads, and {theirs} \
             at {}: nothing is handed over; find the first event that differs with `ringframe \
             journal diff`, on the data directories of both, and `ringframe replay --verify`",
            leader.admin, standby.admin
        )));
    }
    let said = format!("after command {sequence} both have {ours}");
    Ok(Found { said, facts: json!({ "sequence": sequence, "digest": ours }) })
}

fn hand_over(routine: &mut Routine) -> Result<Found, Stop> {
    let epoch: u32 = routine.noted("hand over from term", |routine| {
        let (leader, _) = whole(&routine.old, &routine.new)?;
        Ok(leader.epoch())
    })?;
    let led = |facts: &Facts| facts.leads() && facts.epoch() > epoch;
    let began = routine.clock.now();
    // Told by a run that was interrupted, and on its way.
    let is_told = routine.report.noted.contains_key("hand over")
        && !routine.old.facts().is_ok_and(|facts| facts.leads());
    let ended = if is_told { None } else { tell(routine)? };
    let ended_ms = (routine.clock.now().0 - began.0) / 1_000_000;
    loop {
        if let Ok(facts) = routine.new.facts()
            && led(&facts)
        {
            let leads_ms = (routine.clock.now().0 - began.0) / 1_000_000;
            let known = match is_told {
                true => "an interrupted run had told the leader".to_owned(),
                false => format!("known {leads_ms} ms after the leader was told"),
            };
            let said = format!("{} leads term {}, {known}", routine.new.admin, facts.epoch());
            let facts = json!({
                "epoch": facts.epoch(),
                "last": ended,
                "ended_ms": ended_ms,
                "leads_ms": leads_ms,
            });
            return Ok(Found { said, facts });
        }
        let back = routine.old.facts().is_ok_and(|facts| facts.leads());
        if back && ended.is_none() {
            return Err(Stop::Fault(format!(
                "{} did not hand over, and leads; look at its log, and run this again",
                routine.old.admin
            )));
        }
        if routine.clock.now() > began.after(LEADERLESS_NANOS) {
            return Err(Stop::Fault(format!(
                "neither node says that it leads: look at both logs; where {} has ended, \
                 `ringframe promote --admin {}` lets the other one lead, then run this again",
                routine.old.admin, routine.new.admin
            )));
        }
        sleep(LOOK_OFTEN);
    }
}

/// Tells the leader to hand over; the last command that it ordered, if it says so at its end.
fn tell(routine: &mut Routine) -> Result<Option<Value>, Stop> {
    if !routine.compared {
        same_digest(&routine.old, &routine.new)?;
    }
    let (leader, _) = whole(&routine.old, &routine.new)?;
    // A leader that was started again meanwhile is another start.
    routine.note("hand over", &leader.start)?;
    match routine.old.operate("/drain?hand_over=true", routine.patience) {
        Ok(said) => Ok(Some(said["last"].clone())),
        Err(Trouble::Stop(stop)) => Err(stop),
        Err(Trouble::Refused(why)) => Err(Stop::No(why)),
        // The other one says how it went.
        Err(Trouble::Away(_)) => Ok(None),
    }
}

/// Copies sealed segments away where the node has a place for them.
fn keep(routine: &Routine, who: &Peer) -> Result<Found, Stop> {
    let began = routine.clock.now();
    let facts = who.facts().map_err(refused)?;
    let Some(place) = facts.disk.archive else {
        let said = format!("nothing: the setting archive of {} is off", who.admin);
        return Ok(Found { said, facts: json!({ "place": null }) });
    };
    let done = loop {
        match who.operate("/archive?prune=true", super::LONGEST) {
            Ok(done) => break done,
            // A run that was interrupted has begun it, and the node goes on to the end.
            Err(Trouble::Refused(_)) if !routine.has_waited(began) => sleep(LOOK),
            Err(trouble) => {
                let why = refused(trouble).why().to_owned();
                return Err(Stop::Fault(format!("{why}; the roles are as they are to be")));
            }
        }
    };
    let mut said = format!(
        "{} segments copied to {place}, {} bytes; {} below command {} deleted, {} bytes",
        done["archived"],
        done["archived_bytes"],
        done["pruned"],
        done["below"],
        done["pruned_bytes"]
    );
    let events = &done["events"];
    // A node of an older build keeps all of them.
    if events.is_object() {
        said += &format!(
            "; of the event log {} copied, {} below event {} deleted, {} bytes",
            events["archived"], events["pruned"], events["below"], events["pruned_bytes"]
        );
    }
    for (of, kept) in [("", &done["kept_back"]), ("of the event log ", &events["kept_back"])] {
        for why in kept.as_array().into_iter().flatten().filter_map(Value::as_str) {
            said += &format!("; {of}{why}");
        }
    }
    Ok(Found { said, facts: done })
}

/// What both say, if one leads and the other could take over at any moment.
pub(super) fn whole(leader: &Peer, standby: &Peer) -> Result<(Facts, Facts), Stop> {
    let there = |peer: &Peer, role: &str| {
        peer.facts().map_err(|trouble| match trouble {
            Trouble::Stop(stop) => stop,
            other => {
                let why = other.why();
                Stop::No(format!("the {role} {} is not there: {why}; look at its log", peer.admin))
            }
        })
    };
    let (leads, follows) = (there(leader, "leader")?, there(standby, "standby")?);
    let lacks = leads.lacks_as_leader().map(|why| (leader, "to lead", why));
    let lacks = lacks.or(follows.lacks_as_standby().map(|why| (standby, "to stand by", why)));
    match lacks {
        None => Ok((leads, follows)),
        Some((peer, is, why)) => Err(Stop::No(format!("{} is {is}, and {why}", peer.admin))),
    }
}

pub(super) fn refused(trouble: Trouble) -> Stop {
    match trouble {
        Trouble::Stop(stop) => stop,
        Trouble::Refused(why) | Trouble::Away(why) => Stop::Fault(why),
    }
}

impl Routine {
    /// What was so when it was asked first, in this run or an earlier one.
    fn noted<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        find: impl FnOnce(&Self) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        if let Some(noted) = self.report.noted.get(name) {
            return serde_json::from_value(noted.clone())
                .map_err(|error| Stop::Fault(format!("the report's note of {name}: {error}")));
        }
        let found = find(self)?;
        self.note(name, &found)?;
        Ok(found)
    }

    fn note<T: Serialize>(&mut self, name: &str, found: &T) -> Result<(), Stop> {
        let found = serde_json::to_value(found).expect("plain fields");
        self.report.noted.insert(name.to_owned(), found);
        self.report.write(&self.directory).map_err(Stop::Fault)
    }
}
