//! Both nodes, their clients, and what befalls them.

use fastrand::Rng;
use ringframe::release::ReleasePolicy;
use ringframe::replication::Parted;
use ringframe::types::Nanos;

use crate::disks::{Disk, Disks};
use crate::peer::Peer;
use crate::pipe::pipe;

const MILLISECOND: u64 = 1_000_000;

pub(crate) struct World {
    rng: Rng,
    now: Nanos,
    policy: ReleasePolicy,
    peers: [Option<Peer>; 2],
    /// Everything that any client was ever told, by its number.
    heard: Vec<Vec<u8>>,
    pub(crate) promoted: u32,
    /// Former leaders that had what nobody else had.
    pub(crate) surplus: u32,
    pub(crate) fenced: u32,
    /// Followers that began with a copy.
    pub(crate) copies: u32,
}

fn empty() -> Disks {
    Disks { journal: Disk::new(), events: Disk::new(), snapshots: Disk::new() }
}

impl World {
    pub(crate) fn new(rng: Rng, policy: ReleasePolicy) -> Self {
        let now = Nanos(MILLISECOND);
        let open = |one, leads| Some(Peer::open(empty(), one, leads, policy, now));
        let peers = [open(0, true), open(1, false)];
        Self {
            rng,
            now,
            policy,
            peers,
            heard: Vec::new(),
            promoted: 0,
            surplus: 0,
            fenced: 0,
            copies: 0,
        }
    }

    pub(crate) fn heard(&self) -> usize {
        self.heard.len()
    }

    /// So many polls, with commands between them.
    pub(crate) fn turns(&mut self, turns: usize) {
        for _ in 0..turns {
            let one = self.rng.usize(0..2);
            if self.rng.u8(0..4) == 0 {
                let now = self.now;
                for peer in self.peers.iter_mut().flatten() {
                    (0..self.rng.usize(0..9)).for_each(|_| peer.offer(now));
                }
            }
            self.turn(one);
        }
    }

    fn turn(&mut self, one: usize) {
        self.now = self.now.after(self.rng.u64(0..MILLISECOND / 4));
        self.connect();
        let Some(peer) = &mut self.peers[one] else { return };
        let parted = peer.turn(&mut self.rng, self.now);
        self.hear(one);
        match parted {
            Some(Parted::Surplus { agreed }) => {
                let disks = self.peers[one].take().expect("it runs").crash();
                assert!(Peer::cut(&disks, agreed), "there was a surplus");
                self.surplus += 1;
                self.peers[one] = Some(Peer::open(disks, one as u8, false, self.policy, self.now));
            }
            Some(Parted::Behind { .. }) if !self.leads(one) => self.copy(one),
            Some(Parted::Fenced { .. }) => {
                self.fenced += 1;
                self.restart(one);
            }
            Some(
                Parted::Gone(_)
                | Parted::Silent
                | Parted::Refused(_)
                | Parted::Answered
                | Parted::Behind { .. },
            )
            | None => {}
            Some(other) => panic!("{other}"),
        }
    }

    fn leads(&self, one: usize) -> bool {
        self.peers[one].as_ref().is_some_and(Peer::leads)
    }

    /// It begins again, with a copy of what the leader has.
    fn copy(&mut self, one: usize) {
        self.copies += 1;
        let had = self.peers[one].take().expect("it runs").crash();
        let ends = pipe(&mut self.rng);
        let leader = self.peers[1 - one].as_mut().expect("it runs");
        leader.part();
        let disks = Peer::copy_of(leader, ends, &had, one as u8, &mut self.rng, self.now);
        self.now = self.now.after(1000 * MILLISECOND);
        self.hear(1 - one);
        self.peers[one] = Some(Peer::open(disks, one as u8, false, self.policy, self.now));
    }

    /// The leader saves its state, and what lies before it goes; the follower is away meanwhile,
    /// or loses all that it has.
    pub(crate) fn leave_behind(&mut self) {
        self.settle();
        let follower = usize::from(self.leads(0));
        let away = self.peers[follower].take().expect("it runs");
        self.turns(300);
        for _ in 0..4_000 {
            self.turn(1 - follower);
        }
        let leader = self.peers[1 - follower].as_mut().expect("it runs");
        leader.save_and_prune();
        let disks = if self.rng.bool() { away.crash() } else { empty() };
        let opened = Peer::open(disks, follower as u8, false, self.policy, self.now);
        self.peers[follower] = Some(opened);
    }

    /// The process ends, and begins again as a follower.
    fn restart(&mut self, one: usize) {
        let disks = self.peers[one].take().expect("it runs").crash();
        self.peers[one] = Some(Peer::open(disks, one as u8, false, self.policy, self.now));
    }

    /// Who is told something once is never told anything else in its place.
    fn hear(&mut self, one: usize) {
        let peer = self.peers[one].as_ref().expect("it runs");
        if !peer.leads() {
            return;
        }
        let known = self.heard.len().min(peer.told.len());
        assert!(self.heard[..known] == peer.told[..known], "what was told is told otherwise");
        self.heard.extend_from_slice(&peer.told[known..]);
    }

    /// A new link, where there is none and both run.
    fn connect(&mut self) {
        let [Some(one), Some(other)] = &mut self.peers else { return };
        if one.is_connected() || other.is_connected() {
            // Who has not noticed yet will, and hears the last words before.
            if one.is_connected() != other.is_connected() && self.rng.u8(0..32) == 0 {
                one.part();
                other.part();
            }
            return;
        }
        let (left, right) = pipe(&mut self.rng);
        one.connect(left, self.now);
        other.connect(right, self.now);
    }

    pub(crate) fn cut_link(&mut self) {
        let one = self.rng.usize(0..2);
        self.peers[one].iter_mut().for_each(Peer::part);
    }

    /// One of them crashes, and comes back as a follower; where the leader is gone the other one
    /// leads, if it had caught up once.
    pub(crate) fn crash_one(&mut self) {
        let one = self.rng.usize(0..2);
        let led = self.peers[one].as_ref().is_some_and(Peer::leads);
        if led {
            self.promote(1 - one);
        }
        self.restart(one);
    }

    /// The follower is told to lead, though the leader lives.
    pub(crate) fn promote_other(&mut self) {
        let follower = usize::from(self.peers[0].as_ref().is_some_and(Peer::leads));
        self.promote(follower);
    }

    fn promote(&mut self, one: usize) {
        self.promoted += 1;
        let peer = self.peers[one].as_mut().expect("it runs");
        peer.promote(self.now);
        self.hear(one);
    }

    /// Until there is nothing left to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..40_000 {
            let one = self.rng.usize(0..2);
            self.turn(one);
            if let [Some(one), Some(other)] = &self.peers
                && one.leads() != other.leads()
                && one.is_quiet()
                && other.is_quiet()
                && one.node.sequencer.last() == other.node.sequencer.last()
            {
                return;
            }
        }
        let [one, other] = &self.peers;
        let positions =
            |peer: &Option<Peer>| peer.as_ref().map(|peer| format!("{:?}", peer.node.positions));
        panic!("they do not settle: {:?} {:?}", positions(one), positions(other));
    }

    pub(crate) fn assert_equal(&self) {
        let [Some(one), Some(other)] = &self.peers else { panic!("both run") };
        let (one, other) = (one.holds(), other.holds());
        assert!(one.is_as(&other), "what they have differs");
        assert!(one.events[..self.heard.len()] == self.heard[..], "what was told is not there");
    }
}
