//! Many byte strings looked for at once.

use std::collections::HashMap;

/// What every pattern is found by; none may be shorter.
const PREFIX: usize = 4;

/// Byte strings, each standing for something.
#[derive(Debug)]
pub struct Patterns<T> {
    by_prefix: HashMap<[u8; PREFIX], Vec<(Vec<u8>, T)>>,
    /// Whether some pattern begins with these two bytes: most places are passed over by this alone.
    begins: Vec<bool>,
}

impl<T: Copy> Patterns<T> {
    /// These patterns.
    pub fn new(patterns: impl IntoIterator<Item = (Vec<u8>, T)>) -> Self {
        let mut by_prefix: HashMap<[u8; PREFIX], Vec<(Vec<u8>, T)>> = HashMap::new();
        let mut begins = vec![false; 1 << 16];
        for (pattern, meaning) in patterns {
            let prefix = *pattern.first_chunk().expect("a pattern is longer than its prefix");
            begins[usize::from(u16::from_be_bytes([prefix[0], prefix[1]]))] = true;
            by_prefix.entry(prefix).or_default().push((pattern, meaning));
        }
        Self { by_prefix, begins }
    }

    /// Every place at which a pattern stands, in order, with what the pattern stands for.
    pub fn find(&self, bytes: &[u8]) -> Vec<(usize, T)> {
        let mut found = Vec::new();
        for (at, prefix) in bytes.windows(PREFIX).enumerate() {
            if !self.begins[usize::from(u16::from_be_bytes([prefix[0], prefix[1]]))] {
                continue;
            }
            for (pattern, meaning) in self.by_prefix.get(prefix).into_iter().flatten() {
                if bytes[at..].starts_with(pattern) {
                    found.push((at, *meaning));
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_patterns_are_all_found() {
        let patterns = Patterns::new([(b"abcd".to_vec(), 1), (b"abcde".to_vec(), 2), (b"cdea".to_vec(), 3)]);
        assert_eq!(patterns.find(b"xabcdeabcd"), [(1, 1), (1, 2), (3, 3), (6, 1)]);
        assert_eq!(patterns.find(b"abc"), []);
    }
}
