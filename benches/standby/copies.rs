//! The bare limits of a standby's bytes: a socket and a file, and nothing that looks at them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread::scope;
use std::time::{Duration, Instant};

/// Read, written and sent in such pieces, …
const PIECE: usize = 256 << 10;
/// … and so many bytes are durable together.
const SYNC_BYTES: u64 = 4 << 20;

/// Sends so many bytes over loopback, appends them to a new file, and syncs as it goes.
pub(crate) fn over_loopback(bytes: u64, into: &Path) -> Duration {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    scope(|scope| {
        scope.spawn(move || {
            let (mut socket, _) = listener.accept().expect("loopback");
            let piece = vec![7; PIECE];
            let mut left = bytes as usize;
            while left > 0 {
                let length = left.min(PIECE);
                socket.write_all(&piece[..length]).expect("it is read");
                left -= length;
            }
        });
        let mut socket = TcpStream::connect(address).expect("loopback");
        let mut file = File::create(into).expect("a directory");
        let mut piece = vec![0; PIECE];
        let began = Instant::now();
        let (mut written, mut synced) = (0, 0);
        while written < bytes {
            let read = socket.read(&mut piece).expect("it is sent");
            file.write_all(&piece[..read]).expect("room");
            written += read as u64;
            if written - synced >= SYNC_BYTES {
                file.sync_data().expect("a disk");
                synced = written;
            }
        }
        file.sync_data().expect("a disk");
        began.elapsed()
    })
}

/// Makes a directory's files durable; how many bytes they have.
pub(crate) fn sync_all(directory: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(directory).expect("it is there") {
        let path = entry.expect("it is there").path();
        let file = File::open(&path).expect("it is ours");
        file.sync_all().expect("a disk");
        bytes += if path.is_dir() {
            sync_all(&path)
        } else {
            file.metadata().expect("it is ours").len()
        };
    }
    bytes
}
