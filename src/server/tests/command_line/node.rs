//! [`Node`]: a process of `esker serve`, at addresses that the system chose.

use crate::process::{command, esker};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

/// How long anything may take. Tests never say how fast it is to be.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node that runs. It is killed when it is dropped.
pub(crate) struct Node {
    child: Child,
    pub(crate) dir: String,
    pub(crate) resp: String,
    pub(crate) peer: String,
    pub(crate) http: String,
}

impl Node {
    /// Starts a node at addresses that the system chooses.
    pub(crate) fn start(dir: &str, arguments: &[&str]) -> Node {
        Node::start_at(dir, &["127.0.0.1:0"; 3], arguments)
    }

    /// Starts a node at its addresses for RESP, peers and HTTP, and waits until it has said them.
    pub(crate) fn start_at(dir: &str, at: &[&str; 3], arguments: &[&str]) -> Node {
        let [resp, peer, http] = at;
        let mut all = vec!["serve", "--data", dir, "--memory-budget", "16MiB"];
        all.extend(["--listen-resp", resp, "--listen-peer", peer, "--listen-http", http]);
        all.extend(arguments);
        let mut child = command(&all).stderr(std::process::Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = |name: &str| {
            let line = lines.next().expect("the node ended").unwrap();
            let mut words = line.split_whitespace();
            assert_eq!(words.next(), Some(name), "{line}");
            words.next().unwrap().to_owned()
        };
        let (resp, peer, http) = (said("resp"), said("peer"), said("http"));
        Node { child, dir: dir.to_owned(), resp, peer, http }
    }

    /// Kills the node and starts it again where it was.
    pub(crate) fn killed_and_started(mut self, arguments: &[&str]) -> Node {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Node::start_at(&self.dir, &[&self.resp, &self.peer, &self.http], arguments)
    }

    /// Stops the node as an operator does, and waits until it has ended.
    pub(crate) fn stop(mut self) {
        signal("TERM", self.child.id());
        assert!(self.child.wait().unwrap().success());
    }

    /// What the node says of itself.
    pub(crate) fn status(&self) -> serde_json::Value {
        esker(&["cluster", "status", "--json", "--at", &self.http]).json(0)
    }

    /// Waits until the node says what is wanted.
    pub(crate) fn until(&self, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let began = Instant::now();
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "{status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The answer to a request by RESP, as it came. Good for answers of one line, and values.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let mut stream = TcpStream::connect(&self.resp).unwrap();
        let mut request = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| request.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        stream.write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(stream);
        reader.read_line(&mut line).unwrap();
        match line.trim_end().strip_prefix('$') {
            None | Some("-1") => line.trim_end().to_owned(),
            Some(len) => {
                let mut value = vec![0; len.parse().unwrap()];
                reader.read_exact(&mut value).unwrap();
                String::from_utf8(value).unwrap()
            }
        }
    }

    /// The answer to a request by HTTP, its head and its body.
    pub(crate) fn http(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a process a signal.
pub(crate) fn signal(name: &str, process: u32) {
    let sent = std::process::Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.unwrap().success());
}
