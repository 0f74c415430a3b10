//! Which stages share a thread, and on which core: data, not code.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::host::Host;
use crate::release::ReleasePolicy;
use crate::runner::Group;
use crate::stage::Stage;

/// Stages with a thread of their own in every layout, because their polls may wait for the disk.
const HELPERS: &[&str] = &[
    "syncer",
    "replicator",
    "keeper",
    "event_syncer",
    "event_keeper",
    "shadow",
    "history",
    "doorman",
];
/// The helper that others wait for where replies are to survive a loss of power, and so is rung …
const SYNCER: &str = "syncer";
/// … and the one that they wait for where there is another node.
const REPLICATOR: &str = "replicator";
/// The other helpers look this often while they find work: a journal prefaults 2 MiB ahead of its
/// writer, which is a millisecond at 2 GB/s.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// And this often while they find none: the first commands after a rest must not outrun the
/// keepers.
const LOOK_SELDOM: Duration = Duration::from_millis(20);
/// Those that nothing hangs on look more seldom still: an idle node is to take no CPU time. Whoever
/// outruns the event log's keeper waits with the log alone; replies leave by another way.
const LEISURELY: &[&str] = &["event_syncer", "event_keeper", "shadow", "history", "doorman"];
const LOOK_RARELY: Duration = Duration::from_millis(100);
/// Helpers give way to what is on an order's way: with few cores a helper's turn is an order's
/// wait. What they miss shows as room that is short, which lets the others wait for them.
const NICE: i32 = 5;
/// The helper that gives way to everyone, and how much.
const YIELDING: (&str, i32) = ("shadow", 19);
/// The stages of the middle. All others face the clients.
const MIDDLE: &[&str] = &["journaler", "processor", "event_log"];
/// With fewer cores whoever pins itself or spins keeps the helpers and the kernel waiting, and with
/// them itself; and a second thread on an order's way costs it a wait for its turn.
const CORES_TO_SPREAD: usize = 4;

/// How stages are grouped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// As this machine allows.
    #[default]
    Auto,
    /// All on one thread.
    One,
    /// What faces the clients, and the rest.
    Two,
    /// What faces the clients, and one thread each for journaler, processor and event log.
    Four,
    /// As named.
    Groups(Vec<Vec<String>>),
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "1" => return Ok(Self::One),
            "2" => return Ok(Self::Two),
            "4" => return Ok(Self::Four),
            _ => {}
        }
        let group = |group: &str| group.split('+').map(|name| name.trim().to_owned()).collect();
        let groups: Vec<Vec<String>> = text.split('|').map(group).collect();
        let mut names = groups.iter().flatten();
        let is_name = |name: &String| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        if !names.all(is_name) {
            return Err(format!(
                "'{text}' is no layout: use auto, 1, 2, 4, or stages joined by + in groups parted \
                 by |, such as gateway|journaler+processor|event_log (where no clients are served, \
                 intake+egress for gateway)"
            ));
        }
        Ok(Self::Groups(groups))
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::One => f.write_str("1"),
            Self::Two => f.write_str("2"),
            Self::Four => f.write_str("4"),
            Self::Groups(groups) => {
                let groups: Vec<String> = groups.iter().map(|group| group.join("+")).collect();
                f.write_str(&groups.join("|"))
            }
        }
    }
}

/// Stages that share a thread, and the core that the thread has for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The stages' names, in the order they are polled in.
    pub stages: Vec<&'static str>,
    /// The core; none where the kernel may choose.
    pub core: Option<usize>,
}

impl Layout {
    /// What `auto` means on this machine.
    pub fn chosen(&self, host: &Host) -> Self {
        match (self, host.usable_cores()) {
            (Self::Auto, CORES_TO_SPREAD..) => Self::Four,
            (Self::Auto, _) => Self::One,
            _ => self.clone(),
        }
    }

    /// Puts every stage into its place. Helpers are not part of a layout: they come last, each in a
    /// place of its own.
    pub fn resolve(&self, stages: &[&'static str], host: &Host) -> Result<Vec<Place>, String> {
        let (helpers, stages): (Vec<_>, Vec<_>) =
            stages.iter().copied().partition(|stage| HELPERS.contains(stage));
        let (middle, front): (Vec<_>, Vec<_>) =
            stages.iter().copied().partition(|stage| MIDDLE.contains(stage));
        let mut groups = match self.chosen(host) {
            Self::Auto | Self::One => vec![stages],
            Self::Two => vec![front, middle],
            Self::Four => {
                let alone = middle.into_iter().map(|stage| vec![stage]);
                std::iter::once(front).chain(alone).collect()
            }
            Self::Groups(groups) => named(&groups, &stages)?,
        };
        groups.retain(|group| !group.is_empty());
        let pinned = host.usable_cores() >= groups.len().max(CORES_TO_SPREAD);
        // From the end, because the kernel's interrupts prefer the first cores.
        let cores = host.cores_to_pin();
        let places = groups.into_iter().enumerate().map(|(index, stages)| {
            let core = if pinned { cores.iter().rev().nth(index).copied() } else { None };
            Place { stages, core }
        });
        let helpers = helpers.into_iter().map(|stage| Place { stages: vec![stage], core: None });
        Ok(places.chain(helpers).collect())
    }
}

/// Groups that name every stage exactly once.
fn named(
    groups: &[Vec<String>],
    stages: &[&'static str],
) -> Result<Vec<Vec<&'static str>>, String> {
    let wrong = |what: &str, name: &str| {
        Err(format!("the layout {what} '{name}': name each of {} exactly once", stages.join(", ")))
    };
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for group in groups {
        let mut members = Vec::new();
        for name in group {
            let Some(&stage) = stages.iter().find(|stage| *stage == name) else {
                return wrong("has no stage", name);
            };
            if seen.contains(&stage) {
                return wrong("names twice", name);
            }
            seen.push(stage);
            members.push(stage);
        }
        found.push(members);
    }
    match stages.iter().find(|stage| !seen.contains(*stage)) {
        Some(missing) => wrong("does not name", missing),
        None => Ok(found),
    }
}

/// Turns places into groups for the runner; each place's stages must be there.
pub fn groups(
    places: &[Place],
    mut stages: Vec<Box<dyn Stage>>,
    host: &Host,
    release: ReleasePolicy,
) -> Vec<Group> {
    let is_tight = host.usable_cores() < CORES_TO_SPREAD;
    let mut group = |place: &Place| {
        let take = |name: &&'static str| {
            let at = stages.iter().position(|stage| stage.name() == *name);
            stages.swap_remove(at.unwrap_or_else(|| panic!("no stage {name} was built")))
        };
        let group = Group::new(place.stages.iter().map(take).collect()).on_core(place.core);
        let group = if is_tight { group.yields() } else { group };
        let [name] = place.stages[..] else { return group };
        if name == REPLICATOR {
            return group.yields();
        }
        if name == SYNCER {
            let is_waited_for = release != ReleasePolicy::Journaled;
            return if is_waited_for { group.yields() } else { group.yields().nice(NICE) };
        }
        if !HELPERS.contains(&name) {
            return group;
        }
        let longest = if LEISURELY.contains(&name) { LOOK_RARELY } else { LOOK_SELDOM };
        let group = group.every(LOOK_EVERY, longest);
        group.nice(if name == YIELDING.0 { YIELDING.1 } else { NICE })
    };
    let groups = places.iter().map(&mut group).collect();
    assert!(stages.is_empty(), "every stage that was built has a place");
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: [&str; 7] =
        ["intake", "journaler", "processor", "event_log", "egress", "syncer", "shadow"];

    fn host(cores: usize, quota_millicores: Option<u64>) -> Host {
        Host { cores: (0..cores).collect(), quota_millicores, ..Host::default() }
    }

    /// `stages@core` for each place.
    fn resolved(layout: &str, host: &Host) -> Result<String, String> {
        let places = layout.parse::<Layout>()?.resolve(&STAGES, host)?;
        let place = |Place { stages, core }: Place| {
            stages.join("+") + &core.map_or(String::new(), |core| format!("@{core}"))
        };
        Ok(places.into_iter().map(place).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn auto_takes_what_the_machine_gives() {
        let one = "intake+journaler+processor+event_log+egress syncer shadow";
        let cases = [
            (1, None, one),
            (8, Some(1_000), one),
            (8, Some(1_900), one),
            (8, Some(200), one),
            (2, None, one),
            (3, None, one),
            (64, Some(3_500), one),
            (4, None, "intake+egress@3 journaler@2 processor@1 event_log@0 syncer shadow"),
            (
                16,
                Some(8_000),
                "intake+egress@15 journaler@14 processor@13 event_log@12 syncer shadow",
            ),
        ];
        for (cores, quota, expected) in cases {
            assert_eq!(
                resolved("auto", &host(cores, quota)).unwrap(),
                expected,
                "{cores} {quota:?}"
            );
        }
    }

    #[test]
    fn what_is_asked_for_is_done_and_pinned_only_where_there_is_room() {
        let four = "intake+egress journaler processor event_log syncer shadow";
        assert_eq!(resolved("4", &host(2, None)).unwrap(), four);
        let groups = "egress+intake | processor+journaler|event_log";
        assert_eq!(
            resolved(groups, &host(6, None)).unwrap(),
            "egress+intake@5 processor+journaler@4 event_log@3 syncer shadow"
        );
        assert_eq!(groups.parse::<Layout>().unwrap().to_string(), groups.replace(' ', ""));
    }

    #[test]
    fn siblings_share_no_pinned_groups_while_there_are_other_cores() {
        let host = Host { siblings: vec![1, 3, 5, 7], ..host(8, None) };
        assert_eq!(
            resolved("auto", &host).unwrap(),
            "intake+egress@6 journaler@4 processor@2 event_log@0 syncer shadow"
        );
        let host = Host { siblings: vec![2, 3], ..host };
        let host = Host { cores: vec![0, 1, 2, 3], ..host };
        assert!(resolved("auto", &host).unwrap().starts_with("intake+egress@1 journaler@0 "));
    }

    #[test]
    fn a_layout_names_every_stage_exactly_once() {
        let all = "name each of intake, journaler, processor, event_log, egress exactly once";
        let cases = [
            ("intake+gate|journaler", "the layout has no stage 'gate'"),
            ("intake|journaler+intake", "the layout names twice 'intake'"),
            ("intake|journaler|processor|event_log", "the layout does not name 'egress'"),
            ("syncer|intake", "the layout has no stage 'syncer'"),
        ];
        for (layout, wrong) in cases {
            assert_eq!(resolved(layout, &host(4, None)).unwrap_err(), format!("{wrong}: {all}"));
        }
        for text in ["", "3", "a++b", "|", "Intake"] {
            let error = text.parse::<Layout>().unwrap_err();
            assert!(error.starts_with(&format!("'{text}' is no layout: use auto")), "{error}");
        }
    }
}
