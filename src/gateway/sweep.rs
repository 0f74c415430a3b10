//! What is looked after now and then: heartbeats, silences, and who takes too long.

use super::connection::{End, Phase, SNAPSHOT_NANOS, Source};
use super::{Gateway, GatewayOptions};
use crate::exchange::AnyBuild;
use crate::history::Remark;
use crate::net::{Interest, Net};
use crate::streams::Stream;
use crate::traffic::{Ask, Clients, Talker};
use crate::types::Nanos;
use crate::wire::soup::FromServer;

/// So often heartbeats and silences are looked after.
const SWEEP_EVERY: u64 = Nanos::SECOND / 10;
/// After a longer time without a sweep this process was stopped, or its machine was.
const PAUSE_NANOS: u64 = 2 * Nanos::SECOND;
/// So often the counts of streams are put on disk, while there are new events …
const TALLY_EVERY: u64 = 60 * Nanos::SECOND;
/// … or after so many of them.
const TALLY_EVENTS: u64 = 5_000_000;

impl<N: Net, L: AnyBuild> Gateway<N, L> {
    fn forgive(&mut self, nanos: u64) {
        for place in 0..self.connections.places() {
            let token = self.connections.at(place);
            if let Some(connection) = token.and_then(|token| self.connections.get(token)) {
                connection.heard = connection.heard.after(nanos);
                connection.opened = connection.opened.after(nanos);
                connection.said = connection.said.after(nanos);
            }
        }
    }

    /// Heartbeats, silences, and who did not log in.
    pub(super) fn sweep(&mut self, now: Nanos) {
        if now < self.swept.after(SWEEP_EVERY) {
            return;
        }
        if now > self.swept.after(PAUSE_NANOS) && self.swept != Nanos::default() {
            // We were not there, so nobody can be blamed for what we did not hear.
            self.forgive(now.0 - self.swept.0);
        }
        self.swept = now;
        if std::mem::take(&mut self.doors_are_shut) {
            self.watch_doors(Interest::READ);
        }
        let mut clients = Clients { began: self.tally.day().time, ..Clients::default() };
        for place in 0..self.connections.places() {
            let Some(token) = self.connections.at(place) else { continue };
            let connection = self.connections.get(token).expect("it is there");
            let GatewayOptions { silence_nanos, heartbeat_nanos, .. } = self.options;
            let Some(stream) = connection.stream() else {
                self.sweep_outside(token, now);
                continue;
            };
            match stream {
                Stream::Feed => clients.readers += 1,
                Stream::Session(_) => clients.sessions += 1,
            }
            if now > connection.heard.after(silence_nanos) && !connection.stalled {
                self.end(token, &End::Silent);
            } else if now >= connection.said.after(heartbeat_nanos)
                && connection.is_idle(self.rooms.window(stream))
            {
                connection.say(&FromServer::Heartbeat);
                self.flush(token, now);
            }
        }
        clients.connections = self.connections.len() as u64;
        self.traffic.set_clients(clients);
        while let Some(ask) = self.traffic.asked() {
            self.name_talkers(ask);
        }
        self.cancel_orphans(now);
        self.keep_tally(now);
    }

    /// Says who is logged in, as far as there is room for them.
    #[cold]
    fn name_talkers(&mut self, ask: Ask) {
        let Ask { mut room, tell } = ask;
        for place in 0..self.connections.places() {
            let Some(token) = self.connections.at(place) else { continue };
            let connection = self.connections.get(token).expect("it is there");
            let Some(stream) = connection.stream().filter(|_| room.len() < room.capacity()) else {
                continue;
            };
            room.push(Talker {
                session: match stream {
                    Stream::Feed => None,
                    Stream::Session(session) => Some(session),
                },
                from: connection.from,
                next: self.tally.next(stream),
                behind_bytes: connection.behind_bytes(self.rooms.window(stream)),
                since: connection.opened,
                heard: connection.heard,
            });
        }
        // Who asked may have gone away.
        let _ = tell.try_send(room);
    }

    /// Puts the counts on disk, when it is time to.
    pub(super) fn keep_tally(&mut self, now: Nanos) {
        let (at, event) = self.tallied;
        let events = self.tally.event() - event;
        if events > 0 && (now >= at.after(TALLY_EVERY) || events >= TALLY_EVENTS) {
            self.tallied = (now, self.tally.event());
            self.rooms.remarks.push_back(Remark::Tally(Box::new(self.tally.clone())));
        }
    }

    /// One that is in no stream: before its login, late, or on its way out.
    fn sweep_outside(&mut self, token: u64, now: Nanos) {
        let GatewayOptions { login_nanos, silence_nanos, heartbeat_nanos, .. } = self.options;
        let Some(connection) = self.connections.get(token) else { return };
        let (opened, said) = (connection.opened, connection.said);
        let end = match (&connection.phase, &connection.source) {
            // It waits for us.
            (Phase::Verifying(_), _) => None,
            (Phase::Late, _) if now > connection.heard.after(silence_nanos) => Some(End::Silent),
            (Phase::Late, _) => {
                if now >= said.after(heartbeat_nanos) && connection.is_idle(None) {
                    connection.say(&FromServer::Heartbeat);
                    self.flush(token, now);
                }
                None
            }
            (&Phase::Left(until), _) => (now > until).then_some(End::Left),
            (Phase::Leaving, Source::Snapshot(..)) => {
                let is_slow = now > said.after(silence_nanos) || now > opened.after(SNAPSHOT_NANOS);
                is_slow.then_some(End::Slow)
            }
            _ => (now > opened.after(login_nanos)).then_some(End::Silent),
        };
        if let Some(end) = end {
            self.end(token, &end);
        }
    }

    /// Nobody said when clients were lost with the process: those who do not come back are lost.
    fn cancel_orphans(&mut self, now: Nanos) {
        let ends = *self.grace_ends.get_or_insert(now.after(self.options.grace_nanos));
        if now < ends || ends.0 == u64::MAX {
            return;
        }
        self.grace_ends = Some(Nanos(u64::MAX));
        for (session, cancels) in self.tally.names().sessions() {
            if cancels && self.rooms.listener(session).is_none() {
                self.disconnected(session);
            }
        }
    }
}
