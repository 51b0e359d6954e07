//! [`Disk`]: files and directories, each as everybody sees it now and as a power loss would leave it.
//!
//! ```text
//!   file       live     [aaaa][bbbb][cccc][dd][00000]   what readers see: the page cache
//!              durable  [aaaa][bbbb]       │              what the last sync wrote
//!                                   │      └ end: what is appended next lies here, what follows is room
//!                                   └ dirty_from: the next sync writes from here
//!
//!   directory  live     name → node
//!              durable  name → node
//!   pending    the changes of names that lead from all durable directories to the live ones, in order
//! ```
//!
//! A file keeps its identity when its name changes; it is forgotten when no name leads to it and nobody has it open.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Component, Path};

/// What a disk writes as a whole.
pub(super) const SECTOR: usize = 512;

pub(super) type Id = u64;

const ROOT: Id = 0;

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    File(Id),
    Dir(Id),
}

#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) live: Vec<u8>,
    /// How much of it was appended. Behind it there are zeros.
    end: usize,
    pub(super) durable: Vec<u8>,
    /// The next sync makes everything from here on durable.
    dirty_from: usize,
    /// Open handles and locks.
    handles: usize,
}

impl File {
    /// What the file would hold if it were synced now. Not simply `live`: a failed sync forgets what it failed to write.
    pub(super) fn kept(&self) -> Vec<u8> {
        let mut content = self.durable.clone();
        content.resize(self.dirty_from, 0);
        content.extend_from_slice(&self.live[self.dirty_from..]);
        content
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        let room = bytes.len().min(self.live.len() - self.end);
        let (inside, behind) = bytes.split_at(room);
        self.live[self.end..self.end + room].copy_from_slice(inside);
        self.live.extend_from_slice(behind);
        self.end += bytes.len();
    }

    /// Makes room from `from` up to `len`, but little of it: disks are copied often. What lies at `from` already is overwritten.
    pub(super) fn reserve(&mut self, from: usize, len: usize) {
        let from = from.min(self.live.len());
        self.live[from..].fill(0);
        self.dirty_from = self.dirty_from.min(self.end);
        self.live.resize(len.min(self.end + 2 * SECTOR).max(self.live.len()), 0);
    }

    /// Whether something was appended before.
    pub(super) fn has_records(&self) -> bool {
        self.end > 0
    }

    /// Makes room behind the end if there is none.
    pub(super) fn make_room(&mut self) {
        if self.end == self.live.len() {
            self.reserve(self.end, usize::MAX);
        }
    }

    /// Cuts the file at `len`, also where something was appended behind it.
    pub(super) fn take_back(&mut self, len: usize) {
        self.live.truncate(len);
        self.end = self.end.min(len);
        self.dirty_from = self.dirty_from.min(self.end);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.dirty_from = self.dirty_from.min(len).min(self.live.len());
        self.live.resize(len, 0);
        self.end = len;
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.dirty_from, 0);
        self.durable.extend_from_slice(&self.live[self.dirty_from..]);
        self.dirty_from = self.end;
    }

    /// A sync that failed: the operating system marks the pages clean, so that no later sync writes them.
    pub(super) fn lose(&mut self) {
        self.dirty_from = self.end;
    }

    /// Makes `content` what everybody sees and what a power loss leaves.
    pub(super) fn settle(&mut self, content: Vec<u8>) {
        self.dirty_from = content.len();
        self.end = content.len();
        self.durable = content.clone();
        self.live = content;
    }

    pub(super) fn forget_handles(&mut self) {
        self.handles = 0;
    }

    pub(super) fn flip(&mut self, at: usize, mask: u8) {
        for content in [&mut self.live, &mut self.durable] {
            if let Some(byte) = content.get_mut(at) {
                *byte ^= mask;
            }
        }
    }

    /// Bytes that a power loss now could take.
    pub(super) fn unsynced(&self) -> usize {
        self.end - self.dirty_from
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Dir {
    pub(super) live: BTreeMap<String, Node>,
    pub(super) durable: BTreeMap<String, Node>,
}

/// A change of names that is not yet durable.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Set { dir: Id, name: String, node: Node },
    Remove { dir: Id, name: String, node: Node },
    Rename { from: (Id, String), to: (Id, String), node: Node },
}

impl NameChange {
    fn touches(&self, dirs: &BTreeSet<Id>) -> bool {
        match self {
            NameChange::Set { dir, .. } | NameChange::Remove { dir, .. } => dirs.contains(dir),
            NameChange::Rename { from, to, .. } => dirs.contains(&from.0) || dirs.contains(&to.0),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) files: HashMap<Id, File>,
    pub(super) dirs: HashMap<Id, Dir>,
    pub(super) pending: Vec<NameChange>,
    next: Id,
    /// Files there were after the last search for forgotten ones.
    kept: usize,
}

impl Default for Disk {
    fn default() -> Disk {
        let dirs = HashMap::from([(ROOT, Dir::default())]);
        Disk { files: HashMap::new(), dirs, pending: Vec::new(), next: ROOT + 1, kept: 0 }
    }
}

/// The names that a path consists of.
fn names(path: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => {
                names.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    names
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk {
    fn fresh(&mut self) -> Id {
        self.next += 1;
        self.next - 1
    }

    fn child(&self, dir: Id, name: &str) -> Option<Node> {
        self.dirs.get(&dir)?.live.get(name).copied()
    }

    fn descend(&self, names: &[String]) -> io::Result<Node> {
        let mut node = Node::Dir(ROOT);
        for name in names {
            let Node::Dir(dir) = node else { return Err(io::ErrorKind::NotADirectory.into()) };
            node = self.child(dir, name).ok_or_else(not_found)?;
        }
        Ok(node)
    }

    /// The directory that a path's last name is in, and that name.
    fn parent(&self, path: &Path) -> io::Result<(Id, String)> {
        let mut names = names(path);
        let name = names.pop().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        match self.descend(&names)? {
            Node::Dir(dir) => Ok((dir, name)),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Node> {
        self.descend(&names(path))
    }

    pub(super) fn find_file(&self, path: &Path) -> io::Result<Id> {
        match self.find(path)? {
            Node::File(id) => Ok(id),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn find_dir(&self, path: &Path) -> io::Result<Id> {
        match self.find(path)? {
            Node::Dir(id) => Ok(id),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// A file that is known to exist, because somebody has it open or a name leads to it.
    pub(super) fn file(&mut self, id: Id) -> &mut File {
        self.files.entry(id).or_default()
    }

    pub(super) fn hold(&mut self, id: Id) {
        self.file(id).handles += 1;
    }

    pub(super) fn release(&mut self, id: Id) {
        let file = self.file(id);
        file.handles = file.handles.saturating_sub(1);
    }

    fn set(&mut self, dir: Id, name: String, node: Node) {
        self.dirs.entry(dir).or_default().live.insert(name.clone(), node);
        self.pending.push(NameChange::Set { dir, name, node });
    }

    /// The file of this name, created if it is not there.
    pub(super) fn create(&mut self, path: &Path) -> io::Result<Id> {
        let (dir, name) = self.parent(path)?;
        match self.child(dir, &name) {
            Some(Node::File(id)) => Ok(id),
            Some(Node::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => {
                let id = self.fresh();
                self.files.insert(id, File::default());
                self.set(dir, name, Node::File(id));
                Ok(id)
            }
        }
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut dir = ROOT;
        for name in names(path) {
            dir = match self.child(dir, &name) {
                Some(Node::Dir(id)) => id,
                Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => {
                    let id = self.fresh();
                    self.dirs.insert(id, Dir::default());
                    self.set(dir, name, Node::Dir(id));
                    self.sync_names(dir);
                    id
                }
            };
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path, tree: bool) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let node = self.child(dir, &name).ok_or_else(not_found)?;
        match (node, tree) {
            (Node::Dir(_), false) => return Err(io::ErrorKind::IsADirectory.into()),
            (Node::File(_), true) => return Err(io::ErrorKind::NotADirectory.into()),
            _ => {}
        }
        self.dirs.entry(dir).or_default().live.remove(&name);
        self.pending.push(NameChange::Remove { dir, name, node });
        self.collect();
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        let (from, to) = (self.parent(from)?, self.parent(to)?);
        match (node, self.child(to.0, &to.1)) {
            (Node::File(_), Some(Node::Dir(_))) => return Err(io::ErrorKind::IsADirectory.into()),
            (Node::Dir(_), Some(Node::File(_))) => return Err(io::ErrorKind::NotADirectory.into()),
            (Node::Dir(_), Some(Node::Dir(old))) if !self.dirs[&old].live.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        self.dirs.entry(from.0).or_default().live.remove(&from.1);
        self.dirs.entry(to.0).or_default().live.insert(to.1.clone(), node);
        self.pending.push(NameChange::Rename { from, to, node });
        Ok(())
    }

    pub(super) fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = Node::File(self.find_file(from)?);
        let (dir, name) = self.parent(to)?;
        if self.child(dir, &name).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.set(dir, name, node);
        Ok(())
    }

    /// Makes the changes of names in a directory durable, in order. A renaming that leads to or from another directory
    /// takes the changes there along, so that the order of all of them is kept.
    pub(super) fn sync_names(&mut self, dir: Id) {
        let mut dirs = BTreeSet::from([dir]);
        loop {
            let before = dirs.len();
            for change in &self.pending {
                if let NameChange::Rename { from, to, .. } = change
                    && change.touches(&dirs)
                {
                    dirs.extend([from.0, to.0]);
                }
            }
            if dirs.len() == before {
                break;
            }
        }
        for change in std::mem::take(&mut self.pending) {
            if change.touches(&dirs) {
                self.apply(&change);
            } else {
                self.pending.push(change);
            }
        }
        self.collect();
    }

    /// Carries a change of names out in the durable directories.
    pub(super) fn apply(&mut self, change: &NameChange) {
        let mut remove = |dir: Id, name: &String, node: Node| {
            let names = &mut self.dirs.entry(dir).or_default().durable;
            if names.get(name) == Some(&node) {
                names.remove(name);
            }
        };
        match change {
            NameChange::Remove { dir, name, node } => remove(*dir, name, *node),
            NameChange::Set { dir, name, node } => {
                self.dirs.entry(*dir).or_default().durable.insert(name.clone(), *node);
            }
            NameChange::Rename { from, to, node } => {
                remove(from.0, &from.1, *node);
                self.dirs.entry(to.0).or_default().durable.insert(to.1.clone(), *node);
            }
        }
    }

    /// Forgets the files that nobody can reach any more, from time to time.
    fn collect(&mut self) {
        if self.files.len() <= 2 * self.kept + 64 {
            return;
        }
        let mut reached: BTreeSet<Node> = BTreeSet::new();
        for dir in self.dirs.values() {
            reached.extend(dir.live.values().chain(dir.durable.values()));
        }
        for change in &self.pending {
            let (NameChange::Set { node, .. }
            | NameChange::Remove { node, .. }
            | NameChange::Rename { node, .. }) = change;
            reached.insert(*node);
        }
        self.files.retain(|id, file| file.handles > 0 || reached.contains(&Node::File(*id)));
        self.kept = self.files.len();
    }

    /// Every file that a live name leads to, with its path.
    pub(super) fn paths(&self) -> Vec<(String, Id)> {
        let mut found = Vec::new();
        let mut open = vec![(String::new(), ROOT)];
        while let Some((path, dir)) = open.pop() {
            for (name, node) in self.dirs.get(&dir).into_iter().flat_map(|d| &d.live) {
                let path = format!("{path}/{name}");
                match *node {
                    Node::File(id) => found.push((path, id)),
                    Node::Dir(id) => open.push((path, id)),
                }
            }
        }
        found.sort();
        found
    }
}
