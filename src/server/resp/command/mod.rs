//! The commands: a table, and a file for each family.
//!
//! A command is a row of [`TABLE`]: its name, how many arguments it takes, where its keys are, what it does to them, and its function. What
//! `COMMAND` answers, what strangers and read-only users may do, and the metrics follow from the row.

mod arguments;
mod causal;
mod cluster;
mod connection;
mod counters;
mod expiry;
mod introspection;
mod keys;
mod scan;
mod server;
mod strings;
mod table;

pub(crate) use table::TABLE;

use super::context::{Context, Ran};
use super::parse::Args;
use super::refusal::Refusal;
use super::session::Session;
use crate::server::Server;
use std::fmt;
use std::sync::LazyLock;

/// What a command does to keys, in the words of the three kinds of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It needs no keyspace.
    Free,
    /// It reads.
    Read,
    /// It writes whatever is there.
    Write,
    /// What it writes depends on what it reads.
    Modify,
}

impl Kind {
    /// Whether it changes something.
    pub(crate) fn writes(self) -> bool {
        matches!(self, Kind::Write | Kind::Modify)
    }
}

/// Where the keys are among the arguments, as Redis counts: the name is 0, and a last one of -1 is the last argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) step: i64,
}

/// A command.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// How many arguments, the name among them; negative: at least so many.
    pub(crate) arity: i64,
    pub(crate) kind: Kind,
    pub(crate) keys: Keys,
    /// Whether a stranger may use it.
    pub(crate) for_strangers: bool,
    pub(crate) group: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) run: fn(&mut Context<'_>, Args<'_>) -> Ran,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command {}", self.name)
    }
}

/// Places of the hash table that names are looked up in: a power of two, several times the commands.
const SLOTS: usize = 1024;

/// The place in the table by the hash of a name; collisions lie behind each other.
static BY_NAME: LazyLock<[u16; SLOTS]> = LazyLock::new(|| {
    let mut slots = [u16::MAX; SLOTS];
    for (place, command) in TABLE.iter().enumerate() {
        let mut at = slot(command.name.as_bytes());
        while slots[at] != u16::MAX {
            at = (at + 1) % SLOTS;
        }
        slots[at] = place as u16;
    }
    slots
});

/// FNV-1a over the lower-case name.
fn slot(name: &[u8]) -> usize {
    let hash = name.iter().fold(0x811c_9dc5u32, |hash, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    });
    (hash ^ (hash >> 15)) as usize % SLOTS
}

/// The place of a command in the table. Capitals do not matter.
pub(crate) fn find(name: &[u8]) -> Option<usize> {
    // No command has a longer name; a longer one is not worth hashing.
    if name.len() > 24 {
        return None;
    }
    let mut at = slot(name);
    loop {
        let place = usize::from(BY_NAME[at]);
        let command = TABLE.get(place)?;
        if command.name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(place);
        }
        at = (at + 1) % SLOTS;
    }
}

/// Whether the command may be run like this.
pub(crate) fn check(
    command: &Command,
    args: Args<'_>,
    server: &Server,
    session: &Session,
) -> Result<(), Refusal> {
    let count = args.len() as i64;
    if count != command.arity && (command.arity > 0 || count < -command.arity) {
        return Err(Refusal::arity(command.name));
    }
    let Some(user) = &session.user else {
        return if command.for_strangers { Ok(()) } else { Err(Refusal::NO_AUTH) };
    };
    if command.kind.writes() && user.read_only {
        return Err(Refusal::new(format!(
            "NOPERM User {} has no permissions to run the '{}' command",
            user.name, command.name
        )));
    }
    if command.kind != Kind::Free {
        let name = server.databases.get(session.database).map_or("", |database| &database.name);
        if !user.may_use(name) {
            return Err(Refusal::new(format!(
                "NOPERM User {} has no permissions to access the keyspace '{name}'; SELECT another one",
                user.name
            )));
        }
    }
    Ok(())
}

/// Refuses a subcommand that concerns other connections, or the server, to a user who may not do everything.
fn check_unrestricted(session: &Session, what: &str) -> Result<(), Refusal> {
    match &session.user {
        Some(user) if !user.is_unrestricted() => Err(Refusal::new(format!(
            "NOPERM User {} has no permissions to run '{what}', which is for users who may do everything",
            user.name
        ))),
        _ => Ok(()),
    }
}

/// What is said of a name that no command has.
pub(crate) fn unknown(args: Args<'_>) -> Refusal {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..128).unwrap_or(bytes)).into_owned();
    let mut beginning = String::new();
    for argument in args.from(1).iter() {
        if beginning.len() >= 128 {
            break;
        }
        beginning += &format!("'{}' ", shown(argument));
    }
    Refusal::new(format!(
        "ERR unknown command '{}', with args beginning with: {beginning}",
        shown(args.get(0))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_name() {
        for (place, command) in TABLE.iter().enumerate() {
            assert_eq!(find(command.name.as_bytes()), Some(place));
            assert_eq!(find(command.name.to_uppercase().as_bytes()), Some(place));
            assert!(command.name.len() <= 24 && command.arity != 0, "{}", command.name);
            assert_eq!(command.keys.first == 0, command.keys.step == 0, "{}", command.name);
        }
        for name in ["", "ge", "gett", "\u{0}", "a name that is longer than any command's"] {
            assert_eq!(find(name.as_bytes()), None);
        }
    }
}
