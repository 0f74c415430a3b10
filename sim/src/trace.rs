//! What happened, a line each.

/// What the first words of lines mean.
pub const LEGEND: &str = "\
time in microseconds since the beginning, then who:
  n0, n1  a node: what it says itself, and how it starts and ends
  n3      the third one, which nobody waits for
  c1, ..  a client that is let in, or comes late to the market
  op      an operator
  others  what befalls them: a mishap with its numbers, as docs/SIMULATOR.md names them";

/// The lines, where anybody wants them.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(is_on: bool) -> Self {
        Self { lines: is_on.then(Vec::new) }
    }

    pub(crate) fn say(&mut self, nanos: u64, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>10} {}", nanos / 1_000, what()));
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
