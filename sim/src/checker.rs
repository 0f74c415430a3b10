//! What was promised, and whether it is kept. It looks at nodes from outside, after each poll.
//!
//! A *released* command is one that a leader let the events of go. Its frame is written down here
//! once its events are in the log, and no leader may ever release another one in its place; what
//! clients are told before that, they check themselves. Besides, for each machine it is known how
//! much it must have: what was journaled survives its process, what was synced a loss of power, and
//! what a leader releases as replicated its follower has had.

use std::collections::VecDeque;

use ringframe::event_log::cause;
use ringframe::node::Stores;
use ringframe::peers::OnStandbyLoss;
use ringframe::release::ReleasePolicy;
use ringframe::replication::Term;
use ringframe_journal::{Reader, SimulatedStorage, Survival};

use crate::client::Wrong;
use crate::node::Running;
use crate::settings::Settings;
use crate::told::Told;

type Hash = [u8; 16];

/// The books.
#[derive(Default)]
pub(crate) struct Checker {
    /// What replies are to mean, with a standby …
    release: ReleasePolicy,
    /// … and may mean without one, where they may leave at all.
    alone: Option<ReleasePolicy>,
    /// The frames of all released commands.
    released: Vec<Hash>,
    /// Where the last term began that has told of its own commands, and with which.
    began: Option<(u64, Hash)>,
    /// What clients are told of them, where days end and logs are pruned.
    told: Option<Told>,
    /// No command behind this one was released: it may be one without events.
    most: u64,
    nodes: [Has; 2],
}

/// What a machine must have.
#[derive(Default)]
struct Has {
    /// Was in its journal, and nothing happened since that may have taken it.
    journaled: u64,
    /// Was synced.
    synced: u64,
    /// What these were before something was damaged, until it opens.
    doubted: Option<(u64, u64)>,
    /// What is attested all the same: with less it may not open.
    attested: u64,
    /// The most that was ever in its journal, and synced.
    ever: (u64, u64),
    /// Another command stands in its journal where one was released: it was replaced, and has not
    /// heard of it yet, or came back too late.
    strays: bool,
    /// The last term that it led, and its first command.
    led_last: u32,
    leads_from: u64,
    /// Whether it has let go of what it ordered in that term.
    tells_own: bool,
    /// The last event that its processor has let go, while it led …
    let_go: u64,
    /// … and up to which command it might, each time: with the last event of that time.
    times: VecDeque<(u64, u64)>,
    /// Its journal and its log of events, as far as they were looked at.
    commands: Option<Reader<SimulatedStorage>>,
    events: Option<Reader<SimulatedStorage>>,
}

/// A command in a journal, where it can be read.
fn command_at(journal: &SimulatedStorage, place: u64) -> Option<Hash> {
    let mut commands = Reader::open(journal.clone(), place).ok()?;
    Some(hash(commands.next_frame().ok()??.bytes()))
}

fn hash(bytes: &[u8]) -> Hash {
    let mut short = Hash::default();
    short.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    short
}

/// Whether a node keeps what it says is synced, if its machine loses power now.
pub(crate) fn keeps_what_is_synced(
    node: usize,
    running: &Running,
    journal: &SimulatedStorage,
) -> Result<(), Wrong> {
    let synced = running.positions.synced().0;
    if synced < running.start.journal.next {
        return Ok(());
    }
    let left = Reader::open(journal.after_crash(Survival::Nothing), synced);
    match left.and_then(|mut left| Ok(left.next_frame()?.is_some())) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("n{node} says that {synced} is synced, and it is not")),
        Err(error) => Err(format!("n{node} says that {synced} is synced, and now: {error}")),
    }
}

impl Checker {
    /// With nothing in them; where days end, what clients are told is written down, too.
    pub(crate) fn new(settings: &Settings) -> Self {
        let release = settings.release;
        let degrades =
            release.is_replicated() && settings.on_standby_loss == OnStandbyLoss::Degrade;
        Self {
            release,
            alone: degrades.then_some(ReleasePolicy::Synced),
            told: settings.ends_days.then(Told::default),
            ..Self::default()
        }
    }

    /// What clients are told, as far as it was written down.
    pub(crate) fn take_told(&mut self) -> Told {
        self.told.take().unwrap_or_default()
    }

    /// How many commands were released.
    pub(crate) fn released(&self) -> u64 {
        self.released.len() as u64
    }

    /// Whether a machine has all that was released.
    pub(crate) fn must_have_all(&self, node: usize) -> bool {
        let has = &self.nodes[node];
        has.journaled >= self.most && !has.strays
    }

    /// The same, after this machine has lost power.
    pub(crate) fn keeps_all_without_power(&self, node: usize) -> bool {
        let has = &self.nodes[node];
        has.synced >= self.most && !has.strays
    }

    /// What a machine is known to keep without power.
    pub(crate) fn synced(&self, node: usize) -> u64 {
        self.nodes[node].synced
    }

    /// The process died, or with it the machine.
    pub(crate) fn on_crash(&mut self, node: usize, lost_power: bool) {
        let has = &mut self.nodes[node];
        has.forget_process();
        if lost_power {
            has.journaled = has.synced;
            has.doubted = has.doubted.map(|(_, synced)| (synced, synced));
        }
    }

    /// A process has opened its journal, and found so much in it.
    pub(crate) fn on_open(
        &mut self,
        node: usize,
        running: &Running,
        journal: &SimulatedStorage,
    ) -> Result<(), Wrong> {
        let last = running.start.applied.sequence.0;
        self.look_whether_it_strays(node, last.min(self.released()), journal);
        let has = &mut self.nodes[node];
        let attested = std::mem::take(&mut has.attested);
        if last < attested {
            return Err(format!(
                "n{node} opens with {last} commands, and what it has attests {attested}"
            ));
        }
        if last < has.journaled {
            return Err(format!(
                "n{node} opens with {last} commands, and must have {}, {} of them synced",
                has.journaled, has.synced
            ));
        }
        (has.journaled, has.synced, has.doubted) = (last, last, None);
        has.ever = (has.ever.0.max(last), has.ever.1.max(last));
        Ok(())
    }

    /// Some of what a machine has is damaged: what counts is what it opens with, and that is no
    /// less than is attested.
    pub(crate) fn on_damage(&mut self, node: usize, attested: u64) {
        let has = &mut self.nodes[node];
        has.doubted = Some((has.journaled, has.synced));
        has.attested = attested;
        (has.journaled, has.synced) = (0, 0);
    }

    /// What was damaged is as it was.
    pub(crate) fn on_mended(&mut self, node: usize) {
        let has = &mut self.nodes[node];
        has.attested = 0;
        if let Some(doubted) = has.doubted.take() {
            (has.journaled, has.synced) = doubted;
        }
    }

    /// What was damaged is mended, and what looked like a torn tail is cut behind this command.
    pub(crate) fn on_torn(&mut self, node: usize, last: u64) -> Result<(), Wrong> {
        let has = &mut self.nodes[node];
        if last < has.attested {
            let attested = has.attested;
            return Err(format!("n{node}: a repair left {last} commands of {attested} attested"));
        }
        has.doubted =
            has.doubted.map(|(journaled, synced)| (journaled.min(last), synced.min(last)));
        Ok(())
    }

    /// All that a machine had is thrown away, and comes again as it was.
    pub(crate) fn on_wipe(&mut self, node: usize) {
        let has = &mut self.nodes[node];
        (has.journaled, has.synced, has.doubted, has.strays) = (0, 0, None, false);
        (has.attested, has.led_last) = (0, 0);
    }

    /// A node cuts what its leader does not have.
    pub(crate) fn on_cut(&mut self, node: usize, agreed: u64) {
        let has = &mut self.nodes[node];
        has.journaled = has.journaled.min(agreed);
        has.synced = has.synced.min(agreed);
        has.attested = has.attested.min(agreed);
        (has.doubted, has.strays) = (None, false);
        if agreed == 0 {
            // It begins anew, and knows of no term.
            has.led_last = 0;
        }
        has.ever = (has.ever.0.min(agreed), has.ever.1.min(agreed));
    }

    /// From here on a node orders: what its log has and will have in a moment is told by it.
    pub(crate) fn on_lead(
        &mut self,
        node: usize,
        running: &Running,
        term: &Term,
        stores: [&Stores<SimulatedStorage>; 2],
    ) -> Result<(), Wrong> {
        // Another node's terms have another number; who begins anew knows of none.
        if term.epoch.0 <= self.nodes[node].led_last {
            return Err(format!(
                "n{node} leads term {:#x} once more, or an older one",
                term.epoch.0
            ));
        }
        let progress = running.positions.progress();
        self.most = self.most.max(progress.released.0);
        // What the process began with is told from now on, whoever ordered it.
        let (began_with, elsewhere) =
            (running.start.applied.sequence.0, self.nodes[1 - node].ever.0);
        if running.release.policy().is_replicated() && began_with > elsewhere {
            return Err(format!(
                "n{node} tells what it began with, {began_with} commands, and n{} never had more \
                 than {elsewhere}",
                1 - node
            ));
        }
        let has = &mut self.nodes[node];
        has.forget_process();
        has.led_last = term.epoch.0;
        (has.leads_from, has.tells_own, has.let_go) = (term.first.0, false, progress.handed_on);
        has.times.push_back((progress.handed_on, u64::MAX));
        self.on_events(node, stores)
    }

    /// A node follows: no leader whose term was over when it led itself.
    pub(crate) fn on_follow(&mut self, node: usize, term: u32) -> Result<(), Wrong> {
        let own = self.nodes[node].led_last;
        if term < own {
            return Err(format!(
                "n{node} follows a leader of term {term:#x}, and led term {own:#x}"
            ));
        }
        Ok(())
    }

    /// Whether a node that begins to lead behind this command lacks something that was released.
    pub(crate) fn lacks(&self, last: u64) -> bool {
        last < self.released()
    }

    /// After each poll of a node.
    pub(crate) fn on_poll(&mut self, node: usize, running: &Running) -> Result<(), Wrong> {
        let positions = &running.positions;
        let (synced, progress) = (positions.synced().0, positions.progress());
        let (journaled, published) = (positions.journaled().0, positions.published().0);
        let are_in_order = synced <= journaled
            && journaled <= published
            && progress.applied.0 <= journaled
            && progress.released <= progress.applied
            && progress.handed_on <= progress.emitted;
        if !are_in_order {
            return Err(format!("n{node}: positions out of order: {positions:?}"));
        }
        let has = &mut self.nodes[node];
        has.journaled = has.journaled.max(journaled);
        has.synced = has.synced.max(synced);
        has.ever = (has.ever.0.max(journaled), has.ever.1.max(synced));
        Ok(())
    }

    /// After each poll of a leader's processor: what it let go, and what it might.
    pub(crate) fn on_processor(
        &mut self,
        node: usize,
        running: &Running,
        stores: [&Stores<SimulatedStorage>; 2],
    ) -> Result<(), Wrong> {
        let progress = running.positions.progress();
        if progress.handed_on == self.nodes[node].let_go {
            return Ok(());
        }
        let policy = running.release.policy();
        if policy != self.release && Some(policy) != self.alone {
            let release = self.release;
            return Err(format!("n{node}: a reply means {policy}, and is to mean {release}"));
        }
        let other = self.nodes[1 - node].ever;
        let has = &mut self.nodes[node];
        let may = match policy {
            ReleasePolicy::Journaled => has.journaled,
            ReleasePolicy::Synced => has.synced,
            ReleasePolicy::Replicated => has.journaled.min(other.0),
            ReleasePolicy::ReplicatedSynced => has.synced.min(other.1),
        };
        has.let_go = progress.handed_on;
        // One whose events wait for nothing but room may have left in part.
        let waits_for_room = progress.handed_on < progress.emitted && progress.released.0 < may;
        let told = progress.released.0 + u64::from(waits_for_room);
        self.most = self.most.max(told);
        has.times.push_back((progress.handed_on, may));
        if !has.tells_own && told >= has.leads_from {
            has.tells_own = true;
            let first = has.leads_from;
            // Its log may say so much later.
            let began = command_at(&stores[node].journal, first).map(|hash| (first, hash));
            self.began = began.or(self.began);
            self.look_whether_it_strays(1 - node, first, &stores[1 - node].journal);
        }
        Ok(())
    }

    /// After each poll of a leader's event log: whether it might let go what stands there now.
    pub(crate) fn on_events(
        &mut self,
        node: usize,
        stores: [&Stores<SimulatedStorage>; 2],
    ) -> Result<(), Wrong> {
        let failed = |error| format!("n{node}: its events cannot be read: {error}");
        let (stores, elsewhere) = (stores[node], &stores[1 - node].journal);
        let (has, told) = (&mut self.nodes[node], &mut self.told);
        let events = match &mut has.events {
            Some(events) => events,
            none => none.insert(Reader::open_first(stores.events.clone()).map_err(failed)?),
        };
        let mut last = None;
        // Those behind are in the log, and their processor's poll is still to be looked at.
        while events.next_sequence() <= has.let_go
            && let Some(event) = events.next_frame().map_err(failed)?
        {
            let of = cause(&event.frame()).map_or(0, |of| of.0);
            while has.times.front().is_some_and(|(upto, _)| *upto < event.sequence()) {
                has.times.pop_front();
            }
            let may = has.times.front().map_or(u64::MAX, |(_, may)| *may);
            if of > may {
                return Err(format!(
                    "n{node} let event {} of command {of} go, when only those up to {may} were as \
                     durable as it promises",
                    event.sequence()
                ));
            }
            if let Some(told) = told.as_mut().filter(|told| told.next() == event.sequence()) {
                told.on_event(&event.frame()).map_err(|fault| fault.to_string())?;
            }
            last = Some(of);
        }
        let Some(last) = last else { return Ok(()) };
        // Its processor may have said so, or was about to when it died.
        self.most = self.most.max(last);
        let before = self.released();
        self.compare(node, last, &stores.journal)?;
        // What it ordered first may stand where the one before it has something else.
        let first = self.nodes[node].leads_from;
        if (before + 1..=self.released()).contains(&first) {
            self.look_whether_it_strays(1 - node, first, elsewhere);
        }
        Ok(())
    }

    /// Compares what a machine has in a place, and where the last term began that has told of its
    /// own, with what was released there. What cannot be read, or is not there, is for others to
    /// notice.
    fn look_whether_it_strays(&mut self, node: usize, place: u64, journal: &SimulatedStorage) {
        let released = |place: u64| self.released.get(place.checked_sub(1)? as usize).copied();
        let is_other = |place, known: Option<Hash>| {
            known.is_some_and(|known| command_at(journal, place).is_some_and(|it| it != known))
        };
        let strays = is_other(place, released(place))
            || self.began.is_some_and(|(first, hash)| is_other(first, Some(hash)));
        self.nodes[node].strays = strays;
    }

    /// Writes down what was released, or compares it with what was released in its place.
    fn compare(&mut self, node: usize, upto: u64, journal: &SimulatedStorage) -> Result<(), Wrong> {
        let failed = |error| format!("n{node}: what it released cannot be read: {error}");
        let commands = match &mut self.nodes[node].commands {
            Some(commands) => commands,
            none => none.insert(Reader::open_first(journal.clone()).map_err(failed)?),
        };
        while commands.next_sequence() <= upto {
            let next = commands.next_sequence();
            let Some(frame) = commands.next_frame().map_err(failed)? else {
                return Err(format!("n{node} released {upto}, its journal ends before {next}"));
            };
            let (place, hash) = (next as usize - 1, hash(frame.bytes()));
            match self.released.get(place) {
                Some(known) if *known == hash => {}
                Some(_) => {
                    return Err(format!(
                        "n{node}: command {next} of term {:#x} stands where another one was \
                         released",
                        frame.epoch()
                    ));
                }
                None if place == self.released.len() => self.released.push(hash),
                None => return Err(format!("n{node}: command {next} without those before")),
            }
        }
        Ok(())
    }
}

impl Has {
    fn forget_process(&mut self) {
        (self.commands, self.events) = (None, None);
        self.times.clear();
        self.let_go = 0;
    }
}
