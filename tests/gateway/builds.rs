//! Nodes of other builds, in bytes by docs/FORMATS.md: a follower whose build lacks a version of
//! the logic, and one that speaks another version of the link.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use ringframe::exchange::Exchange;
use ringframe::journal::Frame;
use ringframe::journal::frame::{Decoded, decode};
use ringframe::logic::Logic;

use crate::failover::{Node, at};
use crate::peer::PATIENCE;

const NET: u8 = 165;
/// Of the link, as this build speaks it.
const LINK: u16 = 4;
const HELLO: u16 = 0xFF00;
const REFUSED: u16 = 0xFF02;
const HAVE: u16 = 0xFF04;
/// Sooner than who says nothing is given up.
const BEAT: Duration = Duration::from_millis(50);

fn word(version: u16, kind: u16, says: &[&[u8]]) -> Vec<u8> {
    // Of no history yet.
    let payload = [&[0; 8], &says.concat()[..]].concat();
    let mut bytes = Vec::new();
    let (sequence, timestamp, epoch) = (0, 0, 0);
    Frame { sequence, timestamp, epoch, kind, schema: version, payload: &payload }
        .encode(&mut bytes);
    bytes
}

/// The first word of a standby that has nothing, and this version of the logic at most.
fn hello(newest: u32) -> Vec<u8> {
    let name = Exchange::NAME.as_bytes();
    word(LINK, HELLO, &[&[1, name.len() as u8], name, &newest.to_le_bytes()])
}

/// However the test ends, its follower ends, too.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// While it says hello, and that it has nothing yet, `then` happens.
fn followed_by(newest: u32, then: impl FnOnce()) {
    let mut way = TcpStream::connect(at(NET, 1, 9003)).unwrap();
    way.set_nonblocking(true).unwrap();
    let is_over = AtomicBool::new(false);
    scope(|scope| {
        let says = scope.spawn(|| {
            way.write_all(&hello(newest)).unwrap();
            while !is_over.load(Ordering::Relaxed) {
                let heard = 1_u64.to_le_bytes();
                way.write_all(&word(LINK, HAVE, &[&[0; 16], &heard])).unwrap();
                match way.read(&mut [0; 1 << 12]) {
                    Ok(count) => assert!(count > 0, "the link was ended"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                sleep(BEAT);
            }
        });
        let over = Over(&is_over);
        then();
        drop(over);
        says.join().unwrap();
    });
}

#[test]
fn a_version_that_the_standby_lacks_is_not_activated_and_another_link_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = Node::new(NET, 1, "synced", directory.path());
    // Who has nothing is sent the journal, and no copy.
    node.set("--every-commands", "off");
    node.start();
    node.is_there();
    let newest = Exchange::VERSION;
    let activates = format!("version {newest} from command");

    followed_by(newest - 1, || {
        node.wait_for(&format!("\"newest\":{},\"journaled\"", newest - 1));
        let lacks = format!("its build has version {} at most", newest - 1);
        node.operate(&["activate"]).expect(1, &[&lacks, "Install the newer build", "--force"]);
        node.operate(&["activate", "--force"]).expect(0, &[&activates, &lacks]);
        node.operate(&["status"]).expect(0, &["behind, its build has version"]);
        // Nobody has that one, which is another answer.
        node.operate(&["activate", "999"]).expect(2, &["this build has the versions"]);
    });
    node.wait_for("\"followers\":[]");
    node.operate(&["activate"]).expect(0, &[&activates, "no standby follows now"]);
    followed_by(newest, || {
        node.wait_for(&format!("\"newest\":{newest},\"journaled\""));
        let said = node.operate(&["activate"]).expect(0, &[&activates]);
        assert_eq!(said.out.lines().count(), 1, "{said:?}");
    });

    let mut older = TcpStream::connect(at(NET, 1, 9003)).unwrap();
    older.set_read_timeout(Some(PATIENCE)).unwrap();
    older.write_all(&word(LINK - 1, HELLO, &[b"as it was then"])).unwrap();
    let mut answer = Vec::new();
    older.read_to_end(&mut answer).unwrap();
    let Decoded::Frame(frame) = decode(&answer) else { panic!("{answer:?}") };
    assert_eq!((frame.kind(), frame.schema()), (REFUSED, LINK));
    let why = String::from_utf8_lossy(&frame.payload()[8..]);
    assert!(why.contains(&format!("version {} of the link", LINK - 1)), "{why}");
    node.says("was refused: it speaks version");
}
