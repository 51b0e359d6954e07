//! [`Nodes`]: the processes of the demonstration. Whatever happens, those that were started are ended by [`Nodes::end`].

use crate::http::ask;
use serde_json::Value;
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a node may take to start, and nodes to find each other.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Memory of each node's store.
const MEMORY: &str = "64MiB";

/// Where a node listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) resp: u16,
    pub(crate) peer: u16,
    pub(crate) http: u16,
}

/// The processes.
#[derive(Debug)]
pub(crate) struct Nodes {
    binary: PathBuf,
    dir: PathBuf,
    pub(crate) ports: Vec<Ports>,
    running: Mutex<Running>,
}

#[derive(Debug)]
struct Running {
    children: Vec<Option<Child>>,
    /// Nothing is started any more.
    over: bool,
}

impl Nodes {
    /// Nodes that can be started, of this binary, with their data below `dir`.
    pub(crate) fn new(dir: &Path, count: usize) -> io::Result<Nodes> {
        let running = Running { children: (0..count).map(|_| None).collect(), over: false };
        Ok(Nodes {
            binary: std::env::current_exe()?,
            dir: dir.to_owned(),
            ports: free_ports(count)?,
            running: Mutex::new(running),
        })
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn port(&self, node: usize) -> Result<Ports, String> {
        self.ports.get(node).copied().ok_or_else(|| format!("there is no node {}", node + 1))
    }

    /// Starts a node. All but the first join the first.
    pub(super) fn start(&self, node: usize) -> Result<(), String> {
        let (ports, first) = (self.port(node)?, self.port(0)?);
        let log = self.log_of(node);
        let said = |error: io::Error| format!("node {} does not start: {error}", node + 1);
        fs::create_dir_all(&self.dir).map_err(said)?;
        let log = File::options().create(true).append(true).open(log).map_err(said)?;
        let mut command = Command::new(&self.binary);
        // What the user has configured for a server of his own is not meant for these.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ESKER_") {
                command.env_remove(name);
            }
        }
        command.arg("serve").arg("--data").arg(self.dir.join(format!("node-{}", node + 1)));
        for (option, port) in
            [("listen-resp", ports.resp), ("listen-peer", ports.peer), ("listen-http", ports.http)]
        {
            command.arg(format!("--{option}=127.0.0.1:{port}"));
        }
        command.args(["--memory-budget", MEMORY]);
        if node > 0 {
            command.arg(format!("--join=127.0.0.1:{}", first.peer));
        }
        // In a group of its own, a node does not hear the Ctrl-C that is meant for the demonstration, which ends it in its turn.
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(said)?).stderr(log).process_group(0);
        let mut running = self.running();
        if running.over {
            return Err("the demonstration is over".to_owned());
        }
        let child = command.spawn().map_err(said)?;
        if let Some(place) = running.children.get_mut(node) {
            *place = Some(child);
        }
        Ok(())
    }

    /// Ends a node at once, as a crash does.
    pub(super) fn kill(&self, node: usize) {
        let child = self.running().children.get_mut(node).and_then(Option::take);
        if let Some(mut child) = child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends all nodes, and lets none be started again.
    pub(crate) fn end(&self) {
        let mut running = self.running();
        running.over = true;
        for child in running.children.iter_mut().filter_map(Option::as_mut) {
            let _ = child.kill();
        }
        for mut child in running.children.iter_mut().filter_map(Option::take) {
            let _ = child.wait();
        }
    }

    /// Lets the nodes run on when the demonstration is over, and says which processes they are.
    pub(crate) fn keep(&self) -> Vec<u32> {
        let mut running = self.running();
        running.over = true;
        running.children.iter_mut().filter_map(Option::take).map(|child| child.id()).collect()
    }

    fn log_of(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node-{}.log", node + 1))
    }

    /// What a node knows of its cluster. `None` while it does not answer.
    pub(super) fn status(&self, node: usize) -> Option<Value> {
        let http = self.ports.get(node)?.http;
        let asked = ask(&format!("127.0.0.1:{http}"), "GET", "/status", None).ok()?;
        let mut document: Value = serde_json::from_str(&asked.body).ok()?;
        Some(document.get_mut("node")?.take()).filter(Value::is_object)
    }

    /// Waits until a node's status is as wanted.
    pub(super) fn until(&self, node: usize, wanted: impl Fn(&Value) -> bool) -> Result<Value, String> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.status(node).filter(&wanted) {
                return Ok(status);
            }
            let ended = self
                .running()
                .children
                .get_mut(node)
                .and_then(Option::as_mut)
                .and_then(|child| child.try_wait().ok().flatten());
            let last = || last_line(&self.log_of(node));
            if let Some(status) = ended {
                return Err(format!("node {} ended with {status}: {}", node + 1, last()));
            }
            if began.elapsed() > PATIENCE {
                return Err(format!(
                    "node {} is not where it should be after {} s; the last that it said is: {}",
                    node + 1,
                    PATIENCE.as_secs(),
                    last()
                ));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.end();
    }
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("nothing").trim_start_matches("esker: ").to_owned()
}

/// Ports that nobody listens at, below those that the system gives to connections: a node that is started again finds its own
/// free.
fn free_ports(count: usize) -> io::Result<Vec<Ports>> {
    let count = u16::try_from(count).map_err(|_| io::ErrorKind::InvalidInput)?;
    let start = (std::process::id() % 64) as u16;
    for try_ in 0..64 {
        let base = 16_379 + (start + try_) % 64 * 10;
        let ports: Vec<Ports> = (0..count)
            .map(|i| Ports { resp: base + i, peer: base + 1000 + i, http: base + 2000 + i })
            .collect();
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if ports.iter().all(|ports| free(ports.resp) && free(ports.peer) && free(ports.http)) {
            return Ok(ports);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free ports were found between 16379 and 19100"))
}
