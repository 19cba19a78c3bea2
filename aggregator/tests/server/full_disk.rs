//! A disk without room, on a small tmpfs: 503, and counting resumes by itself.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use hubbub_privacy::{Payload, Report};

use crate::client::{header, offer_all};
use crate::counters::read_counters;
use crate::place::*;
use crate::server::{Server, run_command, until};

/// A command that mounts a tmpfs in a namespace of its own and then becomes what its further arguments say; none where
/// that is not permitted.
pub fn with_tmpfs(mount: &Path, options: &str) -> Option<Command> {
    fs::create_dir(mount).unwrap();
    let script = format!("mount -t tmpfs -o {options} tmpfs \"$1\" && shift && exec \"$@\"");
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"]).arg(mount);
        command
    };
    let permitted = unshare().arg("true").output().is_ok_and(|output| output.status.success());
    if !permitted {
        crate::skipped::note("a full disk", "mounting a tmpfs in a namespace is not permitted");
    }
    permitted.then(unshare)
}

#[test]
fn a_full_disk_is_answered_503_until_there_is_room() {
    let place = crate::new_place();
    let mount = place.path("mount");
    let Some(mut command) = with_tmpfs(&mount, "size=6m") else { return };
    let store = mount.join("store.redb");
    place.write_config(&place.config().replace(&format!("{:?}", place.path("store.redb")), &format!("{store:?}")));
    let run = run_command(&place);
    command.arg(run.get_program()).args(run.get_args());
    let server = Server::spawn(&place, command);
    let inside = format!("/proc/{}/root{}", server.pid(), mount.display());
    let filler = format!("{inside}/filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}

    let mut counted = Vec::new();
    let refused = (0..200).find_map(|round| {
        let group: Vec<Report> =
            (0..32).map(|n| report(FLAG, "2026-W47", round * 32 + n, Payload::List(vec![1]))).collect();
        let replies = offer_all(server.address, &group);
        let refused = replies.iter().flatten().find(|reply| reply.status == 503).cloned();
        let accepted = group.iter().zip(&replies).filter(|(_, reply)| reply.as_ref().unwrap().status == 200);
        counted.extend(accepted.map(|(report, _)| report.clone()));
        refused.map(|reply| (reply, group))
    });
    let (reply, group) = refused.expect("the disk was full");
    assert_eq!(reply.verdict(), (503, "rejected".to_owned(), "storage_full".to_owned()));
    assert!(header(&reply.head, "retry-after").is_some());
    assert_eq!(server.get("/readyz").status, 503);
    assert_eq!(server.get("/healthz").status, 200);
    let known = counted.first().cloned();

    drop(file);
    fs::remove_file(&filler).unwrap();
    until("room again", || (server.get("/readyz").status == 200).then_some(()));
    if let Some(known) = known {
        assert_eq!(crate::client::offer(server.address, &known).status, 200);
    }
    let replies = offer_all(server.address, &group);
    assert!(replies.iter().flatten().all(|reply| reply.status == 200), "the refused group was kept and is counted");
    counted.retain(|report| !group.contains(report));
    counted.extend(group);
    // Seen from here, the store lies below the server's own root.
    let seen = format!("{:?}", format!("{inside}/store.redb"));
    place.write_config(&place.config().replace(&format!("{:?}", place.path("store.redb")), &seen));
    assert!(crate::server::export(&place).status.success());
    assert!(server.terminate().success());
    let (header, _) = read_counters(&place.counters("flag", "2026-W47"));
    assert_eq!(header.reports, counted.len() as u64);
}
