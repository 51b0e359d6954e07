//! [`Refusal`]: why a command is not done, in the words that clients of Redis know where it has words for it.

use crate::database::ADOPTING;
use std::borrow::Cow;
use std::fmt;

/// Why a command was not done: a code in capitals, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(Cow<'static, str>);

impl Refusal {
    pub(crate) const SYNTAX: Refusal = Refusal(Cow::Borrowed("ERR syntax error"));
    pub(crate) const NOT_AN_INTEGER: Refusal =
        Refusal(Cow::Borrowed("ERR value is not an integer or out of range"));
    pub(crate) const NOT_A_FLOAT: Refusal = Refusal(Cow::Borrowed("ERR value is not a valid float"));
    pub(crate) const NO_AUTH: Refusal = Refusal(Cow::Borrowed("NOAUTH Authentication required."));

    pub(crate) const STOPPING: Refusal = Refusal(Cow::Borrowed(
        "ERR the connection is being closed; whether the command was done is not known",
    ));

    /// A refusal with this text, code and sentence.
    pub(crate) const fn fixed(text: &'static str) -> Refusal {
        Refusal(Cow::Borrowed(text))
    }

    /// A refusal with this text, code and sentence.
    pub(crate) fn new(text: impl Into<String>) -> Refusal {
        Refusal(Cow::Owned(text.into()))
    }

    /// The wrong number of arguments.
    pub(crate) fn arity(command: &str) -> Refusal {
        Refusal::new(format!("ERR wrong number of arguments for '{command}' command"))
    }

    /// A time to live that cannot be.
    pub(crate) fn expire_time(command: &str) -> Refusal {
        Refusal::new(format!("ERR invalid expire time in '{command}' command"))
    }

    /// The text, code and sentence.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<esker::Error> for Refusal {
    /// The codes by which clients know what to do: `READONLY` and `BUSY` name states that pass or want an operator, `TRYAGAIN` one
    /// that passes by itself.
    fn from(error: esker::Error) -> Refusal {
        let code = match &error {
            esker::Error::ReadOnly { reason } if **reason == *ADOPTING => {
                return Refusal::new(format!("TRYAGAIN {ADOPTING}"));
            }
            esker::Error::ReadOnly { .. } => "READONLY",
            esker::Error::Busy { .. } => "BUSY",
            esker::Error::Closed => "LOADING",
            _ => "ERR",
        };
        Refusal::new(format!("{code} {error}"))
    }
}
