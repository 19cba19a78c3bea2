//! `memory.total_gib`: memory in GiB, from `/proc/meminfo`.

use std::path::Path;

use procfs::Meminfo;

const GIB: u64 = 1 << 30;

/// The nearest GiB: firmware and kernel keep a little, so a machine with 16 GiB shows 15.5.
pub(super) fn read(root: &Path) -> Option<i64> {
    let info: Meminfo = super::parse(root, "proc/meminfo")?;
    i64::try_from(info.mem_total.saturating_add(GIB / 2) / GIB).ok()
}
