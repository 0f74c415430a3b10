//! What happens to the two nodes while clients trade, told as it happens.
#![expect(clippy::disallowed_methods, reason = "it waits for nodes and clients")]

use std::fmt;
use std::io::Write;
use std::thread::{ScopedJoinHandle, scope, sleep};
use std::time::Duration;

use loadgen::ear::Ear;
use loadgen::live::Live;
use loadgen::results::Fact;
use loadgen::run::{Outcome, RunError};
use ringframe::clock::Clock;
use ringframe::types::Nanos;

use super::super::Failure;
use super::PATIENCE;
use super::node::Node;

/// How often it looks whether something is there.
const LOOK: Duration = Duration::from_micros(500);
/// The same for what takes long, and costs somebody something to be asked.
const LOOK_SELDOM: Duration = Duration::from_millis(20);

/// The clients, on a thread of their own.
pub(super) struct Clients<'a> {
    pub(super) live: &'a Live,
    pub(super) thread: &'a ScopedJoinHandle<'a, Result<Outcome, RunError>>,
}

impl Clients<'_> {
    fn are_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until they have sent so many messages; `false` when they are done.
    fn wait_for(&self, sent: u64) -> bool {
        while self.live.sent_so_far() < sent {
            if self.are_done() {
                return false;
            }
            sleep(LOOK);
        }
        true
    }

    /// Waits until one has had a reply since one came back.
    fn wait_for_reply(&self, ear: &mut Ear<'_>) {
        while !ear.has_reply && !self.are_done() {
            ear.listen();
            sleep(LOOK);
        }
    }
}

/// The two, and what became of them.
pub(super) struct Story<'a> {
    pub(super) nodes: [Node; 2],
    /// Which of them.
    pub(super) leads: usize,
    pub(super) kills: u16,
    pub(super) has_handed_over: bool,
    /// For the report's page.
    pub(super) facts: Vec<Fact>,
    clock: Clock,
    begun: Nanos,
    out: &'a mut dyn Write,
}

fn since(from: Nanos, to: Nanos) -> u64 {
    to.0.saturating_sub(from.0)
}

fn ms(nanos: u64) -> String {
    format!("{:.1} ms", nanos as f64 / 1e6)
}

impl<'a> Story<'a> {
    pub(super) fn new(nodes: [Node; 2], out: &'a mut dyn Write) -> Self {
        let clock = Clock::new();
        let (facts, begun) = (Vec::new(), clock.now());
        Self { nodes, leads: 0, kills: 0, has_handed_over: false, facts, clock, begun, out }
    }

    /// A line, with the time.
    pub(super) fn tell(&mut self, what: fmt::Arguments<'_>) -> Result<(), Failure> {
        let seconds = since(self.begun, self.clock.now()) as f64 / 1e9;
        writeln!(self.out, "{seconds:>6.2} s  {what}")?;
        Ok(self.out.flush()?)
    }

    /// A line that stands in the report, too.
    fn tell_all(&mut self, name: String, what: String) -> Result<(), Failure> {
        self.tell(format_args!("{name}: {what}"))?;
        self.facts.push(Fact { name, value: what });
        Ok(())
    }

    /// Starts both.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        for node in &mut self.nodes {
            node.start()?;
        }
        self.wait_for_standby(|| false)?;
        let [one, two] = [&self.nodes[0], &self.nodes[1]].map(Node::admin);
        self.tell(format_args!(
            "node 1 leads, node 2 stands by: a reply means that both have the order \
             (`ringframe status --admin {one}`, or {two})"
        ))
    }

    /// Kills whoever leads each time that an equal part of the messages went out; lets the last one
    /// hand over in order, a part before the end.
    pub(super) fn play(
        &mut self,
        kills: u16,
        messages: u64,
        clients: &Clients<'_>,
    ) -> Result<(), Failure> {
        for part in 1..=u64::from(kills) + 1 {
            let after = messages * part / (u64::from(kills) + 2);
            let is_time = clients.wait_for(after);
            if !is_time || !self.wait_for_standby(|| clients.are_done())? {
                // They say why themselves, or have nothing more to send.
                break;
            }
            if part <= u64::from(kills) {
                self.kill(clients)?;
            } else {
                self.hand_over(clients)?;
            }
            self.come_back()?;
        }
        Ok(())
    }

    /// The leader dies, its standby is promoted, the clients come back by themselves.
    fn kill(&mut self, clients: &Clients<'_>) -> Result<(), Failure> {
        let mut ear = Ear::new(clients.live);
        let sent = clients.live.sent_so_far();
        let (old, new) = (self.leads, 1 - self.leads);
        let killed = self.clock.now();
        self.nodes[old].kill()?;
        let noticed = self.clock.now();
        self.promote(new)?;
        let leads = self.clock.now();
        clients.wait_for_reply(&mut ear);
        let replied = self.clock.now();
        (self.leads, self.kills) = (new, self.kills + 1);
        let name = format!("kill -9 of node {} after {sent} messages", old + 1);
        let what = format!(
            "seen after {}, node {} leads {} later, a client has its first reply {} after that: \
             {} in all",
            ms(since(killed, noticed)),
            new + 1,
            ms(since(noticed, leads)),
            ms(since(leads, replied)),
            ms(since(killed, replied))
        );
        self.tell_all(name, what)
    }

    fn promote(&mut self, node: usize) -> Result<(), Failure> {
        let give_up = self.clock.now().after(PATIENCE.as_nanos() as u64);
        loop {
            let answer = self.nodes[node].ask("POST", "/promote")?;
            match answer.status {
                200 => return Ok(()),
                // It has not heard yet that its leader is gone.
                409 if self.clock.now() < give_up => sleep(LOOK),
                _ => {
                    let (number, why) = (node + 1, answer.why());
                    return Err(Failure::Fault(format!("node {number} does not lead: {why}")));
                }
            }
        }
    }

    /// The leader gives its place to its standby, in order.
    fn hand_over(&mut self, clients: &Clients<'_>) -> Result<(), Failure> {
        let mut ear = Ear::new(clients.live);
        let sent = clients.live.sent_so_far();
        let (old, new) = (self.leads, 1 - self.leads);
        let node = &self.nodes[old];
        let answer = scope(|scope| {
            let asked = scope.spawn(|| node.ask("POST", "/drain?hand_over=true"));
            while !asked.is_finished() {
                ear.listen();
                sleep(LOOK);
            }
            asked.join().expect("asking does not panic")
        })?;
        if answer.status != 200 {
            let (number, why) = (old + 1, answer.why());
            return Err(Failure::Fault(format!("node {number} does not hand over: {why}")));
        }
        self.nodes[old].end()?;
        clients.wait_for_reply(&mut ear);
        (self.leads, self.has_handed_over) = (new, true);
        let name = format!("node {} hands over to node {} after {sent} messages", old + 1, new + 1);
        let what = format!("clients hear nothing for {}", ms(ear.silence_ns));
        self.tell_all(name, what)
    }

    /// Who led starts again as it always did, and becomes the standby.
    fn come_back(&mut self) -> Result<(), Failure> {
        let begun = self.clock.now();
        let node = &mut self.nodes[1 - self.leads];
        let cut = node.cut();
        node.start()?;
        let stands_by = self.clock.now();
        self.wait_for_standby(|| false)?;
        let node = &self.nodes[1 - self.leads];
        let name = format!("node {} is back", node.number);
        let what = format!(
            "{} to start, {} to catch up; {}",
            ms(since(begun, stands_by)),
            ms(since(stands_by, self.clock.now())),
            match node.cut() - cut {
                0 => "nothing to cut".to_owned(),
                some => format!("it cut {some} commands that only it had, and keeps a list"),
            }
        );
        self.tell_all(name, what)
    }

    /// Waits until the other one could lead; `false` when it is not needed any more.
    fn wait_for_standby(&mut self, is_over: impl Fn() -> bool) -> Result<bool, Failure> {
        let give_up = self.clock.now().after(PATIENCE.as_nanos() as u64);
        while !self.nodes[self.leads].has_standby()? {
            if is_over() {
                return Ok(false);
            }
            if self.clock.now() >= give_up {
                let (number, seconds) = (2 - self.leads, PATIENCE.as_secs());
                return Err(Failure::Fault(format!(
                    "node {number} does not catch up within {seconds} s: see the logs of both"
                )));
            }
            sleep(LOOK_SELDOM);
        }
        Ok(true)
    }

    /// Waits until both are at the same command, and lets them end; whether their states are equal.
    pub(super) fn end(&mut self) -> Result<bool, Failure> {
        let give_up = self.clock.now().after(PATIENCE.as_nanos() as u64);
        let [one, two] = loop {
            let [one, two] = [self.nodes[0].state()?, self.nodes[1].state()?];
            if one.0 == two.0 || self.clock.now() >= give_up {
                break [one, two];
            }
            sleep(LOOK_SELDOM);
        };
        for node in &mut self.nodes {
            node.drain()?;
        }
        let ((last, digest), are_equal) = (&one, one == two);
        if are_equal {
            self.tell(format_args!("both nodes end at command {last} with the digest {digest}"))?;
        } else {
            self.tell(format_args!("the nodes differ: {one:?} and {two:?}"))?;
        }
        Ok(are_equal)
    }
}
