//! Verdicts over groups of runs whose difference is known.

use std::sync::LazyLock;

use loadgen::compare::{Comparison, Group, Verdict};
use loadgen::random::Random;
use loadgen::results::Results;

use crate::sample::{self, Shape};

/// Runs that have their latencies `slower` than the template's, give or take `noise`.
fn group(name: &str, runs: usize, slower: f64, noise: f64, seed: u64) -> Group {
    static TEMPLATE: LazyLock<Results> = LazyLock::new(|| {
        let shape = Shape { median_ns: 9_400.0, stall: None, wrong: None, seed: 1 };
        sample::run("template", shape)
    });
    let mut random = Random::new(seed);
    let mut run = || {
        // Twelve units, almost normal.
        let normal = (0..12).map(|_| random.next_unit()).sum::<f64>() - 6.0;
        let times = slower * (normal * noise).exp();
        let mut run: Results = TEMPLATE.clone();
        let all = &mut run.measured.latency_ns;
        for ns in [&mut all.p50, &mut all.p99, &mut all.p99_9, &mut all.max] {
            *ns = (*ns as f64 * times) as u64;
        }
        run.measured.answered_per_second /= times;
        run
    };
    Group { name: name.to_owned(), runs: (0..runs).map(|_| run()).collect() }
}

fn compared(a: Group, b: Group) -> Comparison {
    Comparison::new(&[a, b], 0.05, 1)
}

fn verdicts(comparison: &Comparison) -> Vec<Verdict> {
    comparison.candidates[0].rows.iter().map(|row| row.verdict).collect()
}

#[test]
fn identical_runs_are_no_regression() {
    let one = group("before", 5, 1.0, 0.02, 1);
    let comparison = compared(one.clone(), Group { name: "after".to_owned(), ..one });
    assert!(!comparison.is_regression());
    assert!(verdicts(&comparison).iter().all(|verdict| *verdict == Verdict::Same), "{comparison}");
}

#[test]
fn a_fifth_slower_is_a_regression_and_a_fifth_faster_is_better() {
    for seed in 0..10 {
        let (fast, slow) =
            (group("fast", 5, 1.0, 0.02, seed), group("slow", 5, 1.2, 0.02, seed + 100));
        let worse = compared(fast.clone(), slow.clone());
        assert!(worse.is_regression());
        assert_eq!(verdicts(&worse), [Verdict::Regression; 5], "{worse}");
        assert!(worse.to_string().contains("slow is worse than fast"), "{worse}");
        let better = compared(slow, fast);
        assert!(!better.is_regression());
        assert_eq!(verdicts(&better), [Verdict::Better; 5], "{better}");
    }
}

#[test]
fn a_difference_within_the_bound_is_told_but_not_a_regression() {
    let comparison = compared(group("a", 9, 1.0, 0.001, 1), group("b", 9, 1.03, 0.001, 2));
    assert!(!comparison.is_regression());
    assert_eq!(verdicts(&comparison), [Verdict::Worse; 5], "{comparison}");
}

/// Seeded, so that what holds once holds always. All five metrics of a pair move together here:
/// a false alarm is rare, whatever the noise.
#[test]
fn noise_alone_is_no_regression() {
    for noise in [0.01, 0.1, 0.5] {
        let alarms = (0..40).filter(|seed| {
            let (a, b) =
                (group("a", 5, 1.0, noise, 2 * seed), group("b", 5, 1.0, noise, 2 * seed + 1));
            compared(a, b).is_regression()
        });
        let alarms = alarms.count();
        assert!(alarms <= 1, "{alarms} of 40 at a noise of {noise}");
    }
}

#[test]
fn too_few_runs_say_how_many_are_needed() {
    let comparison = compared(group("a", 1, 1.0, 0.0, 1), group("b", 5, 3.0, 0.0, 1));
    assert!(!comparison.is_regression());
    assert_eq!(verdicts(&comparison), [Verdict::TooFew; 5]);
    let text = comparison.to_string();
    assert!(text.contains("Too few runs to tell: a has 1 and b has 5. Below 5 of each"), "{text}");
}

#[test]
fn noise_that_could_hide_a_regression_asks_for_more_runs() {
    let comparison = compared(group("a", 5, 1.0, 0.2, 1), group("b", 5, 1.0, 0.2, 2));
    let unclear = |verdict: &Verdict| matches!(verdict, Verdict::Unclear { runs_needed: 20.. });
    assert!(verdicts(&comparison).iter().all(unclear), "{comparison}");
}

#[test]
fn wrong_answers_are_a_regression_of_their_own() {
    let (good, mut bad) = (group("good", 2, 1.0, 0.0, 1), group("bad", 2, 1.0, 0.0, 1));
    bad.runs[1].measured.lost = 1;
    let comparison = compared(good.clone(), bad.clone());
    assert!(comparison.is_regression());
    assert!(comparison.to_string().contains("1 of its 2 runs lost messages"), "{comparison}");
    assert!(!compared(bad, good).is_regression());
}

#[test]
fn other_loads_and_hosts_are_named() {
    let (a, mut b) = (group("a", 5, 1.0, 0.0, 1), group("b", 5, 1.0, 0.0, 1));
    b.runs.iter_mut().for_each(|run| "8".clone_into(&mut run.load[2].value));
    // What differs from run to run is not what tells the groups apart.
    b.runs[3].load[3].value = "another seed".to_owned();
    let comparison = compared(a, b);
    let differences = &comparison.candidates[0].differences;
    assert_eq!(*differences, [r#"sessions: "4" against "8""#]);
}

fn swept(name: &str, steps: usize, is_held: bool) -> Group {
    let shape = Shape { median_ns: 9_400.0, stall: None, wrong: None, seed: 1 };
    let mut run = sample::sweep(name, shape);
    run.sweep.truncate(steps);
    run.sweep.iter_mut().for_each(|step| step.held &= is_held);
    Group { name: name.to_owned(), runs: vec![run; 5] }
}

/// A run that holds no rate must not hide the rest.
#[test]
fn a_knee_that_is_gone_is_a_regression() {
    let (good, none) = (swept("good", 8, true), swept("none", 8, false));
    let mut most = none.clone();
    most.runs[0] = good.runs[0].clone();
    let comparison = compared(good.clone(), none.clone());
    assert_eq!(verdicts(&comparison), [Verdict::Regression], "{comparison}");
    let comparison = compared(good.clone(), most);
    let unclear = |verdict: &Verdict| matches!(verdict, Verdict::Unclear { .. });
    assert!(matches!(&*verdicts(&comparison), [one] if unclear(one)), "{comparison}");
    assert_eq!(verdicts(&compared(none, good)), [Verdict::Better]);
}

#[test]
fn a_lower_knee_is_a_regression_of_sweeps() {
    let comparison = compared(swept("eight", 8, true), swept("six", 6, true));
    let [knee] = &*comparison.candidates[0].rows else { panic!("{comparison}") };
    assert_eq!((knee.metric.name, knee.verdict), ("knee", Verdict::Regression), "{comparison}");
    assert!((knee.ratio.seen - 0.75).abs() < 1e-9);
}
