//! A mark for a journal that nobody wrote here.

use crate::error::Error;
use crate::open::begin_marks;
use crate::reader::Reader;
use crate::storage::Storage;
use crate::survey::survey;
use crate::watermark::Mark;

/// Says durably of a journal that came as files, each of them synced, that all its frames are
/// durable: what is hurt from here on is damage, and no torn tail.
pub fn attest<S: Storage>(storage: &S) -> Result<(), Error> {
    let segments = survey(storage)?;
    let newest = segments.iter().rev().find_map(|info| info.header.good());
    let Some(newest) = newest else { return Ok(()) };
    let mut reader = Reader::open(storage.clone(), newest.first_sequence)?;
    while reader.next_frame()?.is_some() {}
    let sequence = reader.next_sequence() - 1;
    match reader.position() {
        Some((number, offset)) if sequence > 0 => {
            begin_marks(storage, Mark { sequence, number, offset }).map(drop)
        }
        _ => Ok(()),
    }
}
