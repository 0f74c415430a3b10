//! What the log says of spans: when some begin to be lost, why, and when no more are.

use super::Collector;
use crate::types::Nanos;

/// So long after a line there is none, and so long nothing was lost when all is well again.
const QUIET: Nanos = Nanos(60 * Nanos::SECOND);

/// Why an order's spans did not get there.
#[derive(Debug)]
pub(super) enum Loss {
    /// It came to nothing on this node, …
    Here(String),
    /// … or the collector did not take them.
    There(String),
}

impl From<String> for Loss {
    fn from(why: String) -> Self {
        Self::Here(why)
    }
}

/// What a line would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Well,
    LostHere,
    LostThere,
}

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Report {
    said: Option<Standing>,
    /// When; not of the good news at the beginning.
    said_at: Option<Nanos>,
    lost_at: Option<Nanos>,
}

impl Report {
    /// Takes an order's end down, and says it if that is news.
    pub(super) fn say(&mut self, to: &Collector, told: &Result<(), Loss>, now: Nanos) {
        let is_first = self.said.is_none();
        let standing = match told {
            Ok(()) => Standing::Well,
            Err(Loss::Here(_)) => Standing::LostHere,
            Err(Loss::There(_)) => Standing::LostThere,
        };
        if !self.is_news(standing, now) {
            return;
        }
        match told {
            Ok(()) if is_first => tracing::info!("spans: {to} takes them"),
            Ok(()) => tracing::info!("spans: {to} takes them all again"),
            Err(Loss::Here(why)) => tracing::warn!(
                "spans: on this node: {why}; such an order's spans are dropped and counted, orders \
                 do not wait for them"
            ),
            Err(Loss::There(why)) => tracing::warn!(
                "spans: {to}: {why}; spans are dropped and counted until they are taken, orders \
                 do not wait for them"
            ),
        }
    }

    fn is_news(&mut self, standing: Standing, now: Nanos) -> bool {
        let is_past = |at: Option<Nanos>| at.is_none_or(|at| now >= at.after(QUIET.0));
        let is_well = standing == Standing::Well;
        let is_due = is_past(self.said_at) && (!is_well || is_past(self.lost_at));
        if !is_well {
            self.lost_at = Some(now);
        }
        if self.said == Some(standing) || !is_due {
            return false;
        }
        if !is_well || self.said.is_some() {
            self.said_at = Some(now);
        }
        self.said = Some(standing);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Standing::{LostHere, LostThere, Well};
    use super::*;

    /// The seconds of the lines, and what they say.
    fn lines(heard: impl IntoIterator<Item = (u64, Standing)>) -> Vec<(u64, Standing)> {
        let mut report = Report::default();
        let at = |second| Nanos(second * Nanos::SECOND);
        heard.into_iter().filter(|&(second, it)| report.is_news(it, at(second))).collect()
    }

    #[test]
    fn a_loss_is_said_when_it_begins_and_when_it_is_over() {
        let is_away = |second| (1000..2000).contains(&second);
        let heard = (0..3000).map(|it| (it, if is_away(it) { LostThere } else { Well }));
        assert_eq!(lines(heard), [(0, Well), (1000, LostThere), (2059, Well)]);
        // The first good news holds back nothing.
        let heard = (0..3000).map(|it| (it, if it > 0 { LostThere } else { Well }));
        assert_eq!(lines(heard), [(0, Well), (1, LostThere)]);
    }

    #[test]
    fn who_takes_some_and_refuses_others_is_told_of_once() {
        let heard = (0..3000).map(|it| (it, if it % 2 == 0 { LostThere } else { Well }));
        assert_eq!(lines(heard), [(0, LostThere)]);
    }

    #[test]
    fn no_more_than_a_line_a_minute_whatever_comes() {
        // What is lost here does not hide that the collector is away.
        let heard = [(0, LostHere), (1, LostThere), (59, LostThere), (60, LostThere)];
        assert_eq!(lines(heard), [(0, LostHere), (60, LostThere)]);
        let manners = [Well, LostHere, LostThere];
        for period in 1..200 {
            let heard = (0..3000).map(|it| (it, manners[it as usize / period % 3]));
            let said = lines(heard);
            let loud = said.windows(2).skip(1).find(|pair| pair[1].0 - pair[0].0 < 60);
            assert_eq!(loud, None, "every {period} s");
        }
    }
}
