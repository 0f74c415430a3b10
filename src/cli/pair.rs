//! The part of a served node that knows of another one: whether it leads, what it has to cut before
//! it follows, and the stage that others talk to.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringframe::clock::Clock;
use ringframe::config::{Activate, Config, NodeNumber};
use ringframe::control;
use ringframe::exchange::Exchange;
use ringframe::exchange::command::Command;
use ringframe::exchange_json::write_command;
use ringframe::logic::Logic;
use ringframe::net::{Guarded, Keys, Listener, Net};
use ringframe::node::Stores;
use ringframe::pair::PairOptions;
use ringframe::record::Record;
use ringframe::recovery::last_sequence;
use ringframe::replication::{
    Beginning, Epochs, HistoryId, Porter, beginning, cut, leaves_a_beginning,
};
use ringframe::stage::Fault;
use ringframe::tls::{Acceptor, Connector, TlsError, Trust};
use ringframe::types::Sequence;
use ringframe_journal::{Error, MappedStorage, Reader};

use super::Failure;

pub(super) mod arrive;
mod door;

pub(super) use door::Door;

/// So long it waits for a leader that it could not copy, or for who is at work on its segments.
const AGAIN: Duration = Duration::from_secs(1);

/// So many nodes may wait to be taken.
const BACKLOG: i32 = 128;

/// What is known before there is a node.
pub(super) type Pair = ringframe::pair::Pair<MappedStorage, Guarded>;

/// Takes the address, puts somebody there, and finds out what this node is; after a fault that says
/// so, it follows, without what only it has.
pub(super) fn prepare(
    config: &Config,
    stores: &Stores<MappedStorage>,
    after: Option<&Fault>,
    clock: Clock,
) -> Result<(Pair, Option<Door>), Failure> {
    let net = Guarded::new(keys(config, clock)?);
    let listener = config.replication.map(|address| listen(&net, address)).transpose()?;
    arrive::settle(&config.data)?;
    let journal = config.data.join("journal");
    fs::create_dir_all(&journal)
        .map_err(|error| Failure::Fault(format!("cannot create {}: {error}", journal.display())))?;
    let mut epochs = open_epochs(stores, config)?;
    // Two that start together ask each other.
    let door = listener.map(|listener| Door::new(Porter::new(listener, &epochs), clock));
    let other = config.other();
    match (after, other) {
        (Some(Fault::Surplus { agreed }), _) if leaves_a_beginning(stores, *agreed)? => {
            take_off(stores, &mut epochs, *agreed, &config.data)?;
        }
        (Some(why @ (Fault::Surplus { .. } | Fault::Behind { .. })), Some(leader)) => {
            take_copy((&net, leader), &epochs, why, config, clock)?;
            epochs = open_epochs(stores, config)?;
        }
        _ => {}
    }
    let beginning = match after {
        Some(_) => Beginning::Follows,
        None => beginning(&mut epochs, Exchange::NAME, &net, other, config.standby_of.is_some())
            .map_err(Failure::Fault)?,
    };
    if beginning == Beginning::Unknown {
        return Err(Failure::Usage(format!(
            "this node led, and another one leads a later term, {}: name that one's replication \
             address with --peer, so that this one follows it",
            epochs.highest().0
        )));
    }
    let options = PairOptions {
        other,
        stands_by: config.stands_by,
        release: config.release,
        on_standby_loss: config.on_standby_loss,
        activate: config.activate == Activate::Start,
    };
    // Who is at the door gives it to the node.
    Ok((Pair { net, listener: None, epochs, beginning, options }, door))
}

/// Does what needs segments for itself; whoever archives, prunes or repairs them is waited for.
pub(super) fn patiently<T>(mut work: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let mut waits = false;
    loop {
        let done = work();
        let Err(Failure::Journal(why) | Failure::Node(Fault::EventLog(why))) = &done else {
            return done;
        };
        if !matches!(why, Error::Maintained { .. }) {
            return done;
        }
        if !std::mem::replace(&mut waits, true) {
            tracing::warn!("{why}: this node waits for that");
        }
        #[expect(clippy::disallowed_methods, reason = "nothing runs yet")]
        std::thread::sleep(AGAIN);
    }
}

/// Whether a program may order in a directory where no other node is known.
pub(super) fn is_alone(config: &Config, stores: &Stores<MappedStorage>) -> Result<(), Failure> {
    let epochs = open_epochs(stores, config)?;
    if epochs.terms().is_empty() || epochs.led_last() {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{} is a standby's: its leader orders, and what this program orders would not be there. \
         Use another directory, or a copy without the file journal/epochs",
        config.data.display()
    )))
}

/// Says which history the journal is of, or why that is not known by then.
pub(super) fn history(
    stores: &Stores<MappedStorage>,
    config: &Config,
) -> impl Fn() -> Result<u64, String> + Send + 'static {
    let (journal, number) = (stores.journal.clone(), config.number());
    move || match Epochs::open(journal.clone(), number).map(|epochs| epochs.history()) {
        Ok(HistoryId(0)) => Err("the journal's history has no number yet".into()),
        Ok(HistoryId(history)) => Ok(history),
        Err(fault) => Err(fault.to_string()),
    }
}

/// What the directory promised; its number stays, whatever the settings leave open.
fn open_epochs(
    stores: &Stores<MappedStorage>,
    config: &Config,
) -> Result<Epochs<MappedStorage>, Failure> {
    let epochs = Epochs::open(stores.journal.clone(), config.number())?;
    match config.node {
        NodeNumber::Is(number) if number != epochs.node() => Err(Failure::Usage(format!(
            "node is {number}, and {} is of node {}: two nodes of one number could lead one term. \
             Leave the setting out, or begin from an empty directory",
            config.data.display(),
            epochs.node()
        ))),
        _ => Ok(epochs),
    }
}

/// What guards the link, where something does.
fn keys(config: &Config, clock: Clock) -> Result<Option<Keys>, Failure> {
    let Some((own, authority)) = config.link.identity().zip(config.link.clients.clone()) else {
        return Ok(None);
    };
    let wrong = |error: TlsError| Failure::Usage(format!("link: {error}"));
    let acceptor = Acceptor::new(own.clone(), Some(authority.clone())).map_err(wrong)?;
    acceptor.out_of_date(clock.now()).iter().for_each(|line| say!("link: {line}"));
    let connector = Connector::new(&Trust::Authorities(authority), Some(&own), None);
    Ok(Some(Keys { acceptor, connector: connector.map_err(wrong)? }))
}

fn listen(net: &Guarded, address: SocketAddr) -> Result<<Guarded as Net>::Listener, Failure> {
    let listener = net.bind(address).and_then(|listener| {
        listener.open(BACKLOG)?;
        Ok(listener)
    });
    listener.map_err(|error| {
        Failure::Fault(format!(
            "cannot listen on {address} for other nodes: {error}; is another node running? \
             --replication chooses another address, and off does without"
        ))
    })
}

/// Cuts what the leader does not have, and keeps a list of it.
fn take_off(
    stores: &Stores<MappedStorage>,
    epochs: &mut Epochs<MappedStorage>,
    agreed: Sequence,
    data: &Path,
) -> Result<(), Failure> {
    let listed = list_after(&stores.journal, agreed, data)?;
    let cut = patiently(|| Ok(cut::<Exchange, _>(stores, epochs, agreed)?))?;
    if let Some(commands) = cut.commands {
        tell_cut((agreed, Sequence(commands.last)), listed, &commands.kept_in, data);
    }
    Ok(())
}

/// Begins with a copy of what the leader has; where that cannot be had, with what is here, and
/// looks for a leader again.
fn take_copy(
    from: (&Guarded, SocketAddr),
    epochs: &Epochs<MappedStorage>,
    why: &Fault,
    config: &Config,
    clock: Clock,
) -> Result<(), Failure> {
    let agreed = match why {
        Fault::Surplus { agreed } => Some(*agreed),
        _ => None,
    };
    if let Some(agreed) = agreed {
        tracing::warn!(
            "a cut after command {} leaves nothing to start from, as all snapshots are of later \
             ones and what was before them was pruned: a copy takes its place",
            agreed.0
        );
    }
    match arrive::take(from, epochs, &config.data, clock) {
        Ok(kept) => {
            let listed = agreed.zip(kept);
            listed.map_or(Ok(()), |(agreed, kept)| list_replaced(kept, agreed, &config.data))
        }
        Err(failure) => {
            say!("replication: {failure}");
            #[expect(clippy::disallowed_methods, reason = "nothing runs yet")]
            std::thread::sleep(AGAIN);
            Ok(())
        }
    }
}

/// Lists what the leader does not have of a directory whose place a copy has taken.
fn list_replaced(kept: PathBuf, agreed: Sequence, data: &Path) -> Result<(), Failure> {
    let journal = MappedStorage::new(kept.join("journal"));
    let listed = list_after(&journal, agreed, data)?;
    let last = last_sequence(&journal)?.unwrap_or(agreed);
    tell_cut((agreed, last), listed, &[kept], data);
    Ok(())
}

fn tell_cut((agreed, last): (Sequence, Sequence), listed: u64, kept_in: &[PathBuf], data: &Path) {
    let kept: Vec<String> = kept_in.iter().map(|path| path.display().to_string()).collect();
    tracing::warn!(
        sequence = agreed.0,
        "WARNING: the commands {} to {} were ordered here and no other node has them: they were \
         cut. {listed} of them are clients' and stand in {} with their sessions and tokens; the \
         bytes are kept in {}",
        agreed.0 + 1,
        last.0,
        list_of(agreed, data).display(),
        kept.join(", ")
    );
}

fn list_of(agreed: Sequence, data: &Path) -> PathBuf {
    data.join(format!("cut-after-{}.jsonl", agreed.0))
}

/// Lists each command behind `agreed` as a line: its sequence and what it says. How many there are.
fn list_after(journal: &MappedStorage, agreed: Sequence, data: &Path) -> Result<u64, Failure> {
    let list = list_of(agreed, data);
    append_after(journal, agreed, &list)
        .map_err(|error| Failure::Fault(format!("cannot write {}: {error}", list.display())))
}

fn append_after(journal: &MappedStorage, agreed: Sequence, list: &Path) -> std::io::Result<u64> {
    let mut listed = 0;
    let mut out = BufWriter::new(File::options().append(true).create(true).open(list)?);
    let reader = Reader::open(journal.clone(), agreed.0 + 1).or_else(|error| match error {
        // Where the journal was pruned past the cut, what is left of it.
        Error::OutOfRange { first, .. } if first > agreed.0 => Reader::open_first(journal.clone()),
        other => Err(other),
    });
    // What cannot be read is kept as bytes all the same.
    let Ok(mut reader) = reader else { return Ok(0) };
    while let Ok(Some(frame)) = reader.next_frame() {
        if control::is_control(frame.kind()) {
            continue;
        }
        let command = Command::decode(frame.kind(), frame.schema(), frame.payload());
        let mut line = format!("{{\"sequence\":{},\"command\":", frame.sequence());
        match command {
            Ok(command) => write_command(&mut line, &command),
            Err(_) => line.push_str("null"),
        }
        writeln!(out, "{line}}}")?;
        listed += 1;
    }
    out.into_inner()?.sync_all()?;
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use ringframe_journal::storage::Storage;
    use ringframe_journal::{Append, Frame, Journal, Options, survey};

    use super::*;

    #[test]
    fn what_a_journal_pruned_past_the_cut_still_has_is_listed() {
        let data = tempfile::tempdir().unwrap();
        let storage = MappedStorage::new(data.path().join("journal"));
        let segment_bytes = Options::SEGMENT_BYTES_MIN;
        let options = Options { segment_bytes, ..Options::new(Exchange::NAME, 1) };
        let mut journal = Journal::open(storage.clone(), options).unwrap();
        let frame = Frame { sequence: 0, timestamp: 0, epoch: 1, kind: 1, schema: 1, payload: &[] };
        while journal.writer.next_sequence() <= 4_000 {
            let frame = Frame { sequence: journal.writer.next_sequence(), ..frame };
            while journal.writer.append(&frame).unwrap() == Append::Wait {
                journal.writer.publish().unwrap();
                journal.syncer.poll(0).unwrap();
                journal.keeper.poll(0).unwrap();
            }
        }
        journal.close(0).unwrap();
        let segments = survey(&storage).unwrap();
        storage.remove(&ringframe_journal::segment::file_name(segments[0].number)).unwrap();
        let first = segments[1].good_header().unwrap().first_sequence;
        let listed = list_after(&storage, Sequence(10), data.path()).unwrap();
        assert_eq!(listed, 4_001 - first);
        let list = fs::read_to_string(list_of(Sequence(10), data.path())).unwrap();
        assert!(list.starts_with(&format!("{{\"sequence\":{first},")), "{list}");
    }
}
