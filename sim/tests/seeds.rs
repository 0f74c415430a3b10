//! Seeds that once failed, and what makes a seed worth writing down.

use ringframe_sim::run;

/// A seed is a whole world: twice the same, to the letter.
#[test]
fn the_same_seed_is_the_same_world() {
    for seed in [1, 8, 14, 21] {
        let (one, other) = (run(seed, true), run(seed, true));
        assert!(one.trace.len() > 10, "seed {seed} has a story");
        assert_eq!(one.trace, other.trace, "seed {seed}");
        assert_eq!((one.polls, one.messages), (other.polls, other.messages), "seed {seed}");
    }
}

/// Others differ.
#[test]
fn another_seed_is_another_world() {
    assert_ne!(run(1, true).trace, run(2, true).trace);
}

/// The first worlds: `ringframe-sim --seeds` lives through more of them.
#[test]
fn all_is_as_it_should_be() {
    for seed in 0..15 {
        let outcome = run(seed, false);
        assert_eq!(outcome.wrong, None, "seed {seed}: ringframe-sim --seeds {seed} --trace");
        assert!(outcome.released > 0, "seed {seed}");
    }
}

/// Each was a fault of the nodes; docs/SIMULATOR.md tells of these, and of those that a world no
/// longer comes to.
#[test]
fn what_once_failed_does_not_again() {
    let faults = [
        (828, "a journal was pruned so far that its surplus could not be cut off any more"),
        (1655, "a former leader that led again at once told clients what nobody else had"),
        (
            16018,
            "who was promoted and heard by nobody led when it came back, and lost what was told",
        ),
        (18906, "a standby that had not noticed its leader's start was taken for a leader"),
        (5397, "a repair left what had flipped where a seal is to be"),
        (8730, "verify and repair disagreed about a header without frames"),
        (1636, "a new leader let clients in before it had counted what it had, to yesterday"),
        (51959, "a former leader and one without a snapshot waited for each other for ever"),
        (86007, "a cut counted on a snapshot that the journal does not go on from"),
        (71775, "segments were pruned for a snapshot whose name was not durable"),
        (116_208, "what was hurt in a copy that nobody had opened was taken for a torn tail"),
        (212_025, "one led with less than its own last term began behind"),
        (257_315, "a shadow that was far behind called what had been pruned damage"),
        (54993, "a new leader's standby sent others away until something was ordered"),
    ];
    for (seed, fault) in faults {
        assert_eq!(run(seed, false).wrong, None, "seed {seed}: {fault}");
    }
}

/// What the simulator took for a fault of the nodes, and was one of its own.
#[test]
fn what_was_no_fault_is_none() {
    let mistakes = [
        (206_800, "a refusal to read was expected where a full disk was named"),
        (283_173, "what a leader had told was not known before its log said so"),
        (304_621, "a replaced machine was taken for one that had never had anything"),
        (333_163, "an operator let one lead alone while he was promoting the other"),
        (335_497, "an operator took who was mended for one that has nothing, and started neither"),
        (412_752, "what a new leader released was not looked at before its facts said that it led"),
        (432_839, "a node that had begun anew was not to lead in the term that it had forgotten"),
        (344_396, "who came late to the market gave a big snapshot up in the midst of it"),
    ];
    for (seed, mistake) in mistakes {
        assert_eq!(run(seed, false).wrong, None, "seed {seed}: {mistake}");
    }
}

/// Its leader dies before its standby has heard of it, and an operator promotes that one.
#[test]
fn one_that_has_never_followed_is_promoted_in_vain() {
    let outcome = run(38031, true);
    assert_eq!(outcome.wrong, None);
    let says = |line: &String| line.contains("n1 does not lead: this node has never followed");
    assert!(outcome.trace.iter().any(says), "nobody tried");
}

/// Worlds with an upgrade in which a machine with the older build meets what only the newer one can
/// read: what it says then.
#[test]
fn an_older_build_names_what_it_cannot_read() {
    let ways = [
        (251, "stops: command"),
        (205, "n3 stops: command"),
        (384, "stops: journal: simulated/"),
        (4, "stops: journal: simulated/"),
        (71, "stops: event log: simulated/"),
        (56, "passes a snapshot over: simulated/"),
    ];
    for (seed, way) in ways {
        let outcome = run(seed, true);
        assert_eq!(outcome.wrong, None, "seed {seed}");
        let names = |line: &&String| line.contains(way) && line.contains("version 2 of");
        assert!(outcome.trace.iter().any(|line| names(&line)), "seed {seed}: {way}");
    }
}

/// A world in which days end: the log of the days before is deleted on both nodes, one of them
/// loses the counts of this day, and a machine with nothing on it gets a copy of what is left.
#[test]
fn what_was_told_before_today_is_missed_by_nobody() {
    let outcome = run(3, true);
    assert_eq!(outcome.wrong, None);
    let mut lines = outcome.trace.iter();
    for way in ["3 segments are pruned", "has no sessions/streams", "is another machine now"] {
        assert!(lines.any(|line| line.contains(way)), "{way}");
    }
}

/// A world in which processes may not look at their files for a while: what they say then. Once one
/// asked for older segments, and all was there.
#[test]
fn a_node_says_what_it_could_not_read() {
    let outcome = run(54, true);
    assert_eq!(outcome.wrong, None);
    for way in [
        "stops: event log: cannot open simulated/synced: Too many open files",
        "stops: event log: cannot read simulated/day: Input/output error",
    ] {
        assert!(outcome.trace.iter().any(|line| line.contains(way)), "{way}");
    }
}
