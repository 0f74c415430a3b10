//! How source text is read: without comments and literals, as paths, modules and functions. No
//! parser: just enough to find names and count braces.

use std::path::{Path, PathBuf};

pub(crate) struct Source {
    /// From the workspace's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments and literals blanked; the same lines.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: blanked(text) }
    }

    /// The code up to its unit tests, which stand last; nothing of a file that is all test.
    pub(crate) fn shipped(&self) -> &str {
        let test_parts = ["tests", "benches", "examples", "fuzz", "tests.rs"];
        if self.path.split('/').any(|part| test_parts.contains(&part)) {
            return "";
        }
        let end = self.code.find("#[cfg(test)]\nmod ").unwrap_or(self.code.len());
        &self.code[..end]
    }

    /// The modules this file declares in files of their own.
    pub(crate) fn modules(&self) -> impl Iterator<Item = &str> {
        self.code.lines().filter_map(|line| {
            let (visibility, name) = line.trim().strip_suffix(';')?.split_once("mod ")?;
            (visibility.is_empty() || visibility.starts_with("pub")).then_some(name)
        })
    }
}

pub(crate) fn read_tree(root: &Path) -> Vec<Source> {
    let mut waiting: Vec<PathBuf> =
        ["src", "wire", "journal", "loadgen", "sim", "tests", "benches", "examples", "fuzz"]
            .map(|part| root.join(part))
            .to_vec();
    let mut sources = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() && !path.ends_with("target") {
            let entries = std::fs::read_dir(&path).expect("readable");
            waiting.extend(entries.map(|entry| entry.expect("readable").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below the root").to_str().expect("UTF-8");
            sources.push(Source::new(name, &std::fs::read_to_string(&path).expect("readable")));
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Comments and literals become spaces, so that what they say binds nobody; what is left is ASCII.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let opaque = opaque_len(&text[at..]);
        let end = at + opaque.max(text[at..].chars().next().map_or(1, char::len_utf8));
        for byte in &bytes[at..end] {
            let kept = *byte == b'\n' || (opaque == 0 && byte.is_ascii());
            code.push(if kept { char::from(*byte) } else { ' ' });
        }
        at = end;
    }
    code
}

/// The length of the comment or literal that begins here; 0 when it is code.
fn opaque_len(rest: &str) -> usize {
    let raw = rest.strip_prefix('r').map(|rest| rest.trim_start_matches('#'));
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        let (mut depth, mut at) = (1, 2);
        while depth > 0 && at < rest.len() {
            let pair = &rest.as_bytes()[at..rest.len().min(at + 2)];
            depth = depth + usize::from(pair == b"/*") - usize::from(pair == b"*/");
            at += if pair == b"/*" || pair == b"*/" { 2 } else { 1 };
        }
        at
    } else if rest.starts_with('"') {
        let mut escaped = true; // the opening quote does not close
        let is_close = |(_, byte): &(usize, u8)| {
            let closes = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            closes
        };
        rest.bytes().enumerate().find(is_close).map_or(rest.len(), |(at, _)| at + 1)
    } else if let Some(body) = raw.filter(|raw| raw.starts_with('"')) {
        let opening = rest.len() - body.len() + 1;
        let close = format!("\"{}", "#".repeat(opening - 2));
        rest[opening..].find(&close).map_or(rest.len(), |at| opening + at + close.len())
    } else if rest.starts_with("'\\") {
        rest.bytes().skip(3).position(|byte| byte == b'\'').map_or(rest.len(), |at| at + 4)
    } else if rest.starts_with('\'') && rest.chars().nth(2) == Some('\'') {
        2 + rest[1..].chars().next().map_or(0, char::len_utf8)
    } else {
        0 // a lifetime, too
    }
}

/// Every path in the code with its line; `use` groups are spelled out, macros keep their `!`.
pub(crate) fn paths(code: &str) -> Vec<(usize, String)> {
    let mut reader = PathReader { code, at: 0, line: 1, found: Vec::new() };
    while !reader.rest().is_empty() {
        reader.path("");
    }
    reader.found
}

struct PathReader<'a> {
    code: &'a str,
    at: usize,
    line: usize,
    found: Vec<(usize, String)>,
}

impl<'a> PathReader<'a> {
    fn rest(&self) -> &'a str {
        &self.code[self.at..]
    }

    fn skip(&mut self, bytes: usize) {
        self.line += self.rest()[..bytes].matches('\n').count();
        self.at += bytes;
    }

    /// Reads one path with its groups, or steps over what is none.
    fn path(&mut self, prefix: &str) {
        let mut path = prefix.to_owned();
        if self.rest().starts_with("#[") {
            self.skip(2);
            path.push_str("#[");
        }
        loop {
            let word = word(self.rest());
            if word.is_empty() {
                self.skip(usize::from(path == prefix));
                return;
            }
            path.push_str(word);
            self.skip(word.len());
            let rest = self.rest();
            if rest.starts_with("::{") {
                self.skip(3);
                path.push_str("::");
                while !self.rest().is_empty() && !self.rest().starts_with('}') {
                    self.path(&path);
                }
                return;
            }
            if !rest.starts_with("::") || self::word(&rest[2..]).is_empty() {
                if rest.starts_with('!') && !rest.starts_with("!=") {
                    path.push('!');
                }
                self.found.push((self.line, path));
                return;
            }
            path.push_str("::");
            self.skip(2);
        }
    }
}

fn word(rest: &str) -> &str {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &rest[..end.unwrap_or(rest.len())]
}

/// Line, name and length in lines of each function with a body.
pub(crate) fn functions(code: &str) -> Vec<(usize, &str, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let inside_word = code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let name = word(&code[at + 3..]);
        if inside_word || name.is_empty() {
            continue;
        }
        let (mut nested, mut braces) = (0_i32, 0_i32);
        for (offset, byte) in code[at..].bytes().enumerate() {
            nested +=
                i32::from(matches!(byte, b'(' | b'[')) - i32::from(matches!(byte, b')' | b']'));
            braces += i32::from(byte == b'{') - i32::from(byte == b'}');
            if byte == b';' && nested == 0 && braces == 0 {
                break;
            }
            if byte == b'}' && braces == 0 {
                let line = code[..at].matches('\n').count() + 1;
                found.push((line, name, code[at..at + offset].matches('\n').count() + 1));
                break;
            }
        }
    }
    found
}

#[test]
fn literals_and_comments_are_blanked_and_lines_stay() {
    let text = "a(\"{\\\"}\", '{', '\\'', b'x', r#\"}\"\n\"#) /* { /* \n */ */ 'a: b // {\nc é";
    let code = blanked(text);
    assert_eq!(code.split_whitespace().collect::<String>(), "a(,,,b,)'a:bc");
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn functions_are_measured_to_their_last_brace() {
    let code = "fn none(a: [u8; 4]);\nconst fn two() -> [u8; 1] {\n[0] }\ntype F = fn (u8);";
    assert_eq!(functions(code), [(2, "two", 2)]);
}
