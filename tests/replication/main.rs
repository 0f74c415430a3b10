//! Two nodes and the links between them, polled by hand in an order that a seed decides: commands,
//! cut links, crashes, promotions, former leaders that come back. What a client was told stays
//! true, and in the end both nodes hold the same bytes.
//! `RINGFRAME_SEEDS=2000 cargo test --release --test replication` is the long form.

use fastrand::Rng;
use ringframe::release::ReleasePolicy;

use world::World;

#[path = "../crash/disks.rs"]
mod disks;
#[path = "../crash/logic.rs"]
mod logic;
mod peer;
mod pipe;
mod world;

fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("RINGFRAME_SEEDS").map_or(12, |count| count.parse().unwrap());
    0..count
}

/// Nothing goes wrong: the follower is told everything, however it is polled.
#[test]
fn a_follower_has_the_leaders_bytes() {
    for seed in seeds() {
        let mut world = World::new(Rng::with_seed(seed), ReleasePolicy::Journaled);
        for _ in 0..20 {
            world.turns(200);
            world.settle();
            world.assert_equal();
        }
        assert!(world.heard() > 1000, "seed {seed}: {}", world.heard());
    }
}

/// Links break at any byte, and are made again.
#[test]
fn a_follower_goes_on_where_it_was() {
    for seed in seeds() {
        let mut world = World::new(Rng::with_seed(seed), ReleasePolicy::Replicated);
        for _ in 0..20 {
            world.turns(150);
            world.cut_link();
        }
        world.settle();
        world.assert_equal();
        assert!(world.heard() > 500, "seed {seed}: {}", world.heard());
    }
}

/// Either node crashes at any moment; where it is the leader, the follower is promoted, and the
/// former leader comes back with what nobody else had.
#[test]
fn what_was_told_survives_the_loss_of_either_node() {
    let (mut promoted, mut surplus) = (0, 0);
    for seed in seeds() {
        let mut world = World::new(Rng::with_seed(seed), ReleasePolicy::Replicated);
        for _ in 0..12 {
            world.turns(150);
            world.crash_one();
        }
        world.settle();
        world.assert_equal();
        promoted += world.promoted;
        surplus += world.surplus;
        assert!(world.heard() > 100, "seed {seed}: {}", world.heard());
    }
    println!("{promoted} promotions, {surplus} former leaders with a surplus");
    assert!(promoted > 0 && surplus > 0, "{promoted} promotions, {surplus} with a surplus");
}

/// The follower is promoted while the leader lives: that one finds out, and follows.
#[test]
fn a_leader_that_meets_a_later_term_leads_no_more() {
    for seed in seeds() {
        let mut world = World::new(Rng::with_seed(seed), ReleasePolicy::Replicated);
        for _ in 0..8 {
            world.turns(150);
            world.promote_other();
        }
        world.settle();
        world.assert_equal();
        assert!(world.fenced > 0, "seed {seed}: nobody was fenced");
    }
}

/// A follower that comes back behind what its leader still has, or with nothing at all, begins with
/// a copy, while the leader goes on.
#[test]
fn who_is_too_far_behind_begins_with_a_copy() {
    let mut copies = 0;
    for seed in seeds() {
        let mut world = World::new(Rng::with_seed(seed), ReleasePolicy::Journaled);
        for _ in 0..4 {
            world.turns(400);
            world.leave_behind();
            world.settle();
            world.assert_equal();
            world.crash_one();
        }
        copies += world.copies;
    }
    assert!(copies > seeds().end as u32, "{copies} copies");
}
