//! As much of an HTTP client as one call to a node needs: HTTP/1.0, so an answer ends with its
//! connection and is never in pieces.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A connection comes in this time, or not.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest answer.
const BYTES_MAX: u64 = 16 << 20;

/// What a node said.
#[derive(Debug)]
pub(in crate::cli) struct Answer {
    pub(in crate::cli) status: u16,
    pub(in crate::cli) body: String,
}

impl Answer {
    /// Why it was not done, where it was not.
    pub(in crate::cli) fn why(&self) -> String {
        let said = serde_json::from_str::<Value>(&self.body).unwrap_or_default();
        let why = said["error"].as_str().unwrap_or(&self.body).trim();
        match said["sequence"].as_u64() {
            Some(sequence) => format!("command {sequence}: {why}"),
            None => why.to_owned(),
        }
    }
}

/// Asks once; `longest` is how long nothing may come.
pub(in crate::cli) fn ask(
    to: SocketAddr,
    token: Option<&str>,
    method: &str,
    path: &str,
    body: &str,
    longest: Option<Duration>,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&to, CONNECT)?;
    stream.set_read_timeout(longest)?;
    stream.set_write_timeout(longest)?;
    let token =
        token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {to}\r\n{token}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(BYTES_MAX).read_to_end(&mut bytes)?;
    parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| {
        let why = match bytes.is_empty() {
            true => "the connection was closed without an answer",
            false => "what came is no answer of a node",
        };
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value.trim())
    });
    let length: usize = length?.parse().ok()?;
    // One that was cut off is none.
    Some(Answer { status, body: body.get(..length)?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_none() {
        let whole = "HTTP/1.0 200 OK\r\nX: y\r\ncontent-length: 3\r\n\r\n{}\n";
        let answer = parse(whole).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}\n"));
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_none(), "{cut}");
        }
        assert!(parse("HTTP/1.0 200 OK\r\n\r\n{}").is_none(), "nobody knows whether it is whole");
        assert!(parse("SSH-2.0-x\r\n\r\n").is_none());
    }
}
