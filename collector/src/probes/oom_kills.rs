//! `vm.oom_kills`: programs that the kernel stopped because memory ran out, from `/proc/vmstat`.

use std::path::Path;

use procfs::VmStat;

use super::Total;

pub(super) fn read(root: &Path) -> Option<Total> {
    let stat: VmStat = super::parse(root, "proc/vmstat")?;
    let count = u64::try_from(*stat.0.get("oom_kill")?).ok()?;
    let boot = super::text(root, "proc/sys/kernel/random/boot_id")?.trim().to_owned();
    Some(Total { boot, count })
}
