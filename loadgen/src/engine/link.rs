//! Nonblocking connections with room on both sides, and a way to know which has something.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// What one link holds back while its socket is full. Beyond it messages wait in the schedule,
/// where they cost nothing and keep their intended times.
const OUTBOX_BYTES_MAX: usize = 64 * 1024;
/// So many links are found ready at once.
const EVENTS: usize = 256;
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// One connection, or the place of one.
#[derive(Debug, Default)]
pub(crate) struct Link {
    stream: Option<TcpStream>,
    /// The other side has not said yet whether there is a connection.
    is_connecting: bool,
    outbox: Vec<u8>,
    /// The beginning of a message whose rest has not come.
    rest: Vec<u8>,
    /// When something last went out.
    pub(crate) wrote: u64,
}

impl Link {
    /// A connection of nobody yet.
    pub(crate) fn new() -> Self {
        Self { outbox: Vec::with_capacity(OUTBOX_BYTES_MAX), ..Self::default() }
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.is_connecting
    }

    /// Whether a message of this length can be taken.
    #[inline]
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.outbox.len() + bytes <= OUTBOX_BYTES_MAX
    }

    /// What goes out next is appended here.
    #[inline]
    pub(crate) fn outbox(&mut self) -> &mut Vec<u8> {
        &mut self.outbox
    }

    /// Gives bytes to the socket, and says whether it took all.
    #[inline]
    pub(crate) fn flush(&mut self, now: u64) -> io::Result<bool> {
        let Some(stream) = self.stream.as_mut().filter(|_| !self.is_connecting) else {
            return Ok(true);
        };
        if !self.outbox.is_empty() {
            let written = now_or_zero(stream.write(&self.outbox))?;
            if written == self.outbox.len() {
                self.outbox.clear();
            } else {
                self.outbox.drain(..written);
            }
            self.wrote = now;
        }
        Ok(self.outbox.is_empty())
    }
}

/// All connections of a thread.
#[derive(Debug)]
pub(crate) struct Links {
    all: Vec<Link>,
    epoll: OwnedFd,
    /// Read into, whichever link it is.
    buffer: Box<[u8]>,
    ready: Vec<u32>,
}

impl Links {
    pub(crate) fn new(count: usize) -> io::Result<Self> {
        Ok(Self {
            all: (0..count).map(|_| Link::new()).collect(),
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            buffer: vec![0; 4 * OUTBOX_BYTES_MAX].into(),
            ready: Vec::with_capacity(EVENTS),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    #[inline]
    pub(crate) fn link(&mut self, index: usize) -> &mut Link {
        &mut self.all[index]
    }

    /// Begins to connect a link's place to an address, without waiting: others are being measured.
    /// What is put into its outbox goes out when the connection is there; if there is none, reading
    /// says why.
    pub(crate) fn connect(&mut self, index: usize, address: SocketAddr) -> io::Result<()> {
        let is_old = address.is_ipv4();
        let family = if is_old { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        self.add(index, socket.into(), EventFlags::IN | EventFlags::OUT)?;
        self.all[index].is_connecting = true;
        Ok(())
    }

    /// Puts a connection into a link's place.
    pub(crate) fn put(&mut self, index: usize, stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        self.add(index, stream, EventFlags::IN)
    }

    fn add(&mut self, index: usize, stream: TcpStream, events: EventFlags) -> io::Result<()> {
        stream.set_nodelay(true)?;
        epoll::add(&self.epoll, &stream, EventData::new_u64(index as u64), events)?;
        self.cut(index);
        self.all[index].stream = Some(stream);
        Ok(())
    }

    /// Lets [`Self::look`] find a connection by a number, whoever has it.
    pub(crate) fn watch(&self, index: usize, stream: &TcpStream) -> io::Result<()> {
        let number = EventData::new_u64(index as u64);
        Ok(epoll::add(&self.epoll, stream, number, EventFlags::IN)?)
    }

    /// Closes a connection. What was in its boxes is gone.
    pub(crate) fn cut(&mut self, index: usize) {
        // Closing takes it out of the epoll too.
        self.all[index].stream = None;
        self.all[index].is_connecting = false;
        self.all[index].outbox.clear();
        self.all[index].rest.clear();
    }

    /// Which links have something to read, without waiting; at most so many at once.
    #[inline]
    pub(crate) fn look(&mut self) -> io::Result<usize> {
        self.ready.clear();
        let mut buffer = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
        match epoll::wait(&self.epoll, &mut buffer, Some(&AT_ONCE)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok((found, _)) => {
                // The kernel packs them: a copy, not a reference.
                self.ready.extend(found.iter().map(|event| {
                    let data = event.data;
                    data.u64() as u32
                }));
            }
        }
        Ok(self.ready.len())
    }

    /// One of those that [`Self::look`] found.
    #[inline]
    pub(crate) fn ready(&self, index: usize) -> usize {
        self.ready[index] as usize
    }

    /// Sleeps until a link has something to read, but no longer than so many nanoseconds.
    pub(crate) fn sleep(&self, nanos: u64) {
        let second = 1_000_000_000;
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        let longest = Timespec { tv_sec: nanos / second, tv_nsec: nanos % second };
        // Whatever ended it: the caller looks at everything next.
        let _ = poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&longest));
    }

    /// Reads what a link has. `hear` gets all bytes that came, is also given the links to write to
    /// them, and says how many bytes it took; what is left comes again with more behind it.
    /// An error is the connection's end.
    #[inline]
    pub(crate) fn read(
        &mut self,
        index: usize,
        hear: impl FnOnce(&mut Self, &[u8]) -> Result<usize, String>,
    ) -> Result<(), String> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self.read_into(index, &mut buffer);
        let heard = read.and_then(|length| {
            if length == 0 {
                return Ok(());
            }
            let taken = hear(self, &buffer[..length])?;
            self.all[index].rest.extend_from_slice(&buffer[taken..length]);
            Ok(())
        });
        self.buffer = buffer;
        heard
    }

    /// How many bytes there are now, those left over first; 0 when nothing came.
    fn read_into(&mut self, index: usize, buffer: &mut [u8]) -> Result<usize, String> {
        let link = &mut self.all[index];
        let Some(stream) = &mut link.stream else { return Ok(0) };
        let was_connecting = std::mem::take(&mut link.is_connecting);
        if was_connecting {
            // It has an answer, which reading tells; from now on only what comes is of interest.
            let number = EventData::new_u64(index as u64);
            epoll::modify(&self.epoll, &*stream, number, EventFlags::IN)
                .map_err(|error| error.to_string())?;
        }
        let rest = link.rest.len();
        match stream.read(&mut buffer[rest..]) {
            Ok(0) => Err("the other side hung up".to_owned()),
            Ok(read) => {
                buffer[..rest].copy_from_slice(&link.rest);
                link.rest.clear();
                Ok(rest + read)
            }
            moved => now_or_zero(moved).map_err(|error| {
                let advice = if was_connecting { "; does a server listen there?" } else { "" };
                format!("{error}{advice}")
            }),
        }
    }
}

/// A socket that is not ready moves nothing now, which is no error.
pub(crate) fn now_or_zero(moved: io::Result<usize>) -> io::Result<usize> {
    match moved {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(0)
        }
        moved => moved,
    }
}

/// Lets this process open as many files as it may, and says how many.
pub(crate) fn open_files_max() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If not, the old limit stands, and is what is said.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Duration;

    use super::*;

    /// A host that says nothing to those who would connect, as one that is dead.
    pub(crate) fn dead() -> (OwnedFd, SocketAddr, Vec<TcpStream>) {
        let socket =
            socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .expect("a socket");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        rustix::net::bind(&socket, &any).expect("loopback");
        rustix::net::listen(&socket, 0).expect("loopback");
        let address = rustix::net::getsockname(&socket).expect("bound");
        let address = SocketAddr::try_from(address).expect("of IP");
        // Its queue is full as soon as one has to wait.
        let wait = Duration::from_millis(200);
        let full = std::iter::from_fn(|| TcpStream::connect_timeout(&address, wait).ok());
        let full = full.collect();
        (socket, address, full)
    }

    #[test]
    fn nobody_waits_for_a_host_that_does_not_answer() {
        let (_socket, address, _full) = dead();
        let mut links = Links::new(1).expect("an epoll");
        links.connect(0, address).expect("it has only begun");
        links.link(0).outbox().push(1);
        assert_eq!(links.look().expect("an epoll"), 0);
        assert!(links.link(0).flush(1).expect("nothing to do") && links.link(0).is_connecting());
    }

    #[test]
    fn what_was_said_early_goes_out_when_the_connection_is_there() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let mut links = Links::new(1).expect("an epoll");
        links.connect(0, listener.local_addr().expect("bound")).expect("it has only begun");
        links.link(0).outbox().push(7);
        while links.look().expect("an epoll") == 0 {}
        links.read(0, |_, bytes| Ok(bytes.len())).expect("connected");
        assert!(links.link(0).flush(1).expect("connected"));
        let (mut stream, _) = listener.accept().expect("loopback");
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("sent");
        assert_eq!(byte, [7]);
        assert_eq!(links.look().expect("an epoll"), 0, "room to write is of no interest any more");
    }
}
