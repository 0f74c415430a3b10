//! What the server says of itself, at its admin address: one HTTP/1.0 request, whose answer ends
//! with its connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::results::Fact;

/// A server that answers at all does so in this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// No status is longer.
const BYTES_MAX: u64 = 1 << 20;
/// The environment's name for a token.
const TOKEN: &str = "RINGFRAME_ADMIN_TOKEN";

/// Asks for what belongs beside the figures: version, policy, rings, stages.
pub fn facts(admin: SocketAddr) -> Result<Vec<Fact>, String> {
    let failed = |why: String| format!("the server's admin address {admin}: {why}");
    let answer = ask(admin).map_err(|error| failed(error.to_string()))?;
    parse(&answer).map_err(failed)
}

fn ask(admin: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let token = std::env::var(TOKEN);
    let token =
        token.map_or_else(|_| String::new(), |it| format!("Authorization: Bearer {it}\r\n"));
    let request = format!("GET /status HTTP/1.0\r\nHost: {admin}\r\n{token}\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

fn parse(answer: &str) -> Result<Vec<Fact>, String> {
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer in HTTP")?;
    let said: Value = serde_json::from_str(body).unwrap_or_default();
    if head.split(' ').nth(1) != Some("200") {
        let line = head.lines().next().unwrap_or_default();
        let why = said["error"].as_str().unwrap_or_default();
        return Err(format!("{line}: {why}; {TOKEN} may hold a token"));
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let stages: Vec<String> =
        said["stages"].as_array().into_iter().flatten().map(|it| text(&it["name"])).collect();
    let facts = [
        ("version", text(&said["version"])),
        ("a reply means", text(&said["release"])),
        ("logic", format!("{} {}", text(&said["logic"]["name"]), said["logic"]["active"])),
        ("ring slots", said["rings"]["slots"].to_string()),
        ("stages", stages.join(" ")),
    ];
    if said["release"].is_null() {
        return Err("it is not a node's: its status names no release policy".into());
    }
    Ok(facts.map(|(name, value)| Fact { name: name.into(), value }).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = r#"{"version":"0.1.0","release":"synced","logic":{"name":"it","active":1},
        "rings":{"slots":64},"stages":[{"name":"gateway"},{"name":"journaler"}]}"#;

    #[test]
    fn a_status_is_read_and_anything_else_refused() {
        let facts = parse(&format!("HTTP/1.0 200 OK\r\nX: y\r\n\r\n{STATUS}\n")).unwrap();
        let facts: Vec<String> =
            facts.iter().map(|it| format!("{}={}", it.name, it.value)).collect();
        let expected = [
            "version=0.1.0",
            "a reply means=synced",
            "logic=it 1",
            "ring slots=64",
            "stages=gateway journaler",
        ];
        assert_eq!(facts, expected);
        let refused =
            parse("HTTP/1.0 401 Unauthorized\r\n\r\n{\"error\":\"a token\"}").unwrap_err();
        assert!(refused.contains("401") && refused.contains("a token"), "{refused}");
        assert!(parse("HTTP/1.0 200 OK\r\n\r\n{}").is_err(), "another server");
        assert!(parse("220 smtp").is_err());
    }
}
