//! `esker cluster adopt`: has a plain keyspace of a node become a replicated one, and waits for it.

use super::At;
use crate::cli::failure::{Ended, Failure, Outcome};
use crate::cli::output::print_line;
use crate::cli::progress;
use base64::Engine as _;
use clap::Args;
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

/// Make a plain keyspace of a node, as `esker load` writes them, one that the cluster keeps.
///
/// While it is under way the keyspace answers reads and takes no writes. It goes on if this command is interrupted; run it again to
/// hear how far it is, or after the node was started again to finish it.
#[derive(Args, Debug)]
pub(crate) struct Adopt {
    #[command(flatten)]
    at: At,
    /// Who asks, where the node wants to know: NAME:PASSWORD, or only the password of the user `default`. [env: ESKER_USER]
    #[arg(long, value_name = "NAME:PASSWORD")]
    user: Option<String>,
    /// Also on a node that is alone: no other node can join its cluster afterwards.
    #[arg(long)]
    alone: bool,
    /// Print an object with `keyspace` and `pairs`.
    #[arg(long)]
    json: bool,
    /// The keyspace. It has to be one that the node serves.
    keyspace: String,
}

/// How often it is asked how far it is.
const EVERY: Duration = Duration::from_millis(200);

impl Adopt {
    pub(crate) fn run(&self) -> Ended {
        let user = self.user.clone().or_else(|| std::env::var("ESKER_USER").ok());
        let authorization = user.map(|user| {
            let user = if user.contains(':') { user } else { format!("default:{user}") };
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user))
        });
        let alone = if self.alone { "&alone" } else { "" };
        let path = format!("/adopt?keyspace={}{alone}", encoded(&self.keyspace));
        let spinner = progress::spinner("adopting");
        let mut method = "POST";
        loop {
            let asked = self.at.ask(method, &path, authorization.as_deref())?;
            // Asked for again, one that failed would begin anew.
            method = "GET";
            let said = self.at.document(&asked)?;
            let text = |name: &str| said.get(name).and_then(Value::as_str);
            let pairs = said.get("pairs").and_then(Value::as_u64).unwrap_or(0);
            match text("state") {
                Some("adopting" | "plain") => spinner.set_message(format!("{pairs} pairs adopted")),
                Some("adopted") => {
                    spinner.finish_and_clear();
                    return self.report(pairs);
                }
                _ => {
                    let why = text("reason").unwrap_or("the node does not say why");
                    return Err(Failure::new(format!(
                        "the keyspace `{}` is not adopted: {why}",
                        self.keyspace
                    )));
                }
            }
            std::thread::sleep(EVERY);
        }
    }

    fn report(&self, pairs: u64) -> Ended {
        if self.json {
            print_line(serde_json::json!({ "keyspace": self.keyspace, "pairs": pairs }).to_string())?;
        } else {
            let adopted = match pairs {
                0 => "nothing was left to adopt".to_owned(),
                pairs => format!("{pairs} pairs were adopted"),
            };
            print_line(format!("the cluster keeps `{}`: {adopted}", self.keyspace))?;
        }
        Ok(Outcome::Done)
    }
}

/// A text as it may stand in an address.
fn encoded(text: &str) -> String {
    let mut address = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            address.push(char::from(byte));
        } else {
            let _ = write!(address, "%{byte:02x}");
        }
    }
    address
}
