//! A small disk of a server's own: a tmpfs in a mount namespace.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A command that mounts a tmpfs in a namespace of its own and then becomes what its further arguments say; none where
/// that is not permitted.
pub fn command(mount: &Path, options: &str) -> Option<Command> {
    fs::create_dir_all(mount).unwrap();
    let script = format!("mount -t tmpfs -o {options} tmpfs \"$1\" && shift && exec \"$@\"");
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"]).arg(mount);
        command
    };
    let permitted = unshare().arg("true").output().is_ok_and(|output| output.status.success());
    permitted.then(unshare)
}
