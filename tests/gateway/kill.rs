//! The server is killed under the load of several clients, again and again: each session's messages
//! and the market's come once, in order, with the same bytes as before, and every order is executed
//! at most once.

use std::path::Path;
use std::thread::{scope, sleep};
use std::time::Duration;

use fastrand::Rng;

use crate::certificates::{Authority, settings as tls_settings};
use crate::program::Serving;
use crate::traders::{Crowd, Venue};

/// A quick run in `./test`.
const KILLS: u64 = 3;
/// It is killed when clients have heard so much, …
const MESSAGES: u64 = 2_000;
/// … or a little later.
const LATER: Duration = Duration::from_millis(50);
/// Small files, and a state that is saved often.
const SETTINGS: [&str; 6] = [
    "--set",
    "segment_bytes=1MiB",
    "--set",
    "event_segment_bytes=1MiB",
    "--set",
    "snapshots.every_commands=1000",
];

/// Serves until enough was heard, and is killed then; every third one may end in order.
fn serve(venue: &Venue, data: &Path, settings: &[&str], rng: &mut Rng, cycle: u64) {
    let serving = Serving::start(settings, data);
    venue.set(Some(serving.addresses));
    venue.wait_for(MESSAGES);
    sleep(LATER.mul_f64(rng.f64()));
    venue.set(None);
    if cycle.is_multiple_of(3) {
        serving.drain();
    }
    // Or else it is killed here.
}

fn kill_again_and_again(release: &str, seed: u64, is_secret: bool) {
    let kills = std::env::var("RINGFRAME_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let data = &directory.path().join("data");
    let authority = is_secret.then(|| Authority::new(directory.path(), "ours"));
    let tls = authority.as_ref().map(|it| tls_settings(&it.vouch("server"))).unwrap_or_default();
    let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
    let settings = [&["--release", release][..], &SETTINGS, &tls].concat();
    let mut rng = Rng::with_seed(seed);
    let venue = Venue::new(authority.as_ref().map(Authority::trusted));
    scope(|scope| {
        let crowd = Crowd::start(scope, &venue);
        for cycle in 1..=kills {
            serve(&venue, data, &settings, &mut rng, cycle);
        }
        let serving = Serving::start(&settings, data);
        venue.set(Some(serving.addresses));
        crowd.finish();
        drop(serving);
    });
}

#[test]
fn sessions_survive_kills_when_replies_mean_journaled() {
    kill_again_and_again("journaled", 1, false);
}

#[test]
fn sessions_survive_kills_when_replies_mean_synced() {
    kill_again_and_again("synced", 2, false);
}

#[test]
fn sessions_survive_kills_inside_tls() {
    kill_again_and_again("journaled", 3, true);
}
