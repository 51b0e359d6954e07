//! A server process of a test.

use crate::client::Client;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// A server that is killed when the test is done with it.
pub(crate) struct Server {
    pub(crate) child: Child,
    _out: BufReader<ChildStdout>,
    pub(crate) resp: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) dir: String,
}

/// The command line of a server on ports that the system chooses.
pub(crate) fn command(dir: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
    command.args(["serve", "--data", dir, "--listen-resp", "127.0.0.1:0", "--listen-http", "127.0.0.1:0"]);
    command.args(["--listen-peer", "127.0.0.1:0"]).args(flags);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Server {
    /// Starts a server on a plain keyspace, which is one that has pairs of the library's when it is first served.
    pub(crate) fn start_plain(dir: &tempfile::TempDir, flags: &[&str]) -> Server {
        let db = dir.path().join("db");
        let put = Command::new(env!("CARGO_BIN_EXE_esker"))
            .args(["put", "--db", db.to_str().unwrap(), "seed-of-the-library", ""])
            .status();
        assert!(put.unwrap().success());
        let server = Server::start(dir, flags);
        server.client().play("DEL seed-of-the-library => :1");
        server
    }

    /// Starts a server and waits until it listens.
    pub(crate) fn start(dir: &tempfile::TempDir, flags: &[&str]) -> Server {
        Server::start_in(dir.path().join("db").to_str().unwrap(), flags)
    }

    pub(crate) fn start_in(dir: &str, flags: &[&str]) -> Server {
        let mut child = command(dir, flags).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (mut resp, mut http) = (None, None);
        let mut line = String::new();
        while resp.is_none() || http.is_none() {
            line.clear();
            if out.read_line(&mut line).unwrap() == 0 {
                let mut err = String::new();
                child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
                panic!("the server did not start: {err}");
            }
            let mut words = line.split_whitespace();
            match (words.next(), words.next().and_then(|address| address.parse().ok())) {
                (Some("resp"), address) => resp = address,
                (Some("http"), address) => http = address,
                _ => {}
            }
        }
        Server { child, _out: out, resp: resp.unwrap(), http: http.unwrap(), dir: dir.to_owned() }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.resp)
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end, and gives the status and what was logged.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap(), err)
    }

    /// Stops it gracefully.
    pub(crate) fn stop(self) -> (ExitStatus, String) {
        self.signal("TERM");
        self.ended()
    }

    /// Kills it where it stands.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.dir.clone()
    }

    /// Bytes of memory that it has.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
