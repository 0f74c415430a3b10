//! Which sockets have something, and a place to sleep until one has: epoll, level-triggered, so
//! that nothing is forgotten by whoever reads only a part.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::{Interest, Net, Ready, Source, Watch};
use crate::stage::Sleeper;

/// So many sockets are looked at in one poll.
const EVENTS: usize = 256;
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN | EventFlags::RDHUP, interest.read);
    flags.set(EventFlags::OUT, interest.write);
    flags
}

impl<N: Net<Stream: AsFd, Listener: AsFd>> AsFd for Source<'_, N> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stream(stream) => stream.as_fd(),
            Self::Listener(listener) => listener.as_fd(),
            Self::Datagrams(socket) => socket.as_fd(),
        }
    }
}

/// The sockets of one thread.
pub struct Epoll {
    epoll: Arc<OwnedFd>,
    ready: Vec<Ready>,
}

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll: Arc::new(epoll), ready: Vec::with_capacity(EVENTS) })
    }
}

impl<N: Net<Stream: AsFd, Listener: AsFd>> Watch<N> for Epoll {
    fn add(&self, what: Source<'_, N>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&*self.epoll, what, EventData::new_u64(token), flags(interest))?)
    }

    fn change(&self, what: Source<'_, N>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&*self.epoll, what, EventData::new_u64(token), flags(interest))?)
    }

    fn remove(&self, what: Source<'_, N>) -> io::Result<()> {
        Ok(epoll::delete(&*self.epoll, what)?)
    }

    fn look(&mut self) -> io::Result<usize> {
        self.ready.clear();
        let mut buffer = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
        let (found, _) = match epoll::wait(&*self.epoll, &mut buffer, Some(&AT_ONCE)) {
            Err(rustix::io::Errno::INTR) => return Ok(0),
            other => other?,
        };
        self.ready.extend(found.iter().map(|event| {
            // The kernel packs them: a copy, not a reference.
            let (flags, data) = (event.flags, event.data);
            let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            Ready {
                token: data.u64(),
                read: broken || flags.intersects(EventFlags::IN | EventFlags::RDHUP),
                write: broken || flags.contains(EventFlags::OUT),
                broken,
            }
        }));
        Ok(self.ready.len())
    }

    fn ready(&self, index: usize) -> Ready {
        self.ready[index]
    }

    fn sleeper(&self) -> io::Result<Box<dyn Sleeper>> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Box::new(Bed { epoll: Arc::clone(&self.epoll), bell: Arc::new(bell) }))
    }
}

/// An epoll can itself be waited for, and here it is together with the bell: what is ready stays
/// ready for the next [`Watch::look`].
struct Bed {
    epoll: Arc<OwnedFd>,
    bell: Arc<OwnedFd>,
}

impl Sleeper for Bed {
    fn sleep(&mut self, longest: Duration) {
        let sources = |flags| [PollFd::new(&*self.epoll, flags), PollFd::new(&*self.bell, flags)];
        let nanos = i64::try_from(longest.as_nanos()).unwrap_or(i64::MAX);
        let second = 1_000_000_000;
        let longest = Timespec { tv_sec: nanos / second, tv_nsec: nanos % second };
        // Whatever ended it: the caller looks at everything next.
        let _ = poll(&mut sources(PollFlags::IN), Some(&longest));
        let _ = rustix::io::read(&*self.bell, &mut [0; 8]);
    }

    fn waker(&self) -> Box<dyn Fn() + Send + Sync> {
        let bell = Arc::clone(&self.bell);
        Box::new(move || {
            // Full only after 2^64 calls, and then it is awake anyway.
            let _ = rustix::io::write(&*bell, &1_u64.to_ne_bytes());
        })
    }
}
