//! `POST /adopt?keyspace=K`: has a plain keyspace of this node become a replicated one.
//!
//! It is begun, also where an earlier attempt failed, and goes on when whoever asked goes away; `GET` of the same tells how far it
//! is. With `&alone` a node that is alone in its cluster does it too.

use crate::database::{Database, Progress, Target};
use crate::resp::{NotAllowed, check_basic};
use crate::server::Server;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long the cluster may take to have a keyspace that was just defined.
const DEFINED_WITHIN: Duration = Duration::from_secs(10);

/// Why it is not done, with the status that says what kind of reason it is.
type Refused = (StatusCode, String);

pub(super) async fn adopt(
    State(server): State<Arc<Server>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let begins = method == Method::POST;
    let (status, said) = match answer(&server, begins, uri.query().unwrap_or_default(), &headers).await {
        Ok(progress) => (StatusCode::OK, progress),
        Err((status, why)) => (status, json!({ "state": "refused", "reason": why })),
    };
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, format!("{said}\n")).into_response()
}

async fn answer(
    server: &Arc<Server>,
    begins: bool,
    query: &str,
    headers: &HeaderMap,
) -> Result<Value, Refused> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    check_basic(&server.access, authorization).map_err(|refused| match refused {
        NotAllowed::Stranger => (
            StatusCode::UNAUTHORIZED,
            "the node asks for a user and a password; give them with --user".to_owned(),
        ),
        NotAllowed::Restricted => {
            (StatusCode::FORBIDDEN, "this user may not do everything; ask as one who may".to_owned())
        }
    })?;
    let mut words = query.split('&');
    let name = words.next().and_then(|word| word.strip_prefix("keyspace=")).and_then(decoded);
    let alone = words.any(|word| word == "alone");
    let name =
        name.ok_or((StatusCode::BAD_REQUEST, "say which keyspace: /adopt?keyspace=NAME".to_owned()))?;
    let number = server.databases.iter().position(|database| database.name == name);
    let number = number.ok_or_else(|| {
        let what = format!(
            "the node serves no keyspace `{name}`; name it in its option `databases` and start it again"
        );
        (StatusCode::NOT_FOUND, what)
    })?;
    let database = server.databases.get(number).ok_or((StatusCode::NOT_FOUND, String::new()))?;
    let (progress, pairs) = database.adoption();
    let waits = matches!(progress, Progress::None | Progress::Failed(_));
    if !begins || !waits || matches!(database.target(), Target::Replicated(_)) {
        return Ok(told(&name, progress, pairs));
    }
    prepare(server, database, alone).await.map_err(|why| (StatusCode::CONFLICT, why))?;
    if !database.begin_adoption() {
        let (progress, pairs) = database.adoption();
        return Ok(told(&name, progress, pairs));
    }
    let server = server.clone();
    tokio::spawn(async move {
        let Some(database) = server.databases.get(number) else { return };
        database.adopt(server.config.max_pair_bytes).await;
        match database.adoption() {
            (Progress::Failed(why), _) => {
                tracing::warn!("the adoption of the keyspace `{}` failed: {why}", database.name)
            }
            (_, pairs) => {
                tracing::info!("the adoption of the keyspace `{}` ended: {pairs} pairs", database.name)
            }
        }
    });
    Ok(told(&name, Progress::Running, 0))
}

fn told(name: &str, progress: Progress, pairs: u64) -> Value {
    let (state, reason) = match progress {
        Progress::None => ("plain", None),
        Progress::Running => ("adopting", None),
        Progress::Failed(why) => ("failed", Some(why)),
        Progress::Done => ("adopted", None),
    };
    json!({ "keyspace": name, "state": state, "pairs": pairs, "reason": reason })
}

/// Sees to it that the cluster has the keyspace, and that the first write does not shut out others by mistake.
async fn prepare(server: &Server, database: &Database, alone: bool) -> Result<(), String> {
    let node = server.node.status().await.ok_or("the node is stopped")?;
    if node.members.is_empty() {
        return Err("the node is of no cluster yet; ask again when it has joined".to_owned());
    }
    if node.members.len() == 1 && !node.sealed && !alone {
        return Err("this node is the only one, and the first write keeps others from joining; start those with --join first, or \
                    pass --alone if there are to be none"
            .to_owned());
    }
    if database.replicated().id().is_some() {
        return Ok(());
    }
    let mut views = server.node.views();
    server.node.define_keyspace(&database.name, server.config.conflicts, node.replicas).await?;
    let known = async { while database.replicated().id().is_none() && views.changed().await.is_ok() {} };
    let _ = tokio::time::timeout(DEFINED_WITHIN, known).await;
    match database.replicated().id() {
        Some(_) => Ok(()),
        None => Err("the cluster does not have the keyspace yet; ask again in a moment".to_owned()),
    }
}

/// The text that stands percent-encoded in an address. `None` if it is none.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn names_are_decoded() {
        assert_eq!(decoded("a%20b%c3%bc").as_deref(), Some("a bü"));
        for wrong in ["", "%", "%4", "%zz", "%ff"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
