//! Runs that were written to files.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::results::{FORMAT, Results};

/// What a run writes its results to, in its directory.
pub const FILE_NAME: &str = "summary.json";

/// Why there are no results.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Io(io::Error),
    NotResults(serde_json::Error),
    Newer(u32),
    None,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            Cause::Io(error) => {
                write!(out, "cannot read {path}: {error}; name what `--out` of a run named")
            }
            Cause::NotResults(error) => write!(
                out,
                "{path} holds no results of a run: {error}; name a {FILE_NAME} that loadgen wrote, \
                 or its directory"
            ),
            Cause::Newer(format) => write!(
                out,
                "{path} has format {format}, and this loadgen knows formats up to {FORMAT}: use \
                 the loadgen that wrote it, or a newer one"
            ),
            Cause::None => write!(
                out,
                "{path} holds no {FILE_NAME}, nor does a directory in it: name what `--out` of a \
                 run named"
            ),
        }
    }
}

impl std::error::Error for Error {}

/// Of a file, or of a directory, or of the directories in it, by name.
pub fn runs(path: &Path) -> Result<Vec<Results>, Error> {
    let files =
        files(path).map_err(|error| Error { path: path.to_owned(), cause: Cause::Io(error) })?;
    if files.is_empty() {
        return Err(Error { path: path.to_owned(), cause: Cause::None });
    }
    files.iter().map(|file| one(file)).collect()
}

fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let own = path.join(FILE_NAME);
    if own.is_file() {
        return Ok(vec![own]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path().join(FILE_NAME);
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn one(path: &Path) -> Result<Results, Error> {
    /// The one field that every format has.
    #[derive(Deserialize)]
    struct Header {
        format: u32,
    }
    let failed = |cause| Error { path: path.to_owned(), cause };
    let text = fs::read_to_string(path).map_err(|error| failed(Cause::Io(error)))?;
    let not_results = |error| failed(Cause::NotResults(error));
    let header: Header = serde_json::from_str(&text).map_err(not_results)?;
    if header.format > FORMAT {
        return Err(failed(Cause::Newer(header.format)));
    }
    serde_json::from_str(&text).map_err(not_results)
}
