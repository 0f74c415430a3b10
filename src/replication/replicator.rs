//! The stage that other nodes talk to. While this node leads, it sends the journal to those who
//! follow, and says how far they are; while it follows, it takes the leader's commands in and
//! publishes them. It has the one word about who may lead.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use ringframe_journal::planted::{Bug, is_planted};
use ringframe_journal::storage::Storage;

use super::bed::Bed;
use super::epochs::Epochs;
use super::herald::Herald;
use super::link::{Link, SILENCE_NANOS};
use super::{Downstream, Holdings, Leading, Parted, Upstream};
use crate::log::Note;
use crate::logic::Logic;
use crate::net::{Interest, Listener, Net, Source, Stream, Tcp, Watch, is_nothing};
use crate::peers::{Asked, Handle, OnStandbyLoss, Promoted, Shared};
use crate::pipeline::Positions;
use crate::release::{Release, ReleasePolicy};
use crate::sequencer::Sequencer;
use crate::stage::{Fault, Sleeper, Stage};
use crate::types::{Epoch, Nanos, Sequence};

mod promise;
mod tell;

/// Whoever was lost is looked for so often.
const RETRY_NANOS: u64 = Nanos::SECOND / 5;
/// What is seen from outside is as old as this at most.
const TELL_NANOS: u64 = Nanos::SECOND / 20;
/// The other node is told so often who leads, while there are followers.
const HERALD_NANOS: u64 = 5 * Nanos::SECOND;
/// More followers are turned away.
const FOLLOWERS_MAX: usize = 16;
const LISTENER: u64 = 0;

/// What a replicator is told.
#[derive(Clone, Debug)]
pub struct ReplicatorOptions {
    /// The other node, if it is known.
    pub peer: Option<SocketAddr>,
    /// Whether replies of the leader may wait for this node, while it follows.
    pub stands_by: bool,
    /// What a reply means, while this node leads.
    pub release: ReleasePolicy,
    /// When there is no standby.
    pub on_standby_loss: OnStandbyLoss,
    /// How segments are cut.
    pub segment_bytes: u64,
    /// A follower that lacks no more than this has caught up.
    pub ring_slots: usize,
}

/// The stage.
pub struct Replicator<L: Logic, S: Storage, N: Net = Tcp> {
    options: ReplicatorOptions,
    net: N,
    listener: Option<N::Listener>,
    watch: N::Watch,
    epochs: Epochs<S>,
    holdings: Holdings<S>,
    positions: Arc<Positions>,
    release: Arc<Release>,
    leading: Arc<Leading>,
    turn: Turn<L, N::Stream>,
    followers: Vec<Follower<S, N::Stream>>,
    /// When the listener is looked at again, where that failed.
    opens_at: Nanos,
    /// Of the last socket.
    token: u64,
    asked: Receiver<Asked>,
    shared: Arc<Shared>,
    /// Whether anybody is to wake this stage's thread: somebody waits for what it does.
    is_wanted: Arc<AtomicBool>,
    told: Nanos,
}

/// Whose turn it is to order.
enum Turn<L: Logic, K: Link> {
    Ours {
        /// To another node that may believe that it leads.
        herald: Herald<K>,
        /// Whether a standby is there; none before that was found out.
        has_standby: Option<bool>,
        /// Who waits for the standby to lead, and whether that one was told to.
        successor: Option<(Sender<Result<(), String>>, bool)>,
    },
    Theirs {
        upstream: Option<Box<Upstream<K>>>,
        watched: Interest,
        retry_at: Nanos,
        /// Where the sequencer goes when it is our turn.
        sequencer: Option<(Sequencer<L>, Sender<Sequencer<L>>)>,
        /// The last command of whoever led last, by the last word of that one.
        leader_had: Option<Sequence>,
        /// Why the last link ended: told once.
        why: String,
        /// The node is to end: nothing more is taken.
        ending: Arc<AtomicBool>,
    },
}

impl<L: Logic, K: Link> Turn<L, K> {
    fn ours(now: Nanos) -> Self {
        Self::Ours { herald: Herald::new(now), has_standby: None, successor: None }
    }
}

struct Follower<S: Storage, K: Link> {
    from: SocketAddr,
    link: Downstream<S, K>,
    token: u64,
    watched: Interest,
    is_told: bool,
    /// When it lacked little last.
    near_at: Nanos,
}

impl<L: Logic, S: Storage, N: Net> Replicator<L, S, N> {
    /// Of a node that leads, in the last of `epochs`, unless it is told to [`Self::follow`].
    pub fn new(
        options: ReplicatorOptions,
        net: N,
        listener: Option<N::Listener>,
        epochs: Epochs<S>,
        holdings: Holdings<S>,
        positions: Arc<Positions>,
        release: Arc<Release>,
    ) -> Result<(Self, Handle), Fault> {
        let broken = |error: std::io::Error| Fault::Node(format!("cannot watch sockets: {error}"));
        let watch = net.watch().map_err(broken)?;
        let mut address = None;
        if let Some(listener) = &listener {
            watch.add(Source::Listener(listener), LISTENER, Interest::READ).map_err(broken)?;
            address = Some(listener.address().map_err(broken)?);
        }
        let (handle, asked, shared) = Handle::new(address);
        let mut replicator = Self {
            leading: Arc::new(Leading {
                epoch: epochs.highest(),
                history: epochs.history(),
                terms: epochs.terms().to_vec(),
                logic: L::NAME,
                segment_bytes: options.segment_bytes,
                is_promised: options.release.is_replicated(),
                leaders: None,
                refuses: None,
            }),
            options,
            net,
            listener,
            watch,
            epochs,
            holdings,
            positions,
            release,
            turn: Turn::ours(Nanos::default()),
            followers: Vec::new(),
            opens_at: Nanos::default(),
            token: LISTENER,
            asked,
            shared,
            is_wanted: Arc::default(),
            told: Nanos::default(),
        };
        replicator.tell(Nanos::default());
        Ok((replicator, handle))
    }

    /// Another node orders: this one publishes what it says. The sequencer comes out at the other
    /// end when this node is to lead. Nothing more is taken once `ending` is set.
    pub fn follow(
        &mut self,
        sequencer: Sequencer<L>,
        ending: Arc<AtomicBool>,
    ) -> Receiver<Sequencer<L>> {
        let (to, coming) = bounded(1);
        self.turn = Turn::Theirs {
            upstream: None,
            watched: Interest::default(),
            retry_at: Nanos::default(),
            sequencer: Some((sequencer, to)),
            leader_had: None,
            why: String::new(),
            ending,
        };
        self.is_wanted.store(true, Ordering::Relaxed);
        // Whoever asks from now on hears that nobody leads here.
        self.hand_down();
        self.tell(Nanos::default());
        coming
    }

    /// Whether another node orders.
    fn follows(&self) -> bool {
        matches!(self.turn, Turn::Theirs { .. })
    }

    fn note(&self, line: String) {
        self.shared.note(line);
    }

    fn accept(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        let Some(listener) = &self.listener else { return 0 };
        if self.opens_at > now {
            return 0;
        }
        if self.opens_at != Nanos::default() {
            self.opens_at = Nanos::default();
            let _ = self.watch.change(Source::Listener(listener), LISTENER, Interest::READ);
        }
        while work < FOLLOWERS_MAX {
            let (socket, from) = match listener.accept() {
                Ok(came) => came,
                Err(error) if is_nothing(&error) => break,
                // Files are short, most likely: who waits stays ready, and is looked at later.
                Err(_) => {
                    self.opens_at = now.after(RETRY_NANOS);
                    let nothing = Interest::default();
                    let _ = self.watch.change(Source::Listener(listener), LISTENER, nothing);
                    break;
                }
            };
            work += 1;
            let ready = socket.prepare();
            if ready.is_err() || self.followers.len() >= FOLLOWERS_MAX {
                let from = from.ip();
                self.note(format!("replication: {from} was turned away: {FOLLOWERS_MAX} follow"));
                continue;
            }
            self.token += 1;
            if self.watch.add(Source::Stream(&socket), self.token, Interest::READ).is_err() {
                continue;
            }
            let leading = Arc::clone(&self.leading);
            let (holdings, positions) = (self.holdings.clone(), Arc::clone(&self.positions));
            let link = Downstream::new(socket, leading, holdings, positions, now);
            let (token, watched) = (self.token, Interest::READ);
            let near_at = Nanos::default();
            self.followers.push(Follower { from, link, token, watched, is_told: false, near_at });
        }
        work
    }

    /// Serves all who follow.
    fn serve(&mut self, now: Nanos) -> Result<usize, Fault> {
        let (mut work, mut fenced) = (0, None);
        let (watch, shared) = (&self.watch, &self.shared);
        self.followers.retain_mut(|follower| {
            let parted = match follower.link.poll(now) {
                Ok(done) => {
                    work += done;
                    follower.watch::<N>(watch);
                    // Who only asked has nothing.
                    if !follower.is_told
                        && let Some(does) = follower.link.does()
                    {
                        follower.is_told = true;
                        shared.note(format!("replication: {} {does}", follower.from));
                    }
                    return true;
                }
                Err(parted) => parted,
            };
            work += 1;
            match parted {
                Parted::Fenced { by } => fenced = Some(by),
                Parted::Refused(why) => {
                    let from = follower.from.ip();
                    shared.note(format!("replication: {from} was refused: {why}"));
                }
                // Who only asked goes without a word.
                parted if follower.is_told => {
                    shared.note(format!("replication: {} is gone: {parted}", follower.from));
                }
                _ => {}
            }
            false
        });
        let Some(by) = fenced else { return Ok(work) };
        if self.follows() {
            self.epochs.heard(by)?;
            return Ok(work);
        }
        self.leads_no_more(by)?;
        Ok(work)
    }

    /// Another node leads a later term: what has not left does not leave.
    fn leads_no_more(&mut self, by: Epoch) -> Result<(), Fault> {
        if is_planted(Bug::IgnoreFence) {
            return Ok(());
        }
        self.hold_back();
        self.epochs.heard(by)?;
        if let Turn::Ours { successor: Some((tell, true)), .. } = &self.turn {
            // Who asked may have gone away.
            let _ = tell.try_send(Ok(()));
        }
        Err(Fault::Fenced { by })
    }

    fn hold_back(&self) {
        self.positions.set_replicated(Sequence(0), Sequence(0));
        self.release.set(ReleasePolicy::Replicated);
    }

    /// How far the standbys are, and what a reply means with or without one.
    fn lead(&mut self, now: Nanos) -> Result<usize, Fault> {
        let work = self.serve(now)?;
        if let Turn::Ours { successor: Some((_, true)), .. } = &self.turn {
            // It is the other one's turn, whatever it says last on this link.
            return Ok(work);
        }
        let caught_up = self.options.ring_slots as u64;
        let journaled = self.positions.journaled().0;
        let halts = self.options.on_standby_loss == OnStandbyLoss::Halt;
        let standbys = self.followers.iter_mut().filter(|follower| follower.link.stands_by());
        let haves = standbys.filter_map(|standby| {
            let have = standby.link.have()?;
            if journaled.saturating_sub(have.journaled.0) <= caught_up {
                standby.near_at = now;
            }
            // One that was near and stumbles is waited for a while.
            let counts = halts || now.0.saturating_sub(standby.near_at.0) <= SILENCE_NANOS;
            counts.then_some(have)
        });
        let least = haves.map(|have| (have.journaled, have.synced));
        let least = least.reduce(|one, other| (one.0.min(other.0), one.1.min(other.1)));
        if let Some((journaled, synced)) = least {
            self.positions.set_replicated(journaled, synced);
        }
        self.promise(least.is_some());
        self.is_wanted.store(!self.followers.is_empty(), Ordering::Relaxed);
        self.herald(now)?;
        self.hand_over(now)?;
        Ok(work)
    }

    /// Lets a standby lead that has everything, and whose word is heard then by [`Self::serve`].
    fn hand_over(&mut self, now: Nanos) -> Result<(), Fault> {
        let Turn::Ours { successor: Some((_, is_told)), .. } = &mut self.turn else {
            return Ok(());
        };
        let last = self.positions.published();
        let has_all = |follower: &&mut Follower<S, N::Stream>| {
            let have = follower.link.have();
            let has_all = |journaled| journaled == last || is_planted(Bug::HandOverEarly);
            follower.link.stands_by() && have.is_some_and(|have| has_all(have.journaled))
        };
        if !*is_told && let Some(standby) = self.followers.iter_mut().find(has_all) {
            // Before it hears: started again, this one must not lead beside it.
            self.epochs.give_way()?;
            standby.link.hand_over(now);
            *is_told = true;
            self.hold_back();
        }
        Ok(())
    }

    /// The other node is told who leads, and may know better.
    fn herald(&mut self, now: Nanos) -> Result<(), Fault> {
        let Some(peer) = self.options.peer else { return Ok(()) };
        let Turn::Ours { herald, .. } = &mut self.turn else { return Ok(()) };
        let pause = if self.followers.is_empty() { SILENCE_NANOS } else { HERALD_NANOS };
        let connect = || self.net.connect(peer).ok();
        match herald.poll(connect, pause, &self.leading, now) {
            Some(highest) if highest > self.leading.epoch => self.leads_no_more(highest),
            _ => Ok(()),
        }
    }

    /// Takes in what the leader orders.
    fn hear(&mut self, now: Nanos) -> Result<usize, Fault> {
        let Turn::Theirs { upstream, watched, retry_at, sequencer, leader_had, why, ending } =
            &mut self.turn
        else {
            return Ok(0);
        };
        let Some((sequencer, _)) = sequencer else { return Ok(0) };
        if ending.load(Ordering::Relaxed) {
            *upstream = None;
            return Ok(0);
        }
        let Some(link) = upstream else {
            let Some(peer) = self.options.peer.filter(|_| now >= *retry_at) else { return Ok(0) };
            *retry_at = now.after(RETRY_NANOS);
            let Ok(socket) = self.net.connect(peer) else { return Ok(0) };
            self.token += 1;
            *watched = Interest { read: true, write: true };
            if self.watch.add(Source::Stream(&socket), self.token, *watched).is_ok() {
                let (stands_by, positions) = (self.options.stands_by, Arc::clone(&self.positions));
                let link =
                    Upstream::new(socket, stands_by, sequencer, &self.epochs, positions, now);
                *upstream = Some(Box::new(link));
            }
            return Ok(1);
        };
        let was_followed = link.follows();
        let from = sequencer.last().next().0;
        let parted = match link.poll(sequencer, &mut self.epochs, now) {
            Ok(work) => {
                if link.interest() != *watched {
                    *watched = link.interest();
                    // A link that cannot be watched is looked at less often.
                    let _ = self.watch.change(Source::Stream(link.link()), self.token, *watched);
                }
                if let (None, Some(epoch)) = (was_followed, link.follows()) {
                    why.clear();
                    self.release.found_elsewhere();
                    self.shared.note(format!(
                        "replication: follows the leader of term {}, from command {from} on",
                        epoch.0
                    ));
                }
                return Ok(work);
            }
            Err(parted) => parted,
        };
        *leader_had = link.leader_has().or(*leader_had);
        *upstream = None;
        match parted {
            Parted::Fault(fault) => return Err(fault),
            Parted::Surplus { agreed } => return Err(Fault::Surplus { agreed }),
            Parted::Behind { first } => return Err(Fault::Behind { first }),
            Parted::HandedOver => {
                if let Err(why) = self.promote(true, now)? {
                    self.note(format!("replication: cannot take over: {why}"));
                }
                return Ok(1);
            }
            parted => {
                let told = parted.to_string();
                if *why != told {
                    self.shared.note(format!("replication: no leader: {told}; looks for one"));
                    *why = told;
                }
            }
        }
        self.followers.clear();
        Ok(1)
    }

    /// Who follows a follower gets what it gets.
    fn hand_down(&mut self) {
        let Turn::Theirs { upstream, .. } = &self.turn else { return };
        let epoch = upstream.as_ref().and_then(|upstream| upstream.follows());
        let refuses = epoch.is_none().then_some("this node has no leader itself");
        let epoch = epoch.unwrap_or_default().max(self.epochs.highest());
        let known = &self.leading;
        let (history, terms) = (self.epochs.history(), self.epochs.terms());
        let leaders = upstream.as_ref().map_or(terms, |upstream| upstream.terms());
        let is_known = (known.epoch, known.history, known.refuses) == (epoch, history, refuses);
        if !is_known || known.terms != terms || known.leaders.as_deref() != Some(leaders) {
            let (terms, leaders, before) =
                (terms.to_vec(), Some(leaders.to_vec()), (**known).clone());
            self.leading = Arc::new(Leading { epoch, history, terms, leaders, refuses, ..before });
        }
    }

    fn answer(&mut self, now: Nanos) -> Result<usize, Fault> {
        // Who asked may have gone away.
        match (self.asked.try_recv(), &mut self.turn) {
            (Err(_), _) => return Ok(0),
            (Ok(Asked::Promote { force, tell }), _) => {
                let answer = self.promote(force, now)?;
                let _ = tell.try_send(answer);
            }
            (Ok(Asked::Mean { release, on_standby_loss, tell }), _) => {
                self.mean(release, on_standby_loss);
                let _ = tell.try_send(());
            }
            (Ok(Asked::HandOver { tell }), Turn::Ours { successor, .. }) => {
                *successor = Some((tell, false));
            }
            (Ok(Asked::HandOver { tell }), Turn::Theirs { .. }) => {
                let _ = tell.try_send(Err("this node does not lead".into()));
            }
        }
        self.tell(now);
        Ok(1)
    }

    /// This node takes over, if it may.
    fn promote(&mut self, force: bool, now: Nanos) -> Result<Result<Promoted, String>, Fault> {
        let Turn::Theirs { upstream, sequencer, leader_had, ending, .. } = &mut self.turn else {
            return Ok(Err("this node leads already".into()));
        };
        if self.epochs.terms().is_empty() {
            return Ok(Err(has_never_followed(&self.epochs)));
        }
        let leader = upstream.as_ref().and_then(|upstream| upstream.follows());
        let leader_has = upstream.as_ref().and_then(|upstream| upstream.leader_has());
        let leader_has = leader_has.or(*leader_had);
        if let (Some(epoch), false) = (leader, force) {
            return Ok(Err(format!(
                "the leader of term {} is alive, and says so: hand over there, or take over all \
                 the same with --force",
                epoch.0
            )));
        }
        if ending.load(Ordering::Relaxed) {
            return Ok(Err("this node is ending".into()));
        }
        let Some((mut orders, to)) = sequencer.take() else {
            return Ok(Err("this node takes over already".into()));
        };
        let first = orders.last().next();
        // It may know from before its start that there was more.
        let began = self.epochs.terms().last().filter(|term| term.first > first);
        let had = leader_has.max(began.map(|term| Sequence(term.first.0 - 1)));
        let lacks = had.map(|had| had.next().0.saturating_sub(first.0));
        let epoch = self.epochs.promote(first, now)?;
        if let Some(upstream) = upstream {
            // Before the link ends, so that it does not take us for lost.
            upstream.fence(epoch, now);
        }
        orders.lead(epoch, now);
        let (history, terms) = (self.epochs.history(), self.epochs.terms().to_vec());
        let (refuses, leaders, before) = (None, None, (*self.leading).clone());
        self.leading = Arc::new(Leading { epoch, history, terms, leaders, refuses, ..before });
        self.positions.set_replicated(Sequence(0), Sequence(0));
        self.release.set(match self.options.on_standby_loss {
            OnStandbyLoss::Degrade => self.options.release.alone(),
            OnStandbyLoss::Halt => self.options.release,
        });
        self.followers.clear();
        self.turn = Turn::ours(now);
        // The other end is there as long as the node runs.
        let _ = to.try_send(orders);
        let line = format!("replication: leads term {}, from command {} on", epoch.0, first.0);
        self.shared.note(Note::of_term(line, epoch, first));
        // Before its first command: who looks on is not to take it for a follower that releases.
        self.tell(now);
        Ok(Ok(Promoted { epoch, first, lacks }))
    }
}

/// What it would lead is nobody's: another history, with none of the commands of the first one.
fn has_never_followed<S: Storage>(epochs: &Epochs<S>) -> String {
    format!(
        "this node has never followed, and {} has nothing of what was ordered or released: it \
         would begin another history, which no node of the first one can join. Start the other \
         node, and promote this one once `ringframe status` there names it as the standby. Where \
         there is nothing to follow, end this node and start it from an empty directory with \
         --peer in the place of --standby-of: it begins as a first node does",
        epochs.place().display()
    )
}

impl<S: Storage, K: Stream> Follower<S, K> {
    fn watch<N: Net<Stream = K>>(&mut self, watch: &N::Watch) {
        let wanted = self.link.interest();
        let way = Source::Stream(self.link.link());
        if wanted != self.watched && watch.change(way, self.token, wanted).is_ok() {
            self.watched = wanted;
        }
    }
}

impl<L: Logic, S: Storage, N: Net> Stage for Replicator<L, S, N> {
    fn name(&self) -> &'static str {
        "replicator"
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        let mut work = self.accept(now) + self.answer(now)?;
        work += if self.follows() {
            let heard = self.hear(now)?;
            self.hand_down();
            heard + self.serve(now)?
        } else {
            self.lead(now)?
        };
        if now >= self.told.after(TELL_NANOS) {
            self.tell(now);
        }
        Ok(work)
    }

    fn sleeper(&mut self) -> Option<Box<dyn Sleeper>> {
        let inner = self.watch.sleeper().ok()?;
        Some(Box::new(Bed::new(inner, Arc::clone(&self.is_wanted))))
    }
}
