//! A directory as a process's operations leave it: contents and names, each as durable as its syncs made it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rand::{Rng, RngExt};

use crate::disk::SimulatedFile;
use crate::trace::{Event, Operation};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    File(usize),
    Directory,
}

/// A change of names since the directory's last sync.
#[derive(Debug, Clone)]
enum NameChange {
    Add(PathBuf, Entry),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl NameChange {
    /// The directory whose sync makes it durable; a rename within one is all that is known here.
    fn directory(&self) -> &Path {
        let (Self::Add(path, _) | Self::Remove(path) | Self::Rename(path, _)) = self;
        path.parent().unwrap_or(Path::new(""))
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Entry>) {
        match self {
            Self::Add(path, entry) => {
                names.insert(path.clone(), *entry);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(entry) = names.remove(from) {
                    names.insert(to.clone(), entry);
                }
            }
        }
    }
}

/// What a descriptor of the process is open on.
#[derive(Debug, Clone)]
enum Opened {
    File { file: usize, position: usize },
    Directory(PathBuf),
}

/// The files below a root, which itself is durable.
#[derive(Debug, Clone)]
pub struct Replay {
    root: PathBuf,
    files: Vec<SimulatedFile>,
    names: BTreeMap<PathBuf, Entry>,
    durable_names: BTreeMap<PathBuf, Entry>,
    pending_names: Vec<NameChange>,
    open: HashMap<i64, Opened>,
    /// By thread: how many changes were there when its sync began.
    syncs: HashMap<u32, (usize, usize)>,
}

impl Replay {
    /// An empty directory.
    pub fn of(root: PathBuf) -> Self {
        Self {
            root,
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            open: HashMap::new(),
            syncs: HashMap::new(),
        }
    }

    /// The process has ended, and `path` holds `bytes`; the disk goes on with another one's operations.
    ///
    /// Only the calls that a kill cut off are not in its trace: without a kill the bytes must be the same.
    pub fn next_process(&mut self, path: &Path, bytes: &[u8], killed: bool) {
        self.forget_process();
        let Some(Entry::File(file)) = self.names.get(path) else {
            panic!("the trace does not show {}", path.display())
        };
        let file = &mut self.files[*file];
        if file.bytes() != bytes {
            assert!(killed, "the trace does not account for what {} holds", path.display());
            file.set_len(bytes.len());
            file.write(0, bytes);
        }
    }

    /// The process has ended: its descriptors mean nothing to the next one.
    pub fn forget_process(&mut self) {
        self.open.clear();
        self.syncs.clear();
    }

    /// Follows one operation.
    pub fn follow(&mut self, event: &Event) {
        match &event.operation {
            Operation::Open { path, create, truncate, descriptor } => {
                self.open(path, *create, *truncate, *descriptor);
            }
            Operation::Duplicate { from, to } => {
                if let Some(opened) = self.open.get(from).cloned() {
                    self.open.insert(*to, opened);
                }
            }
            Operation::Close { descriptor } => {
                self.open.remove(descriptor);
            }
            Operation::Write { descriptor, offset, bytes, .. } => {
                if let Some(Opened::File { file, position }) = self.open.get_mut(descriptor) {
                    let start = offset.unwrap_or(*position);
                    if offset.is_none() {
                        *position = start + bytes.len();
                    }
                    self.files[*file].write(start, bytes);
                }
            }
            Operation::SetLength { descriptor, length } => {
                if let Some(Opened::File { file, .. }) = self.open.get(descriptor) {
                    self.files[*file].set_len(*length);
                }
            }
            Operation::SyncBegan { descriptor } => {
                let changes = match self.open.get(descriptor) {
                    Some(Opened::File { file, .. }) => (self.files[*file].unsynced(), 0),
                    _ => (0, self.pending_names.len()),
                };
                self.syncs.insert(event.thread, changes);
            }
            Operation::SyncDone { descriptor } => self.synced(*descriptor, event.thread),
            Operation::Rename { from, to } => {
                if self.names.contains_key(from) {
                    self.change_names(NameChange::Rename(from.clone(), to.clone()));
                }
            }
            Operation::Unlink { path } => {
                if self.names.contains_key(path) {
                    self.change_names(NameChange::Remove(path.clone()));
                }
            }
            Operation::MakeDirectory { path } => {
                if path.starts_with(&self.root) {
                    self.change_names(NameChange::Add(path.clone(), Entry::Directory));
                }
            }
            Operation::Unreadable { call } => {
                panic!("bytes may have gone where this trace does not show them: {call:.200}")
            }
        }
    }

    fn open(&mut self, path: &Path, create: bool, truncate: bool, descriptor: i64) {
        if !path.starts_with(&self.root) {
            return;
        }
        let entry = match self.names.get(path) {
            Some(entry) => *entry,
            None if create => {
                self.files.push(SimulatedFile::default());
                let entry = Entry::File(self.files.len() - 1);
                self.change_names(NameChange::Add(path.to_owned(), entry));
                entry
            }
            // A directory that was there before, or a file that is only read.
            None => Entry::Directory,
        };
        let opened = match entry {
            Entry::Directory => Opened::Directory(path.to_owned()),
            Entry::File(file) => {
                if truncate && !self.files[file].bytes().is_empty() {
                    self.files[file].set_len(0);
                }
                Opened::File { file, position: 0 }
            }
        };
        self.open.insert(descriptor, opened);
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }

    fn synced(&mut self, descriptor: i64, thread: u32) {
        let Some((of_file, of_names)) = self.syncs.remove(&thread) else { return };
        match self.open.get(&descriptor) {
            Some(Opened::File { file, .. }) => self.files[*file].sync_first(of_file),
            Some(Opened::Directory(directory)) => {
                let mut number = 0;
                let durable_names = &mut self.durable_names;
                self.pending_names.retain(|change| {
                    number += 1;
                    let synced = number <= of_names && change.directory() == directory;
                    if synced {
                        change.apply(durable_names);
                    }
                    !synced
                });
            }
            None => {}
        }
    }

    /// The content of a file as a reader sees it now.
    pub fn bytes(&self, path: &Path) -> Option<&[u8]> {
        match self.names.get(path)? {
            Entry::File(file) => Some(self.files[*file].bytes()),
            Entry::Directory => None,
        }
    }

    /// The content of the file that a descriptor is open on, whatever its name.
    pub fn bytes_of(&self, descriptor: i64) -> Option<&[u8]> {
        match self.open.get(&descriptor)? {
            Opened::File { file, .. } => Some(self.files[*file].bytes()),
            Opened::Directory(_) => None,
        }
    }

    /// The files that a power cut now may leave, by their paths below the root: of the changes of names that no sync made
    /// durable, those up to some moment; of every file's contents, what [`SimulatedFile::after_power_cut`] leaves.
    pub fn after_power_cut(&self, rng: &mut impl Rng) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut names = self.durable_names.clone();
        let journal = rng.random_range(0..=self.pending_names.len());
        self.pending_names[..journal].iter().for_each(|change| change.apply(&mut names));
        let is_reachable = |path: &Path| {
            let above = path.ancestors().skip(1).take_while(|above| *above != self.root);
            above.into_iter().all(|above| names.get(above) == Some(&Entry::Directory))
        };
        let mut left = BTreeMap::new();
        for (path, entry) in &names {
            if let Entry::File(file) = entry
                && is_reachable(path)
            {
                let below = path.strip_prefix(&self.root).expect("only files below the root are followed");
                left.insert(below.to_owned(), self.files[*file].after_power_cut(rng));
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::trace::Target;

    fn follow(replay: &mut Replay, operations: Vec<Operation>) {
        for operation in operations {
            replay.follow(&Event { thread: 1, operation });
        }
    }

    fn images(replay: &Replay) -> BTreeSet<BTreeMap<PathBuf, Vec<u8>>> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        (0..400).map(|_| replay.after_power_cut(&mut rng)).collect()
    }

    fn open(path: &str, descriptor: i64) -> Operation {
        Operation::Open { path: path.into(), create: path != "/r", truncate: false, descriptor }
    }

    fn write(descriptor: i64, byte: u8) -> Operation {
        let bytes = vec![byte; 4];
        Operation::Write { descriptor, target: Target::Other(String::new()), offset: Some(0), bytes }
    }

    fn sync(descriptor: i64) -> [Operation; 2] {
        [Operation::SyncBegan { descriptor }, Operation::SyncDone { descriptor }]
    }

    fn one(name: &str, byte: u8) -> BTreeMap<PathBuf, Vec<u8>> {
        [(name.into(), vec![byte; 4])].into()
    }

    #[test]
    fn a_new_file_is_there_after_the_sync_of_its_directory() {
        let mut replay = Replay::of("/r".into());
        follow(&mut replay, vec![open("/r/a", 3), write(3, 1)]);
        let [began, done] = sync(3);
        follow(&mut replay, vec![began, done, open("/r", 4)]);
        assert_eq!(images(&replay), [BTreeMap::new(), one("a", 1)].into(), "synced, but without a durable name");
        follow(&mut replay, sync(4).into());
        assert_eq!(images(&replay), [one("a", 1)].into());
    }

    #[test]
    fn a_rename_before_the_sync_of_the_file_may_leave_an_empty_one() {
        let mut replay = Replay::of("/r".into());
        follow(&mut replay, vec![open("/r/a", 3), write(3, 1)]);
        follow(&mut replay, sync(3).into());
        follow(&mut replay, vec![open("/r/a.tmp", 5), write(5, 2), open("/r", 4)]);
        follow(&mut replay, sync(4).into());
        let rename = Operation::Rename { from: "/r/a.tmp".into(), to: "/r/a".into() };
        follow(&mut replay, vec![rename]);
        let found = images(&replay);
        assert!(found.contains(&one("a", 2)), "{found:?}");
        assert!(found.contains(&[("a".into(), Vec::new())].into()), "{found:?}");
        follow(&mut replay, sync(5).into());
        follow(&mut replay, sync(4).into());
        assert_eq!(images(&replay), [one("a", 2)].into());
    }
}
