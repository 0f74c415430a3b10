//! The leader lets its standby lead, in order, under load: how long nobody orders, and how long
//! clients hear nothing.

use std::net::TcpStream;
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadgen::ear::Ear;
use ringframe::journal::{MappedStorage, Reader};

use crate::failover::{clients, load, rate, rows};
use crate::pair::{Pair, ask};
use crate::table::Table;
use crate::{Scale, segments};

/// So often it looks whether the new leader's door is open.
const LOOK: Duration = Duration::from_micros(200);

pub(crate) fn run(scale: &Scale) {
    let times = scale.pick(15, 1);
    let title = format!(
        "f1, 4 sessions at {}/s, replicated: drain --hand-over {times} times, ms. At the nodes \
         (bar 5), from the old leader's last command: the new one takes connections, orders its \
         first command; at clients: the longest silence, the worst latency",
        rate(scale)
    );
    let columns = ["", "door", "first command", "silence", "worst latency"];
    let mut table = Table::new(&title, &columns);
    let mut pair = Pair::start("replicated", segments(scale));
    let found: Vec<_> = (0..times).map(|_| hand_over(&mut pair, scale)).collect();
    let gaps = gaps(&pair.leader().data.join("journal"));
    pair.end();
    assert_eq!(gaps.len(), found.len(), "a term for each");
    let repeats: Vec<_> = gaps
        .iter()
        .zip(found)
        .map(|(gap, [opened, silence, worst])| {
            let door = opened.saturating_sub(gap.last);
            vec![door, gap.first.saturating_sub(gap.last), silence, worst]
        })
        .collect();
    rows(&mut table, &repeats);
    table.print();
}

/// When the door opened, since 1970; the silence; the worst latency.
fn hand_over(pair: &mut Pair, scale: &Scale) -> [Duration; 3] {
    let (load, count) = load(pair, scale);
    let (opened, silence, outcome) = scope(|scope| {
        let clients = clients(scope, &load);
        clients.wait_for(count / 4);
        let mut ear = Ear::new(&clients.live);
        let (old, new) = (pair.leads, 1 - pair.leads);
        let (admin, orders) = (pair.nodes[old].admin(), pair.nodes[new].orders());
        let asked = scope.spawn(move || ask(admin, "/drain?hand_over=true"));
        let opened = scope.spawn(move || {
            // One that follows takes no connections.
            while TcpStream::connect(orders).is_err() {
                sleep(LOOK);
            }
            SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later")
        });
        clients.listen_until(&mut ear, || asked.is_finished());
        asked.join().expect("asking does not panic").expect("it hands over");
        let opened = opened.join().expect("looking does not panic");
        (opened, Duration::from_nanos(ear.silence_ns), clients.end())
    });
    let ended = pair.leader().serving.take().expect("it was asked to end").end();
    ended.expect(0, &["handed over", "drained"]);
    pair.swap();
    pair.standby().start("standing by");
    pair.wait_for_standby();
    [opened, silence, Duration::from_nanos(outcome.results.measured.latency_ns.max)]
}

/// Between two terms, since 1970.
struct Gap {
    /// When the last command of the one was ordered …
    last: Duration,
    /// … and the first of the other.
    first: Duration,
}

/// Every node has the whole story.
fn gaps(journal: &Path) -> Vec<Gap> {
    let mut reader = Reader::open_first(MappedStorage::new(journal)).expect("it opens");
    let (mut gaps, mut before) = (Vec::new(), None);
    while let Some(frame) = reader.next_frame().expect("it reads") {
        let (epoch, at) = (frame.epoch(), Duration::from_nanos(frame.timestamp()));
        if let Some((_, last)) = before.filter(|(term, _)| *term != epoch) {
            gaps.push(Gap { last, first: at });
        }
        before = Some((epoch, at));
    }
    gaps
}
