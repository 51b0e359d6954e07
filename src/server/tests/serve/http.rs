//! What is asked for over HTTP.

use crate::process::Server;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// The status and the body.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn health_metrics_and_status() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let mut client = server.client();
    client.play(
        "SET k v => +OK\nGET k => $v\nGET k => $v\nINCR k => -ERR value is not an integer or out of range",
    );
    assert_eq!(get(server.http, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(server.http, "/readyz"), (200, "ready\n".to_owned()));
    let (status, metrics) = get(server.http, "/metrics");
    assert_eq!(status, 200);
    for line in [
        "esker_connected_clients 1",
        "esker_commands_total{command=\"get\"} 2",
        "esker_commands_total{command=\"set\"} 1",
        "esker_command_errors_total{command=\"incr\"} 1",
        "esker_request_duration_seconds_bucket{le=\"+Inf\"} 4",
        "esker_request_duration_seconds_count 4",
        "esker_store_read_only 0",
    ] {
        assert!(metrics.lines().any(|l| l == line), "no `{line}` in {metrics}");
    }
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("esker_") && value.parse::<f64>().is_ok(), "{line}");
    }
    let (status, body) = get(server.http, "/status");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["ready"]), (200, &serde_json::Value::Bool(true)));
    assert_eq!(body["databases"][0]["keyspace"], "default");
    assert_eq!(get(server.http, "/nothing").0, 404);
}
