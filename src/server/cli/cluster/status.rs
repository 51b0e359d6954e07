//! `esker cluster status`: the cluster as one of its nodes sees it.

use super::At;
use super::table::Table;
use crate::cli::failure::{Ended, Failure, Outcome};
use crate::cli::output::{Output, print_line};
use clap::Args;
use serde_json::Value;

/// Print the nodes of a cluster, as one of them sees it: who is alive, who owns how much, and what waits for whom.
#[derive(Args, Debug)]
pub(crate) struct Status {
    #[command(flatten)]
    at: At,
    /// Print the node's whole document, as its `/status` gives it.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(crate) fn run(&self) -> Ended {
        let asked = self.at.ask("GET", "/status", None)?;
        let document = self.at.document(&asked)?;
        if self.json {
            print_line(document.to_string())?;
            return Ok(Outcome::Done);
        }
        let node = document.get("node").filter(|node| node.is_object()).ok_or_else(|| {
            Failure::new(format!(
                "the server at {} says nothing of a cluster: its node is stopped",
                self.at.at
            ))
        })?;
        let mut out = Output::new();
        for line in lines(node) {
            out.line(line)?;
        }
        out.finish()?;
        Ok(Outcome::Done)
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("?")
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn is(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// What is said of a cluster: its ring in one line, its nodes in a table, and what is out of order.
fn lines(node: &Value) -> Vec<String> {
    let members = node.get("members").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if members.is_empty() {
        return vec![format!("node {} asks to join and is of no cluster yet", text(node, "id"))];
    }
    let mut table = Table::default();
    table.row(
        ["node", "peer", "resp", "zone/dc", "state", "data", "owns", "hints for it", "clock"]
            .map(str::to_owned),
    );
    let me = text(node, "id");
    for member in members {
        table.row(row(member, me));
    }
    let mut lines = vec![ring(node, members.len())];
    lines.extend(table.lines());
    if let Some(records) = node.get("rebuilding").and_then(Value::as_u64) {
        lines.push(format!("node {me} pulls the data that it lost: {records} records so far"));
    }
    if let Some(reason) = node.get("read_only").and_then(Value::as_str) {
        lines.push(format!("node {me} takes no writes: {reason}"));
    }
    lines
}

fn ring(node: &Value, members: usize) -> String {
    let cluster = text(node, "cluster");
    let state = match (is(node, "sealed"), is(node, "open")) {
        (false, _) => "forming: nodes may join until the first write seals the ring".to_owned(),
        (true, false) => "sealed, and waits until a majority knows it".to_owned(),
        (true, true) => format!("sealed, each key on {}", number(node, "replicas").min(members as u64)),
    };
    let nodes = if members == 1 { "1 node" } else { &format!("{members} nodes") };
    format!("cluster {cluster}: {nodes}, epoch {}, {state}", number(node, "epoch"))
}

fn row(member: &Value, me: &str) -> [String; 9] {
    let id = text(member, "id");
    let or_dash = |word: &str| if word.is_empty() { "-".to_owned() } else { word.to_owned() };
    let data = match (is(member, "ready"), is(member, "writable")) {
        (true, true) => "ready",
        (true, false) => "read-only",
        (false, true) => "rebuilding",
        (false, false) => "not ready",
    };
    let share = number(member, "share_per_mille");
    let clock = match member.get("skew_millis").and_then(Value::as_i64) {
        Some(skew) => format!("{skew:+} ms"),
        None => "-".to_owned(),
    };
    [
        if id == me { format!("{id} *") } else { id.to_owned() },
        or_dash(text(member, "peer")),
        or_dash(text(member, "resp")),
        format!("{}/{}", text(member, "zone"), text(member, "dc")),
        text(member, "liveness").to_owned(),
        data.to_owned(),
        format!("{}.{} %", share / 10, share % 10),
        number(member, "hints_for_it").to_string(),
        clock,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cluster_is_told_in_a_table() {
        let member = |id: &str, liveness: &str, hints: u64| {
            json!({
                "id": id, "peer": "a:1", "resp": "", "zone": "z1", "dc": "dc1", "liveness": liveness, "ready": true,
                "writable": true, "share_per_mille": 333, "hints_for_it": hints, "skew_millis": -4,
            })
        };
        let node = json!({
            "id": "01", "cluster": "c0", "epoch": 4, "sealed": true, "open": true, "replicas": 3,
            "members": [member("01", "alive", 0), member("02", "down", 17)],
        });
        let said = lines(&node);
        assert_eq!(said[0], "cluster c0: 2 nodes, epoch 4, sealed, each key on 2");
        assert_eq!(said[2], "01 *  a:1   -     z1/dc1   alive  ready  33.3 %  0             -4 ms");
        assert_eq!(said[3], "02    a:1   -     z1/dc1   down   ready  33.3 %  17            -4 ms");
        let joining = lines(&json!({ "id": "01", "members": [] }));
        assert_eq!(joining, ["node 01 asks to join and is of no cluster yet"]);
    }
}
