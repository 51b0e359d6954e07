//! What the demonstration does, step by step, and what it says.

use super::{Client, Nodes, Reply, Second, Traffic};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is loaded: a line for each character of Unicode, its name and properties behind a tab.
const CHARACTERS: &str = include_str!("../../../tests/data/unicode.tsv");

/// Pairs of one `MSET`.
const PAIRS_AT_ONCE: usize = 256;

/// For how long the clients go on before the node is killed, and without it.
const BEFORE: u32 = 1;
const OUTAGE: u32 = 6;
const SECOND: Duration = Duration::from_secs(1);

/// The node that is killed, counted from 0.
const VICTIM: usize = 1;

/// Why the demonstration does not go on.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// Something is not as it should be.
    Wrong(String),
    /// Nobody hears it any more.
    Unheard(io::Error),
}

impl From<String> for Stopped {
    fn from(what: String) -> Stopped {
        Stopped::Wrong(what)
    }
}

type Told<T> = Result<T, Stopped>;

/// Says a line.
pub(crate) type Say<'a> = &'a mut dyn FnMut(&str) -> io::Result<()>;

/// Runs the demonstration, each step a few lines. The nodes are left running.
pub(crate) fn tell(nodes: &Nodes, say: Say<'_>) -> Told<()> {
    let mut story = Story { nodes, say, steps: 0 };
    story.form()?;
    let keys = Arc::new(story.load()?);
    story.siblings()?;
    let written = story.outage(&keys)?;
    story.comeback(&written)
}

struct Story<'a> {
    nodes: &'a Nodes,
    say: Say<'a>,
    steps: u32,
}

fn members(status: &Value) -> &[Value] {
    status.get("members").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn is(member: &Value, name: &str, wanted: &str) -> bool {
    member.get(name).and_then(Value::as_str) == Some(wanted)
}

impl Story<'_> {
    fn line(&mut self, line: &str) -> Told<()> {
        (self.say)(&format!("   {line}")).map_err(Stopped::Unheard)
    }

    fn step(&mut self, heading: &str) -> Told<()> {
        self.steps += 1;
        (self.say)(&format!("\n{}. {heading}", self.steps)).map_err(Stopped::Unheard)
    }

    fn count(&self) -> usize {
        self.nodes.ports.len()
    }

    fn resp(&self, node: usize) -> u16 {
        self.nodes.ports.get(node).map_or(0, |ports| ports.resp)
    }

    fn connect(&self, node: usize) -> Told<Client> {
        Client::connect(self.resp(node))
            .map_err(|error| Stopped::Wrong(format!("node {} cannot be reached: {error}", node + 1)))
    }

    fn form(&mut self) -> Told<()> {
        self.step(&format!("{} nodes start, each a process with a directory of its own", self.count()))?;
        let began = Instant::now();
        self.nodes.start(0)?;
        self.nodes.until(0, |status| !members(status).is_empty())?;
        for node in 1..self.count() {
            self.nodes.start(node)?;
        }
        let count = self.count();
        let formed =
            |status: &Value| members(status).iter().filter(|m| is(m, "liveness", "alive")).count() == count;
        for node in 0..count {
            self.nodes.until(node, formed)?;
        }
        for node in 0..count {
            let port = self.resp(node);
            self.line(&format!("node {}   redis-cli -p {port}", node + 1))?;
        }
        self.line(&format!(
            "They found each other in {:.1} s. Any of them answers for all; nobody is the master.",
            began.elapsed().as_secs_f64()
        ))
    }

    /// Writes the characters by way of all nodes at once, and reads one. Gives the keys.
    fn load(&mut self) -> Told<Vec<String>> {
        self.step("The characters of Unicode are written, by way of all nodes at once")?;
        let pairs: Vec<(&str, &str)> = CHARACTERS.lines().filter_map(|line| line.split_once('\t')).collect();
        let batches: Vec<&[(&str, &str)]> = pairs.chunks(PAIRS_AT_ONCE).collect();
        let (began, count) = (Instant::now(), self.count());
        let ports: Vec<u16> = (0..count).map(|node| self.resp(node)).collect();
        let write = |node: usize, port: u16| -> io::Result<()> {
            let mut client = Client::connect(port)?;
            for batch in batches.iter().skip(node).step_by(count) {
                let words = batch.iter().flat_map(|(key, value)| [*key, *value]);
                client.ask(&std::iter::once("MSET").chain(words).collect::<Vec<_>>())?;
            }
            Ok(())
        };
        let written: Vec<io::Result<()>> = std::thread::scope(|scope| {
            let write = &write;
            let threads: Vec<_> = ports
                .iter()
                .enumerate()
                .map(|(node, &port)| scope.spawn(move || write(node, port)))
                .collect();
            threads
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|_| Err(io::Error::other("it panicked"))))
                .collect()
        });
        for outcome in written {
            outcome.map_err(|error| format!("the characters could not be written: {error}"))?;
        }
        let (took, copies) = (began.elapsed().as_secs_f64(), count.min(3));
        self.line(&format!(
            "{} pairs in {took:.1} s, {:.0} a second: each on {copies} nodes, and synced to the disks of {} of",
            pairs.len(),
            pairs.len() as f64 / took,
            copies / 2 + 1
        ))?;
        self.line("them before it was acknowledged (level QUORUM).")?;
        let key = "U+01F600";
        let found = self.ask(count - 1, &["GET", key])?.text();
        if !found.starts_with("GRINNING FACE") {
            return Err(Stopped::Wrong(format!(
                "`GET {key}` should give the GRINNING FACE and gave {found}"
            )));
        }
        self.line(&format!("node {count}> GET {key}   {found}"))?;
        Ok(pairs.into_iter().map(|(key, _)| key.to_owned()).collect())
    }

    fn ask(&self, node: usize, words: &[&str]) -> Told<Reply> {
        let failed =
            |error| Stopped::Wrong(format!("node {} was asked `{}`: {error}", node + 1, words.join(" ")));
        self.connect(node)?.ask(words).map_err(failed)
    }

    /// Two clients write the same key without knowing of each other: both values stay until somebody who saw them decides.
    fn siblings(&mut self) -> Told<()> {
        self.step("Two clients change the same cart at the same time, and neither change is lost")?;
        self.ask(0, &["EK.SET", "cart", "milk"])?;
        let mut read = self.ask(0, &["EK.GET", "cart"])?.items().into_iter();
        let seen = read.next().map(|context| context.text()).unwrap_or_default();
        self.line(&format!(
            "node 1> EK.GET cart   {}",
            read.map(|v| v.text()).collect::<Vec<_>>().join(", ")
        ))?;
        self.line(&format!("        the answer brings a context, {seen}: what this reader has seen"))?;
        for (node, cart) in [(0, "milk, eggs"), (2, "milk, bread")] {
            self.ask(node, &["EK.SET", "cart", cart, "CTX", &seen])?;
            self.line(&format!("node {}> EK.SET cart \"{cart}\" CTX (that context)", node + 1))?;
        }
        let mut read = self.ask(1, &["EK.GET", "cart"])?.items().into_iter();
        let seen = read.next().map(|context| context.text()).unwrap_or_default();
        let carts: Vec<String> = read.map(|value| value.text()).collect();
        if carts.len() != 2 {
            return Err(Stopped::Wrong(format!("the cart should have two siblings and has {carts:?}")));
        }
        self.line(&format!("node 2> EK.GET cart   \"{}\"", carts.join("\" and \"")))?;
        self.line("        two siblings, since neither writer had seen the other's cart")?;
        self.ask(1, &["EK.SET", "cart", "milk, eggs, bread", "CTX", &seen])?;
        let resolved = self.ask(2, &["GET", "cart"])?.text();
        self.line("node 2> EK.SET cart \"milk, eggs, bread\" CTX (the context of both)")?;
        self.line(&format!("node 3> GET cart   {resolved}"))?;
        if resolved != "milk, eggs, bread" {
            return Err(Stopped::Wrong("the cart does not hold what was written last".to_owned()));
        }
        Ok(())
    }

    /// Kills a node while clients go on. Gives what was acknowledged meanwhile.
    fn outage(&mut self, keys: &Arc<Vec<String>>) -> Told<Vec<(String, String)>> {
        let victim = VICTIM + 1;
        self.step(&format!("Node {victim} is killed with SIGKILL, while two clients write and read"))?;
        let traffic = Traffic::start(&[self.resp(0), self.resp(2)], keys);
        for second in 1..=BEFORE {
            std::thread::sleep(SECOND);
            self.second(&format!("all alive, second {second}"), traffic.take())?;
        }
        self.nodes.kill(VICTIM);
        let mut all = Second::default();
        for second in 1..=OUTAGE {
            std::thread::sleep(SECOND);
            let taken = traffic.take();
            all.add(taken.clone());
            self.second(&format!("node {victim} dead, second {second}"), taken)?;
        }
        let written = traffic.stop();
        let failed = all.failures.len();
        let asked = all.writes + all.reads + failed;
        self.line(&format!(
            "Of {asked} requests without node {victim}, {failed} failed; the slowest took {:.1} ms.",
            millis(all.quantile(1.0))
        ))?;
        if let Some(why) = all.failures.first() {
            self.line(&format!("The first failure: {why}"))?;
        }
        let hints = self.hints();
        let peer = self.nodes.ports.get(VICTIM).map(|p| format!("127.0.0.1:{}", p.peer)).unwrap_or_default();
        let status = self.nodes.until(0, |status| !members(status).is_empty())?;
        let member = members(&status).iter().find(|member| is(member, "peer", &peer));
        let liveness = member.and_then(|m| m.get("liveness")).and_then(Value::as_str).unwrap_or("unknown");
        self.line(&format!(
            "Node 1 says that node {victim} is {liveness}. {hints} hints are kept: which writes it missed."
        ))?;
        Ok(written)
    }

    fn second(&mut self, when: &str, mut second: Second) -> Told<()> {
        let (median, slow) = (millis(second.quantile(0.5)), millis(second.quantile(0.99)));
        self.line(&format!(
            "{when}: {:>5} writes, {:>5} reads, {} failed; half within {median:.1} ms, 99 % within {slow:.1} ms",
            second.writes,
            second.reads,
            second.failures.len()
        ))
    }

    /// The hints that the others keep for the killed node.
    fn hints(&self) -> u64 {
        let Some(peer) = self.nodes.ports.get(VICTIM).map(|ports| format!("127.0.0.1:{}", ports.peer)) else {
            return 0;
        };
        let others = (0..self.count()).filter(|node| *node != VICTIM);
        let kept = |status: &Value| {
            let member = members(status).iter().find(|member| is(member, "peer", &peer));
            member.and_then(|m| m.get("hints_for_it")).and_then(Value::as_u64).unwrap_or(0)
        };
        others.filter_map(|node| self.nodes.status(node)).map(|status| kept(&status)).sum()
    }

    /// Starts the killed node again, and checks that it learns what it missed.
    fn comeback(&mut self, written: &[(String, String)]) -> Told<()> {
        let victim = VICTIM + 1;
        self.step(&format!("Node {victim} starts again, and is given what it missed"))?;
        let began = Instant::now();
        self.nodes.start(VICTIM)?;
        let count = self.count();
        let back =
            |status: &Value| members(status).iter().filter(|m| is(m, "liveness", "alive")).count() == count;
        self.nodes.until(VICTIM, |status| !members(status).is_empty())?;
        self.line(&format!("It answers after {:.1} s.", began.elapsed().as_secs_f64()))?;
        let mut last = u64::MAX;
        while began.elapsed() < Duration::from_secs(60) && last > 0 {
            let hints = self.hints();
            if hints != last {
                self.line(&format!("{:>4.1} s: {hints} hints wait for it", began.elapsed().as_secs_f64()))?;
            }
            last = hints;
            if last > 0 {
                std::thread::sleep(Duration::from_millis(500));
            }
        }
        if last > 0 {
            return Err(Stopped::Wrong(format!("after a minute {last} hints still wait for node {victim}")));
        }
        self.nodes.until(0, back)?;
        let alone = self.missing(VICTIM, "ONE", written)?;
        let all = written.len();
        // With more than three nodes it has to ask others for the keys that are not its own.
        let whose = if count == 3 { "has" } else { "or one it asks has" };
        self.line(&format!(
            "Asked at level ONE, node {victim} {whose} {} of the {all} pairs that were written around its death.",
            all - alone
        ))?;
        let missing = self.missing(0, "QUORUM", written)?;
        self.line(&format!("Read at QUORUM: {} of {all} acknowledged writes are there.", all - missing))?;
        match missing {
            0 => self.line("Nothing that was acknowledged was lost."),
            n => Err(Stopped::Wrong(format!("{n} acknowledged writes are not there"))),
        }
    }

    /// How many of these pairs a node does not give, read at this level.
    fn missing(&self, node: usize, level: &str, written: &[(String, String)]) -> Told<usize> {
        let failed = |error: io::Error| Stopped::Wrong(format!("node {} does not read: {error}", node + 1));
        let mut client = self.connect(node)?;
        client.ask(&["EK.LEVEL", level]).map_err(failed)?;
        let wanted: BTreeMap<&str, &str> = written.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let pairs: Vec<(&str, &str)> = wanted.into_iter().collect();
        let mut missing = 0;
        for some in pairs.chunks(PAIRS_AT_ONCE) {
            let words: Vec<&str> = std::iter::once("MGET").chain(some.iter().map(|(key, _)| *key)).collect();
            let values = client.ask(&words).map_err(failed)?.items();
            let same = |(reply, (_, value)): &(Reply, &(&str, &str))| {
                *reply == Reply::Bytes(Some(value.as_bytes().to_vec()))
            };
            missing += some.len() - values.into_iter().zip(some).filter(same).count();
        }
        Ok(missing)
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
