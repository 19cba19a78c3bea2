//! `cpu.vendor`: the maker of the processor, from `/proc/cpuinfo`.

use std::path::Path;

use procfs::CpuInfo;

/// x86 processors name their maker by CPUID leaf 0 (Linux `arch/x86/kernel/cpu/*.c`, `c_ident`).
const X86: [(&str, &str); 5] = [
    ("GenuineIntel", "intel"),
    ("AuthenticAMD", "amd"),
    ("CentaurHauls", "centaur"),
    ("HygonGenuine", "hygon"),
    ("Shanghai", "zhaoxin"),
];

/// ARM processors by the implementer field of MIDR (Linux `asm/cputype.h`, `ARM_CPU_IMP_*`).
const ARM: [(u32, &str); 11] = [
    (0x41, "arm"),
    (0x42, "broadcom"),
    (0x43, "cavium"),
    (0x46, "fujitsu"),
    (0x48, "hisilicon"),
    (0x4e, "nvidia"),
    (0x50, "apm"),
    (0x51, "qualcomm"),
    (0x61, "apple"),
    (0x6d, "microsoft"),
    (0xc0, "ampere"),
];

pub(super) fn read(root: &Path) -> Option<String> {
    let info: CpuInfo = super::parse(root, "proc/cpuinfo")?;
    if let Some(id) = info.vendor_id(0) {
        // An id that Linux does not know goes on as it is: the metric's value list turns it into `other`.
        let maker = X86.iter().find(|(known, _)| *known == id).map_or(id, |(_, maker)| maker);
        return Some(maker.to_owned());
    }
    let implementer = info.get_field(0, "CPU implementer")?;
    let code = implementer.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let maker = ARM.iter().find(|(known, _)| Some(*known) == code).map_or(implementer, |(_, maker)| maker);
    Some(maker.to_owned())
}
