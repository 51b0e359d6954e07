//! A node whose disk is full.

use super::cluster::Cluster;
use super::history::{History, Outcome};
use super::load::Load;
use super::process::{Addresses, Settings};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// A small file system in memory, taken down with it.
struct Small(PathBuf);

impl Small {
    /// `None` if this user cannot mount.
    fn mount(at: &Path) -> Option<Small> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=96m", "tmpfs"]).arg(at).output();
        mounted.ok()?.status.success().then(|| Small(at.to_owned()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn the_disk_of_one_node_is_full() {
    let mount = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(mount.path()) else {
        println!("  skipped: this user cannot mount a small file system");
        return;
    };
    let mut cluster = Cluster::start_at(3, |scratch, number| Settings {
        data: if number == 2 { small.0.join("node2") } else { scratch.join(format!("node{number}")) },
        addresses: Addresses::free(),
        join: Vec::new(),
        flags: Vec::new(),
        namespace: None,
    });
    let history = Arc::new(History::begin(cluster.scratch.path(), "full-disk"));
    let load = Load::start(&cluster, &history, 4);
    std::thread::sleep(Duration::from_secs(1));
    small.fill();
    cluster.nodes[2].until("take no writes", |node| {
        // Through a healthy node too: it is the replica that lacks room.
        node.say("EK.SET probe x LEVEL ALL")
            .is_ok_and(|answer| matches!(answer, super::connection::Answer::Error(_)))
    });
    let before = history.count("add", Outcome::Ok);
    std::thread::sleep(Duration::from_secs(2));
    assert!(history.count("add", Outcome::Ok) > before + 10, "the others do not go on");
    println!("  {}", cluster.nodes[2].last_words());
    assert!(cluster.nodes[2].log().contains("no writes are taken here"), "{}", cluster.nodes[2].log());
    assert!(cluster.nodes[2].is_running(), "{}", cluster.nodes[2].log());
    std::fs::remove_file(small.filler()).unwrap();
    cluster.restart(2);
    load.stop();
    cluster.heal();
    history.check(&cluster);
    drop(cluster);
}
