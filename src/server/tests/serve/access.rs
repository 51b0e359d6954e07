//! Who may come in, and what each may do.

use crate::client::Client;
use crate::process::Server;

#[test]
fn a_password_keeps_strangers_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--password", "secret"]);
    server.client().play(
        "
        GET k => -NOAUTH Authentication required.
        PING => -NOAUTH Authentication required.
        HELLO 3 => -NOAUTH HELLO must be called with the client already authenticated...
        AUTH wrong => -WRONGPASS invalid username-password pair or user is disabled.
        AUTH default wrong => -WRONGPASS invalid username-password pair or user is disabled.
        AUTH nobody secret => -WRONGPASS invalid username-password pair or user is disabled.
        AUTH secret => +OK
        SET k v => +OK
        RESET => +RESET
        GET k => -NOAUTH Authentication required.
        AUTH default secret => +OK
        GET k => $v
        ",
    );
    let mut client = server.client();
    client.resp3 = true;
    client.play("HELLO 3 AUTH default secret SETNAME me => {$id: :2, $mode: $standalone, $modules: [], $proto: :3, ...\nCLIENT GETNAME => $me");
    let mut stranger = server.client();
    stranger.send(b"*1\r\n$20000\r\n");
    assert_eq!(stranger.answer(), "-ERR Protocol error: unauthenticated bulk length");
}

#[test]
fn without_a_password_auth_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    server
        .client()
        .play("AUTH x => -ERR AUTH <password> called without any password configured...\nPING => +PONG");
}

#[test]
fn users_have_their_keyspaces() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("esker.toml");
    let config = "databases = ['default', 'reports']\n\
        [[users]]\nname = 'reader'\npassword = 'r'\nkeyspaces = ['reports']\nread-only = true\n\
        [[users]]\nname = 'writer'\npassword = 'w'\n";
    std::fs::write(&file, config).unwrap();
    let server = Server::start(&dir, &["--config", file.to_str().unwrap()]);
    server.client().play(
        "
        PING => -NOAUTH Authentication required.
        AUTH writer w => +OK
        SELECT 1 => +OK
        SET k v => +OK
        SELECT 0 => +OK
        GET k => _
        SET k zero => +OK
        ",
    );
    server.client().play(
        "
        AUTH reader r => +OK
        PING => +PONG
        GET k => -NOPERM User reader has no permissions to access the keyspace 'default'; SELECT another one
        SELECT 0 => -NOPERM User reader has no permissions to access the keyspace 'default'
        SELECT 1 => +OK
        GET k => $v
        SET k w => -NOPERM User reader has no permissions to run the 'set' command
        DEL k => -NOPERM User reader has no permissions to run the 'del' command
        FLUSHALL => -NOPERM User reader has no permissions to run the 'flushall' command
        CLIENT KILL SKIPME no => -NOPERM User reader has no permissions to run 'client|kill', which is for users who may do everything
        CLIENT LIST => -NOPERM User reader has no permissions to run 'client|list', which is for users who may do everything
        CONFIG RESETSTAT => -NOPERM User reader has no permissions to run 'config|resetstat', which is for users who may do everything
        GET k => $v
        ",
    );
}

#[test]
fn a_client_can_be_killed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let mut victim: Client = server.client();
    assert_eq!(victim.say("CLIENT ID"), ":1");
    let mut other = server.client();
    assert_eq!(other.say("CLIENT KILL ID 1"), ":1");
    assert_eq!(victim.try_answer(), None);
    let list = other.say("CLIENT LIST");
    assert!(list.contains("id=2") && !list.contains("id=1 "), "{list}");
    // One that waits is reached too.
    let mut waiting = server.client();
    waiting.send(b"WAIT 1 0\r\n");
    assert_eq!(other.say("PING"), "+PONG");
    other.say("CLIENT KILL ID 3");
    assert_ne!(waiting.try_answer().unwrap_or_default(), ":0");
}
