//! `cpu.threads`: hardware threads, one block of `/proc/cpuinfo` each.

use std::path::Path;

use procfs::CpuInfo;

pub(super) fn read(root: &Path) -> Option<i64> {
    let info: CpuInfo = super::parse(root, "proc/cpuinfo")?;
    // procfs gives one empty block for a file without any.
    let threads = (0..info.num_cores()).filter(|&n| info.get_field(n, "processor").is_some()).count();
    i64::try_from(threads).ok().filter(|&threads| threads > 0)
}
