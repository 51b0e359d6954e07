//! The `redis` crate against a node: `stock-client PORT one|three single|cluster`. Ends with a panic if an answer is wrong.

use redis::cluster::{ClusterClient, ClusterConnection, cluster_pipe};
use redis::{Client, Commands, Connection, ConnectionLike, RedisResult, pipe};
use std::collections::BTreeSet;

/// Sets each key to its number and reads all of them, in one pipeline.
fn pipelined(c: &mut Connection, names: &[String]) -> RedisResult<Vec<usize>> {
    let mut asked = pipe();
    for (n, name) in names.iter().enumerate() {
        asked.set(name, n).ignore();
    }
    for name in names {
        asked.get(name);
    }
    asked.query(c)
}

/// The same, in a pipeline that the client cuts by nodes.
fn pipelined_over_nodes(c: &mut ClusterConnection, names: &[String]) -> RedisResult<Vec<usize>> {
    let mut asked = cluster_pipe();
    for (n, name) in names.iter().enumerate() {
        asked.set(name, n).ignore();
    }
    for name in names {
        asked.get(name);
    }
    asked.query(c)
}

fn check<C: ConnectionLike + Commands>(
    c: &mut C,
    kind: &str,
    client: &str,
    pipelined: impl FnOnce(&mut C, &[String]) -> RedisResult<Vec<usize>>,
) -> RedisResult<()> {
    let key = |name: &str| format!("rust:{client}:{name}");
    let () = c.set(key("a"), 1)?;
    assert_eq!(c.get::<_, i64>(key("a"))?, 1);
    assert_eq!(c.get::<_, Option<i64>>(key("none"))?, None);
    let raw: Vec<u8> = (0..=255).collect();
    let () = c.set(key("raw"), &raw)?;
    assert_eq!(c.get::<_, Vec<u8>>(key("raw"))?, raw);
    let () = c.set_ex(key("b"), "x", 100)?;
    assert!(c.ttl::<_, i64>(key("b"))? >= 98);
    assert!(c.expire::<_, bool>(key("b"), 50)?);
    assert!(c.ttl::<_, i64>(key("b"))? <= 50);
    assert!(c.persist::<_, bool>(key("b"))?);
    let () = c.pset_ex(key("short"), "x", 30)?;
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(c.get::<_, Option<String>>(key("short"))?, None);
    assert_eq!(c.del::<_, i64>(key("a"))?, 1);
    assert!(!c.exists::<_, bool>(key("a"))?);
    let names: Vec<String> = (0..100).map(|n| format!("{{{}}}{n}", key("tag"))).collect();
    let pairs: Vec<(&String, &String)> = names.iter().map(|name| (name, name)).collect();
    let () = c.mset(&pairs)?;
    assert_eq!(c.mget::<_, Vec<String>>(&names)?, names);
    let got = pipelined(c, &names)?;
    assert_eq!(got, (0..100).collect::<Vec<_>>());
    if client == "single" {
        let found: RedisResult<BTreeSet<String>> = c.scan_match(format!("{{{}}}*", key("tag")))?.collect();
        assert_eq!(found?, names.into_iter().collect());
    }
    if kind == "one" {
        assert_eq!(c.incr::<_, _, i64>(key("count"), 42)?, 42);
        assert!(c.set_nx::<_, _, bool>(key("nx"), 1)?);
        assert!(!c.set_nx::<_, _, bool>(key("nx"), 2)?);
        assert_eq!(c.append::<_, _, i64>(key("nx"), "23")?, 3);
    } else {
        let refused = c.incr::<_, _, i64>(key("count"), 1).expect_err("INCR is refused");
        assert!(refused.to_string().contains("INCR"), "{refused}");
    }
    Ok(())
}

fn main() -> RedisResult<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, kind, client] = arguments.as_slice() else {
        panic!("stock-client PORT one|three single|cluster")
    };
    let url = format!("redis://127.0.0.1:{port}/");
    if client == "cluster" {
        check(&mut ClusterClient::new(vec![url])?.get_connection()?, kind, client, pipelined_over_nodes)
    } else {
        check(&mut Client::open(url)?.get_connection()?, kind, client, pipelined)
    }
}
