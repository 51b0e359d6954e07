//! [`Process`]: one `esker serve`, with signals.

use super::connection::{Answer, Connection};
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take on a machine that has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where a node listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) resp: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) http: SocketAddr,
}

/// The first port that is tried: below those which the system gives to outgoing connections, so that nobody takes a port while
/// its node is down.
fn next_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = 10_000 + (std::process::id() % 200) as u16 * 100;
    begin + NEXT.fetch_add(1, Ordering::Relaxed)
}

fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], next_port()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

impl Addresses {
    /// Three ports of this machine that nobody uses.
    pub(crate) fn free() -> Addresses {
        Addresses { resp: free_address(), peer: free_address(), http: free_address() }
    }

    /// The same three ports at an address of its own.
    pub(crate) fn at(ip: [u8; 4]) -> Addresses {
        let at = |port: u16| SocketAddr::from((ip, port));
        Addresses { resp: at(6379), peer: at(7379), http: at(8379) }
    }
}

/// How a node is started.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) addresses: Addresses,
    pub(crate) join: Vec<SocketAddr>,
    pub(crate) flags: Vec<String>,
    /// The network namespace that it lives in.
    pub(crate) namespace: Option<String>,
}

impl Settings {
    fn command(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_esker");
        let mut command = match &self.namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, binary]);
                command
            }
            None => Command::new(binary),
        };
        command.arg("serve").arg("--data").arg(&self.data);
        let Addresses { resp, peer, http } = self.addresses;
        for (flag, at) in [("--listen-resp", resp), ("--listen-peer", peer), ("--listen-http", http)] {
            command.args([flag, &at.to_string()]);
        }
        for peer in &self.join {
            command.args(["--join", &peer.to_string()]);
        }
        command.args(&self.flags);
        command
    }
}

/// One `esker serve`, killed when the test is done with it.
pub(crate) struct Process {
    child: Child,
    pub(crate) settings: Settings,
    log: PathBuf,
}

impl Process {
    /// Starts it and does not wait for anything. What it says goes into a file beside its data.
    pub(crate) fn spawn(settings: Settings) -> Process {
        let log = settings.data.with_extension("log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let err = file.try_clone().unwrap();
        let mut command = settings.command();
        let child = command.stdin(Stdio::null()).stdout(file).stderr(err).spawn().unwrap();
        Process { child, settings, log }
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(settings: Settings) -> Process {
        let mut process = Process::spawn(settings);
        process.until("listen", |process| process.connect().is_ok());
        process
    }

    pub(crate) fn connect(&self) -> std::io::Result<Connection> {
        Connection::open(self.settings.addresses.resp, Duration::from_secs(10))
    }

    /// One request on a connection of its own.
    pub(crate) fn say(&self, line: &str) -> std::io::Result<Answer> {
        self.connect()?.say(line)
    }

    /// Waits until something is so; it is wrong that the process ends meanwhile.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut(&Process) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so(self) {
            let ended = self.child.try_wait().unwrap();
            let name = self.settings.data.display().to_string();
            assert!(ended.is_none(), "{name} ended before it came to {what}: {}", self.log());
            assert!(Instant::now() < end, "{name} does not come to {what}: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it said so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines that it said.
    pub(crate) fn last_words(&self) -> String {
        let file = std::fs::File::open(&self.log).unwrap();
        let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
        lines[lines.len().saturating_sub(3)..].join("\n")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end by itself. Gives its status.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "{} does not end: {}", self.settings.data.display(), self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills it where it stands.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn data(&self) -> &Path {
        &self.settings.data
    }

    /// Bytes of memory that it has.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
