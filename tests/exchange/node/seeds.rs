//! Which of the random worlds are tried: `RINGFRAME_SEEDS=1000` tries so many from each test's
//! first seed on, `RINGFRAME_SEED=117` that one. Whoever fails is named.

use std::ops::Range;

/// Runs the worlds, and says whether they are as many as the test expects to see much in.
pub(super) fn each(usual: Range<u64>, mut run: impl FnMut(u64)) -> bool {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let (one, count): (Option<u64>, Option<u64>) =
        (number("RINGFRAME_SEED"), number("RINGFRAME_SEEDS"));
    let first = usual.start;
    let seeds = match (one, count) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => first..first + count,
        (None, None) => usual.clone(),
    };
    let are_enough = seeds.end - seeds.start >= usual.end - first;
    for seed in seeds {
        let _named = Named(seed);
        run(seed);
    }
    are_enough
}

/// Says where a test was when it failed.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("that was seed {0}: try it alone with RINGFRAME_SEED={0}", self.0);
        }
    }
}
