//! The house rules that a machine can check: who may use whom, where clocks and threads live, and
//! how long a file, a line and a function may be. Every finding names what to do instead.
//!
//! The tables come first, below them the checks, one function each. `source` reads the code;
//! `seen_to_fail` shows each rule a snippet that breaks it. To move a boundary, change its row, and
//! say why in `docs/DECISIONS.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use source::{Source, functions, paths, read_tree};

mod seen_to_fail;
mod source;

const FILE_LINES_MAX: usize = 600;
const LINE_COLUMNS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 70;

/// What a part of the tree may see of the root crate, besides itself. Parts that are not listed may
/// see everything but the stages.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("src/types", &[]),
    ("src/record", &["types"]),
    ("src/digest", &[]),
    ("src/logic", &["types", "record", "digest"]),
    ("src/codec", &["types", "record", "logic"]),
    ("src/kit", &["types", "record", "digest", "logic", "codec"]),
    ("src/prefetch", &[]),
    ("src/slot", &[]),
    ("src/stage", &["types", "record"]),
    ("src/control", &["types", "record"]),
    ("src/sync", &[]),
    ("src/pipeline", &["types", "slot", "sync", "journal"]),
    ("src/release", &["types", "pipeline"]),
    ("src/machine", &["types", "record", "digest", "logic", "slot", "stage", "control"]),
    ("src/exchange", &["types", "record", "logic", "prefetch"]),
    ("src/exchange_json", &["types", "exchange"]),
    ("wire", &[]),
    ("src/dialect", &["types", "exchange", "wire"]),
    (
        "src/streams",
        &["types", "exchange", "wire", "dialect", "codec", "event_log", "embed", "stage"],
    ),
    ("src/small_file", &[]),
    ("src/tls", &["types", "small_file"]),
    ("src/client", &["types", "clock", "wire", "tls"]),
    ("journal", &[]),
    ("loadgen", &[]),
];

/// Stages never use each other: they meet in `pipeline` (positions) and `node` (construction).
const STAGES: &[&str] = &[
    "gateway",
    "journaler",
    "processor",
    "shadow",
    "replication",
    "sessions",
    "feed",
    "projection",
];
const STAGE_BUILDERS: &[&str] = &[
    "src/lib.rs",
    "src/main.rs",
    "src/node",
    "src/embed",
    "src/inline",
    "src/served",
    "src/pair",
    "src/cli/pair",
    "src/cli/served",
    // It builds them as the runner does, and looks at each.
    "sim/src",
    "sim/tests",
];

/// A name that may not be written in some part of the tree, and what to write instead.
struct Banned {
    /// A path or a part of one: `thread::spawn` also matches `std::thread::spawn`.
    item: &'static str,
    instead: &'static str,
    within: &'static [&'static str],
    except: &'static [&'static str],
    /// Whether tests, benches and examples are bound too.
    in_tests: bool,
}

impl Banned {
    const fn new(item: &'static str, instead: &'static str) -> Self {
        Self { item, instead, within: EVERYWHERE, except: &[], in_tests: false }
    }

    const fn within(self, within: &'static [&'static str]) -> Self {
        Self { within, ..self }
    }

    const fn except(self, except: &'static [&'static str]) -> Self {
        Self { except, ..self }
    }

    const fn in_tests(self) -> Self {
        Self { in_tests: true, ..self }
    }
}

const EVERYWHERE: &[&str] = &[""];
/// Where a run must give the same result every time, on every machine.
const LOGIC: &[&str] = &[
    "src/exchange",
    "src/logic",
    "src/codec",
    "src/digest",
    "src/record",
    "src/types",
    "wire/src",
];
const ORDERED: &[&str] = &["src/exchange", "src/logic", "src/codec", "src/digest", "journal/src"];
const JOURNAL: &[&str] = &["journal/src"];

const CLOCKS: &[&str] = &["src/clock.rs", "journal/src/helpers.rs", "loadgen/src/clock.rs"];
const THREADS: &[&str] = &[
    "src/runner.rs",
    "src/recovery.rs",
    // Operators are answered while stages are polled.
    "src/admin/server.rs",
    // A collector may be slow, or away.
    "src/spans/exporter.rs",
    // Copying segments takes minutes, and may be broken off at any moment.
    "src/admin/archive.rs",
    // Standard input blocks.
    "src/cli/apply.rs",
    // Somebody answers other nodes while this one recovers.
    "src/cli/pair/door.rs",
    // Its clients go on while it kills their nodes.
    "src/cli/demo",
    "src/cli/client",
    "journal/src/helpers.rs",
    "journal/src/verify.rs",
    "loadgen/src",
    // A core has a world each; a stage that stops in a sync waits on a thread of its own.
    "sim/src/main.rs",
    "sim/src/node/away.rs",
];
/// Tools that wait between two looks, besides, and clients, which own their waiting.
const WAITS: &[&str] = &[
    "src/runner.rs",
    "src/client/soup.rs",
    "journal/src/helpers.rs",
    "loadgen/src",
    "src/cli/demo",
    "src/cli/pair.rs",
    // It waits for the other node, before there is anything to poll.
    "src/replication/start.rs",
    // It waits for nodes that are started again.
    "src/cli/nightly/steps.rs",
    "src/cli/journal/append.rs",
    "src/cli/journal/dump.rs",
];
/// Each block in them says why it is sound; the tests' is a counting allocator.
const UNSAFE: &[&str] =
    &["src/memory.rs", "src/prefetch.rs", "journal/src/storage/mapped.rs", "tests/counting"];

const TAKE_NOW: &str = "take `now` as an argument; only the clock modules read time";
const BE_POLLED: &str = "write a stage that is polled; only the runner and the helpers own threads";
const NO_WORLD: &str = "logic sees its types and `Moment` only; effects on the world are events";
const NO_ORDERS: &str = "the journal knows bytes and numbers; what they mean belongs to `record`";

const BANNED: &[Banned] = &[
    Banned::new("Instant", TAKE_NOW).except(CLOCKS),
    Banned::new("SystemTime", TAKE_NOW).except(CLOCKS),
    Banned::new("clock_gettime", TAKE_NOW).except(CLOCKS),
    Banned::new("thread::spawn", BE_POLLED).except(THREADS),
    Banned::new("thread::scope", BE_POLLED).except(THREADS),
    Banned::new("thread::Builder", BE_POLLED).except(THREADS),
    Banned::new("thread::sleep", "return `Ok(0)` and be polled again").except(WAITS),
    Banned::new("HashMap", "random order: use BTreeMap or a slab").within(ORDERED),
    Banned::new("HashSet", "random order: use BTreeSet or a slab").within(ORDERED),
    Banned::new("std::fs", NO_WORLD).within(LOGIC),
    Banned::new("std::net", NO_WORLD).within(LOGIC),
    Banned::new("std::env", NO_WORLD).within(LOGIC),
    Banned::new("std::process", NO_WORLD).within(LOGIC),
    Banned::new("std::thread", NO_WORLD).within(LOGIC),
    Banned::new("std::time", NO_WORLD).within(LOGIC),
    Banned::new("ringframe_journal", NO_WORLD).within(LOGIC),
    Banned::new("disruptor", NO_WORLD).within(LOGIC),
    Banned::new("rustix", NO_WORLD).within(LOGIC),
    Banned::new("mio", NO_WORLD).within(LOGIC),
    Banned::new("crossbeam_channel", NO_WORLD).within(LOGIC),
    Banned::new("serde_json", "texts for people belong to `exchange_json`").within(LOGIC),
    Banned::new("f32", "no floats: count in the smallest unit").within(LOGIC),
    Banned::new("f64", "no floats: count in the smallest unit").within(LOGIC),
    Banned::new("Price", NO_ORDERS).within(JOURNAL),
    Banned::new("Quantity", NO_ORDERS).within(JOURNAL),
    Banned::new("Instrument", NO_ORDERS).within(JOURNAL),
    Banned::new("ringframe_journal", "loadgen uses the wire only").within(&["loadgen"]),
    Banned::new("unsafe", "use a safe type, or name the new island in tests/tidy/main.rs")
        .except(UNSAFE)
        .in_tests(),
    Banned::new("todo!", "finish it, or leave it out").in_tests(),
    Banned::new("unimplemented!", "finish it, or leave it out").in_tests(),
    Banned::new("dbg!", "use an assertion, a counter or an error that says it").in_tests(),
    Banned::new("#[ignore", "make the test fast, or give it a size by an option").in_tests(),
];

#[test]
fn the_tree_is_tidy() {
    let sources = read_tree(Path::new(env!("CARGO_MANIFEST_DIR")));
    for must in [
        "src/lib.rs",
        "journal/src/lib.rs",
        "loadgen/src/lib.rs",
        "wire/src/lib.rs",
        "sim/src/lib.rs",
        "tests/tidy/main.rs",
    ] {
        assert!(sources.iter().any(|source| source.path == must), "the walk missed {must}");
    }
    let findings = check(&sources);
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

fn check(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        check_sizes(source, &mut findings);
        check_banned(source, &mut findings);
        check_directions(source, &mut findings);
    }
    check_dead_files(sources, &mut findings);
    findings
}

fn check_sizes(source: &Source, findings: &mut Vec<String>) {
    let path = &source.path;
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        findings.push(format!(
            "{path}: {lines} lines, at most {FILE_LINES_MAX}: split it by subject, or move its \
             tests to a sibling file"
        ));
    }
    for (number, line) in (1..).zip(source.text.lines()) {
        let columns = line.chars().count();
        if columns > LINE_COLUMNS_MAX {
            findings.push(format!(
                "{path}:{number}: {columns} columns, at most {LINE_COLUMNS_MAX}: break the line"
            ));
        }
    }
    for (number, name, lines) in functions(source.shipped()) {
        if lines > FUNCTION_LINES_MAX {
            findings.push(format!(
                "{path}:{number}: fn {name} has {lines} lines, at most {FUNCTION_LINES_MAX}: keep \
                 the branching, extract the leaves"
            ));
        }
    }
}

fn check_banned(source: &Source, findings: &mut Vec<String>) {
    let path = &source.path;
    let shipped_lines = source.shipped().lines().count();
    for (number, name) in paths(&source.code) {
        for ban in BANNED {
            let bound = ban.in_tests || number <= shipped_lines;
            let inside = ban.within.iter().any(|part| is_under(path, part));
            let excepted = ban.except.iter().any(|part| is_under(path, part));
            if bound && inside && !excepted && names(&name, ban.item) {
                let Banned { item, instead, .. } = ban;
                findings.push(format!("{path}:{number}: no `{item}` here: {instead}"));
            }
        }
    }
}

fn check_directions(source: &Source, findings: &mut Vec<String>) {
    let path = &source.path;
    let own = own_module(path);
    let row = DIRECTIONS.iter().find(|(part, _)| is_under(path, part));
    let builds_stages = STAGE_BUILDERS.iter().any(|part| is_under(path, part));
    for (number, name) in paths(source.shipped()) {
        let Some(seen) = root_module(path, &name) else { continue };
        if own == Some(seen.as_str()) {
            continue;
        }
        if let Some((part, sees)) = row {
            if !sees.contains(&seen.as_str()) {
                findings.push(format!(
                    "{path}:{number}: {part} may not see `{seen}`, only {sees:?}: pass what it \
                     needs as an argument, or move the type down"
                ));
            }
        } else if STAGES.contains(&seen.as_str()) && !builds_stages {
            findings.push(format!(
                "{path}:{number}: only `node` may see the stage `{seen}`: stages meet in \
                 `pipeline` (positions) and `node` (construction)"
            ));
        }
    }
}

/// A file that no `mod` line reaches is compiled by nobody and rots.
fn check_dead_files(sources: &[Source], findings: &mut Vec<String>) {
    let by_path: BTreeMap<&str, &Source> =
        sources.iter().map(|source| (source.path.as_str(), source)).collect();
    let mut waiting: Vec<&str> = by_path.keys().copied().filter(|path| is_root(path)).collect();
    let mut reached = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if !reached.insert(path) {
            continue;
        }
        let folder = if is_root(path) || path.ends_with("/mod.rs") {
            path.rsplit_once('/').map_or("", |(folder, _)| folder)
        } else {
            path.trim_end_matches(".rs")
        };
        for module in by_path[path].modules() {
            for file in [format!("{folder}/{module}.rs"), format!("{folder}/{module}/mod.rs")] {
                waiting.extend(by_path.get_key_value(file.as_str()).map(|(path, _)| *path));
            }
        }
    }
    for path in by_path.keys().filter(|path| !reached.contains(*path)) {
        findings.push(format!("{path}: no `mod` line reaches it: add one, or delete the file"));
    }
}

/// Cargo compiles these by themselves.
fn is_root(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let file = parts.next().unwrap_or_default();
    let folder = parts.next().unwrap_or_default();
    let above = parts.next().unwrap_or_default();
    let targets = ["tests", "benches", "examples", "fuzz_targets", "bin"];
    match folder {
        "src" => file == "lib.rs" || file == "main.rs",
        folder if targets.contains(&folder) => above != "src" || folder == "bin",
        _ => (targets.contains(&above) && file == "main.rs") || file == "build.rs",
    }
}

/// `part` is a file, a folder, or a module that may be either; the empty one is the whole tree.
fn is_under(path: &str, part: &str) -> bool {
    let rest = path.strip_prefix(part);
    part.is_empty() || rest.is_some_and(|rest| matches!(rest, "" | ".rs") || rest.starts_with('/'))
}

/// Whether the segments of `item` stand side by side in `path`.
fn names(path: &str, item: &str) -> bool {
    let path: Vec<&str> = path.split("::").collect();
    let item: Vec<&str> = item.split("::").collect();
    path.windows(item.len()).any(|window| window == item)
}

/// `book` of `src/book/level.rs`: the module just below the root crate's root.
fn own_module(path: &str) -> Option<&str> {
    path.strip_prefix("src/")?.split('/').next().map(|part| part.trim_end_matches(".rs"))
}

/// The module of the root crate that `name`, written in `path`, leads into.
fn root_module(path: &str, name: &str) -> Option<String> {
    let segments: Vec<&str> = name.split("::").collect();
    let ups = segments.iter().take_while(|segment| **segment == "super").count();
    let at = match segments[0] {
        "ringframe" => 1,
        "crate" if path.starts_with("src/") => 1,
        "super" if path.starts_with("src/") => {
            let file = path.trim_start_matches("src/").trim_end_matches(".rs");
            let depth = file.trim_end_matches("/mod").split('/').count();
            if ups < depth {
                return own_module(path).map(str::to_owned);
            }
            ups
        }
        _ => return None,
    };
    segments.get(at).map(|segment| (*segment).to_owned())
}
