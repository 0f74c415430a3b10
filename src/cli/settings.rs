//! Every setting of a node as a flag of the commands that run one: the list in `config` is all
//! there is to keep.

use clap::error::Error;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use ringframe::config::{SETTINGS, Setting};

/// The settings that the command line gives: names with values.
#[derive(Debug)]
pub(crate) struct Settings {
    given: Vec<(&'static str, String)>,
}

impl Settings {
    /// For [`ringframe::config::Config::load`].
    pub(crate) fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        self.given.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

/// A switch may stand alone; everything else has a value.
fn flag(setting: &Setting) -> Arg {
    let flag = Arg::new(setting.flag)
        .long(setting.flag)
        .help(format!("{} [default: {}]", setting.meaning, setting.default))
        .help_heading("Settings, as in a file");
    if setting.default == "false" {
        let flag = flag.value_name("BOOL").num_args(0..=1).require_equals(true);
        return flag.default_missing_value("true");
    }
    flag.value_name("VALUE")
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let value = |name: &str| matches.get_one::<String>(name).cloned();
        let given = |setting: &Setting| Some((setting.name, value(setting.flag)?));
        Ok(Self { given: SETTINGS.iter().filter_map(given).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
