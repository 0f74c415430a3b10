//! What can be seen of a running node's logic, whatever that is: its state as the shadow has it,
//! and its events as the log has them. The processor is not asked.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use hyper::StatusCode;
use ringframe_journal::storage::Storage;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::operations::{received, stopped};
use super::query::Query;
use super::routes::Answer;
use super::{Language, Shared, lock};
use crate::browse::{Begin, Browser, Found, Search};
use crate::logic::Logic;
use crate::onlooker::Onlooker;
use crate::types::{Nanos, Sequence};

/// A shadow that is longer at something, such as a snapshot, does not answer in time.
const PATIENCE: Duration = Duration::from_secs(2);
/// So often it looks whether the answer is there.
const LOOK: Duration = Duration::from_millis(5);
/// Levels of each side, where nobody says how many, …
const LEVELS: u64 = 20;
/// … and at most; as many orders of a session.
const LEVELS_MAX: u64 = 1000;
/// Events, where nobody says how many, …
const EVENTS: u64 = 50;
/// … and at most.
const EVENTS_MAX: u64 = 500;
/// Clients that are named, at most.
const TALKERS_MAX: usize = 1000;
/// Everything else goes first.
const NICE: i32 = 19;

/// A view of the state, as JSON, and where the state stands.
pub type Viewed = (Sequence, Result<String, String>);

/// Looks at a logic's state and events, for the admin's thread.
pub trait Views: Send + Sync {
    /// Asks for a view by its words; an error where these are none.
    fn state(&self, what: &str, whose: &str, most: usize) -> Result<Asked, String>;
    /// Reads what events are looked for; an error names the word that is wrong.
    fn search(&self, begin: Begin, words: &[(&str, &str)], limit: usize) -> Result<Look, String>;
}

/// What became of a question.
pub enum Asked {
    /// It is put; what is seen comes once.
    Put(Receiver<Viewed>),
    /// There is no shadow.
    Nobody,
    /// Many others ask.
    Busy,
}

/// Looks through the event log up to a number, on a thread that may wait.
pub type Look = Box<dyn FnOnce(u64) -> Result<Lines, String> + Send>;

/// What was found, each event as a line of JSON.
pub struct Lines {
    events: Vec<String>,
    has: (u64, u64),
    walked_bytes: u64,
    next: Option<Begin>,
}

/// The views of a node with this logic.
pub struct Sights<L: Logic, S: Storage> {
    onlooker: Option<Onlooker<L>>,
    browser: Arc<std::sync::Mutex<Browser<S>>>,
    language: Language<L>,
}

impl<L: Logic, S: Storage> Sights<L, S> {
    /// Looks at the shadow's state, if there is one, and at this event log.
    pub fn new(onlooker: Option<Onlooker<L>>, log: S, language: Language<L>) -> Self {
        Self { onlooker, browser: Arc::new(std::sync::Mutex::new(Browser::new(log))), language }
    }
}

impl<L: Logic, S: Storage + Send> Views for Sights<L, S> {
    fn state(&self, what: &str, whose: &str, most: usize) -> Result<Asked, String> {
        let view = (self.language.view)(what, whose)?;
        let Some(onlooker) = &self.onlooker else { return Ok(Asked::Nobody) };
        let asked =
            onlooker.look(move |machine| (machine.applied().sequence, view(machine.logic(), most)));
        Ok(asked.map_or(Asked::Busy, Asked::Put))
    }

    fn search(&self, begin: Begin, words: &[(&str, &str)], limit: usize) -> Result<Look, String> {
        let filter = (self.language.filter)(words)?;
        let (browser, write) = (Arc::clone(&self.browser), self.language.write);
        Ok(Box::new(move |last| {
            let found = lock(&browser).find(&Search { begin, filter, limit }, last);
            let Found { events, has, walked_bytes, next } =
                found.map_err(|fault| fault.to_string())?;
            let events = events.iter().map(write).collect();
            Ok(Lines { events, has, walked_bytes, next })
        }))
    }
}

/// One search at a time: the others wait.
pub(super) type Turn = Arc<Mutex<()>>;

fn not_yet() -> Answer {
    let why = "the node is recovering: ask again when /readyz says 200";
    Answer::error(StatusCode::SERVICE_UNAVAILABLE, why)
}

fn wrong(why: &str) -> Answer {
    Answer::error(StatusCode::BAD_REQUEST, why)
}

/// A view of the state. `path` is what stands behind `/books/` or `/sessions/`, if something does.
pub(super) async fn state(
    shared: &Shared,
    words: (&'static str, Option<&str>),
    query: Option<&str>,
) -> Answer {
    let (what, whose) = words;
    // Of many books the best prices are enough.
    let usual = if whose.is_none() { 1 } else { LEVELS };
    let name = if what == "session" { "limit" } else { "levels" };
    let most = Query::read(query, &[name]);
    let most = match most.and_then(|query| query.number(name, usual, LEVELS_MAX)) {
        Ok(most) => most as usize,
        Err(why) => return wrong(&why),
    };
    match view(shared, what, whose.unwrap_or_default(), most).await {
        Ok((_, Err(why))) => Answer::error(StatusCode::NOT_FOUND, &why),
        // The view is an object of its own.
        Ok((sequence, Ok(view))) => Answer {
            status: StatusCode::OK,
            json: format!("{{\"sequence\":{},{}", sequence.0, &view[1..]),
        },
        Err(answer) => answer,
    }
}

async fn view(shared: &Shared, what: &str, whose: &str, most: usize) -> Result<Viewed, Answer> {
    let views = lock(&shared.seen).as_ref().map(|seen| Arc::clone(&seen.views));
    let views = views.ok_or_else(not_yet)?;
    let busy = |why| Answer::error(StatusCode::SERVICE_UNAVAILABLE, why);
    let asked = match views.state(what, whose, most) {
        Ok(Asked::Put(asked)) => asked,
        Ok(Asked::Nobody) => {
            let why = "nobody but the processor holds the state, and it is not asked: \
                       snapshots.mode = shadow lets one look";
            return Err(Answer::error(StatusCode::CONFLICT, why));
        }
        Ok(Asked::Busy) => return Err(busy("many others ask: ask again")),
        Err(why) => return Err(wrong(&why)),
    };
    match timeout(PATIENCE, received(&asked, LOOK)).await {
        Ok(Some(viewed)) => Ok(viewed),
        Ok(None) => Err(stopped()),
        Err(_) => Err(busy("the shadow loads its state, or takes a snapshot: ask again")),
    }
}

/// All sessions as the exchange knows them, whose they are, and who is logged in. Without a shadow
/// the exchange's part is missing.
pub(super) async fn sessions(shared: &Shared, query: Option<&str>) -> Answer {
    if let Err(why) = Query::read(query, &[]) {
        return wrong(&why);
    }
    let (sequence, known) = match view(shared, "sessions", "", 0).await {
        Ok((sequence, Ok(known))) => (json!(sequence.0), known),
        Ok((_, Err(why))) => return Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &why),
        Err(answer) if answer.status == StatusCode::CONFLICT => {
            (Value::Null, "{\"sessions\":null}".into())
        }
        Err(answer) => return answer,
    };
    let connections = match talkers(shared).await {
        Ok(connections) => connections,
        Err(answer) => return answer,
    };
    let users = lock(&shared.seen).as_ref().map(|seen| Arc::clone(&seen.users));
    let Some(users) = users else { return not_yet() };
    let users = json!(*users);
    let rest = &known[1..known.len() - 1];
    let around = format!("\"users\":{users},\"connections\":{connections}");
    let json = format!("{{\"sequence\":{sequence},{rest},{around}}}");
    Answer { status: StatusCode::OK, json }
}

async fn talkers(shared: &Shared) -> Result<Value, Answer> {
    let traffic = lock(&shared.seen).as_ref().and_then(|seen| seen.traffic.clone());
    // One without clients has no gateway.
    let Some(traffic) = traffic else { return Ok(json!([])) };
    let busy = || {
        let why = "the gateway is busy: ask again";
        Answer::error(StatusCode::SERVICE_UNAVAILABLE, why)
    };
    let asked = traffic.talkers(TALKERS_MAX).ok_or_else(busy)?;
    let talkers = match timeout(PATIENCE, received(&asked, LOOK)).await {
        Ok(Some(talkers)) => talkers,
        Ok(None) => return Err(stopped()),
        Err(_) => return Err(busy()),
    };
    let now = shared.now().0;
    let described = talkers.iter().map(|it| {
        json!({
            "session": it.session,
            "from": it.from.to_string(),
            "next": it.next,
            "behind_bytes": it.behind_bytes,
            "since_nanos": now.saturating_sub(it.since.0),
            "heard_nanos": now.saturating_sub(it.heard.0),
        })
    });
    Ok(described.collect())
}

/// Looks through the event log.
pub(super) async fn events(shared: &Shared, query: Option<&str>) -> Answer {
    let (begin, words, limit) = match asked_for(query) {
        Ok(asked) => asked,
        Err(why) => return wrong(&why),
    };
    let seen = lock(&shared.seen)
        .as_ref()
        .map(|seen| (Arc::clone(&seen.views), seen.observer.positions.events.journaled()));
    let Some((views, last)) = seen else { return not_yet() };
    let words: Vec<(&str, &str)> =
        words.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let look = match views.search(begin, &words, limit) {
        Ok(look) => look,
        Err(why) => return wrong(&why),
    };
    let Ok(turn) = timeout(PATIENCE, Arc::clone(&shared.turn).lock_owned()).await else {
        let why = "other searches take their time: ask again";
        return Answer::error(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    let looked = spawn_blocking(move || {
        // Where nobody waits any more the search still has its turn.
        let _turn = turn;
        // For the kernel a process without a number is the calling thread.
        let _ = rustix::process::setpriority_process(None, NICE);
        look(last)
    });
    match looked.await {
        Ok(Ok(found)) => found.answer(),
        Ok(Err(why)) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &why),
        Err(_) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "the search was given up"),
    }
}

impl Lines {
    fn answer(&self) -> Answer {
        let next = match self.next {
            None => Value::Null,
            Some(Begin::Before(number)) => json!({ "before": number }),
            Some(Begin::From(number)) => json!({ "from": number }),
            Some(Begin::Newest | Begin::Sequence(_) | Begin::Time(_)) => {
                unreachable!("a search goes on at a number")
            }
        };
        let (first, last) = self.has;
        Answer {
            status: StatusCode::OK,
            json: format!(
                "{{\"first\":{first},\"last\":{last},\"walked_bytes\":{},\"next\":{next},\
                 \"events\":[{}]}}",
                self.walked_bytes,
                self.events.join(",")
            ),
        }
    }
}

/// Where it begins, which words narrow it, and how many.
type Wanted = (Begin, Vec<(&'static str, String)>, usize);

fn asked_for(query: Option<&str>) -> Result<Wanted, String> {
    const NARROW: [&str; 3] = ["session", "token", "order"];
    const BEGIN: [&str; 4] = ["before", "from", "sequence", "time"];
    let query = Query::read(query, &[&NARROW[..], &BEGIN, &["limit"]].concat())?;
    let limit = query.number("limit", EVENTS, EVENTS_MAX)?.max(1);
    let mut begins = BEGIN.into_iter().filter_map(|name| Some((name, query.get(name)?)));
    let begin = match (begins.next(), begins.next()) {
        (None, _) => Begin::Newest,
        (Some(("time", value)), None) => Begin::Time(time(value)?),
        (Some((name, _)), None) => {
            let number = query.number(name, 0, u64::MAX)?;
            match name {
                "before" => Begin::Before(number),
                "from" => Begin::From(number),
                _ => Begin::Sequence(Sequence(number)),
            }
        }
        (Some((one, _)), Some((other, _))) => {
            return Err(format!("?{one} and ?{other}: a search begins in one place"));
        }
    };
    let words = NARROW.into_iter().filter_map(|name| Some((name, query.get(name)?.to_owned())));
    Ok((begin, words.collect(), limit as usize))
}

fn time(text: &str) -> Result<Nanos, String> {
    if let Ok(nanos) = text.parse() {
        return Ok(Nanos(nanos));
    }
    let wrong = || {
        format!("?time={text}: expected such as 2026-01-02T15:30:00Z, or nanoseconds since 1970")
    };
    let time: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    u64::try_from(time.as_nanosecond()).map(Nanos).map_err(|_| wrong())
}
