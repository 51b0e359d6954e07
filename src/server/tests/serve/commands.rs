//! What each command does, as scripts: they can be played to a server of Redis too, and are answered alike.

use crate::process::Server;

/// Plays a script to a plain keyspace, and to one that a cluster of one keeps.
fn play(script: &str) {
    let flags = ["--durability", "buffered"];
    let dir = tempfile::tempdir().unwrap();
    Server::start_plain(&dir, &flags).client().play(script);
    let dir = tempfile::tempdir().unwrap();
    Server::start(&dir, &flags).client().play(script);
}

#[test]
fn strings() {
    play(
        "
        GET k => _
        SET k v => +OK
        GET k => $v
        get K => _
        SET k '' => +OK
        GET k => $
        STRLEN k => :0
        SET k w NX => _
        SET new w NX => +OK
        SET none w XX => _
        EXISTS none => :0
        SET k w XX => +OK
        SET k x GET => $w
        SET fresh x GET => _
        GET fresh => $x
        SET k y NX GET => $x
        GET k => $x
        SET k v NX XX => -ERR syntax error
        SET k v EX 10 PX 10 => -ERR syntax error
        SET k v EX 10 KEEPTTL => -ERR syntax error
        SET k v EX => -ERR syntax error
        SET k v BOGUS => -ERR syntax error
        SET k v EX 0 => -ERR invalid expire time in 'set' command
        SET k v EX -1 => -ERR invalid expire time in 'set' command
        SET k v EX x => -ERR value is not an integer or out of range
        SET k v EX 9223372036854775807 => -ERR invalid expire time in 'set' command
        SET k => -ERR wrong number of arguments for 'set' command
        GET => -ERR wrong number of arguments for 'get' command
        GET a b => -ERR wrong number of arguments for 'get' command
        SETNX k z => :0
        SETNX nx z => :1
        GETSET k new => $x
        GETSET absent new => _
        GETDEL k => $new
        GETDEL k => _
        MSET a 1 b 2 c 3 => +OK
        MSET a 1 b => -ERR wrong number of arguments for 'mset' command
        MGET a none b c a => [$1, _, $2, $3, $1]
        DEL k r => :0
        APPEND k Hello => :5
        APPEND k World => :10
        GET k => $HelloWorld
        STRLEN k => :10
        GETRANGE k 0 4 => $Hello
        GETRANGE k -5 -1 => $World
        SUBSTR k 5 5 => $W
        GETRANGE k 20 30 => $
        GETRANGE k a 1 => -ERR value is not an integer or out of range
        SETRANGE k 5 There => :10
        GET k => $HelloThere
        SETRANGE pad 3 x => :4
        GET pad => $\\x00\\x00\\x00x
        SETRANGE nothing 5 '' => :0
        EXISTS nothing => :0
        SETRANGE k -1 x => -ERR offset is out of range
        ECHO hi => $hi
        ",
    );
}

#[test]
fn several_keys_are_set_at_once_only_where_they_lie_in_one_place() {
    let flags = ["--durability", "buffered"];
    let dir = tempfile::tempdir().unwrap();
    Server::start_plain(&dir, &flags).client().play(
        "
        SET a 1 => +OK
        MSETNX d 1 a 2 => :0
        EXISTS d => :0
        MSETNX d 1 e 2 d 3 => :1
        MGET d e => [$3, $2]
        ",
    );
    let dir = tempfile::tempdir().unwrap();
    Server::start(&dir, &flags)
        .client()
        .play("SET a 1 => +OK\nMSETNX d 1 a 2 => -ERR MSETNX reads and writes in one step...");
}

#[test]
fn counters() {
    play(
        "
        INCR n => :1
        INCR n => :2
        INCRBY n 40 => :42
        DECR n => :41
        DECRBY n 41 => :0
        DECR n => :-1
        GET n => $-1
        SET n 9223372036854775807 => +OK
        INCR n => -ERR increment or decrement would overflow
        GET n => $9223372036854775807
        DECRBY n -9223372036854775808 => -ERR decrement would overflow
        SET t text => +OK
        INCR t => -ERR value is not an integer or out of range
        INCRBY n 1.5 => -ERR value is not an integer or out of range
        SET s 01 => +OK
        INCR s => -ERR value is not an integer or out of range
        SET f 10.50 => +OK
        INCRBYFLOAT f 0.1 => $10.6
        INCRBYFLOAT f -5 => $5.6
        SET f 5.0e3 => +OK
        INCRBYFLOAT f 200 => $5200
        INCRBYFLOAT f x => -ERR value is not a valid float
        INCRBYFLOAT t 1 => -ERR value is not a valid float
        INCRBYFLOAT f inf => -ERR increment would produce NaN or Infinity
        SET e 7 EX 100 => +OK
        INCR e => :8
        TTL e => :100
        ",
    );
}

#[test]
fn expiry() {
    play(
        "
        TTL k => :-2
        SET k v => +OK
        TTL k => :-1
        PTTL k => :-1
        EXPIRETIME k => :-1
        EXPIRE k 100 => :1
        TTL k => :100
        PERSIST k => :1
        PERSIST k => :0
        TTL k => :-1
        SET k v EX 100 => +OK
        TTL k => :100
        SET k w KEEPTTL => +OK
        TTL k => :100
        APPEND k x => :2
        TTL k => :100
        GETSET k v => $wx
        TTL k => :-1
        SETEX k 50 v => +OK
        TTL k => :50
        PSETEX k 50000 v => +OK
        TTL k => :50
        SETEX k 0 v => -ERR invalid expire time in 'setex' command
        PSETEX k -1 v => -ERR invalid expire time in 'psetex' command
        SET k v PXAT 33177117420000 => +OK
        EXPIRETIME k => :33177117420
        PEXPIRETIME k => :33177117420000
        SET k v EXAT 33177117420 => +OK
        PEXPIRETIME k => :33177117420000
        EXPIRE k 100 NX => :0
        EXPIRE k 100 GT => :0
        EXPIRE k 100 LT => :1
        EXPIRE k 200 GT => :1
        EXPIRE k 50 XX => :1
        PERSIST k => :1
        EXPIRE k 50 XX => :0
        EXPIRE k 50 GT => :0
        EXPIRE k 50 LT => :1
        EXPIRE k 50 NX XX => -ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE k 50 GT LT => -ERR GT and LT options at the same time are not compatible
        EXPIRE k 50 BOGUS => -ERR Unsupported option BOGUS
        EXPIRE k x => -ERR value is not an integer or out of range
        EXPIRE k 9223372036854775807 => -ERR invalid expire time in 'expire' command
        EXPIRE none 10 => :0
        PEXPIRE k 100000 => :1
        TTL k => :100
        EXPIREAT k 33177117420 => :1
        PEXPIREAT k 33177117420123 => :1
        PEXPIRETIME k => :33177117420123
        GETEX k EX 100 => $v
        TTL k => :100
        GETEX k => $v
        TTL k => :100
        GETEX k PERSIST => $v
        TTL k => :-1
        GETEX k BOGUS => -ERR syntax error
        GETEX none EX 10 => _
        EXPIRE k -1 => :1
        EXISTS k => :0
        SET k v => +OK
        EXPIREAT k 1 => :1
        GET k => _
        SET k v EX 100 => +OK
        DEL k => :1
        SET k v => +OK
        TTL k => :-1
        ",
    );
}

#[test]
fn what_has_expired_is_gone_everywhere() {
    let flags = ["--durability", "buffered"];
    let dir = tempfile::tempdir().unwrap();
    expired_keys_are_gone(&Server::start_plain(&dir, &flags));
    let dir = tempfile::tempdir().unwrap();
    expired_keys_are_gone(&Server::start(&dir, &flags));
}

fn expired_keys_are_gone(server: &Server) {
    let mut client = server.client();
    client.play("MSET a 1 b 2 => +OK\nSET c 3 PX 30 => +OK\nSET d 4 PX 30 => +OK\nSET e 5 PX 30 => +OK");
    std::thread::sleep(std::time::Duration::from_millis(60));
    client.play(
        "
        GET c => _
        MGET a c => [$1, _]
        EXISTS a c d => :1
        TTL c => :-2
        TYPE c => +none
        KEYS * => [$a, $b]
        SCAN 0 => [$0, [$a, $b]]
        DBSIZE => :2
        DEL c => :0
        SETNX d new => :1
        TTL d => :-1
        INCR e => :1
        TTL e => :-1
        APPEND c x => :1
        TTL c => :-1
        DBSIZE => :5
        ",
    );
}

#[test]
fn expired_keys_are_removed_unasked_and_expiries_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_plain(&dir, &[]);
    let mut client = server.client();
    client.play("SET long v EX 1000 => +OK\nSET plain v => +OK");
    for i in 0..100 {
        assert_eq!(client.say(&format!("SET short{i} v PX 1")), "+OK");
    }
    loop {
        if client.say("INFO stats").contains("expired_keys:100\\r\\n") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (status, _) = server.stop();
    assert!(status.success());
    let server = Server::start(&dir, &[]);
    server.client().play(
        "
        TTL plain => :-1
        KEYS * => [$long, $plain]
        EXPIRE long 500 LT => :1
        PERSIST long => :1
        TTL long => :-1
        ",
    );
}

#[test]
fn keys() {
    play(
        "
        DEL a b => :0
        MSET a 1 b 2 c 3 => +OK
        EXISTS a b a z => :3
        TOUCH a z => :1
        DEL a a z => :1
        UNLINK b c => :2
        DBSIZE => :0
        RANDOMKEY => _
        MSET user:1 a user:2 b usher c zebra d => +OK
        KEYS * => [$user:1, $user:2, $usher, $zebra]
        KEYS user:* => [$user:1, $user:2]
        KEYS us?er => [$usher]
        KEYS [uz]* => [$user:1, $user:2, $usher, $zebra]
        KEYS none* => []
        TYPE zebra => +string
        SCAN 0 COUNT 100 => [$0, [$user:1, $user:2, $usher, $zebra]]
        SCAN 0 MATCH *e* TYPE string => [$0, [$user:1, $user:2, $usher, $zebra]]
        SCAN 0 TYPE hash => [$0, []]
        SCAN 0 MATCH user:* => [$0, [$user:1, $user:2]]
        SCAN 0 COUNT 0 => -ERR syntax error
        SCAN 0 COUNT => -ERR syntax error
        SCAN x => -ERR invalid cursor
        SCAN 77777 => -ERR invalid cursor: it was not given out here, or too long ago; begin again with 0
        FLUSHDB BOGUS => -ERR syntax error
        FLUSHDB ASYNC => +OK
        DBSIZE => :0
        SET k v => +OK
        RANDOMKEY => $k
        FLUSHALL => +OK
        GET k => _
        ",
    );
}

#[test]
fn scan_walks_over_everything_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--durability", "buffered"]);
    let mut client = server.client();
    let mut expected = Vec::new();
    for i in 0..1000 {
        assert_eq!(client.say(&format!("SET key:{i:04} v")), "+OK");
        expected.push(format!("$key:{i:04}"));
    }
    let (mut cursor, mut seen) = ("0".to_owned(), Vec::new());
    loop {
        let answer = client.say(&format!("SCAN {cursor} COUNT 37"));
        let (next, keys) = answer.strip_prefix("[$").unwrap().split_once(", [").unwrap();
        let keys = keys.trim_end_matches(']');
        seen.extend(keys.split(", ").filter(|key| !key.is_empty()).map(str::to_owned));
        cursor = next.to_owned();
        if cursor == "0" {
            break;
        }
        // A key that comes behind the place while the walk goes on is seen once or not at all.
        client.say("SET key:0000 again");
    }
    seen.sort();
    assert_eq!(seen, expected);
}

#[test]
fn the_server_about_itself() {
    play(
        "
        PING => +PONG
        PING hello => $hello
        PING a b => -ERR wrong number of arguments for 'ping' command
        SELECT 0 => +OK
        SELECT 1 => -ERR DB index is out of range
        SELECT x => -ERR invalid DB index
        CONFIG GET save => [$save, $]
        CONFIG GET max-pair-bytes => [$max-pair-bytes, $10KiB]
        CONFIG GET password => []
        CONFIG GET databases => [$databases, $1]
        CONFIG SET save x => -ERR the configuration is fixed while the server runs...
        CONFIG RESETSTAT => +OK
        CONFIG BOGUS => -ERR unknown subcommand or wrong number of arguments for 'BOGUS'. Try CONFIG HELP.
        CLIENT GETNAME => _
        CLIENT SETNAME me => +OK
        CLIENT GETNAME => $me
        CLIENT SETINFO LIB-NAME lib => +OK
        CLIENT SETINFO BOGUS lib => -ERR Unrecognized option 'BOGUS'
        CLIENT INFO => $id=...
        CLIENT LIST => $id=...
        CLIENT ID => :...
        CLIENT NO-EVICT ON => +OK
        CLIENT KILL 1.2.3.4:5 => -ERR No such client
        CLIENT KILL ID 99 => :0
        CLIENT BOGUS => -ERR unknown subcommand...
        COMMAND COUNT => :61
        COMMAND INFO get nope => [[$get, :2, [+readonly], :1, :1, :1, [+@read, +@string], [], [], []], _]
        COMMAND GETKEYS mset a 1 b 2 => [$a, $b]
        COMMAND GETKEYS ping => -ERR The command has no key arguments
        COMMAND DOCS get => [$get, [$summary, $The value of a key., $since, $1.0.0, $group, $string]]
        CLUSTER INFO => $cluster_enabled:1...
        CLUSTER KEYSLOT foo => :12182
        WAIT 0 100 => :0
        WAIT 1 10 => :0
        WAIT 1 -1 => -ERR timeout is negative
        MEMORY USAGE none => _
        LATENCY LATEST => []
        INFO cluster => $# Cluster\\r\\ncluster_enabled:1\\r\\n
        NOSUCH a b => -ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' ...
        RESET => +RESET
        CLIENT GETNAME => _
        QUIT => +OK
        ",
    );
}
