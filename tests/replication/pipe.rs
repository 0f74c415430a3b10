//! A link in memory, which gives bytes on in pieces of any size, and may break.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use ringframe::replication::Link;

/// So much is under way at most.
const ROOM: usize = 3000;

#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    is_cut: bool,
}

/// One end.
pub(crate) struct End {
    out: Arc<Mutex<Way>>,
    back: Arc<Mutex<Way>>,
    rng: Rng,
}

/// Both ends of a new link.
pub(crate) fn pipe(rng: &mut Rng) -> (End, End) {
    let (one, other) = (Arc::<Mutex<Way>>::default(), Arc::<Mutex<Way>>::default());
    let (left, right) = (rng.fork(), rng.fork());
    (
        End { out: Arc::clone(&one), back: Arc::clone(&other), rng: left },
        End { out: other, back: one, rng: right },
    )
}

impl Link for End {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut way = self.back.lock().unwrap();
        if way.bytes.is_empty() {
            return if way.is_cut { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(0) };
        }
        let count = self.rng.usize(0..=way.bytes.len().min(into.len()));
        for (byte, into) in way.bytes.drain(..count).zip(into) {
            *into = byte;
        }
        Ok(count)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut way = self.out.lock().unwrap();
        if way.is_cut {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(ROOM - way.bytes.len()).min(self.rng.usize(0..ROOM));
        way.bytes.extend(&bytes[..count]);
        Ok(count)
    }
}

/// Who goes takes the link with him: all of what was under way still arrives, or a part.
impl Drop for End {
    fn drop(&mut self) {
        let mut out = self.out.lock().unwrap();
        if self.rng.bool() {
            let kept = self.rng.usize(0..=out.bytes.len());
            out.bytes.truncate(kept);
        }
        out.is_cut = true;
        drop(out);
        self.back.lock().unwrap().is_cut = true;
    }
}
