//! `disk.used_pct`: how full the file system of the root is, as `df` shows it.

use std::path::Path;

pub(super) fn read(root: &Path) -> Option<i64> {
    let found = rustix::fs::statvfs(root).ok()?;
    used_pct(found.f_blocks, found.f_bfree, found.f_bavail)
}

/// Used blocks of those that are used or may be used by ordinary users, in percent, rounded up. Blocks that only the
/// administrator may use count on neither side.
fn used_pct(blocks: u64, free: u64, available: u64) -> Option<i64> {
    let used = u128::from(blocks.checked_sub(free)?);
    let usable = used + u128::from(available);
    if usable == 0 {
        return None;
    }
    i64::try_from((used * 100).div_ceil(usable)).ok()
}

#[cfg(test)]
mod tests {
    use super::used_pct;

    #[test]
    fn the_figure_is_that_of_df() {
        // 1000 blocks, 50 of them reserved: 600 used of 950 usable is 63.2 %, which df shows as 64 %.
        assert_eq!(used_pct(1000, 400, 350), Some(64));
        assert_eq!(used_pct(1000, 1000, 950), Some(0));
        assert_eq!(used_pct(1000, 0, 0), Some(100));
        assert_eq!(used_pct(1000, 999, 999), Some(1));
    }

    #[test]
    fn a_file_system_without_blocks_has_no_figure() {
        assert_eq!(used_pct(0, 0, 0), None);
        assert_eq!(used_pct(1, 2, 0), None);
        assert_eq!(used_pct(u64::MAX, 0, u64::MAX), Some(50));
    }
}
