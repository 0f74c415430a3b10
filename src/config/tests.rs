use super::*;

fn read(text: &str) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    config.read(Path::new("node.toml"), text)?;
    config.check()?;
    Ok(config)
}

fn refused(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn every_default_is_shown_as_it_is_written_and_names_are_told_apart() {
    let config = Config::default();
    let mut names = Vec::new();
    for (setting, value, source) in config.values() {
        assert_eq!((value.as_str(), source), (setting.default, &Source::Default));
        assert!(!setting.meaning.is_empty());
        names.extend([setting.name, setting.flag]);
    }
    names.sort_unstable();
    for pair in names.windows(2) {
        let same = SETTINGS.iter().any(|it| it.name == pair[0] && it.flag == pair[1]);
        assert!(pair[0] != pair[1] || same, "{pair:?}");
    }
}

/// Written in no order, read back as one configuration.
const FILE: &str = r#"
# A node.
data = "/srv/ringframe"
listen = "0.0.0.0:9101"
users = "/srv/ringframe/users"
release = "journaled"
layout = "intake+egress | journaler+processor|event_log"
ring_slots = 65_536
segment_bytes = "1 GiB"
event_segment_bytes = 1048576
idle = "spin"
drain_seconds = 3
activate = "start"

[snapshots]
mode = "inline"
every_commands = 1_000_000
at = "23:05"
recovery_target_seconds = "off"
at_drain = true
"#;

#[test]
fn a_file_comes_before_the_defaults_and_a_flag_before_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    std::fs::write(&path, FILE).unwrap();
    let flags = [("listen", "127.0.0.1:1"), ("snapshots.keep", "9"), ("every-seconds", "60")];
    let config = Config::load(Some(&path), &flags).unwrap();
    assert_eq!(config.listen, "127.0.0.1:1".parse().unwrap());
    assert_eq!(config.data, Path::new("/srv/ringframe"));
    assert_eq!((config.release, config.idle), (ReleasePolicy::Journaled, Idle::Spin));
    assert_eq!(config.users, UserList::File("/srv/ringframe/users".into()));
    assert_eq!((config.ring_slots, config.drain_seconds), (65_536, 3));
    assert_eq!((config.segment_bytes, config.event_segment_bytes), (1 << 30, 1 << 20));
    assert_eq!(config.activate, Activate::Start);
    let snapshots = Snapshots {
        mode: SnapshotMode::Inline,
        every_commands: Some(1_000_000),
        every_seconds: Some(60),
        at: Some("23:05".parse().unwrap()),
        recovery_target_seconds: None,
        keep: 9,
        at_drain: true,
    };
    assert_eq!(config.snapshots, snapshots);
    let of = |name| config.values().find(|(setting, ..)| setting.name == name).unwrap();
    assert_eq!(of("listen").2, &Source::Flag);
    assert_eq!(of("admin").2, &Source::Default);
    assert_eq!(of("snapshots.at").2, &Source::File { path, line: 18 });
    assert_eq!(of("layout").1, "intake+egress|journaler+processor|event_log");
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    for (text, says) in [
        (
            "\n\nrelase = \"synced\"",
            "node.toml:3: unknown setting 'relase'; the nearest is 'release'",
        ),
        ("[snapshots]\nevry_commands = 1", "the nearest is 'snapshots.every_commands'"),
        ("[snapshot]\nkeep = 1", "node.toml:1: unknown setting 'snapshot'; the nearest is"),
        ("snapshots = 1", "node.toml:1: unknown setting 'snapshots'"),
        ("drain = true", "node.toml:1: unknown setting 'drain'"),
    ] {
        let error = refused(text);
        assert!(error.contains(says), "{text}: {error}");
    }
    let error = Config::load(None, &[("lay-out", "1")]).unwrap_err().to_string();
    assert!(error.starts_with("command line: unknown setting 'lay-out'; the nearest is 'layout'"));
}

#[test]
fn wrong_values_say_where_and_what_is_right() {
    for (text, says) in [
        ("ring_slots = 1000", "node.toml:1: ring_slots: 1000 is no power of two: use 512 or 1024"),
        ("ring_slots = 8", "8 is not between 64 and 4194304"),
        ("ring_slots = -8", "'-8' is no whole number"),
        ("ring_slots = 0x400", "ring_slots is of type integer: write a text or a decimal"),
        (
            "segment_bytes = 100",
            "segment_bytes: 100 is no multiple of 4096 between 72 KiB and 16 GiB",
        ),
        ("segment_bytes = \"64 MB\"", "'64 MB' is no whole number"),
        ("segment_bytes = \"99999999999 GiB\"", "is no multiple of 4096 between 72 KiB and 16 GiB"),
        ("idle = \"lazy\"", "idle: 'lazy' is not one of polite, spin"),
        ("release = \"soon\"", "use journaled, synced, replicated"),
        ("layout = \"3\"", "layout: '3' is no layout"),
        ("listen = \"localhost\"", "listen: 'localhost' is no address: write IP:PORT"),
        (
            "mold = \"239.0.0.1:0\"",
            "node.toml:1: mold: nobody can receive at port 0 of 239.0.0.1:0",
        ),
        ("[sessions]\nconnections_per_address = 0", "0 is not between 1 and 1000000: or use auto"),
        ("data = \"\"", "data: it is empty"),
        ("data = [1]", "data is of type array: write a text"),
        ("[snapshots]\nat = \"24:00\"", "node.toml:2: snapshots.at: '24:00' is no time"),
        ("[snapshots]\nat = \"9:00\"", "'9:00' is no time of day: write HH:MM"),
        ("[snapshots]\nkeep = 0", "snapshots.keep: 0 is not between 1 and"),
        ("[snapshots]\nevery_seconds = 0", "0 is not between 1 and 10000000000: or use off"),
        ("drain_seconds = 4000", "4000 is not between 1 and 3600"),
        ("drain_seconds = true", "drain_seconds: 'true' is no whole number"),
        ("[snapshots]\nat_drain = 1", "node.toml:2: snapshots.at_drain: '1' is not one of true, f"),
        ("[snapshots]\nat_drain = true\nmode = \"off\"", "nobody takes: snapshots.mode is off"),
        ("data = \"a\"\ndata = \"b\"", "node.toml:2: this is no TOML: duplicate key"),
        ("\nlisten", "node.toml:2: this is no TOML: "),
        ("users = \"\"", "users: it is empty: name a file, or write demo"),
        ("listen = \"0.0.0.0:1\"", "listen is 0.0.0.0:1, which other machines can reach"),
        ("market_data = \"[::]:1\"", "make a list with `ringframe user add NAME --users FILE`"),
        ("glimpse = \"[::]:1\"", "glimpse is [::]:1, which other machines can reach"),
        ("[tls]\nkey = \"k\"", "tls.certificate and tls.key go together"),
        ("[tls]\ncertificate = \"c\"", "tls.certificate and tls.key go together"),
        ("[tls]\nclients = \"a\"", "tls.clients needs them"),
        ("[tls]\nkey = \"\"", "node.toml:2: tls.key: it is empty: name a file, or use off"),
        ("admin = \"127.0.0.1:9001\"", "listen and admin are both 127.0.0.1:9001"),
        ("admin = \"0.0.0.0:1\"", "admin is 0.0.0.0:1, which other machines can reach"),
    ] {
        let error = refused(text);
        assert!(error.contains(says), "{text}: {error}");
    }
    assert!(read("listen = \"[::1]:1\"\nadmin = \"0.0.0.0:1\"\nadmin_tokens = \"t\"").is_ok());
    assert!(read("listen = \"0.0.0.0:1\"\nusers = \"list\"").is_ok());
    assert!(read("admin = \"127.0.0.1:0\"\nlisten = \"127.0.0.1:0\"").is_ok());
    let error = Config::load(None, &[("at", "noon")]).unwrap_err().to_string();
    assert!(error.starts_with("command line: at: 'noon' is no time"), "{error}");
    let error = Config::load(Some(Path::new("/no/such.toml")), &[]).unwrap_err().to_string();
    assert!(error.starts_with("cannot read /no/such.toml: "), "{error}");
}

#[test]
fn plain_bytes_are_warned_about_where_other_machines_can_read_them() {
    let warning = |text: &str| read(text).unwrap().warning();
    assert_eq!(warning(""), None);
    let open = "users = \"list\"\nmarket_data = \"0.0.0.0:1\"";
    assert!(warning(open).unwrap().contains("market_data is 0.0.0.0:1"));
    let glimpse = "users = \"list\"\nglimpse = \"0.0.0.0:1\"";
    assert!(warning(glimpse).unwrap().contains("set tls.certificate and tls.key"));
    let tls = "[tls]\ncertificate = \"c\"\nkey = \"k\"";
    assert_eq!(warning(&format!("{open}\n{tls}")), None);
}
