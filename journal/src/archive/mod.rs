//! Archiving: sealed segments, compressed, in a home of their own, from which the same bytes come
//! back.
//!
//! ```text
//! 0000000001.segment.zst    the whole file, zstd with a checksum
//! 0000000001.segment.json   its manifest, written last: a segment is archived once this is there
//! ```
//!
//! Everything is checked on the way: the segment before it is copied, the object by reading it back
//! before the manifest is written, and again by whoever fetches it.

mod home;
mod manifest;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::ops::RangeInclusive;

pub use home::ArchiveHome;
pub use manifest::Manifest;

use crate::error::{Context, Error};
use crate::image::{ImageCheck, PIECE_BYTES, check_file, pieces};
use crate::keeper::{SCRATCH, name, reserve};
use crate::open::lock;
use crate::recover::check_sealed;
use crate::segment::{Header, Seal, file_name};
use crate::storage::{Access, Storage, StorageFile};
use crate::survey::{missing, survey};
use manifest::{manifest_name, object_name};

/// The lock of those who move segments about. The writer does not need it: it never touches a
/// sealed segment.
const MAINTENANCE: &str = "maintenance.lock";
/// Zeros and repeated fields shrink well at the fast end, and archiving shares the node's cores.
const ZSTD_LEVEL: i32 = 3;

/// Called before each segment: how many are done, of how many.
pub type OnProgress<'a> = &'a mut dyn FnMut(usize, usize);

/// One segment that an archive holds, and whether it was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// What the archive says about it.
    pub manifest: Manifest,
    /// Whether this run copied it; otherwise it was there already.
    pub copied: bool,
}

/// Copies every sealed segment that the archive lacks. Works beside a running writer; may be
/// interrupted and run again.
pub fn archive<S: Storage>(
    storage: &S,
    home: &ArchiveHome,
    progress: OnProgress<'_>,
) -> Result<Vec<Archived>, Error> {
    let _lock = maintain(storage)?;
    let segments = survey(storage)?;
    if let Some(range) = missing(storage, &segments, 0)? {
        return Err(Error::Damaged(range));
    }
    let sealed = check_sealed(storage, &segments)?;
    let mut archived = Vec::with_capacity(sealed);
    for (done, info) in segments[..sealed].iter().enumerate() {
        progress(done, sealed);
        let header = info.good_header().map_err(Error::Damaged)?;
        let seal = info.seal.good().expect("sealed segments have a good seal");
        let known = read_manifest(home, info.number)?;
        archived.push(match known {
            Some(Ok(manifest)) if is_present(home, &manifest, header, seal)? => {
                Archived { manifest, copied: false }
            }
            known => {
                refuse_another_journal(home, info.number, seal, known.as_ref())?;
                let manifest = copy(storage, home, info.number)?;
                Archived { manifest, copied: true }
            }
        });
    }
    Ok(archived)
}

fn is_present(
    home: &ArchiveHome,
    manifest: &Manifest,
    header: &Header,
    seal: &Seal,
) -> Result<bool, Error> {
    let size = home.head(&object_name(header.number))?;
    Ok(manifest.describes(header, seal) && size == Some(manifest.compressed_bytes))
}

/// Two journals in one home would overwrite each other.
fn refuse_another_journal(
    home: &ArchiveHome,
    number: u64,
    seal: &Seal,
    known: Option<&Result<Manifest, String>>,
) -> Result<(), Error> {
    let other = match known {
        Some(Ok(manifest)) => manifest.digest != seal.digest,
        _ => match read_manifest(home, number.saturating_sub(1))? {
            Some(Ok(before)) => before.digest != seal.previous,
            _ => false,
        },
    };
    if other {
        let why = "holds the segments of another journal; give this journal a home of its own";
        return Err(home.failed(&manifest_name(number), &why));
    }
    Ok(())
}

fn copy<S: Storage>(storage: &S, home: &ArchiveHome, number: u64) -> Result<Manifest, Error> {
    let (header, seal) = check_file(storage, number)?;
    let path = storage.path(&file_name(number));
    let file = storage.open(&file_name(number), Access::Read).context("open", &path)?;
    let object = object_name(number);
    let upload = home.upload(&object)?;
    let compressed = compress(&file, header.segment_bytes, upload)
        .map_err(|source| home.failed(&object, &source))?;
    let manifest = Manifest::new(&header, &seal, compressed);
    fetch(home, &manifest, |_, _| Ok(()))?;
    home.put(&manifest_name(number), manifest.encode())?;
    Ok(manifest)
}

fn compress<F: StorageFile>(
    file: &F,
    bytes: u64,
    upload: home::Upload<'_>,
) -> io::Result<(u64, [u8; 32])> {
    let mut encoder = zstd::Encoder::new(upload, ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    pieces(file, 0, bytes, |_, piece| encoder.write_all(piece))?;
    encoder.finish()?.finish()
}

/// Reads an archived segment from first to last byte. What `each` was given counts only once this
/// has returned: only then is it known to be the segment that the manifest speaks of.
pub(crate) fn fetch(
    home: &ArchiveHome,
    manifest: &Manifest,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let object = object_name(manifest.number);
    let wrong = |why: &dyn std::fmt::Display| {
        let advice = "delete it and its manifest, then archive again while the journal has it";
        home.failed(&object, &format!("{why}; {advice}"))
    };
    match home.head(&object)? {
        None => return Err(wrong(&"the object is missing")),
        Some(size) if size != manifest.compressed_bytes => {
            let expected = manifest.compressed_bytes;
            return Err(wrong(&format!("{size} bytes where the manifest says {expected}")));
        }
        Some(_) => {}
    }
    let download = home.download(&object, manifest.compressed_bytes);
    let mut decoder = zstd::Decoder::new(download).map_err(|source| wrong(&source))?;
    let mut check = ImageCheck::default();
    let mut buffer = vec![0; PIECE_BYTES];
    let mut at = 0;
    loop {
        let read = decoder.read(&mut buffer).map_err(|source| wrong(&source))?;
        if read == 0 {
            break;
        }
        if at + read as u64 > manifest.segment_bytes {
            return Err(wrong(&"it unpacks to more than one segment"));
        }
        check.update(&buffer[..read]);
        each(at, &buffer[..read])?;
        at += read as u64;
    }
    if decoder.finish().into_inner().hash() != manifest.compressed_blake3 {
        return Err(wrong(&"its hash is not the one in the manifest"));
    }
    match check.finish() {
        Ok((header, seal)) if manifest.describes(&header, &seal) => Ok(()),
        Ok(_) => Err(wrong(&"it holds another segment than the manifest says")),
        Err((offset, damage)) => Err(wrong(&format!("unpacked byte {offset}: {damage}"))),
    }
}

/// A manifest, if there is one; or why it cannot be read.
pub(crate) fn read_manifest(
    home: &ArchiveHome,
    number: u64,
) -> Result<Option<Result<Manifest, String>>, Error> {
    let bytes = home.get(&manifest_name(number))?;
    let decode = |bytes: Vec<u8>| match Manifest::decode(&bytes) {
        Ok(manifest) if manifest.number != number => {
            Err(format!("speaks of segment {}", manifest.number))
        }
        other => other,
    };
    Ok(bytes.map(decode))
}

/// All manifests of an archive that can be read.
pub(crate) fn manifests(home: &ArchiveHome) -> Result<BTreeMap<u64, Manifest>, Error> {
    let mut found = BTreeMap::new();
    for (number, (_, has_manifest)) in numbers(home)? {
        if has_manifest && let Some(Ok(manifest)) = read_manifest(home, number)? {
            found.insert(number, manifest);
        }
    }
    Ok(found)
}

/// The numbers that the archive's names speak of: whether there is an object, and a manifest.
fn numbers(home: &ArchiveHome) -> Result<BTreeMap<u64, (bool, bool)>, Error> {
    let mut numbers: BTreeMap<u64, (bool, bool)> = BTreeMap::new();
    for name in home.list()? {
        let Some((segment, suffix)) = name.rsplit_once('.') else { continue };
        let Some(number) = crate::segment::file_number(segment) else { continue };
        match suffix {
            "zst" => numbers.entry(number).or_default().0 = true,
            "json" => numbers.entry(number).or_default().1 = true,
            _ => {}
        }
    }
    Ok(numbers)
}

/// What [`verify_archive`] found out about one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The segment's number.
    pub number: u64,
    /// Its manifest, if that can be read.
    pub manifest: Option<Manifest>,
    /// What is wrong, if anything.
    pub problem: Option<String>,
}

/// Checks every manifest against its object and against the manifest before.
pub fn verify_archive(
    home: &ArchiveHome,
    progress: OnProgress<'_>,
) -> Result<Vec<Verified>, Error> {
    let numbers = numbers(home)?;
    let mut verified: Vec<Verified> = Vec::with_capacity(numbers.len());
    for (done, (&number, &(_, has_manifest))) in numbers.iter().enumerate() {
        progress(done, numbers.len());
        let before = verified.last();
        let result = verify_one(home, number, has_manifest, before);
        verified.push(match result {
            Ok(manifest) => Verified { number, manifest: Some(manifest), problem: None },
            Err(wrong) => {
                let (manifest, problem) = *wrong;
                Verified { number, manifest, problem: Some(problem) }
            }
        });
    }
    Ok(verified)
}

fn verify_one(
    home: &ArchiveHome,
    number: u64,
    has_manifest: bool,
    before: Option<&Verified>,
) -> Result<Manifest, Box<(Option<Manifest>, String)>> {
    if !has_manifest {
        let why = "no manifest: archiving was interrupted here; run it again";
        return Err(Box::new((None, why.into())));
    }
    let manifest = match read_manifest(home, number) {
        Ok(Some(Ok(manifest))) => manifest,
        Ok(Some(Err(why))) => return Err(Box::new((None, format!("manifest: {why}")))),
        Ok(None) => return Err(Box::new((None, "the manifest is gone".into()))),
        Err(error) => return Err(Box::new((None, error.to_string()))),
    };
    if let Err(error) = fetch(home, &manifest, |_, _| Ok(())) {
        return Err(Box::new((Some(manifest), error.to_string())));
    }
    if let Some(before) = before {
        if before.number + 1 != number {
            let why = format!("segments {}..={} are not here", before.number + 1, number - 1);
            return Err(Box::new((Some(manifest), why)));
        }
        if let Some(before) = &before.manifest
            && !follows(before, &manifest)
        {
            return Err(Box::new((Some(manifest), "does not follow the segment before".into())));
        }
    }
    Ok(manifest)
}

fn follows(before: &Manifest, manifest: &Manifest) -> bool {
    before.digest == manifest.previous && before.last_sequence + 1 == manifest.first_sequence
}

/// Writes archived segments back, byte for byte, into a journal's directory; `numbers` chooses
/// some. A segment that is there already must be the same. Returns the numbers in the directory.
pub fn restore<S: Storage>(
    home: &ArchiveHome,
    numbers: Option<RangeInclusive<u64>>,
    into: &S,
    progress: OnProgress<'_>,
) -> Result<Vec<u64>, Error> {
    let _writer = lock(into)?;
    let _lock = maintain(into)?;
    let found = manifests(home)?;
    let lacks = |why: String| Error::Archive { place: home.place().to_owned(), why };
    let ends = found.first_key_value().zip(found.last_key_value());
    let Some(((&first, _), (&last, _))) = ends else {
        return Err(lacks("holds no segments; check the place".into()));
    };
    let numbers = numbers.unwrap_or(first..=last);
    let mut restored = Vec::new();
    let total = (numbers.end() + 1).saturating_sub(*numbers.start()) as usize;
    let mut before: Option<&Manifest> = None;
    for number in numbers {
        progress(restored.len(), total);
        let Some(manifest) = found.get(&number) else {
            return Err(lacks(format!("does not hold segment {number}; it has {first}..={last}")));
        };
        if before.is_some_and(|before| !follows(before, manifest)) {
            let why = "does not follow the segment before; verify the archive";
            return Err(home.failed(&manifest_name(number), &why));
        }
        restore_one(home, manifest, into)?;
        before = Some(manifest);
        restored.push(number);
    }
    Ok(restored)
}

fn restore_one<S: Storage>(home: &ArchiveHome, manifest: &Manifest, into: &S) -> Result<(), Error> {
    let number = manifest.number;
    let path = into.path(&file_name(number));
    let names = into.list().context("list", into.path(""))?;
    if names.contains(&file_name(number)) {
        return match check_file(into, number) {
            Ok((header, seal)) if manifest.describes(&header, &seal) => Ok(()),
            _ => Err(Error::Refused {
                path,
                why: "another file stands where the segment would be restored; \
                      restore into an empty directory"
                    .into(),
            }),
        };
    }
    let file = reserve(into, manifest.segment_bytes)?;
    let written = fetch(home, manifest, |at, piece| {
        file.write_at(at, piece).context("write", into.path(SCRATCH))
    });
    if let Err(error) = written {
        // The scratch file is worth nothing; opening the journal would remove it as well.
        let _ = into.remove(SCRATCH);
        return Err(error);
    }
    name(into, &file, number)
}

/// Takes the lock of those who move segments about, for as long as what it gives lives.
pub fn maintain<S: Storage>(storage: &S) -> Result<S::Lock, Error> {
    let path = storage.path(MAINTENANCE);
    let taken = storage.lock(MAINTENANCE).context("lock", &path)?;
    taken.ok_or(Error::Maintained { path })
}
