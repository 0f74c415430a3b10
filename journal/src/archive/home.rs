//! Where archived segments lie: a directory or an object store, behind a few blocking calls.
//!
//! The `object_store` crate is async; its runtime lives and dies in here. It works only while one
//! of these methods waits for it, on the caller's thread.

use std::io::{self, Read, Write};
use std::path::{Path as FilePath, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use url::Url;

use crate::error::Error;

/// Objects go up and come down in pieces of this size: some stores want all parts but the last to
/// be equal, and none smaller than 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// So often it looks whether it is given up.
const LOOK: Duration = Duration::from_millis(50);
/// What is given up may take this long to take back what it has sent.
const ABORT: Duration = Duration::from_secs(1);

/// An archive: named objects, each of which appears whole or not at all.
#[derive(Debug)]
pub struct ArchiveHome {
    place: String,
    store: Box<dyn ObjectStore>,
    prefix: Path,
    /// There until it is dropped.
    runtime: Option<Runtime>,
    given_up: Option<Arc<AtomicBool>>,
}

impl ArchiveHome {
    /// Opens an archive: a directory, which must be there, or a URL such as `s3://bucket/prefix`.
    /// Credentials and endpoint of S3 come from the usual `AWS_…` variables of the environment.
    pub fn open(place: &str) -> Result<Self, Error> {
        match local_directory(place)? {
            Some(directory) if !directory.is_dir() => Err(Error::Archive {
                place: place.to_owned(),
                why: "no such directory; `ringframe journal archive` creates it, and that of the \
                      event log with --events"
                    .into(),
            }),
            directory => Self::at(place, directory),
        }
    }

    /// Opens an archive, creating the directory if it is one.
    pub fn create(place: &str) -> Result<Self, Error> {
        let directory = local_directory(place)?;
        if let Some(directory) = &directory {
            std::fs::create_dir_all(directory).map_err(|source| failed(place, &source))?;
        }
        Self::at(place, directory)
    }

    /// An archive that goes with the process: for who tries things out.
    pub fn in_memory() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime without sockets takes nothing of the system");
        Self {
            place: "memory".into(),
            store: Box::new(InMemory::new()),
            prefix: Path::default(),
            runtime: Some(runtime),
            given_up: None,
        }
    }

    fn at(place: &str, directory: Option<PathBuf>) -> Result<Self, Error> {
        let wrong = |source: &dyn std::fmt::Display| failed(place, source);
        let (store, prefix): (Box<dyn ObjectStore>, Path) = if let Some(directory) = directory {
            let store = LocalFileSystem::new_with_prefix(directory).map_err(|e| wrong(&e))?;
            // What is archived may be pruned: it has to survive a power cut.
            (Box::new(store.with_fsync(true)), Path::default())
        } else {
            remote(place)?
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| wrong(&e))?;
        let (place, runtime) = (place.to_owned(), Some(runtime));
        Ok(Self { place, store, prefix, runtime, given_up: None })
    }

    /// Whoever works with it ends with an error soon after this is set, whatever the store is at.
    #[must_use]
    pub fn unless(mut self, given_up: Arc<AtomicBool>) -> Self {
        self.given_up = Some(given_up);
        self
    }

    fn is_given_up(&self) -> bool {
        self.given_up.as_ref().is_some_and(|given_up| given_up.load(Ordering::Relaxed))
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is not dropped yet")
    }

    /// Waits for the store.
    fn wait<T>(
        &self,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<T> {
        self.runtime().block_on(async {
            let mut work = pin!(work);
            while !self.is_given_up() {
                if let Ok(done) = timeout(LOOK, work.as_mut()).await {
                    return done;
                }
            }
            let source = "it was given up; do it again, and it goes on".into();
            Err(object_store::Error::Generic { store: "archive", source })
        })
    }

    /// Where the archive is, as it was given.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The names of all objects, sorted.
    pub fn list(&self) -> Result<Vec<String>, Error> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let listed = self.wait(self.store.list_with_delimiter(prefix));
        let listed = listed.map_err(|source| failed(&self.place, &source))?;
        let names = listed.objects.iter().filter_map(|object| object.location.filename());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The size of an object, if it is there.
    pub fn head(&self, name: &str) -> Result<Option<u64>, Error> {
        match self.wait(self.store.head(&self.path(name))) {
            Ok(object) => Ok(Some(object.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failed(name, &source)),
        }
    }

    /// Puts a small object.
    pub fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let path = self.path(name);
        let put = self.store.put(&path, PutPayload::from(bytes));
        self.wait(put).map_err(|source| self.failed(name, &source))?;
        Ok(())
    }

    /// Gets a small object, if it is there.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(name);
        let got = self.wait(async { self.store.get(&path).await?.bytes().await });
        match got {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failed(name, &source)),
        }
    }

    /// Begins to put an object of any size.
    pub(crate) fn upload(&self, name: &str) -> Result<Upload<'_>, Error> {
        let upload = self.wait(self.store.put_multipart(&self.path(name)));
        let parts = Some(upload.map_err(|source| self.failed(name, &source))?);
        let hasher = blake3::Hasher::new();
        Ok(Upload { home: self, parts, part: Vec::new(), bytes: 0, hasher })
    }

    /// Begins to get an object of this many bytes.
    pub(crate) fn download(&self, name: &str, bytes: u64) -> Download<'_> {
        let hasher = blake3::Hasher::new();
        Download {
            home: self,
            path: self.path(name),
            bytes,
            at: 0,
            part: Vec::new(),
            used: 0,
            hasher,
        }
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    pub(crate) fn failed(&self, name: &str, source: &dyn std::fmt::Display) -> Error {
        failed(&format!("{}/{name}", self.place.trim_end_matches('/')), source)
    }
}

impl Drop for ArchiveHome {
    fn drop(&mut self) {
        // What the store is still at, where that was given up, may never end.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

fn failed(place: &str, source: &dyn std::fmt::Display) -> Error {
    Error::Archive { place: place.to_owned(), why: source.to_string() }
}

/// The store that a URL names, and where in it the archive lies.
#[cfg(feature = "s3")]
fn remote(place: &str) -> Result<(Box<dyn ObjectStore>, Path), Error> {
    // The TLS library wants its cryptography chosen once; a second choice is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = Url::parse(place).map_err(|source| failed(place, &source))?;
    object_store::parse_url_opts(&url, std::env::vars()).map_err(|source| failed(place, &source))
}

#[cfg(not(feature = "s3"))]
fn remote(place: &str) -> Result<(Box<dyn ObjectStore>, Path), Error> {
    let why = "is no directory, and this program was built without object stores; \
               build it with ringframe-journal's feature `s3`, or name a directory";
    Err(failed(place, &why))
}

/// The directory that a place names, unless it is the URL of something else.
fn local_directory(place: &str) -> Result<Option<PathBuf>, Error> {
    if !place.contains("://") {
        return Ok(Some(FilePath::new(place).to_owned()));
    }
    let url = Url::parse(place).map_err(|source| failed(place, &source))?;
    if url.scheme() != "file" {
        return Ok(None);
    }
    let path = url.to_file_path().map_err(|()| failed(place, &"not a path of this machine"))?;
    Ok(Some(path))
}

/// An object on its way up. It does not exist before [`Upload::finish`].
pub(crate) struct Upload<'a> {
    home: &'a ArchiveHome,
    /// Taken when the object is complete.
    parts: Option<Box<dyn MultipartUpload>>,
    part: Vec<u8>,
    bytes: u64,
    hasher: blake3::Hasher,
}

impl Upload<'_> {
    fn send(&mut self) -> io::Result<()> {
        let part = std::mem::take(&mut self.part);
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let sent = parts.put_part(PutPayload::from(part));
        self.home.wait(sent).map_err(io::Error::other)
    }

    /// Completes the object; returns its size and its BLAKE3 hash.
    pub(crate) fn finish(mut self) -> io::Result<(u64, [u8; 32])> {
        if !self.part.is_empty() {
            self.send()?;
        }
        if let Some(mut parts) = self.parts.take() {
            self.home.wait(parts.complete()).map_err(io::Error::other)?;
        }
        Ok((self.bytes, *self.hasher.finalize().as_bytes()))
    }
}

impl Write for Upload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PART_BYTES - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        self.hasher.update(&bytes[..taken]);
        self.bytes += taken as u64;
        if self.part.len() == PART_BYTES {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if let Some(mut parts) = self.parts.take() {
            // Best effort: a store may keep, and charge for, the parts of what never was complete.
            let runtime = self.home.runtime();
            let _ = runtime.block_on(async { timeout(ABORT, parts.abort()).await });
        }
    }
}

/// An object on its way down.
pub(crate) struct Download<'a> {
    home: &'a ArchiveHome,
    path: Path,
    bytes: u64,
    at: u64,
    part: Vec<u8>,
    used: usize,
    hasher: blake3::Hasher,
}

impl Download<'_> {
    /// The BLAKE3 hash of what was read.
    pub(crate) fn hash(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

impl Read for Download<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.used == self.part.len() && self.at < self.bytes {
            let to = (self.at + PART_BYTES as u64).min(self.bytes);
            let got = self.home.store.get_range(&self.path, self.at..to);
            let got = self.home.wait(got).map_err(io::Error::other)?;
            if got.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.hasher.update(&got);
            self.at += got.len() as u64;
            (self.part, self.used) = (got.to_vec(), 0);
        }
        let taken = into.len().min(self.part.len() - self.used);
        into[..taken].copy_from_slice(&self.part[self.used..self.used + taken]);
        self.used += taken;
        Ok(taken)
    }
}

#[cfg(all(test, not(feature = "s3")))]
mod tests {
    use super::ArchiveHome;

    #[test]
    fn without_the_feature_a_url_says_what_to_build() {
        let error = ArchiveHome::create("s3://bucket/prefix").unwrap_err().to_string();
        assert!(error.contains("s3://bucket/prefix") && error.contains("feature `s3`"), "{error}");
    }
}
