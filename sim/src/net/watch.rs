//! Who waits for something: which streams and listeners of a process have anything.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Mutex;

use ringframe::net::{Interest, Ready, Source, Watch};
use ringframe::stage::Sleeper;

use super::{SimNet, Wires};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    End(u64, usize),
    Door(SocketAddr),
}

/// Which of a process's streams have something.
#[derive(Debug)]
pub(crate) struct SimWatch {
    net: SimNet,
    watched: Mutex<Vec<(What, u64, Interest)>>,
    ready: Vec<Ready>,
}

impl SimWatch {
    pub(super) fn new(net: SimNet) -> Self {
        Self { net, watched: Mutex::default(), ready: Vec::new() }
    }
}

impl Wires {
    fn ready(&self, what: What, token: u64, interest: Interest) -> Option<Ready> {
        let (id, side) = match what {
            What::Door(address) => {
                let read = self.doors.get(&address).is_some_and(|door| !door.waiting.is_empty());
                let ready = Ready { token, read, write: false, broken: false };
                return (read && interest.read).then_some(ready);
            }
            What::End(id, side) => (id, side),
        };
        let end = &self.lines.get(&id)?.ends[side];
        let broken = end.is_broken || (end.has_ended && end.has_finished);
        let read = interest.read && (!end.inbox.is_empty() || end.has_ended);
        let write = interest.write && self.room(id, side) > 0;
        let ready = Ready { token, read: broken || read, write: broken || write, broken };
        (broken || read || write).then_some(ready)
    }
}

fn what(source: &Source<'_, SimNet>) -> io::Result<What> {
    match source {
        Source::Stream(stream) => Ok(What::End(stream.id, stream.side)),
        Source::Listener(listener) => Ok(What::Door(listener.address)),
        Source::Datagrams(_) => Err(ErrorKind::Unsupported.into()),
    }
}

impl Watch<SimNet> for SimWatch {
    fn add(&self, source: Source<'_, SimNet>, token: u64, interest: Interest) -> io::Result<()> {
        let what = what(&source)?;
        self.watched.lock().expect("one thread").push((what, token, interest));
        Ok(())
    }

    fn change(&self, source: Source<'_, SimNet>, token: u64, interest: Interest) -> io::Result<()> {
        let what = what(&source)?;
        let mut watched = self.watched.lock().expect("one thread");
        let found = watched.iter_mut().find(|(it, ..)| *it == what);
        let (_, at, now) = found.ok_or(ErrorKind::NotFound)?;
        (*at, *now) = (token, interest);
        Ok(())
    }

    fn remove(&self, source: Source<'_, SimNet>) -> io::Result<()> {
        let what = what(&source)?;
        self.watched.lock().expect("one thread").retain(|(it, ..)| *it != what);
        Ok(())
    }

    fn look(&mut self) -> io::Result<usize> {
        self.ready.clear();
        let wires = self.net.wires();
        let watched = self.watched.get_mut().expect("one thread");
        // Who was closed is forgotten, as the kernel does.
        watched.retain(|(what, ..)| match what {
            What::End(id, side) => wires.lines.get(id).is_some_and(|it| it.ends[*side].is_held),
            What::Door(_) => true,
        });
        let ready = watched.iter().filter_map(|&(what, token, how)| wires.ready(what, token, how));
        self.ready.extend(ready);
        Ok(self.ready.len())
    }

    fn ready(&self, index: usize) -> Ready {
        self.ready[index]
    }

    fn sleeper(&self) -> io::Result<Box<dyn Sleeper>> {
        Err(ErrorKind::Unsupported.into())
    }
}
