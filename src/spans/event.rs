//! A command's first event, found in the log behind a place where the log ended before it came: so
//! what is read does not grow with what came since the last sample.

use std::sync::atomic::{AtomicBool, Ordering};

use ringframe_journal::storage::Storage;
use ringframe_journal::{FrameRef, Head, Reader};

use crate::event_log;
use crate::stage::Fault;
use crate::types::Sequence;

/// So many frames are read between two looks whether it is to end.
const STRIDE: u64 = 1000;

/// Where in the log.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    /// Behind this place …
    pub(super) behind: Head,
    /// … and up to this event, …
    pub(super) last: u64,
    /// … but no more than so many.
    pub(super) most: u64,
}

/// What there is to read of a command's first event, if it has one; why it was not found
/// otherwise.
pub(super) fn first_of<S: Storage, T>(
    log: &S,
    Stretch { behind, last, most }: Stretch,
    cause: Sequence,
    ends: &AtomicBool,
    read: impl FnOnce(FrameRef<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, String> {
    let broken = |error| Fault::EventLog(error).to_string();
    let Some(mut reader) = Reader::open_at(log.clone(), behind).map_err(broken)? else {
        return Ok(None);
    };
    for count in 0..most {
        if count % STRIDE == 0 && ends.load(Ordering::Acquire) {
            return Err("it ends".into());
        }
        if reader.next_sequence() > last {
            return Ok(None);
        }
        let Some(event) = reader.next_frame().map_err(broken)? else { return Ok(None) };
        match event_log::cause(&event.frame()) {
            Some(it) if it == cause => {
                return read(event).map(Some).map_err(|fault| fault.to_string());
            }
            Some(it) if it > cause => return Ok(None),
            _ => {}
        }
    }
    Err(format!("the event of command {} is not among the next {most}", cause.0))
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use ringframe_journal::{Append, Frame, Journal, Options, SimulatedStorage};

    use super::*;

    /// Commands of one event each.
    fn emit(log: &mut Journal<SimulatedStorage>, causes: Range<u64>) {
        for cause in causes {
            let sequence = log.writer.next_sequence();
            let payload = cause.to_le_bytes();
            let (timestamp, epoch) = (cause, 7);
            let frame = Frame { sequence, timestamp, epoch, kind: 1, schema: 1, payload: &payload };
            while log.writer.append(&frame).unwrap() == Append::Wait {
                log.writer.publish().unwrap();
                log.syncer.poll(cause).unwrap();
                log.keeper.poll(cause).unwrap();
            }
        }
        log.writer.publish().unwrap();
    }

    #[test]
    fn what_is_read_for_a_command_has_a_bound_and_an_end() {
        let disk = SimulatedStorage::new();
        let segment_bytes = Options::SEGMENT_BYTES_MIN;
        let options = Options { segment_bytes, ..Options::new("test", 1) };
        let mut log = Journal::open(disk.clone(), options).unwrap();
        let never = AtomicBool::new(false);
        let find = |behind, last, most, cause, ends: &AtomicBool| {
            let stretch = Stretch { behind, last, most };
            let read = |event: FrameRef<'_>| Ok((event.sequence(), event.epoch()));
            first_of(&disk, stretch, Sequence(cause), ends, read)
        };
        let behind = log.writer.positions().head();
        assert_eq!(find(behind, 0, 10, 1, &never), Ok(None), "there is none yet");
        // From place to place, through segments and over their ends, with nothing read before it.
        for cause in 1..4001 {
            let behind = log.writer.positions().head();
            emit(&mut log, cause..cause + 1);
            assert_eq!(find(behind, cause, 1, cause, &never), Ok(Some((cause, 7))));
        }
        let behind = log.writer.positions().head();
        emit(&mut log, 5001..5011);
        assert_eq!(find(behind, 4010, 10, 5010, &never), Ok(Some((4010, 7))));
        assert_eq!(find(behind, 4010, 1, 5000, &never), Ok(None), "it had none");
        assert_eq!(find(behind, 4005, 10, 5010, &never), Ok(None), "it is not that far");
        let lost = find(behind, 4010, 5, 5010, &never).unwrap_err();
        assert!(lost.contains("not among the next 5"), "{lost}");
        assert!(find(behind, 4010, 10, 5010, &AtomicBool::new(true)).is_err(), "it is to end");
    }
}
