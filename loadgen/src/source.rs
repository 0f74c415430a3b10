//! What is played, by the names that the command line has for it.

use std::path::PathBuf;
use std::str::FromStr;

use crate::flow::{Equity, Mix, Regime};
use crate::orders::file;
use crate::orders::script::{Listed, Script};

/// Where commands come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A plain mix.
    Mix(Mix),
    /// Shaped like equities.
    Equity(Equity),
    /// A file: a recorded flow, or ITCH 5.0.
    File(PathBuf),
}

impl Default for Source {
    fn default() -> Self {
        Self::Mix(Mix::F1)
    }
}

/// The names of the regimes on the command line.
const REGIMES: [(&str, Regime); 5] = [
    ("static", Regime::Static),
    ("normal", Regime::Normal),
    ("swings25", Regime::Swings25),
    ("swings40", Regime::Swings40),
    ("flash-crash", Regime::FlashCrash),
];
/// How large a book of the regimes is.
const RESTING: u32 = 10_000;

impl Source {
    /// As headings have it.
    pub fn name(&self) -> String {
        match self {
            Self::Mix(mix) if Mix::ALL.contains(mix) => mix.name.to_owned(),
            Self::Mix(Mix { instruments, resting, replaces, cancels, takes, .. }) => format!(
                "mix: of 100 {} add, {} cancel, {replaces} replace, {} take; {resting} rest in \
                 {instruments} books",
                (100 - cancels - takes) * (100 - replaces) / 100,
                cancels * (100 - replaces) / 100,
                takes * (100 - replaces) / 100
            ),
            Self::Equity(equity) => {
                let Equity { regime, instruments, resting, .. } = equity;
                format!("{} ×{instruments} {resting}", regime.name())
            }
            Self::File(path) => path.display().to_string(),
        }
    }

    /// So many commands of it, or as many as it has.
    pub fn script(&self, commands: usize, listed: &[Listed]) -> Result<Script, String> {
        match self {
            Self::Mix(mix) => Script::of_flow(mix.flow(commands), listed),
            Self::Equity(equity) => {
                let mut flow = equity.flow(commands);
                flow.ops.truncate(commands);
                Script::of_flow(flow, listed)
            }
            Self::File(path) => file::read(path, commands),
        }
    }
}

/// `f1`, `normal`, `normal:100,1000000`, `mix:add=55,cancel=40,replace=0,take=5,resting=130`.
impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, details) = text.split_once(':').unwrap_or((text, ""));
        if name == "mix" {
            return mix(details).map(Self::Mix);
        }
        if let Some(mix) = Mix::ALL.into_iter().find(|mix| mix.name == name && details.is_empty()) {
            return Ok(Self::Mix(mix));
        }
        if let Some((_, regime)) = REGIMES.into_iter().find(|(known, _)| *known == name) {
            let advice = || "write as normal:INSTRUMENTS,RESTING, at least 1000 resting".to_owned();
            let (instruments, resting) = match details.split_once(',') {
                None if details.is_empty() => (1, RESTING),
                None => return Err(advice()),
                Some((instruments, resting)) => (
                    instruments.parse().map_err(|_| advice())?,
                    resting.parse().map_err(|_| advice())?,
                ),
            };
            if instruments == 0 || resting < 1_000 {
                return Err(advice());
            }
            return Ok(Self::Equity(Equity { regime, instruments, resting, seed: 1 }));
        }
        let mixes = Mix::ALL.map(|mix| mix.name).join(", ");
        let regimes = REGIMES.map(|(name, _)| name).join(", ");
        Err(format!(
            "there is no flow '{text}': one of {mixes}, {regimes}, or a mix as \
             mix:add=55,cancel=40,replace=0,take=5"
        ))
    }
}

/// Shares of 100 commands, and what the books are like.
fn mix(details: &str) -> Result<Mix, String> {
    let (mut add, mut cancel, mut replace, mut take) = (0_u32, 0_u32, 0_u32, 0_u32);
    let mut mix = Mix { name: "mix", ..Mix::F1 };
    for part in details.split(',') {
        let wrong = || format!("'{part}' is no part of a mix: write as add=55");
        let (name, value) = part.split_once('=').ok_or_else(wrong)?;
        let value: u32 = value.parse().map_err(|_| wrong())?;
        match name {
            "add" => add = value,
            "cancel" => cancel = value,
            "replace" => replace = value,
            "take" => take = value,
            "resting" => mix.resting = value,
            "instruments" => mix.instruments = u16::try_from(value).map_err(|_| wrong())?,
            "width" => mix.width = value,
            _ => return Err(wrong()),
        }
    }
    let sum = [add, cancel, replace, take].iter().map(|part| u64::from(*part)).sum::<u64>();
    if sum != 100 || replace == 100 {
        return Err(format!("the shares of a mix add up to 100, not all replaces; here {sum}"));
    }
    if !(1..=1_000_000).contains(&mix.resting) || mix.instruments == 0 {
        return Err("a mix has 1 to 1000000 orders resting, in at least 1 instrument".into());
    }
    if !(1..=8_192).contains(&mix.width) {
        return Err("the width of a mix is 1 to 8192 ticks".into());
    }
    let others = 100 - replace;
    (mix.replaces, mix.cancels) = (replace, (cancel * 100).div_ceil(others));
    mix.takes = (take * 100).div_ceil(others).min(100 - mix.cancels);
    Ok(mix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_flows() {
        let parse = |text: &str| text.parse::<Source>();
        assert_eq!(parse("fmod"), Ok(Source::Mix(Mix::FMOD)));
        let plain = "mix:add=55,cancel=40,replace=0,take=5,width=64";
        assert_eq!(parse(plain), Ok(Source::Mix(Mix { name: "mix", ..Mix::F1 })));
        let many = "mix:add=40,cancel=40,replace=20,take=0,resting=7,instruments=3";
        let Ok(Source::Mix(mix)) = parse(many) else { panic!("a mix") };
        assert_eq!((mix.replaces, mix.cancels, mix.takes), (20, 50, 0));
        assert_eq!((mix.resting, mix.instruments), (7, 3));
        let equity = Equity { regime: Regime::Swings25, instruments: 3, resting: 2_000, seed: 1 };
        assert_eq!(parse("swings25:3,2000"), Ok(Source::Equity(equity)));
        assert!(matches!(parse("normal"), Ok(Source::Equity(_))));
        for bad in ["f2", "f1:1", "mix", "mix:add=1", "normal:3", "normal:0,2000", "normal:1,5"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_flow_has_as_many_commands_as_were_asked_for() {
        let listed = crate::orders::script::demo_instruments();
        for name in ["f1", "fmod", "normal", "mix:add=60,cancel=0,replace=10,take=30"] {
            let source: Source = name.parse().expect("known");
            let script = source.script(5_000, &listed).expect("fits");
            assert_eq!(script.ops.len(), 5_000, "{name}");
        }
    }
}
