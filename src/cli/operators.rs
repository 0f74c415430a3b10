//! The admin server of a node of the exchange, as the settings say.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringframe::admin::{Access, Admin, AdminOptions, Commands, Language, Running, Seeing, Sights};
use ringframe::browse::Filter;
use ringframe::clock::Clock;
use ringframe::config::Config;
use ringframe::embed::Embedded;
use ringframe::exchange::Exchange;
use ringframe::exchange::command::Command;
use ringframe::exchange_json::{self, View, parse_command};
use ringframe::logic::Logic;
use ringframe::peers::Handle;
use ringframe::spans::{Exported, Exporter};
use ringframe::traffic::Traffic;
use ringframe_journal::MappedStorage;

use super::Failure;
use super::replay::line;
use super::served::Served;

const OPEN_WARNING: &str = "\
WARNING: whoever can start a program on this machine may operate the node: admin_tokens is off.
  For anything but trying things out, name a file of lines NAME ROLE TOKEN.";

/// Listens, where it is wanted.
pub(super) fn start(config: &Config, clock: Clock) -> Result<Option<Admin>, Failure> {
    let Some(address) = config.admin else { return Ok(None) };
    let access = if let Some(path) = &config.admin_tokens {
        Access::read(path).map_err(Failure::Usage)?
    } else {
        tracing::warn!("{OPEN_WARNING}");
        Access::open()
    };
    let admin = Admin::start(AdminOptions {
        address,
        access,
        data: config.data.clone(),
        archive: config.archive.clone(),
        release: config.release,
        ring_slots: config.ring_slots,
        logic: (Exchange::NAME, Exchange::VERSION),
        clock,
    })?;
    Ok(Some(admin))
}

/// What tells of a node besides what every node has.
pub(super) struct Told {
    traffic: Option<Arc<Traffic>>,
    /// The names of those who may log in, by their sessions.
    users: BTreeMap<u16, String>,
    others: Option<Handle>,
    spans: Option<Arc<Exported>>,
}

impl Told {
    pub(super) fn by(
        served: Option<&Served>,
        others: Option<&Handle>,
        spans: Option<&Exporter>,
    ) -> Self {
        let (traffic, spans) = (served.map(Served::traffic), spans.map(Exporter::exported));
        let users = served.map(|served| served.users.clone()).unwrap_or_default();
        Self { traffic, users, others: others.cloned(), spans }
    }
}

/// What operators see of the node, and can do.
pub(super) fn running(embedded: &Embedded<Exchange>, log: MappedStorage, told: Told) -> Running {
    let Told { traffic, users, others, spans } = told;
    let submitter = embedded.submitter().expect("nobody has taken it");
    let language = Language { read: operators_command, write: line, view, filter };
    Running {
        observer: embedded.observer(),
        operations: Box::new(Commands::new(submitter, log.clone(), language)),
        views: Arc::new(Sights::new(embedded.onlooker(), log, language)),
        traffic,
        users,
        others,
        spans,
    }
}

fn operators_command(text: &str) -> Result<Command, String> {
    let command = parse_command(text)?;
    if command.is_operators() {
        return Ok(command);
    }
    Err("this is a client's command, or the node's: operators have mass_cancel, add_instrument, \
         change_instrument, change_state, set_participant, set_session, kill and end_day"
        .into())
}

fn view(what: &str, whose: &str) -> Result<Seeing<Exchange>, String> {
    let view = View::parse(what, whose)?;
    Ok(Box::new(move |exchange, most| view.json_of(exchange, most)))
}

fn filter(words: &[(&str, &str)]) -> Result<Filter<Exchange>, String> {
    let mut filter = exchange_json::Filter::default();
    for (name, value) in words {
        filter.narrow(name, value)?;
    }
    Ok(Box::new(move |outcome| filter.admits(outcome.result.as_ref())))
}
