//! Every setting of a node, once: its name, its default, what it means, and how it is checked. A
//! file comes before the defaults, and a flag before the file.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::layout::Layout;
use crate::log::Format;
use crate::peers::OnStandbyLoss;
use crate::release::ReleasePolicy;
use crate::runner::Idle;
use crate::small_file::SmallFile;
use crate::users::UserList;

pub use parts::{
    Activate, NodeNumber, PerAddress, Room, SecondLogin, Sessions, SnapshotMode, Snapshots, Spans,
    Tls,
};
use values::{
    address, connections, destination, drain_seconds, keep, optional, optional_address,
    optional_parsed, optional_path, optional_place, parsed, path, per_second, rate, ring_slots,
    room, seconds, segment_bytes, show_bytes, show_optional, show_optional_path, show_path, shown,
    time_of_day, truth, window_bytes,
};

mod parts;
mod values;

/// The settings of a node, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where `journal/`, `events/` and `snapshots/` are.
    pub data: PathBuf,
    /// Where order entry listens.
    pub listen: SocketAddr,
    /// Where market data is.
    pub market_data: SocketAddr,
    /// Where snapshots of market data are, for those who come late.
    pub glimpse: SocketAddr,
    /// Where market data goes in datagrams.
    pub mold: Option<SocketAddr>,
    /// Where datagrams that got lost are asked for.
    pub mold_requests: SocketAddr,
    /// What hides and proves the bytes of all three.
    pub tls: Tls,
    /// The same between nodes; both of them show a certificate.
    pub link: Tls,
    /// How clients are treated.
    pub sessions: Sessions,
    /// Where others follow.
    pub replication: Option<SocketAddr>,
    /// Whom this node stands by, while it was not told to lead.
    pub standby_of: Option<SocketAddr>,
    /// The other node of a pair.
    pub peer: Option<SocketAddr>,
    /// This node's number in its pair.
    pub node: NodeNumber,
    /// Whether replies of the leader may wait for this node, while it follows.
    pub stands_by: bool,
    /// When no standby is there.
    pub on_standby_loss: OnStandbyLoss,
    /// Where operators ask.
    pub admin: Option<SocketAddr>,
    /// Who of them may do what.
    pub admin_tokens: Option<PathBuf>,
    /// Who may log in.
    pub users: UserList,
    /// What a reply means.
    pub release: ReleasePolicy,
    /// Which stages share a core.
    pub layout: Layout,
    /// What a thread does while nothing comes.
    pub idle: Idle,
    /// How lines of the log look.
    pub log: Format,
    /// Which orders' spans go where.
    pub spans: Spans,
    /// What memory is taken at the start.
    pub room: Room,
    /// The slots of each ring.
    pub ring_slots: usize,
    /// The size of the journal's new segments.
    pub segment_bytes: u64,
    /// The size of the event log's new segments.
    pub event_segment_bytes: u64,
    /// Where sealed segments are copied to when an operator says so.
    pub archive: Option<String>,
    /// When states are saved, and how many are kept.
    pub snapshots: Snapshots,
    /// The longest time from being asked to stop to the end.
    pub drain_seconds: u64,
    /// When a newer version of the logic takes over.
    pub activate: Activate,
    sources: Vec<Source>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// The command line.
    Flag,
}

/// A setting as it is described to people.
#[derive(Clone, Debug)]
pub struct Setting {
    /// What files call it; before a dot stands the table.
    pub name: &'static str,
    /// What the command line calls it.
    pub flag: &'static str,
    /// What it is when nobody says anything.
    pub default: &'static str,
    /// What it means, and what else it may be.
    pub meaning: &'static str,
    set: fn(&mut Config, &str) -> Result<(), String>,
    show: fn(&Config) -> String,
}

/// A wrong setting: which, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

macro_rules! setting {
    ($name:literal, $flag:literal, $default:literal, $parse:expr, $show:expr,
     $($field:ident).+, $meaning:literal) => {
        Setting {
            name: $name,
            flag: $flag,
            default: $default,
            meaning: $meaning,
            set: |config, text| {
                config.$($field).+ = $parse(text)?;
                Ok(())
            },
            show: |config| $show(&config.$($field).+),
        }
    };
}

/// Every setting.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting!("data", "data", "data", path, show_path, data,
        "the directory that holds journal/, events/ and snapshots/"),
    setting!("listen", "listen", "127.0.0.1:9001", address, shown, listen,
        "where order entry listens (SoupBinTCP, OUCH): IP:PORT, port 0 for any"),
    setting!("market_data", "market-data", "127.0.0.1:9002", address, shown, market_data,
        "where market data is (SoupBinTCP, ITCH): IP:PORT"),
    setting!("glimpse", "glimpse", "127.0.0.1:9004", address, shown, glimpse,
        "where who comes late gets a snapshot of all books (SoupBinTCP, GLIMPSE): IP:PORT"),
    setting!("mold", "mold", "off", destination, show_optional, mold,
        "where market data goes in MoldUDP64 datagrams: IP:PORT, a multicast group or one \
         receiver, or off"),
    setting!("mold_requests", "mold-requests", "127.0.0.1:9002", address, shown, mold_requests,
        "where requests for lost datagrams are taken, by UDP: IP:PORT; datagrams to a group leave \
         by this address's network, or as the routing table says where it is 0.0.0.0"),
    setting!("tls.certificate", "tls-certificate", "off", optional_path, show_optional_path,
        tls.certificate,
        "order entry, market data and its snapshots inside TLS: a PEM file with the server's \
         certificate and those up to its authority, or off"),
    setting!("tls.key", "tls-key", "off", optional_path, show_optional_path, tls.key,
        "the certificate's private key, a PEM file; SIGHUP reads these files again"),
    setting!("tls.clients", "tls-clients", "off", optional_path, show_optional_path, tls.clients,
        "clients must show a certificate of an authority in this PEM file, or off: their \
         password is enough"),
    setting!("sessions.second_login", "second-login", "takes-over", parsed, shown,
        sessions.second_login, "what a second login to a session does: takes-over, or refused"),
    setting!("sessions.connections", "connections", "4096", connections, shown,
        sessions.connections, "the most connections at a time: 1 to 1000000"),
    setting!("sessions.connections_per_address", "connections-per-address", "auto", parsed, shown,
        sessions.connections_per_address,
        "the most of them from one address, of IPv6 from one network (/64): auto is a quarter of \
         all, and from this machine any number; or a number, also for this machine, or off"),
    setting!("sessions.rate", "rate", "off", rate, show_optional, sessions.rate,
        "messages per second and session, beyond which it is read more slowly, or off"),
    setting!("sessions.window_bytes", "window-bytes", "256 KiB", window_bytes, show_bytes,
        sessions.window_bytes,
        "so much of a session's newest messages is in memory, and so far may its client be \
         behind: 4 KiB to 1 GiB"),
    setting!("sessions.login_seconds", "login-seconds", "10", seconds, shown,
        sessions.login_seconds, "who has not logged in after this is cut off: 1 to 3600"),
    setting!("sessions.silence_seconds", "silence-seconds", "15", seconds, shown,
        sessions.silence_seconds, "a client that said nothing for so long is cut off: 1 to 3600"),
    setting!("sessions.grace_seconds", "grace-seconds", "10", seconds, shown,
        sessions.grace_seconds,
        "after a start, sessions that cancel on disconnect have so long to come back: 1 to 3600"),
    setting!("replication", "replication", "127.0.0.1:9003", optional_address, show_optional,
        replication, "where other nodes follow this one: IP:PORT, or off"),
    setting!("standby_of", "standby-of", "off", optional_address, show_optional, standby_of,
        "stand by for the node whose replication address this is, and lead once `ringframe \
         promote` says so: IP:PORT, or off"),
    setting!("peer", "peer", "off", optional_address, show_optional, peer,
        "the other node's replication address, for the one of a pair that leads first: whether it \
         was replaced it asks there. IP:PORT, or off"),
    setting!("node", "node", "auto", parsed, shown, node,
        "this node's number, another one than the other's: 1 to 255, or auto, which is 2 with \
         standby_of and 1 without"),
    setting!("stands_by", "stands-by", "true", truth, shown, stands_by,
        "whether replies of the leader may wait for this node, while it follows: false for one \
         that is far away, or only reads"),
    setting!("link.certificate", "link-certificate", "off", optional_path, show_optional_path,
        link.certificate,
        "what goes between nodes, inside TLS: a PEM file with this node's certificate, for the \
         address that others name it by, and those up to its authority, or off"),
    setting!("link.key", "link-key", "off", optional_path, show_optional_path, link.key,
        "the certificate's private key, a PEM file"),
    setting!("link.nodes", "link-nodes", "off", optional_path, show_optional_path, link.clients,
        "the other node must show a certificate of an authority in this PEM file"),
    setting!("on_standby_loss", "on-standby-loss", "degrade", parsed, shown, on_standby_loss,
        "replies that wait for a standby when none is there: degrade lets them leave when they \
         are synced here, halt keeps them until one is back"),
    setting!("admin", "admin", "127.0.0.1:9000", optional_address, show_optional, admin,
        "where operators ask and command, by HTTP: IP:PORT, or off"),
    setting!("admin_tokens", "admin-tokens", "off", optional_path, show_optional_path,
        admin_tokens, "a file of lines NAME ROLE TOKEN, where ROLE is read or operate, for \
         whoever asks at admin; off lets everybody do all, on loopback only"),
    setting!("users", "users", "demo", parsed, shown, users,
        "who may log in: a file of `ringframe user add`, or demo (TRDR01 to 99, loopback only)"),
    setting!("release", "release", "synced", parsed, shown, release,
        "what a reply means: journaled survives the process, synced a loss of power, replicated a \
         machine, replicated+synced a loss of power of both"),
    setting!("layout", "layout", "auto", parsed, shown, layout,
        "which stages share a core: auto, 1, 2, 4, or groups such as \
         gateway|journaler+processor|event_log"),
    setting!("idle", "idle", "polite", parsed, shown, idle,
        "a thread with nothing to do: polite gives its core away, spin keeps it (dedicated cores)"),
    setting!("log", "log", "auto", parsed, shown, log,
        "lines on standard error: text, json, or auto: text on a terminal, JSON elsewhere"),
    setting!("spans.to", "spans-to", "off", optional_parsed, show_optional, spans.to,
        "where spans of sampled orders go: a collector of OpenTelemetry that takes OTLP by HTTP, \
         as http://127.0.0.1:4318/v1/traces, or off"),
    setting!("spans.per_second", "spans-per-second", "1", per_second, shown, spans.per_second,
        "so many orders are sampled at most: 1 to 20"),
    setting!("room.orders", "room-orders", "0", room, shown, room.orders,
        "memory for so many live orders is taken at the start, 32 bytes each, and none of them \
         waits for it: 0 to 1000000000"),
    setting!("room.tokens", "room-tokens", "0", room, shown, room.tokens,
        "likewise for so many tokens of a day, 28 bytes each"),
    setting!("ring_slots", "ring-slots", "16384", ring_slots, shown, ring_slots,
        "slots of each ring, of 320 bytes: a power of two from 64 to 4194304"),
    setting!("segment_bytes", "segment-bytes", "64 MiB", segment_bytes, show_bytes, segment_bytes,
        "size of the journal's new segments: a multiple of 4 KiB from 72 KiB to 16 GiB, units KiB, \
         MiB, GiB"),
    setting!("event_segment_bytes", "event-segment-bytes", "64 MiB", segment_bytes, show_bytes,
        event_segment_bytes, "size of the event log's new segments, likewise"),
    setting!("archive", "archive", "off", optional_place, show_optional, archive,
        "where sealed segments of the journal and the event log are copied to when POST /archive \
         or `ringframe nightly` says so: a directory, a URL such as s3://bucket/prefix, or off"),
    setting!("snapshots.mode", "snapshots", "shadow", parsed, shown, snapshots.mode,
        "who saves the state: shadow (a second instance, nobody waits), inline (all wait), off"),
    setting!("snapshots.every_commands", "every-commands", "off", optional, show_optional,
        snapshots.every_commands, "save after so many commands, or off"),
    setting!("snapshots.every_seconds", "every-seconds", "off", optional, show_optional,
        snapshots.every_seconds, "save after so many seconds, or off"),
    setting!("snapshots.at", "at", "off", time_of_day, show_optional, snapshots.at,
        "save every day at HH:MM, UTC, and after a start that was too late for it, or off"),
    setting!("snapshots.recovery_target_seconds", "recovery-target-seconds", "10", optional,
        show_optional, snapshots.recovery_target_seconds,
        "save when a restart would take longer than this, or off"),
    setting!("snapshots.keep", "keep", "3", keep, shown, snapshots.keep,
        "how many snapshots are kept, at least 1"),
    setting!("snapshots.at_drain", "snapshot-at-drain", "false", truth, shown, snapshots.at_drain,
        "asked to stop, save once more when all is released, within drain_seconds: true or false"),
    setting!("drain_seconds", "drain-seconds", "10", drain_seconds, shown, drain_seconds,
        "asked to stop, release everything and end within this time: 1 to 3600"),
    setting!("activate", "activate", "manual", parsed, shown, activate,
        "when a newer version of the logic takes over: manual, or start (of a build that has it)"),
];

impl Default for Config {
    /// Every setting at its default.
    fn default() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Self {
            data: PathBuf::new(),
            listen: nowhere,
            market_data: nowhere,
            glimpse: nowhere,
            mold: None,
            mold_requests: nowhere,
            tls: Tls::default(),
            link: Tls::default(),
            sessions: Sessions::default(),
            replication: None,
            standby_of: None,
            peer: None,
            node: NodeNumber::default(),
            stands_by: true,
            on_standby_loss: OnStandbyLoss::default(),
            admin: None,
            admin_tokens: None,
            users: UserList::default(),
            release: ReleasePolicy::default(),
            layout: Layout::default(),
            idle: Idle::default(),
            log: Format::default(),
            spans: Spans::default(),
            room: Room::default(),
            ring_slots: 0,
            segment_bytes: 0,
            event_segment_bytes: 0,
            archive: None,
            snapshots: Snapshots::default(),
            drain_seconds: 0,
            activate: Activate::default(),
            sources: vec![Source::Default; SETTINGS.len()],
        };
        for Setting { set, default, .. } in SETTINGS {
            set(&mut config, default).expect("a default is right");
        }
        config
    }
}

impl Config {
    /// The defaults, then what the file says, then the flags: names of settings, in either
    /// spelling, with values.
    pub fn load(file: Option<&Path>, flags: &[(&str, &str)]) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(path) = file {
            let text = SmallFile::read(path).and_then(SmallFile::text).map_err(|error| {
                ConfigError(format!(
                    "cannot read {}: {error}; without --config the defaults hold",
                    path.display()
                ))
            })?;
            config.read(path, &text)?;
        }
        for (name, value) in flags {
            config.set(name, value, Source::Flag)?;
        }
        config.check()?;
        Ok(config)
    }

    /// Every setting with its value, and where that came from.
    pub fn values(&self) -> impl Iterator<Item = (&'static Setting, String, &Source)> {
        let settings = SETTINGS.iter().zip(&self.sources);
        settings.map(|(setting, source)| (setting, (setting.show)(self), source))
    }

    /// The replication address of the other node, if it is known.
    pub fn other(&self) -> Option<SocketAddr> {
        self.standby_of.or(self.peer)
    }

    /// This node's number.
    pub fn number(&self) -> u8 {
        match self.node {
            NodeNumber::Is(number) => number,
            NodeNumber::Auto if self.standby_of.is_some() => 2,
            NodeNumber::Auto => 1,
        }
    }

    /// What is allowed, and yet better known.
    pub fn warning(&self) -> Option<String> {
        let is_open =
            |address: &SocketAddr| !address.ip().is_loopback() && self.link.identity().is_none();
        if let Some(address) = self.replication.filter(is_open) {
            return Some(format!(
                "warning: replication is {address}, which other machines can reach: whoever \
                 connects reads every order, and may say that he leads. Set link.certificate, \
                 link.key and link.nodes, or let only the other node's machine through, by a \
                 firewall or a tunnel"
            ));
        }
        let market = [("market_data", self.market_data), ("glimpse", self.glimpse)];
        let open = [&[("listen", self.listen)][..], &market].concat();
        let (name, address) = open.iter().find(|(_, address)| !address.ip().is_loopback())?;
        let warning = format!(
            "warning: {name} is {address}, which other machines can reach, and passwords and \
             orders pass in plain bytes that whoever is between can read and change: set \
             tls.certificate and tls.key"
        );
        self.tls.identity().is_none().then_some(warning)
    }

    /// Takes over what a file says.
    fn read(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let source_at = |at: usize| Source::File {
            path: path.to_owned(),
            line: 1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count(),
        };
        let document = DeTable::parse(text).map_err(|error| {
            let source = source_at(error.span().map_or(0, |span| span.start));
            ConfigError(format!("{source}: this is no TOML: {}", error.message()))
        })?;
        let mut waiting = vec![(String::new(), document.get_ref())];
        while let Some((table, entries)) = waiting.pop() {
            for (key, value) in entries {
                let name = format!("{table}{}", key.get_ref());
                let source = source_at(key.span().start);
                let text = match value.get_ref() {
                    DeValue::String(text) => text.to_string(),
                    DeValue::Integer(number) if number.radix() == 10 => number.to_string(),
                    DeValue::Boolean(truth) => truth.to_string(),
                    DeValue::Table(entries) if is_table(&name) => {
                        waiting.push((format!("{name}."), entries));
                        continue;
                    }
                    other => {
                        find(&name, &source)
                            .map_err(|why| ConfigError(format!("{source}: {why}")))?;
                        return Err(ConfigError(format!(
                            "{source}: {name} is of type {}: write a text or a decimal number",
                            other.type_str()
                        )));
                    }
                };
                self.set(&name, &text, source)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str, source: Source) -> Result<(), ConfigError> {
        let index = find(name, &source).map_err(|why| ConfigError(format!("{source}: {why}")))?;
        let setting = &SETTINGS[index];
        (setting.set)(self, value).map_err(|why| {
            let name = if source == Source::Flag { setting.flag } else { setting.name };
            ConfigError(format!("{source}: {name}: {why}"))
        })?;
        self.sources[index] = source;
        Ok(())
    }

    /// What no single setting can know.
    fn check_pair(&self) -> Result<(), ConfigError> {
        if self.release.is_replicated() && self.replication.is_none() {
            return Err(ConfigError(format!(
                "release is {} and replication is off: nobody could follow",
                self.release
            )));
        }
        let link = [&self.link.certificate, &self.link.key, &self.link.clients];
        if link.iter().any(|it| it.is_some()) && link.iter().any(|it| it.is_none()) {
            return Err(ConfigError(
                "link.certificate, link.key and link.nodes go together: each node shows its \
                 certificate to the other one; set all three, on both nodes, or leave all off"
                    .into(),
            ));
        }
        if let (Some(leader), Some(peer)) = (self.standby_of, self.peer)
            && leader != peer
        {
            return Err(ConfigError(format!(
                "standby_of is {leader} and peer is {peer}: a node has one other node; standby_of \
                 alone says which"
            )));
        }
        if self.other().is_some() && self.other() == self.replication {
            return Err(ConfigError(
                "standby_of, or peer, is this node's own replication address: name the other \
                 node's, and give each a port of its own"
                    .into(),
            ));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), ConfigError> {
        let listeners = [
            ("listen", Some(self.listen)),
            ("market_data", Some(self.market_data)),
            ("glimpse", Some(self.glimpse)),
            ("replication", self.replication),
            ("admin", self.admin),
        ]
        .into_iter()
        .filter_map(|(name, address)| Some((name, address?)))
        .collect::<Vec<_>>();
        for (index, (name, address)) in listeners.iter().enumerate() {
            for (other, taken) in &listeners[..index] {
                if address.port() != 0 && address == taken {
                    return Err(ConfigError(format!(
                        "{other} and {name} are both {address}: give each a port of its own"
                    )));
                }
            }
        }
        for (name, address) in &listeners[..3] {
            if self.users == UserList::Demo && !address.ip().is_loopback() {
                return Err(ConfigError(format!(
                    "{name} is {address}, which other machines can reach, and everybody knows the \
                     demo users' password: make a list with `ringframe user add NAME --users \
                     FILE` and set users to FILE"
                )));
            }
        }
        self.check_pair()?;
        if self.tls.certificate.is_some() != self.tls.key.is_some()
            || (self.tls.clients.is_some() && self.tls.key.is_none())
        {
            return Err(ConfigError(
                "tls.certificate and tls.key go together, and tls.clients needs them: set both, \
                 or leave all of them off"
                    .into(),
            ));
        }
        if let Some(admin) = self.admin
            && !admin.ip().is_loopback()
            && self.admin_tokens.is_none()
        {
            return Err(ConfigError(format!(
                "admin is {admin}, which other machines can reach, and nobody needs a token: \
                 write a file of lines NAME ROLE TOKEN, chmod 600 it, and set admin_tokens to it"
            )));
        }
        if self.snapshots.at_drain && self.snapshots.mode == SnapshotMode::Off {
            return Err(ConfigError(
                "snapshots.at_drain asks for a snapshot that nobody takes: snapshots.mode is off"
                    .into(),
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Flag => f.write_str("command line"),
        }
    }
}

fn is_table(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.name.split_once('.').is_some_and(|(it, _)| it == name))
}

/// The setting that a file's key names, or a flag in either spelling.
fn find(name: &str, source: &Source) -> Result<usize, String> {
    let flag = *source == Source::Flag;
    let is_it = |setting: &Setting| setting.name == name || (flag && setting.flag == name);
    SETTINGS.iter().position(is_it).ok_or_else(|| {
        let names = SETTINGS.iter().map(|setting| setting.name);
        let nearest = names.min_by_key(|known| distance(known, name)).expect("there are some");
        format!(
            "unknown setting '{name}'; the nearest is '{nearest}', and `ringframe check-config` \
             lists them all"
        )
    })
}

/// How many letters to insert, remove or change to come from one to the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, byte) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(letter != byte);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests;
