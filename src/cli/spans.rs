//! Spans of the exchange's orders, as the settings say.

use std::sync::Arc;

use ringframe::clock::Clock;
use ringframe::config::Config;
use ringframe::embed::Outcome;
use ringframe::exchange::Exchange;
use ringframe::exchange::event::{Event, OrderId, Reason};
use ringframe::exchange::reject::Reject;
use ringframe::node::{Node, Stores};
use ringframe::peers::Handle;
use ringframe::release::Release;
use ringframe::runner::Group;
use ringframe::spans::{Collector, Exporter, ExporterOptions, Order, Sample};
use ringframe_journal::MappedStorage;

use super::pair;

/// What is needed before stages run.
pub(super) struct Sampling {
    to: Collector,
    sample: Arc<Sample>,
    release: Arc<Release>,
}

impl Sampling {
    /// Where spans are wanted.
    pub(super) fn prepare(config: &Config, node: &Node<Exchange, MappedStorage>) -> Option<Self> {
        let to = config.spans.to.clone()?;
        let sample = Arc::new(Sample::new(Arc::clone(&node.positions)));
        Some(Self { to, sample, release: Arc::clone(&node.release) })
    }

    /// Lets these stages note what is wanted.
    pub(super) fn of(sampling: Option<&Self>, groups: Vec<Group>) -> Vec<Group> {
        let Some(Self { sample, .. }) = sampling else { return groups };
        groups.into_iter().map(|group| group.sampled(sample)).collect()
    }

    /// Begins to sample. Nobody's order depends on it: where it cannot, the node goes on.
    pub(super) fn start(
        self,
        config: &Config,
        stores: &Stores<MappedStorage>,
        others: Option<Handle>,
        clock: Clock,
    ) -> Option<Exporter> {
        let Self { to, sample, release } = self;
        let leads = move || others.as_ref().is_none_or(Handle::leads);
        let started = Exporter::start(ExporterOptions {
            to,
            per_second: config.spans.per_second,
            sample,
            release,
            log: stores.events.clone(),
            order,
            leads: Box::new(leads),
            history: Box::new(pair::history(stores, config)),
            clock,
        });
        let warn = |error| {
            tracing::warn!(
                "no spans: their thread cannot be started: {error}; the node goes on without them, \
                 its next start tries again"
            );
        };
        started.map_err(warn).ok()
    }
}

/// What the first event of a command says, where that answers a client.
fn order(outcome: &Outcome<Exchange>) -> Option<Order> {
    let of = |id: &OrderId, outcome| (id.session, id.token, outcome);
    let (session, token, outcome) = match &outcome.result {
        Err(Reject::Rejected(it)) => (it.session, it.token, "rejected"),
        Ok(Event::Accepted(it)) => of(&it.order, "accepted"),
        Ok(Event::Replaced(it)) => of(&it.new.order, "replaced"),
        Ok(Event::Modified(it)) => of(&it.order, "modified"),
        Ok(Event::Canceled(it)) if it.reason == Reason::User => of(&it.order, "canceled"),
        Ok(_) => return None,
    };
    Some(Order { session, token: token.to_string(), outcome })
}
