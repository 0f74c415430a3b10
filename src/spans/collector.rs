//! A collector of OpenTelemetry, by HTTP: one call at a time, on a connection of its own.

use std::fmt;
use std::str::FromStr;

use axum::body::{Body, to_bytes};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The longest answer that is looked at.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector(Uri);

impl FromStr for Collector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "write http://HOST:4318/v1/traces";
        // What is refused for a secret in it is not said again.
        let secret = |what| {
            format!(
                "the URL has {what} in it, which logs and check-config would show: send spans to a \
             collector on this machine, which knows keys and passwords; {example}"
            )
        };
        if text.contains('?') {
            return Err(secret("a query"));
        }
        if text.contains('@') {
            return Err(secret("a name"));
        }
        let uri: Uri =
            text.parse().map_err(|error| format!("'{text}' is no URL ({error}): {example}"))?;
        let (authority, host) = (uri.authority().map_or("", |it| it.as_str()), uri.host());
        let has_port = host.is_some_and(|host| authority != host);
        match uri.scheme_str() {
            Some("http") if has_port && uri.port_u16().is_none_or(|port| port == 0) => {
                Err(format!("'{text}' has a port that is none of 1 to 65535: {example}"))
            }
            Some("http") if uri.path() == "/" => Err(format!("'{text}' has no path: {example}")),
            Some("http") => Ok(Self(uri)),
            Some("https") => Err(format!(
                "'{text}' wants TLS, and spans leave in plain bytes: send them to a collector on \
                 this machine, which knows TLS and passwords; {example}"
            )),
            _ => Err(format!("'{text}' is no URL of a collector: {example}")),
        }
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Collector {
    /// Brings it there; an error says why it is not there now. What was not taken is not brought
    /// again.
    pub(super) async fn post(&self, body: String) -> Result<(), String> {
        let Self(uri) = self;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80)));
        let stream = stream.await.map_err(|error| format!("no connection: {error}"))?;
        let broken = |error: hyper::Error| format!("no answer: {error}");
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let request = Request::post(uri.path())
            .header(HOST, uri.authority().map_or("", |it| it.as_str()))
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("ringframe/", env!("CARGO_PKG_VERSION")))
            .body(body)
            .map_err(|error| error.to_string())?;
        let call = async {
            let answer = sender.send_request(request).await.map_err(broken)?;
            judge(answer).await
        };
        tokio::pin!(connection);
        tokio::pin!(call);
        tokio::select! {
            judged = &mut call => judged,
            // It ends with the answer at hand, or without one.
            _ = &mut connection => call.await,
        }
    }
}

/// Whether all of it was taken.
async fn judge(answer: Response<Incoming>) -> Result<(), String> {
    let status = answer.status();
    let body = to_bytes(Body::new(answer.into_body()), BODY_BYTES_MAX).await;
    let body = body.map_err(|error| format!("{status}, and then: {error}"))?;
    let text = String::from_utf8_lossy(&body);
    if !status.is_success() {
        let said: String = text.trim().chars().filter(|it| !it.is_control()).take(200).collect();
        return Err(format!("it says {status} {said}").trim_end().to_owned());
    }
    // Numbers of 64 bits are texts there.
    let said: Value = serde_json::from_str(&text).unwrap_or_default();
    let refused = &said["partialSuccess"]["rejectedSpans"];
    let count = refused.as_str().and_then(|count| count.parse().ok()).or(refused.as_u64());
    match count {
        None | Some(0) => Ok(()),
        Some(count) => {
            let why = said["partialSuccess"]["errorMessage"].as_str().unwrap_or_default();
            let why: String = why.chars().filter(|it| !it.is_control()).take(200).collect();
            Err(format!("it refused {count} spans: {why}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_a_plain_url_with_a_path() {
        for text in
            ["http://127.0.0.1:4318/v1/traces", "http://[::1]:4318/v1/traces", "http://c/v1/traces"]
        {
            assert_eq!(text.parse::<Collector>().unwrap().to_string(), text);
        }
        for (text, why) in [
            ("http://127.0.0.1:4318", "no path"),
            ("https://c:4318/v1/traces", "TLS"),
            ("127.0.0.1:4318", "no URL"),
            ("http://name:hush@c/v1/traces", "a name"),
            ("http://c:4318/v1/traces?key=hush", "a query"),
            ("http://c:99999/v1/traces", "a port"),
            ("http://c:0/v1/traces", "a port"),
            ("http://c:/v1/traces", "a port"),
            ("ftp://c/v1/traces", "no URL"),
            ("", "no URL"),
        ] {
            let error = text.parse::<Collector>().unwrap_err();
            assert!(error.contains(why) && error.contains("4318/v1/traces"), "{text}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
