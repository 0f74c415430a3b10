//! What clients say: logins, and messages that become commands.

use std::sync::Arc;

use ringframe_journal::planted::{Bug, is_planted};

use super::connection::{Door, End, Past, Phase, Source};
use super::socket::begins_tls;
use super::{AHEAD, Gateway, HANDSHAKES, READ_BYTES};
use crate::dialect::ouch;
use crate::doorman::{Denied, Request, Verdict};
use crate::exchange::AnyBuild;
use crate::history::{Answer, Ask, Found, Remark};
use crate::log::Note;
use crate::net::Net;
use crate::streams::Stream;
use crate::traffic::Count;
use crate::types::Nanos;
use crate::users::User;
use crate::wire;
use crate::wire::soup::{FromClient, FromServer, LoginAccepted, LoginReject, LoginRequest};

/// The longest packet that a client may send: a debug text, at most.
pub(super) const PACKET_BYTES_MAX: usize = 512;
/// A session that is held to a rate may be ahead of it by so much time.
const BURST_NANOS: u64 = Nanos::SECOND / 10;

/// What became of a packet.
enum Heard {
    Done,
    /// Not now: the bytes wait.
    Later,
}

impl<N: Net, L: AnyBuild> Gateway<N, L> {
    /// Reads from a socket once; says how many packets were taken, at least one for bytes.
    pub(super) fn read(&mut self, token: u64, now: Nanos) -> usize {
        let mut buffer = std::mem::take(&mut self.buffer);
        let work = self.read_into(token, &mut buffer, now);
        self.buffer = buffer;
        work
    }

    fn read_into(&mut self, token: u64, buffer: &mut [u8], now: Nanos) -> usize {
        if self.intake.has_ended() {
            return 0;
        }
        let Some(connection) = self.connections.get(token) else { return 0 };
        if connection.stalled {
            return 0;
        }
        if connection.socket.is_shaking_hands() {
            if self.handshakes == HANDSHAKES {
                // What is ready stays ready.
                return 0;
            }
            self.handshakes += 1;
        }
        let kept = connection.inbound.len();
        buffer[..kept].copy_from_slice(&connection.inbound);
        connection.inbound.clear();
        // Before a login nobody needs more room than that takes.
        let is_in = connection.stream().is_some();
        let wanted = if is_in { READ_BYTES } else { PACKET_BYTES_MAX };
        let room = connection.socket.room(wanted);
        match connection.read(&mut buffer[..kept + room], kept) {
            Err(end) => {
                self.end(token, &end);
                1
            }
            Ok(0) => {
                connection.inbound.extend_from_slice(&buffer[..kept]);
                self.answer_hands(token, now);
                0
            }
            Ok(_) if matches!(connection.phase, Phase::Left(_)) => {
                self.answer_hands(token, now);
                1
            }
            Ok(bytes) => {
                let packets = self.take(token, &buffer[..kept + bytes], now);
                self.answer_hands(token, now);
                1 + packets
            }
        }
    }

    /// What came may have been for TLS itself: sends its answer, and hears its end.
    fn answer_hands(&mut self, token: u64, now: Nanos) {
        let Some(connection) = self.connections.get(token) else { return };
        if connection.socket.holds_some() {
            self.flush(token, now);
        } else if !connection.stalled && connection.socket.has_ended() {
            self.end(token, &End::Closed);
        }
    }

    /// Takes what is whole of these bytes, and keeps the rest; says how many packets that were.
    fn take(&mut self, token: u64, bytes: &[u8], now: Nanos) -> usize {
        let Some((packets, used)) = self.understand(token, bytes, now) else { return 0 };
        if let Some(connection) = self.connections.get(token) {
            connection.inbound.extend_from_slice(&bytes[used..]);
        }
        packets
    }

    /// Goes on with bytes that were kept.
    fn retry(&mut self, token: u64, now: Nanos) -> usize {
        let Some(connection) = self.connections.get(token) else { return 0 };
        let mut bytes = std::mem::take(&mut connection.inbound);
        let Some((packets, used)) = self.understand(token, &bytes, now) else { return 0 };
        bytes.drain(..used);
        if let Some(connection) = self.connections.get(token) {
            connection.inbound = bytes;
        }
        // Its end may have come while its bytes waited, and epoll does not tell of that again.
        self.answer_hands(token, now);
        packets
    }

    /// Takes what is whole of these bytes: how many packets, and how many bytes. None where that
    /// ended the connection.
    fn understand(&mut self, token: u64, bytes: &[u8], now: Nanos) -> Option<(usize, usize)> {
        let (mut packets, mut used, mut stalls) = (0, 0, false);
        loop {
            let (packet, length) = match FromClient::split(&bytes[used..], PACKET_BYTES_MAX) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(broken) => {
                    let end = match self.connections.get(token)?.phase {
                        Phase::Fresh if begins_tls(bytes) => End::OnlyTls,
                        _ => End::Broken(broken.to_string()),
                    };
                    self.end(token, &end);
                    return None;
                }
            };
            match self.packet(token, &packet, now) {
                Ok(Heard::Done) => {
                    used += length;
                    packets += 1;
                }
                Ok(Heard::Later) => {
                    stalls = true;
                    break;
                }
                Err(end) => {
                    self.end(token, &end);
                    return None;
                }
            }
        }
        let connection = self.connections.get(token)?;
        // A packet that does not come to its end is silence; but one that was not read may have
        // said much.
        if packets > 0 || (connection.stalled && !stalls) {
            connection.heard = now;
        }
        connection.stalled = stalls;
        // Who waits for the doorman is gone on with when he has decided.
        if stalls && !matches!(connection.phase, Phase::Verifying(_)) {
            self.stalled.push_back(token);
        }
        if connection.interest.read == stalls {
            connection.interest.read = !stalls;
            if stalls {
                self.traffic.count(Count::HeldBack);
            }
            self.watch(token);
        }
        Some((packets, used))
    }

    /// Takes a packet, where its session is held to a rate not before it is due.
    fn packet(&mut self, token: u64, packet: &FromClient<'_>, now: Nanos) -> Result<Heard, End> {
        let stream = self.connections.get(token).and_then(|it| it.stream());
        let Some(Stream::Session(session)) = stream.filter(|_| self.options.rate > 0) else {
            return self.packet_at_once(token, packet, now);
        };
        if self.rooms.due(session) > now.after(BURST_NANOS) {
            return Ok(Heard::Later);
        }
        let heard = self.packet_at_once(token, packet, now)?;
        if matches!(heard, Heard::Done) {
            self.rooms.spoke(session, now, Nanos::SECOND / u64::from(self.options.rate));
        }
        Ok(heard)
    }

    fn packet_at_once(
        &mut self,
        token: u64,
        packet: &FromClient<'_>,
        now: Nanos,
    ) -> Result<Heard, End> {
        let Some(connection) = self.connections.get(token) else { return Ok(Heard::Done) };
        match (packet, &connection.phase) {
            (_, Phase::Leaving | Phase::Left(_)) => Ok(Heard::Done),
            (_, Phase::Verifying(_)) => Ok(Heard::Later),
            (FromClient::Login(login), Phase::Fresh) => Ok(self.ask_doorman(token, login)),
            (_, Phase::Fresh) => Err(End::Broken("its first packet was no login".into())),
            (FromClient::Login(_), _) => Err(End::Broken("it logged in twice".into())),
            (FromClient::Logout, _) => Err(End::Closed),
            (FromClient::Heartbeat | FromClient::Debug(_), _) => Ok(Heard::Done),
            (FromClient::Data(message), Phase::Live(Stream::Session(session))) => {
                let session = *session;
                self.message(token, session, message, now)
            }
            (FromClient::Data(_), Phase::Live(Stream::Feed) | Phase::Late) => {
                Err(End::Broken("market data takes no messages".into()))
            }
        }
    }

    fn message(
        &mut self,
        token: u64,
        session: u16,
        message: &[u8],
        now: Nanos,
    ) -> Result<Heard, End> {
        // That it was gone is to be told before what it says now.
        if !self.waiting.is_empty() || !self.has_room() {
            return Ok(Heard::Later);
        }
        let applied = || self.positions.applied();
        let connection = self.connections.get(token).expect("it speaks");
        if !connection.turn.may_go_on(applied) {
            return Ok(Heard::Later);
        }
        let account = self.tally.account(session);
        let command = match (wire::ouch::Inbound::decode(message), account) {
            (Ok(message), Some(account)) => ouch::command(&message, account, now),
            _ => None,
        };
        let Some(command) = command else {
            self.traffic.count(Count::Malformed);
            connection.malformed += 1;
            if connection.malformed > self.options.malformed_max {
                return Err(End::Broken(format!(
                    "{} messages of it were malformed, the last of {} bytes",
                    connection.malformed,
                    message.len()
                )));
            }
            return Ok(Heard::Done);
        };
        let Some(sequence) = self.intake.sequencer().offer(&command, now) else {
            return Ok(Heard::Later);
        };
        connection.turn.ordered(sequence);
        self.room -= 1;
        self.traffic.count(Count::Commands);
        Ok(Heard::Done)
    }

    /// Whether another command may wait in the ring.
    fn has_room(&mut self) -> bool {
        if self.room == 0 {
            let ahead = self.intake.sequencer().ahead();
            self.traffic.waited(ahead);
            self.room = AHEAD.saturating_sub(ahead);
        }
        self.room > 0
    }

    fn ask_doorman(&mut self, token: u64, login: &LoginRequest) -> Heard {
        let connection = self.connections.get(token).expect("it speaks");
        let request = Request {
            ticket: token,
            from: connection.from.ip(),
            username: login.username.0,
            password: login.password.0,
            asker: Arc::downgrade(&connection.presence),
        };
        if self.helpers.requests.try_send(request).is_err() {
            return Heard::Later;
        }
        connection.phase = Phase::Verifying(*login);
        Heard::Done
    }

    /// Goes on with whoever waited: for the doorman, for the past, for room in the ring.
    pub(super) fn go_on(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        while let Ok(verdict) = self.helpers.verdicts.try_recv() {
            self.verdict(&verdict, now);
            work += 1;
        }
        for answer in std::mem::take(&mut self.early) {
            self.answer(answer, now);
        }
        while let Ok(answer) = self.helpers.answers.try_recv() {
            self.answer(answer, now);
            work += 1;
        }
        if !self.behind.is_empty() {
            let behind = std::mem::take(&mut self.behind);
            for token in behind {
                self.catch_up(token, now);
            }
        }
        work
    }

    /// Goes on with those whose bytes wait, each as far as there is room: who had none this time is
    /// the first next time.
    pub(super) fn take_turns(&mut self, now: Nanos) -> usize {
        if self.intake.has_ended() {
            return 0;
        }
        let doorman_is_busy = self.helpers.requests.is_full();
        let (waiting, mut work) = (self.stalled.len(), 0);
        for _ in 0..waiting {
            let token = self.stalled.pop_front().expect("so many wait");
            let Some(connection) = self.connections.get(token) else { continue };
            if doorman_is_busy && matches!(connection.phase, Phase::Fresh) {
                self.stalled.push_back(token);
                continue;
            }
            let behind = self.stalled.len();
            let packets = self.retry(token, now);
            work += packets;
            if packets > 0 && self.stalled.len() > behind {
                self.served.extend(self.stalled.pop_back());
            }
        }
        self.stalled.extend(self.served.drain(..));
        self.was_passed = work == 0 && waiting > 0;
        work
    }

    fn verdict(&mut self, verdict: &Verdict, now: Nanos) {
        let token = verdict.ticket;
        let Some(connection) = self.connections.get(token) else { return };
        let Phase::Verifying(login) = connection.phase else { return };
        match self.admit(token, &login, verdict.user) {
            Ok((stream, number)) => self.welcome(token, stream, number, now),
            Err((reject, why)) => {
                self.traffic.count(Count::Refused);
                let connection = self.connections.get(token).expect("it waits");
                connection.say(&FromServer::Rejected(reject));
                connection.phase = Phase::Leaving;
                let line = format!("{}: {}: refused: {why}", connection.from, login.username);
                let session = verdict.user.ok().map(|user| user.session);
                self.note(Note { line, session, ..Note::default() });
                self.flush(token, now);
            }
        }
    }

    /// Which stream it gets, and from which number on.
    fn admit(
        &mut self,
        token: u64,
        login: &LoginRequest,
        user: Result<User, Denied>,
    ) -> Result<(Stream, u64), (LoginReject, String)> {
        let user = user.map_err(|why| (LoginReject::NotAuthorized, why.to_string()))?;
        let none = |why: &str| (LoginReject::SessionNotAvailable, why.to_owned());
        let door = self.connections.get(token).expect("it waits").door;
        let stream = match door {
            Door::Market | Door::Glimpse if user.market_data => Stream::Feed,
            Door::Market | Door::Glimpse => {
                return Err((LoginReject::NotAuthorized, "no right to market data".to_owned()));
            }
            Door::Orders => Stream::Session(user.session),
        };
        if !self.tally.has(stream) || self.tally.event() == 0 {
            return Err(none("the exchange does not know its session"));
        }
        if !login.session.is_blank() && login.session != self.tally.day().name() {
            return Err(none("it wants a session of another day"));
        }
        if door == Door::Glimpse {
            if login.sequence > 1 {
                return Err(none("a snapshot begins with 1"));
            }
            return Ok((stream, 1));
        }
        let next = self.tally.next(stream);
        if login.sequence > next {
            return Err(none("it wants a message that is not there yet"));
        }
        if let Stream::Session(session) = stream
            && let Some(other) = self.rooms.listener(session)
        {
            if !self.options.takes_over {
                return Err(none("the session is in use"));
            }
            self.end(other, &End::TakenOver);
        }
        Ok((stream, if login.sequence == 0 { next } else { login.sequence }))
    }

    fn welcome(&mut self, token: u64, stream: Stream, number: u64, now: Nanos) {
        let session = self.tally.day().name();
        let connection = self.connections.get(token).expect("it waits");
        connection.say(&FromServer::Accepted(LoginAccepted { session, sequence: number }));
        self.traffic.count(Count::LoggedIn);
        // It may have waited for the doorman for long.
        connection.heard = now;
        if connection.door == Door::Glimpse {
            connection.phase = Phase::Late;
            self.traffic.count(Count::Snapshots);
            let (names, number) = (self.tally.names(), self.tally.next(stream));
            self.rooms.remarks.push_back(Remark::AskSnapshot(Ask { token, stream, number, names }));
        } else {
            connection.phase = Phase::Live(stream);
            let next = number + u64::from(is_planted(Bug::ResumeLate));
            connection.source = Source::Past(Past { next, ..Past::default() });
            self.rooms.join(stream, self.tally.next(stream), token);
            self.behind.push(token);
        }
        self.flush(token, now);
        self.retry(token, now);
    }

    /// Sends the past, and joins the live stream where the two meet.
    fn catch_up(&mut self, token: u64, now: Nanos) {
        let Some(connection) = self.connections.get(token) else { return };
        let Some(stream) = connection.stream() else { return };
        let Source::Past(past) = &mut connection.source else { return };
        if past.sent < past.packets.len() {
            // Its socket is full.
            return self.behind.push(token);
        }
        let window = self.rooms.window(stream);
        if let Some(position) = window.and_then(|window| window.position(past.next)) {
            connection.source = Source::Window(position);
            return self.flush(token, now);
        }
        if !past.asked {
            let names = self.tally.names();
            let ask = Ask { token, stream, number: past.next, names };
            past.asked = true;
            self.traffic.count(Count::PastPieces);
            self.rooms.remarks.push_back(Remark::Ask(ask));
        }
        self.behind.push(token);
    }

    fn answer(&mut self, answer: Answer, now: Nanos) {
        if let Some((from, request)) = self.mold_asks.remove(&answer.token) {
            if let (Some(mold), Ok(Found::Piece(piece))) = (&self.doors.mold, answer.found) {
                mold.answer_old(from, &request, &piece.packets);
            }
            return;
        }
        let connection = self.connections.get(answer.token).filter(|it| it.has_asked());
        let Some(connection) = connection else { return };
        match (answer.found, &mut connection.source) {
            (Ok(Found::Snapshot(snapshot)), _) => {
                if snapshot.next > self.tally.next(Stream::Feed) {
                    // Who goes on behind it must not be too early.
                    let found = Ok(Found::Snapshot(snapshot));
                    return self.early.push(Answer { found, ..answer });
                }
                connection.source = Source::Snapshot(snapshot, 0);
                connection.phase = Phase::Leaving;
                (connection.opened, connection.said) = (now, now);
            }
            (Ok(Found::Piece(piece)), Source::Past(past)) => {
                past.asked = false;
                (past.packets, past.sent, past.next) = (piece.packets, 0, piece.next);
            }
            (Ok(Found::Piece(_)), _) => return,
            (Err(why), _) => return self.end(answer.token, &End::Lost(why)),
        }
        self.flush(answer.token, now);
    }
}
