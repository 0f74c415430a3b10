//! The page at `/`: what a browser shows of this node. The files in `page/` are part of the
//! program, and ask for nothing from anywhere else.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};

use super::routes::Answer;

/// What the page may load and ask: this node. Nobody may put it into a page of his own, where a
/// reader could be led to press what he does not see.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page: its name, what it is, and what is in it.
type File = (&'static str, &'static str, &'static str);

macro_rules! file {
    ($name:literal, $kind:expr) => {
        ($name, $kind, include_str!(concat!("page/", $name)))
    };
}

const INDEX: File = file!("index.html", "text/html; charset=utf-8");

const ASSETS: &[File] = &[
    file!("style.css", "text/css; charset=utf-8"),
    file!("icon.svg", "image/svg+xml"),
    file!("main.js", SCRIPT),
    file!("node.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("figures.js", SCRIPT),
    file!("history.js", SCRIPT),
    file!("chart.js", SCRIPT),
    file!("keys.js", SCRIPT),
    file!("overview.js", SCRIPT),
    file!("pipeline.js", SCRIPT),
    file!("latency.js", SCRIPT),
    file!("panes.js", SCRIPT),
    file!("books.js", SCRIPT),
    file!("sessions.js", SCRIPT),
    file!("events.js", SCRIPT),
    file!("storage.js", SCRIPT),
    file!("operate.js", SCRIPT),
];

/// The page itself.
pub(super) fn index() -> Response {
    served(&INDEX)
}

/// One of its files.
pub(super) fn asset(name: &str) -> Response {
    match ASSETS.iter().find(|(known, ..)| *known == name) {
        Some(file) => served(file),
        None => Answer::error(StatusCode::NOT_FOUND, "the page has no such file").into_response(),
    }
}

fn served((_, kind, text): &File) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // The next start may have another page.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, Body::from(*text)).into_response()
}
