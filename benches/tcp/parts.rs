//! What benches of several parts do with their arguments: `cargo bench --bench NAME [parts]
//! [names]` runs those parts, or all, and the names mean something to them.

/// How much is measured, and of what.
pub(crate) struct Scale {
    pub(crate) smoke: bool,
    named: Vec<String>,
}

impl Scale {
    /// The full amount, or the smoke test's.
    pub(crate) fn pick<T>(&self, full: T, smoke: T) -> T {
        if self.smoke { smoke } else { full }
    }

    /// Whether it is asked for by name, or nothing is.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.named.is_empty() || self.named.iter().any(|wanted| name == wanted)
    }
}

/// A part, and what it is called.
pub(crate) type Part = (&'static str, fn(&Scale));

/// Runs what these arguments ask for. `cargo test` starts benches without `--bench`.
pub(crate) fn run(parts: &[Part], arguments: Vec<String>) {
    let smoke = !arguments.iter().any(|argument| argument == "--bench");
    let named = arguments.into_iter().filter(|argument| !argument.starts_with('-'));
    let (wanted, named): (Vec<_>, Vec<_>) =
        named.partition(|name| parts.iter().any(|(part, _)| name == part));
    let scale = Scale { smoke, named };
    for (name, run) in parts {
        if wanted.is_empty() || wanted.iter().any(|part| part == name) {
            run(&scale);
        }
    }
}
