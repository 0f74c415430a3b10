//! The network between two nodes, as one that can be cut: each finds the other one at a relay's
//! address, and what a cut holds back arrives once it is mended, as on a real network, unless the
//! nodes have given the connection up by then.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Scope, sleep};
use std::time::Duration;

use crate::failover::{Node, at};
use crate::peer::Stops;

/// Where a node's replication address is for the other one.
const PORT: u16 = 9013;
const LOOK: Duration = Duration::from_millis(1);
const PIECE: usize = 4 << 10;

/// What is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// What the first node says does not arrive …
    FromFirst,
    /// … or what the second one says …
    FromSecond,
    /// … or nothing does.
    Both,
}

pub(crate) const CUTS: [Cut; 3] = [Cut::FromFirst, Cut::FromSecond, Cut::Both];

/// Both ways between two nodes.
pub(crate) struct Wire {
    net: u8,
    /// So many bytes of each node may pass.
    room: [Mutex<usize>; 2],
    is_done: AtomicBool,
}

impl Wire {
    pub(crate) fn new(net: u8) -> Self {
        let open = || Mutex::new(usize::MAX);
        Self { net, room: [open(), open()], is_done: AtomicBool::new(false) }
    }

    /// Connects both, until what it gives is dropped.
    pub(crate) fn start<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        nodes: &mut [Node],
    ) -> Stops<'env> {
        for (server, node) in nodes.iter_mut().take(2).enumerate() {
            node.meets(&at(self.net, 2 - server, PORT));
            let listener = TcpListener::bind(at(self.net, server + 1, PORT)).unwrap();
            listener.set_nonblocking(true).unwrap();
            let to = at(self.net, server + 1, 9003).parse().unwrap();
            scope.spawn(move || self.accept(scope, &listener, to, server));
        }
        Stops(&self.is_done)
    }

    pub(crate) fn cut(&self, cut: Cut) {
        self.set(0, if cut == Cut::FromSecond { usize::MAX } else { 0 });
        self.set(1, if cut == Cut::FromFirst { usize::MAX } else { 0 });
    }

    pub(crate) fn mend(&self) {
        self.set(0, usize::MAX);
        self.set(1, usize::MAX);
    }

    /// So much more of what the first node says passes, and then nothing.
    pub(crate) fn let_pass_of_first(&self, bytes: usize) {
        self.set(0, bytes);
    }

    /// Whether all has passed that may.
    pub(crate) fn is_cut(&self, sender: usize) -> bool {
        *self.room[sender].lock().unwrap_or_else(PoisonError::into_inner) == 0
    }

    fn set(&self, sender: usize, bytes: usize) {
        // Behind this lock nobody is passing anything on.
        *self.room[sender].lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }

    fn accept<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        listener: &TcpListener,
        to: SocketAddr,
        server: usize,
    ) {
        while !self.is_done.load(Ordering::SeqCst) {
            // To connect takes both ways.
            if self.is_cut(0) || self.is_cut(1) {
                sleep(LOOK);
                continue;
            }
            let Ok((client, _)) = listener.accept() else {
                sleep(LOOK);
                continue;
            };
            // Where nobody listens, whoever came is let go.
            let Ok(node) = TcpStream::connect(to) else { continue };
            for socket in [&client, &node] {
                socket.set_nodelay(true).unwrap();
                socket.set_nonblocking(true).unwrap();
            }
            let (from_client, to_node) = (client.try_clone().unwrap(), node.try_clone().unwrap());
            scope.spawn(move || self.pass(from_client, to_node, 1 - server));
            scope.spawn(move || self.pass(node, client, server));
        }
    }

    /// Passes on what one says, and that it says no more.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, sender: usize) {
        while !self.is_done.load(Ordering::SeqCst) {
            let mut room = self.room[sender].lock().unwrap_or_else(PoisonError::into_inner);
            match step(&mut from, &mut to, &mut room) {
                Step::Nothing => {
                    drop(room);
                    sleep(LOOK);
                }
                Step::Passed => {}
                // The other way says so to the other node.
                Step::End => {
                    let _ = to.shutdown(Shutdown::Write);
                    let _ = from.shutdown(Shutdown::Read);
                    return;
                }
            }
        }
    }
}

enum Step {
    Passed,
    Nothing,
    End,
}

/// Passes on a piece of what came, as far as there is room on the way and at its end.
fn step(from: &mut TcpStream, to: &mut TcpStream, room: &mut usize) -> Step {
    let mut piece = [0; PIECE];
    let most = piece.len().min(*room);
    if most == 0 {
        return Step::Nothing;
    }
    let seen = match from.peek(&mut piece[..most]) {
        Ok(0) => return Step::End,
        Ok(seen) => seen,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Step::Nothing,
        Err(_) => return Step::End,
    };
    let written = match to.write(&piece[..seen]) {
        Ok(written) => written,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Step::Nothing,
        Err(_) => return Step::End,
    };
    // It was seen: it is there.
    from.read_exact(&mut piece[..written]).unwrap();
    if *room != usize::MAX {
        *room -= written;
    }
    Step::Passed
}
