//! At the end, when nothing goes wrong any more: both nodes have the same, and it is what clients
//! were told.

use std::collections::{BTreeMap, BTreeSet};

use crossbeam_channel::Receiver;
use ringframe::machine::Standing;
use ringframe_journal::{Reader, SimulatedStorage, verify};

use crate::client::{Client, Wrong};
use crate::conserve::as_the_naive_exchange;
use crate::world::{MILLISECOND, World};

/// All frames there are, from which one on.
fn frames(journal: &SimulatedStorage) -> Result<(u64, Vec<Vec<u8>>), Wrong> {
    let failed = |error| format!("it cannot be read: {error}");
    let mut reader = Reader::open_first(journal.clone()).map_err(failed)?;
    let (first, mut frames) = (reader.next_sequence(), Vec::new());
    while let Some(frame) = reader.next_frame().map_err(failed)? {
        frames.push(frame.bytes().to_vec());
    }
    Ok((first, frames))
}

fn same(
    what: &str,
    one: &SimulatedStorage,
    (number, other): (usize, &SimulatedStorage),
) -> Result<(), Wrong> {
    let ((first, one), (second, other)) = (frames(one)?, frames(other)?);
    // Either may have been pruned.
    let begin = first.max(second);
    let (one, other) = (&one[(begin - first) as usize..], &other[(begin - second) as usize..]);
    if one.len() != other.len() {
        return Err(format!("{what}: n0 has {} frames, n{number} {}", one.len(), other.len()));
    }
    match one.iter().zip(other).position(|(one, other)| one != other) {
        None => Ok(()),
        Some(place) => {
            Err(format!("{what}: frame {} of n{number} differs from n0's", begin + place as u64))
        }
    }
}

impl World {
    pub(crate) fn compare(&mut self) -> Result<(), Wrong> {
        let mut all: Vec<_> = self.nodes.iter().collect();
        all.extend(self.third.as_ref().map(|third| &third.machine));
        let one = all[0].disks.stores.clone();
        for machine in all {
            let (number, stores) = (machine.number, &machine.disks.stores);
            if number != 0 {
                same("journals", &one.journal, (number, &stores.journal))?;
                same("event logs", &one.events, (number, &stores.events))?;
            }
            for journal in [&stores.journal, &stores.events] {
                let verified = verify(journal, 1, |_, _| ());
                let verified = verified.map_err(|error| format!("n{number}: {error}"))?;
                if let Some(finding) = verified.findings().next() {
                    return Err(format!("n{number}: {finding}"));
                }
            }
        }
        if self.asks_naive {
            as_the_naive_exchange(&one.journal, &one.events)?;
        }
        self.compare_clients()?;
        if let (Some(late), Some(market)) = (&mut self.late, self.clients.last()) {
            late.compare(market)?;
        }
        self.compare_digests()?;
        let mut trades = BTreeMap::new();
        self.clients.iter().for_each(|client| client.trades(&mut trades));
        // Who was away when a day ended was not told the rest of it, and who never came, nothing.
        let days: BTreeSet<_> = self.clients.iter().flat_map(Client::days).collect();
        let knows_all = |it: &Client| it.knows_ends() && it.days().count() == days.len();
        let least = if self.clients.iter().all(knows_all) { 2 } else { 1 };
        match trades.iter().find(|(_, times)| !(least..=2).contains(*times)) {
            None => Ok(()),
            Some((trade, times)) => Err(format!("trade {trade} was told {times} times")),
        }
    }

    /// Clients were told what the log of events says that they are told, from the first message of
    /// each day on; of a day that ended while one was away, up to where it was.
    fn compare_clients(&mut self) -> Result<(), Wrong> {
        let failed = |error| format!("events cannot be read: {error}");
        let mut told = self.checker.take_told();
        // The other one's may begin late, with a copy, or be pruned further.
        let logs =
            self.nodes.iter().map(|node| Reader::open_first(node.disks.stores.events.clone()));
        let logs = logs.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let mut reader = logs.into_iter().min_by_key(Reader::next_sequence).expect("two nodes");
        while let Some(event) = reader.next_frame().map_err(failed)? {
            if event.sequence() > told.next() {
                return Ok(());
            }
            if event.sequence() == told.next() {
                told.on_event(&event.frame()).map_err(|fault| fault.to_string())?;
            }
        }
        self.clients.iter().try_for_each(|client| client.compare(told.days()))
    }

    fn compare_digests(&mut self) -> Result<(), Wrong> {
        let machines = self.nodes.iter().chain(self.third.as_ref().map(|third| &third.machine));
        let asked: Vec<_> =
            machines.filter_map(|node| Some(node.running()?.ask_standing())).collect();
        let give_up = self.now.after(5_000 * MILLISECOND);
        while asked.iter().any(Receiver::is_empty) {
            self.step()?;
            if self.now > give_up {
                return Err("a processor does not answer".into());
            }
        }
        let standings: Vec<_> = asked.iter().filter_map(|told| told.try_recv().ok()).collect();
        // How much one has compared since it started is its own.
        let at = |standing: &Standing| (standing.applied, standing.digest);
        match standings.iter().all(|standing| at(standing) == at(&standings[0])) {
            true if standings.len() == asked.len() => Ok(()),
            _ => Err(format!("where logic stands differs: {standings:?}")),
        }
    }
}
