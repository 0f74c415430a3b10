//! What operators can do, carried out.

use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};
use hyper::StatusCode;
use ringframe_journal::Reader;
use ringframe_journal::storage::Storage;
use serde_json::json;
use tokio::time::sleep;

use super::query::Query;
use super::routes::Answer;
use super::{Life, Shared, archive, lock};
use crate::browse::Filter;
use crate::embed::{AtEnd, NotTaken, Observer, Outcome, Submitter};
use crate::logic::Logic;
use crate::peers::{Facts, Handle, OnStandbyLoss, Promoted};
use crate::release::ReleasePolicy;
use crate::snapshot::Info;
use crate::types::{Nanos, Sequence};

/// So often it looks whether what it waits for is there.
const LOOK: Duration = Duration::from_millis(1);
/// The same for what takes long.
const LOOK_SELDOM: Duration = Duration::from_millis(20);
/// A command that is not released after so long is answered all the same.
const RELEASE_NANOS: u64 = 30 * Nanos::SECOND;

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no command, or nobody's but a client's.
    Wrong(String),
    /// Not now.
    NotTaken(NotTaken),
}

impl From<NotTaken> for Refusal {
    fn from(why: NotTaken) -> Self {
        Self::NotTaken(why)
    }
}

/// What can be done with a running node, whatever its logic is.
pub trait Operations: Send {
    /// Hands over a command in the words of people.
    fn command(&self, text: &str) -> Result<Receiver<Sequence>, Refusal>;
    /// Lets a version of the logic take over; none is the newest of this build.
    fn activate(&self, version: Option<u32>) -> Result<(u32, Receiver<Sequence>), Refusal>;
    /// Puts a mark into the journal.
    fn mark(&self) -> Result<Receiver<Sequence>, Refusal>;
    /// Who reads events, later, on the admin's thread.
    fn events(&self) -> Box<dyn Events>;
}

/// Reads what came of a command from the event log.
pub trait Events: Send {
    /// The events and refusals of a command, in JSON, among those after `after` up to `last`; and
    /// whether none is a refusal.
    fn of(&self, cause: Sequence, after: u64, last: u64) -> Result<(Vec<String>, bool), String>;
}

/// A view of a logic's state, as JSON: of so many things at most, where there are many. An error
/// says that it is not there.
pub type Seeing<L> = Box<dyn FnOnce(&L, usize) -> Result<String, String> + Send>;

/// Reads which events are looked for, from names and values.
pub type Sifting<L> = fn(&[(&str, &str)]) -> Result<Filter<L>, String>;

/// How people write a logic's commands, read its events, and look at its state.
pub struct Language<L: Logic> {
    /// Reads a command; says what is wrong with one that is none, or not an operator's.
    pub read: fn(&str) -> Result<L::Command, String>,
    /// Writes an event in JSON.
    pub write: fn(&Outcome<L>) -> String,
    /// Reads what is to be seen: `book AAPL`, or `books` and nothing.
    pub view: fn(&str, &str) -> Result<Seeing<L>, String>,
    /// Reads which events are looked for: `session` 3 and `token` A1.
    pub filter: Sifting<L>,
}

impl<L: Logic> Clone for Language<L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L: Logic> Copy for Language<L> {}

/// The operations of a node with this logic.
pub struct Commands<L: Logic, S: Storage> {
    submitter: Submitter<L>,
    log: S,
    language: Language<L>,
}

impl<L: Logic, S: Storage> Commands<L, S> {
    /// Submits commands, and reads what came of them from the event log.
    pub fn new(submitter: Submitter<L>, log: S, language: Language<L>) -> Self {
        Self { submitter, log, language }
    }
}

impl<L: Logic, S: Storage + Send> Operations for Commands<L, S> {
    fn command(&self, text: &str) -> Result<Receiver<Sequence>, Refusal> {
        let command = (self.language.read)(text).map_err(Refusal::Wrong)?;
        Ok(self.submitter.ask(command)?)
    }

    fn activate(&self, version: Option<u32>) -> Result<(u32, Receiver<Sequence>), Refusal> {
        let version = version.unwrap_or(L::VERSION);
        if !(L::OLDEST..=L::VERSION).contains(&version) {
            return Err(Refusal::Wrong(format!(
                "this build has the versions {} to {} of '{}', and not {version}",
                L::OLDEST,
                L::VERSION,
                L::NAME
            )));
        }
        Ok((version, self.submitter.ask_to_activate(version)?))
    }

    fn mark(&self) -> Result<Receiver<Sequence>, Refusal> {
        Ok(self.submitter.ask_to_mark()?)
    }

    fn events(&self) -> Box<dyn Events> {
        Box::new(Log { log: self.log.clone(), write: self.language.write })
    }
}

struct Log<L: Logic, S: Storage> {
    log: S,
    write: fn(&Outcome<L>) -> String,
}

impl<L: Logic, S: Storage + Send> Events for Log<L, S> {
    fn of(&self, cause: Sequence, after: u64, last: u64) -> Result<(Vec<String>, bool), String> {
        let (mut said, mut is_accepted) = (Vec::new(), true);
        if after >= last {
            return Ok((said, is_accepted));
        }
        let mut read = || -> Result<(), crate::stage::Fault> {
            let log = crate::stage::Fault::EventLog;
            let mut reader = Reader::open(self.log.clone(), after + 1).map_err(log)?;
            while reader.next_sequence() <= last
                && let Some(event) = reader.next_frame().map_err(log)?
            {
                let outcome = Outcome::<L>::decode(&event.frame())?;
                if outcome.cause > cause {
                    break;
                }
                if outcome.cause == cause {
                    is_accepted &= outcome.result.is_ok();
                    said.push((self.write)(&outcome));
                }
            }
            Ok(())
        };
        read().map_err(|fault| fault.to_string())?;
        Ok((said, is_accepted))
    }
}

/// What is to be done.
pub(super) enum Call {
    Snapshot,
    Drain(AtEnd),
    Command(String),
    Activate { version: Option<u32>, force: bool },
    Promote { force: bool },
    Release(ReleasePolicy, Option<OnStandbyLoss>),
    Mark,
    Archive { prune: bool },
}

impl Call {
    pub(super) fn read(path: &str, query: Option<&str>, body: &str) -> Result<Self, String> {
        let wrong =
            |allowed: &str| format!("?{} is not understood: {allowed}", query.unwrap_or_default());
        match (path, query) {
            ("/snapshot", None) => Ok(Self::Snapshot),
            ("/drain", None | Some("snapshot=false")) => Ok(Self::Drain(AtEnd::Nothing)),
            ("/drain", Some("snapshot=true")) => Ok(Self::Drain(AtEnd::Snapshot)),
            ("/drain", Some("hand_over=true")) => Ok(Self::Drain(AtEnd::HandOver)),
            ("/drain", _) => Err(wrong("snapshot=true, snapshot=false, or hand_over=true")),
            ("/command", None) => Ok(Self::Command(body.trim().to_owned())),
            ("/activate", query) => activate_of(query).ok_or_else(|| {
                wrong("version=NUMBER, and force=true where a node that follows may stop there")
            }),
            ("/promote", None | Some("force=false")) => Ok(Self::Promote { force: false }),
            ("/promote", Some("force=true")) => Ok(Self::Promote { force: true }),
            ("/promote", _) => Err(wrong("force=true or force=false")),
            ("/release", Some(query)) => release_of(query).ok_or_else(|| {
                wrong(
                    "policy=journaled, synced, replicated or replicated+synced, and \
                       &on_standby_loss=degrade or halt where that is to change",
                )
            }),
            ("/mark", None) => Ok(Self::Mark),
            ("/archive", None | Some("prune=false")) => Ok(Self::Archive { prune: false }),
            ("/archive", Some("prune=true")) => Ok(Self::Archive { prune: true }),
            ("/archive", _) => Err(wrong("prune=true or prune=false")),
            _ => Err(wrong("nothing is asked this way here")),
        }
    }

    pub(super) async fn carry_out(self, shared: &Shared) -> Answer {
        match self {
            Self::Snapshot => snapshot(shared).await,
            Self::Drain(at_end) => drain(shared, at_end).await,
            Self::Command(text) => command(shared, &text).await,
            Self::Activate { version, force } => activate(shared, version, force).await,
            Self::Promote { force } => promote(shared, force).await,
            Self::Release(policy, on_standby_loss) => {
                release(shared, policy, on_standby_loss).await
            }
            Self::Mark => mark(shared).await,
            Self::Archive { prune } => archive::carry_out(shared, prune).await,
        }
    }
}

fn activate_of(query: Option<&str>) -> Option<Call> {
    let query = Query::read(query, &["version", "force"]).ok()?;
    let version = query.get("version").map(str::parse).transpose().ok()?;
    let force = query.get("force").map_or(Ok(false), str::parse).ok()?;
    Some(Call::Activate { version, force })
}

fn release_of(query: &str) -> Option<Call> {
    let (policy, loss) = match query.split_once("&on_standby_loss=") {
        Some((policy, loss)) => (policy, Some(loss.parse().ok()?)),
        None => (query, None),
    };
    Some(Call::Release(policy.strip_prefix("policy=")?.parse().ok()?, loss))
}

/// What comes once; nothing where the node stops before.
pub(super) async fn received<T>(from: &Receiver<T>, look: Duration) -> Option<T> {
    loop {
        match from.try_recv() {
            Ok(it) => return Some(it),
            Err(TryRecvError::Empty) => sleep(look).await,
            Err(TryRecvError::Disconnected) => return None,
        }
    }
}

pub(super) fn observer(shared: &Shared) -> Result<Observer, Answer> {
    let seen = lock(&shared.seen);
    let observer = seen.as_ref().map(|seen| seen.observer.clone());
    observer.filter(|_| shared.life() == Life::Serving).ok_or_else(|| not_serving(shared))
}

pub(super) fn not_serving(shared: &Shared) -> Answer {
    let why = match shared.life() {
        Life::Recovering { .. } => "the node is recovering: ask again when /readyz says 200",
        Life::Serving | Life::Draining => "the node is draining, and takes nothing any more",
    };
    Answer::error(StatusCode::SERVICE_UNAVAILABLE, why)
}

fn refused(refusal: &Refusal) -> Answer {
    match refusal {
        Refusal::Wrong(why) => Answer::error(StatusCode::BAD_REQUEST, why),
        Refusal::NotTaken(NotTaken::Busy) => {
            Answer::error(StatusCode::SERVICE_UNAVAILABLE, "too many commands wait: ask again")
        }
        Refusal::NotTaken(NotTaken::Stopped) => stopped(),
    }
}

pub(super) fn stopped() -> Answer {
    let why = "the node stopped meanwhile; after a start, /status says whether it was done";
    Answer::error(StatusCode::SERVICE_UNAVAILABLE, why)
}

pub(super) fn described(info: &Info) -> serde_json::Value {
    json!({
        "path": info.path.display().to_string(),
        "sequence": info.sequence().unwrap_or_default().0,
        "bytes": info.bytes,
    })
}

async fn snapshot(shared: &Shared) -> Answer {
    let observer = match observer(shared) {
        Ok(observer) => observer,
        Err(answer) => return answer,
    };
    let Some(snapshots) = observer.snapshots else {
        return Answer::error(StatusCode::CONFLICT, "nobody takes any: snapshots.mode is off");
    };
    let Some(asked) = snapshots.request() else {
        let why = "many others wait for a snapshot already";
        return Answer::error(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    match received(&asked, LOOK_SELDOM).await {
        Some(Ok(info)) => Answer::new(StatusCode::OK, &described(&info)),
        Some(Err(error)) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        None => stopped(),
    }
}

async fn drain(shared: &Shared, at_end: AtEnd) -> Answer {
    if let Life::Recovering { .. } = shared.life() {
        return not_serving(shared);
    }
    {
        let seen = lock(&shared.seen);
        let nobody = seen.as_ref().is_none_or(|seen| seen.observer.snapshots.is_none());
        if at_end == AtEnd::Snapshot && nobody {
            let why = "nobody takes snapshots: snapshots.mode is off";
            return Answer::error(StatusCode::CONFLICT, why);
        }
        let others = seen.as_ref().and_then(|seen| seen.others.as_ref());
        let has_standby = others.is_some_and(|others| others.facts().has_standby());
        if at_end == AtEnd::HandOver && !has_standby {
            let why = "no standby is there that could lead: `ringframe status` says who follows";
            return Answer::error(StatusCode::CONFLICT, why);
        }
        let mut wanted = lock(&shared.drain);
        if at_end != AtEnd::Nothing && shared.life() == Life::Draining {
            return not_serving(shared);
        }
        // Of several who ask, the first with a wish prevails.
        if wanted.is_none_or(|wanted| wanted == AtEnd::Nothing) {
            *wanted = Some(at_end);
        }
    }
    let mut ended = shared.ended.subscribe();
    let ended = ended.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
    match ended {
        Some(ended) if ended.is_good => Answer::new(StatusCode::OK, &ended.said),
        Some(ended) => Answer::new(StatusCode::INTERNAL_SERVER_ERROR, &ended.said),
        None => stopped(),
    }
}

/// Does something with the operations while there are some.
fn with<T>(
    shared: &Shared,
    work: impl FnOnce(&dyn Operations) -> Result<T, Refusal>,
) -> Result<T, Answer> {
    match lock(&shared.operations).as_deref() {
        None => Err(not_serving(shared)),
        Some(operations) => work(operations).map_err(|refusal| refused(&refusal)),
    }
}

fn orders(shared: &Shared) -> Result<(), Answer> {
    let why = "this node follows another one: ask its leader, or promote it first";
    if shared.follows() { Err(Answer::error(StatusCode::CONFLICT, why)) } else { Ok(()) }
}

async fn command(shared: &Shared, text: &str) -> Answer {
    if let Err(answer) = orders(shared) {
        return answer;
    }
    let observer = match observer(shared) {
        Ok(observer) => observer,
        Err(answer) => return answer,
    };
    // Its events come after all that there are by now.
    let before = observer.positions.progress().emitted;
    let asked = with(shared, |operations| Ok((operations.command(text)?, operations.events())));
    let (asked, events) = match asked {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    let Some(sequence) = received(&asked, LOOK).await else { return stopped() };
    let Some(last) = released(shared, &observer, sequence).await else {
        let why = "accepted, but not released yet: the disk is slow, or the node stopped; it will \
                   be done if the journal has it: look for its events by the sequence";
        let said = json!({ "sequence": sequence.0, "error": why });
        return Answer::new(StatusCode::GATEWAY_TIMEOUT, &said);
    };
    match events.of(sequence, before, last) {
        // The lines are JSON already.
        Ok((lines, is_accepted)) => Answer {
            status: StatusCode::OK,
            json: format!(
                "{{\"sequence\":{},\"accepted\":{is_accepted},\"events\":[{}]}}",
                sequence.0,
                lines.join(",")
            ),
        },
        Err(why) => {
            let why = format!("done, but its events cannot be read: {why}");
            let said = json!({ "sequence": sequence.0, "error": why });
            Answer::new(StatusCode::INTERNAL_SERVER_ERROR, &said)
        }
    }
}

/// Waits until a command's events are released and in the log: the last event there may be.
async fn released(shared: &Shared, observer: &Observer, sequence: Sequence) -> Option<u64> {
    let give_up = shared.now().after(RELEASE_NANOS);
    let mut last = None;
    loop {
        let progress = observer.positions.progress();
        if last.is_none() && progress.released >= sequence {
            last = Some(progress.handed_on);
        }
        if last.is_some_and(|last| observer.positions.events.journaled() >= last) {
            return last;
        }
        if shared.now() >= give_up {
            return None;
        }
        sleep(LOOK).await;
    }
}

async fn activate(shared: &Shared, version: Option<u32>, force: bool) -> Answer {
    if let Err(answer) = orders(shared) {
        return answer;
    }
    let newest = shared.options.logic.1;
    let wanted = version.unwrap_or(newest);
    let doubt = shared.others().and_then(|others| doubt(&others, wanted));
    // One that this build does not have itself is refused as that.
    if let Some(Doubt { why, lacks: true }) = &doubt
        && !force
        && wanted <= newest
    {
        let why = format!(
            "{why}. Install the newer build there, start it again, and ask again when \
             `ringframe status` names it; or with --force (force=true) now"
        );
        return Answer::error(StatusCode::CONFLICT, &why);
    }
    let (version, asked) = match with(shared, |operations| operations.activate(version)) {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    match received(&asked, LOOK).await {
        Some(sequence) => {
            let warning = doubt.map(|doubt| doubt.why);
            let said = json!({ "sequence": sequence.0, "version": version, "warning": warning });
            Answer::new(StatusCode::OK, &said)
        }
        None => stopped(),
    }
}

/// Why another node may not go on where a version takes over.
struct Doubt {
    why: String,
    /// It is there, and says itself that its build lacks the version.
    lacks: bool,
}

fn doubt(others: &Facts, version: u32) -> Option<Doubt> {
    if let Some(one) = others.lacking(version) {
        let why = format!(
            "the node at {} follows, and its build has version {} at most: it stops where version \
             {version} takes over, and replies that are to be replicated wait for it, or mean less",
            one.address, one.newest
        );
        return Some(Doubt { why, lacks: true });
    }
    let why = format!(
        "no standby follows now, so nobody knows whether one has version {version}: where its \
         build lacks it, it stops there and says so"
    );
    (!others.has_standby()).then_some(Doubt { why, lacks: false })
}

async fn mark(shared: &Shared) -> Answer {
    if let Err(answer) = orders(shared) {
        return answer;
    }
    let asked = match with(shared, |operations| operations.mark()) {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    match received(&asked, LOOK).await {
        Some(sequence) => Answer::new(StatusCode::OK, &json!({ "sequence": sequence.0 })),
        None => stopped(),
    }
}

async fn promote(shared: &Shared, force: bool) -> Answer {
    let asked = match others(shared, |others| others.promote(force)) {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    match received(&asked, LOOK).await {
        Some(Ok(Promoted { epoch, first, lacks })) => {
            let said = json!({ "epoch": epoch.0, "first": first.0, "lacks": lacks });
            Answer::new(StatusCode::OK, &said)
        }
        Some(Err(why)) => Answer::error(StatusCode::CONFLICT, &why),
        None => stopped(),
    }
}

async fn release(
    shared: &Shared,
    policy: ReleasePolicy,
    on_standby_loss: Option<OnStandbyLoss>,
) -> Answer {
    let asked = match others(shared, |others| others.mean(policy, on_standby_loss)) {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    match received(&asked, LOOK).await {
        Some(()) => Answer::new(StatusCode::OK, &json!({ "wanted": policy })),
        None => stopped(),
    }
}

/// Asks the stage that knows of other nodes, where there is one and nobody else asks.
fn others<T>(shared: &Shared, ask: impl FnOnce(&Handle) -> Option<T>) -> Result<T, Answer> {
    observer(shared)?;
    let others = lock(&shared.seen).as_ref().and_then(|seen| seen.others.clone());
    let others = others.ok_or_else(|| {
        let why = "this node leads alone: replication and standby_of are off";
        Answer::error(StatusCode::CONFLICT, why)
    })?;
    ask(&others).ok_or_else(|| {
        let why = "another one asks for something just now";
        Answer::error(StatusCode::SERVICE_UNAVAILABLE, why)
    })
}
