//! `esker serve`: the server.

use super::failure::{Ended, Failure, Outcome};
use super::output::print_line;
use crate::config::{self, OPTIONS};
use crate::runtime::{self, ServeError};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, error::Error};
use esker_cluster::store::OpenError;
use std::path::PathBuf;

/// The flags of `serve`: `--config`, and one for each option of the table.
#[derive(Debug)]
pub(crate) struct Serve {
    config: Option<PathBuf>,
    options: Vec<(String, String)>,
}

impl FromArgMatches for Serve {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Serve, Error> {
        let given = |name: &str| matches.get_one::<String>(name).cloned();
        Ok(Serve {
            config: given("config").map(PathBuf::from),
            options: OPTIONS
                .iter()
                .filter_map(|option| Some((option.name.to_owned(), given(option.name)?)))
                .collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Serve::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Serve {
    fn augment_args(command: Command) -> Command {
        let defaults = config::Config::default();
        let file = Arg::new("config").long("config").value_name("FILE");
        let mut command = command
            .about("Serve a store to clients of Redis")
            .long_about(
                "Serve a store to clients of Redis, until SIGTERM or SIGINT.\n\nEach option can also stand in the file of --config, \
                 and in the environment. docs/configuration.md is the reference.",
            )
            .arg(file.help("A file of options, in TOML"));
        for option in OPTIONS {
            let shown = (option.show)(&defaults);
            let what = option.what.trim_end_matches('.');
            let help = if shown.is_empty() { what.to_owned() } else { format!("{what} [default: {shown}]") };
            command = command
                .arg(Arg::new(option.name).long(option.name).value_name(placeholder(option.kind)).help(help));
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Serve::augment_args(command)
    }
}

/// What stands for the value in the help.
fn placeholder(kind: &str) -> &'static str {
    match kind {
        "directory" => "DIR",
        "address" => "HOST:PORT",
        "list of addresses" => "HOST:PORT,...",
        "list of names" => "NAME,...",
        "number" => "N",
        "size" => "SIZE",
        "time" => "TIME",
        "name" => "NAME",
        "level" => "LEVEL",
        _ => "VALUE",
    }
}

impl Serve {
    pub(crate) fn run(&self) -> Ended {
        let environment = std::env::vars_os()
            .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
        let config = config::load(self.config.as_deref(), environment, self.options.iter().cloned())
            .map_err(|e| Failure::new(e.to_string()))?;
        let announce = |lines: &[String]| {
            // A server whose output nobody reads serves all the same.
            lines.iter().for_each(|line| drop(print_line(line)));
        };
        match runtime::run(config, announce) {
            Ok(status) => Ok(Outcome::Status(status)),
            Err(ServeError::Store(OpenError::Engine(error))) => Err(error.into()),
            Err(error) => Err(Failure::new(error.to_string())),
        }
    }
}
