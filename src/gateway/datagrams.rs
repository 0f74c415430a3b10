//! The market in datagrams, as it comes and again for those who ask.

use super::{EVENTS, Gateway, MOLD, MOLD_ASKS_MAX};
use crate::exchange::AnyBuild;
use crate::history::{Ask, Remark};
use crate::net::Net;
use crate::streams::Stream;
use crate::types::Nanos;

impl<N: Net, L: AnyBuild> Gateway<N, L> {
    /// Sends datagrams, and says now and then that there is nothing.
    pub(super) fn send_datagrams(&mut self, now: Nanos) -> usize {
        let Some(mold) = &mut self.doors.mold else { return 0 };
        let Some(window) = self.rooms.window(Stream::Feed) else { return 0 };
        if self.tally.event() == 0 {
            return 0;
        }
        mold.begin(|| self.tally.day().name());
        let sent = mold.send(window, now);
        mold.keep_alive(now);
        sent
    }

    /// Answers from the window, or asks the history.
    pub(super) fn mold_requests(&mut self) -> usize {
        let Some(mold) = &mut self.doors.mold else { return 0 };
        let mut work = 0;
        while let Some((from, request)) = mold.request() {
            work += 1;
            let window = self.rooms.window(Stream::Feed);
            if window.is_some_and(|window| mold.answer(from, &request, window)) {
                continue;
            }
            // Beyond, they ask again.
            if self.mold_asks.len() < MOLD_ASKS_MAX {
                // No number comes again: an answer may come when its question is forgotten.
                self.mold_asked += 1;
                let token = MOLD - self.mold_asked;
                self.mold_asks.insert(token, (from, request));
                let names = self.tally.names();
                let ask = Ask { token, stream: Stream::Feed, number: request.sequence, names };
                self.rooms.remarks.push_back(Remark::Ask(ask));
            }
            if work >= EVENTS as usize {
                break;
            }
        }
        work
    }
}
