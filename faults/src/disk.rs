//! A file on a disk that loses power: what was synced is there, of what was written after it any part may be.
//!
//! The model is that of a page cache over sectors that are written whole: after the cut each sector holds one of the
//! contents that it had since the last sync, each independent of the others, and the file has one of its lengths. That is
//! every subset of the later writes, in every order, torn at sectors. Images are drawn from it with a seed.

use rand::{Rng, RngExt};

/// What a disk writes whole: the smallest that is in use.
const SECTOR: usize = 512;

/// A change since the last sync.
#[derive(Debug, Clone)]
enum Change {
    /// Whole sectors, as they were after a write, and the file's length then.
    Sectors {
        first: usize,
        bytes: Vec<u8>,
        length: usize,
    },
    Length(usize),
}

/// How much of the unsynced changes survives.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Whole,
    Torn,
    Gone,
}

/// A file: what a reader sees, what is durable, and the changes between.
#[derive(Debug, Clone, Default)]
pub struct SimulatedFile {
    seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

impl SimulatedFile {
    /// A file that has been on the disk for long.
    pub fn holding(bytes: Vec<u8>) -> Self {
        Self { seen: bytes.clone(), durable: bytes, pending: Vec::new() }
    }

    /// What a reader sees now.
    pub fn bytes(&self) -> &[u8] {
        &self.seen
    }

    /// Writes at an offset; the file grows as needed, with zeros.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        if self.seen.len() < end {
            self.seen.resize(end, 0);
        }
        self.seen[offset..end].copy_from_slice(bytes);
        let (first, last) = (offset / SECTOR, (end - 1) / SECTOR);
        let mut sectors = self.seen[first * SECTOR..self.seen.len().min((last + 1) * SECTOR)].to_vec();
        sectors.resize((last + 1 - first) * SECTOR, 0);
        self.pending.push(Change::Sectors { first, bytes: sectors, length: self.seen.len() });
    }

    /// Cuts the file or lengthens it with zeros.
    pub fn set_len(&mut self, length: usize) {
        self.seen.resize(length, 0);
        self.pending.push(Change::Length(length));
    }

    /// How many changes are not yet durable; see [`SimulatedFile::sync_first`].
    pub fn unsynced(&self) -> usize {
        self.pending.len()
    }

    /// All changes so far are durable.
    pub fn sync(&mut self) {
        self.sync_first(self.pending.len());
    }

    /// The first `count` changes are durable: those that were made before a sync that has now returned began.
    pub fn sync_first(&mut self, count: usize) {
        for change in self.pending.drain(..count) {
            apply(&mut self.durable, &change, |_| true);
        }
    }

    /// One of the contents that the file can have after a power cut now.
    pub fn after_power_cut(&self, rng: &mut impl Rng) -> Vec<u8> {
        let mut image = self.durable.clone();
        let fates = fates(self.pending.len(), rng);
        for (change, fate) in self.pending.iter().zip(fates) {
            match fate {
                Fate::Whole => apply(&mut image, change, |_| true),
                Fate::Torn => apply(&mut image, change, |_| rng.random()),
                Fate::Gone => {}
            }
        }
        image
    }
}

/// Half of the cuts come in the middle of a disk that writes in order, one change torn; in the others each change has a
/// fate of its own, and most or few of them survive.
fn fates(changes: usize, rng: &mut impl Rng) -> Vec<Fate> {
    if rng.random() {
        let cut = rng.random_range(0..=changes);
        return (0..changes)
            .map(|change| match change.cmp(&cut) {
                std::cmp::Ordering::Less => Fate::Whole,
                std::cmp::Ordering::Equal => Fate::Torn,
                std::cmp::Ordering::Greater => Fate::Gone,
            })
            .collect();
    }
    let (gone, torn) = ([5, 50, 95][rng.random_range(0..3)], [0, 20, 100][rng.random_range(0..3)]);
    (0..changes)
        .map(|_| match (rng.random_range(0..100) < gone, rng.random_range(0..100) < torn) {
            (true, _) => Fate::Gone,
            (false, true) => Fate::Torn,
            (false, false) => Fate::Whole,
        })
        .collect()
}

fn apply(file: &mut Vec<u8>, change: &Change, mut survives: impl FnMut(usize) -> bool) {
    match change {
        Change::Length(length) => {
            if survives(0) {
                file.resize(*length, 0);
            }
        }
        Change::Sectors { first, bytes, length } => {
            for (number, sector) in (*first..).zip(bytes.chunks(SECTOR)) {
                if !survives(number) {
                    continue;
                }
                let start = number * SECTOR;
                let end = (start + SECTOR).min(*length);
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[start..end].copy_from_slice(&sector[..end - start]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn images(file: &SimulatedFile) -> BTreeSet<Vec<u8>> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        (0..400).map(|_| file.after_power_cut(&mut rng)).collect()
    }

    #[test]
    fn what_was_synced_is_in_every_image_and_nothing_else_is_certain() {
        let mut file = SimulatedFile::default();
        file.write(0, &[1; 1024]);
        file.sync();
        assert_eq!(images(&file), [vec![1; 1024]].into());
        // Two sectors, of which either, both or none may have been replaced.
        file.write(0, &[2; 1024]);
        let mixed = |first, second| [[first; 512], [second; 512]].concat();
        assert_eq!(images(&file), [mixed(1, 1), mixed(2, 2), mixed(1, 2), mixed(2, 1)].into());
        assert_eq!(file.bytes(), [2; 1024]);
    }

    #[test]
    fn a_sector_is_never_torn_and_the_length_may_or_may_not_have_changed() {
        let mut file = SimulatedFile::holding(vec![1; 600]);
        file.set_len(512);
        file.write(100, &[2; 50]);
        let changed = [vec![1; 100], vec![2; 50], vec![1; 362]].concat();
        let long = |start: &[u8]| [start, &[1; 88]].concat();
        assert_eq!(images(&file), [vec![1; 512], vec![1; 600], changed.clone(), long(&changed)].into());
    }

    #[test]
    fn a_sync_covers_what_was_written_before_it_began() {
        let mut file = SimulatedFile::default();
        file.write(0, &[1; 512]);
        let begun = file.unsynced();
        file.write(512, &[2; 512]);
        file.sync_first(begun);
        let images = images(&file);
        assert!(images.iter().all(|image| image[..512] == [1; 512]));
        assert_eq!(images.iter().map(Vec::len).collect::<BTreeSet<_>>(), [512, 1024].into());
    }
}
