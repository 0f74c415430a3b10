//! What is asked, and by whom. Calls that change something go on to their end where the client has
//! left, so that the audit log knows how they ended.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{StatusCode, Uri};
use serde_json::json;
use tokio::time::timeout;

use super::access::{Role, Who};
use super::audit::Asked;
use super::operations::{Call, observer, received, stopped};
use super::server::PATIENCE;
use super::{NodeState, Shared, lock, metrics, page, query, segments, status, views};
use crate::types::Sequence;

/// The longest body of a call: a command is a line.
const BODY_BYTES_MAX: usize = 16 << 10;

/// An answer: its status, and a text in JSON.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) json: String,
}

impl Answer {
    pub(super) fn new(status: StatusCode, said: &serde_json::Value) -> Self {
        Self { status, json: said.to_string() }
    }

    /// What all of them are, for programs.
    fn described() -> Self {
        Self { status: StatusCode::OK, json: include_str!("openapi.json").to_owned() }
    }

    pub(super) fn error(status: StatusCode, why: &str) -> Self {
        Self::new(status, &json!({ "error": why }))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let body = Body::from(self.json + "\n");
        (self.status, [(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// One who may look; who may not gets no further.
struct Reader(Who);

impl FromRequestParts<Arc<Shared>> for Reader {
    type Rejection = Answer;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Answer> {
        let from = *parts.extensions.get().expect("the server says where a call is from");
        let admitted = shared.options.access.admit(&parts.headers, from, Role::Read);
        admitted.map(Self).map_err(|refused| Answer::error(refused.status, &refused.why))
    }
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(async || page::index()))
        .route("/assets/{name}", get(async |Path(name): Path<String>| page::asset(&name)))
        .route("/openapi.json", get(async || Answer::described()))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/status", get(told))
        .route("/metrics", get(measured))
        .route("/digest", get(digest))
        .route("/who", get(who))
        .route("/books", get(looked))
        .route("/books/{symbol}", get(looked))
        .route("/sessions", get(looked))
        .route("/sessions/{session}", get(looked))
        .route("/segments", get(looked))
        .route("/events", get(looked))
        .route("/snapshot", post(operate))
        .route("/drain", post(operate))
        .route("/command", post(operate))
        .route("/activate", post(operate))
        .route("/promote", post(operate))
        .route("/release", post(operate))
        .route("/mark", post(operate))
        .route("/archive", post(operate))
        .fallback(unknown)
        .with_state(shared)
}

async fn unknown(uri: Uri) -> Answer {
    let why = format!(
        "there is no {}; GET / /openapi.json /healthz /readyz /status /metrics /digest /who /books \
         /sessions /segments /events, POST /snapshot /drain /command /activate /promote /release \
         /mark /archive",
        uri.path()
    );
    Answer::error(StatusCode::NOT_FOUND, &why)
}

async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    let why = match shared.state() {
        NodeState::Serving => return (StatusCode::OK, "ready\n"),
        NodeState::Following => "standing by\n",
        NodeState::Waiting => "waiting: nobody is let in yet\n",
        NodeState::Recovering => "recovering\n",
        NodeState::Draining => "draining\n",
    };
    (StatusCode::SERVICE_UNAVAILABLE, why)
}

async fn told(_: Reader, State(shared): State<Arc<Shared>>) -> Answer {
    match status::collect(&shared).await {
        Ok(status) => Answer {
            status: StatusCode::OK,
            json: serde_json::to_string(&status).expect("plain fields"),
        },
        Err(why) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &why),
    }
}

async fn measured(_: Reader, State(shared): State<Arc<Shared>>) -> Response {
    match status::collect(&shared).await {
        Ok(status) => {
            let text = metrics::text(&status);
            ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
        }
        Err(why) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &why).into_response(),
    }
}

/// Who asks, and what he may do.
async fn who(Reader(who): Reader) -> Answer {
    Answer::new(StatusCode::OK, &json!({ "name": who.name, "role": who.role.name() }))
}

/// Looks at state, events and files.
async fn looked(_: Reader, State(shared): State<Arc<Shared>>, uri: Uri) -> Answer {
    let (what, whose) = match uri.path()[1..].split_once('/') {
        Some((what, whose)) => (what, Some(whose)),
        None => (&uri.path()[1..], None),
    };
    let Some(whose) = whose.map(query::decoded).map_or(Some(None), |it| it.map(Some)) else {
        let why = "a % is followed by two hexadecimal digits";
        return Answer::error(StatusCode::BAD_REQUEST, why);
    };
    let asked = uri.query();
    match (what, whose.as_deref()) {
        ("books", None) => views::state(&shared, ("books", None), asked).await,
        ("books", symbol) => views::state(&shared, ("book", symbol), asked).await,
        ("sessions", None) => views::sessions(&shared, asked).await,
        ("sessions", session) => views::state(&shared, ("session", session), asked).await,
        ("segments", _) => segments::told(&shared, asked).await,
        _ => views::events(&shared, asked).await,
    }
}

/// The digest after a command that was marked.
async fn digest(_: Reader, State(shared): State<Arc<Shared>>, uri: Uri) -> Answer {
    let asked = uri.query().and_then(|it| it.strip_prefix("sequence=")?.parse().ok());
    let Some(sequence) = asked else {
        return Answer::error(StatusCode::BAD_REQUEST, "after which command? ?sequence=NUMBER");
    };
    let observer = match observer(&shared) {
        Ok(observer) => observer,
        Err(answer) => return answer,
    };
    let Some(asked) = observer.digest_at(Sequence(sequence)) else { return stopped() };
    match timeout(PATIENCE, received(&asked, status::LOOK)).await {
        Ok(Some(Some(value))) => {
            let said = json!({ "sequence": sequence, "digest": format!("{value:032x}") });
            Answer::new(StatusCode::OK, &said)
        }
        Ok(Some(None)) => {
            let why = "this node knows no digest there: it is not so far, or the command was not \
                       marked by POST /mark, or is long past";
            Answer::error(StatusCode::NOT_FOUND, why)
        }
        Ok(None) => stopped(),
        Err(_) => {
            Answer::error(StatusCode::SERVICE_UNAVAILABLE, "the processor is busy: ask again")
        }
    }
}

async fn operate(
    State(shared): State<Arc<Shared>>,
    Extension(from): Extension<SocketAddr>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let called = format!("POST {}", parts.uri);
    // First, so that a refusal does not meet bytes that nobody read, which would reset it.
    let body = match timeout(PATIENCE, to_bytes(body, BODY_BYTES_MAX)).await {
        Err(_) => return Answer::error(StatusCode::REQUEST_TIMEOUT, "the body does not come"),
        Ok(Err(_)) => {
            let why = format!("a body is a line of at most {BODY_BYTES_MAX} bytes");
            return Answer::error(StatusCode::PAYLOAD_TOO_LARGE, &why);
        }
        Ok(Ok(body)) => body,
    };
    let Ok(body) = String::from_utf8(body.into()) else {
        return Answer::error(StatusCode::BAD_REQUEST, "the body is no UTF-8");
    };
    let who = match shared.options.access.admit(&parts.headers, from, Role::Operate) {
        Ok(who) => who,
        Err(refused) => {
            let asked = Asked { from, call: &called, body: &body };
            let (name, now) = (refused.name.as_deref(), shared.now());
            let (status, why) = (refused.status, &refused.why);
            // It is refused, whether that can be written down or not.
            let _ = lock(&shared.audit).refuse(name, &asked, status, why, now);
            return Answer::error(status, why);
        }
    };
    let call = match Call::read(parts.uri.path(), parts.uri.query(), &body) {
        Ok(call) => call,
        Err(why) => return Answer::error(StatusCode::BAD_REQUEST, &why),
    };
    let done = tokio::spawn(carry_out(shared, call, who, from, called, body));
    done.await.unwrap_or_else(|_| {
        Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "the call was given up: see the log")
    })
}

async fn carry_out(
    shared: Arc<Shared>,
    call: Call,
    who: Who,
    from: SocketAddr,
    called: String,
    body: String,
) -> Answer {
    let asked = Asked { from, call: &called, body: &body };
    let begun = lock(&shared.audit).begin(&who, &asked, shared.now());
    let number = match begun {
        Ok(number) => number,
        Err(why) => return Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &why),
    };
    let answer = call.carry_out(&shared).await;
    let ended = lock(&shared.audit).end(number, answer.status, &answer.json, shared.now());
    match ended {
        Ok(()) => answer,
        Err(why) => {
            let why = format!("done, but not written down: {why}; it said {}", answer.json);
            Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &why)
        }
    }
}
