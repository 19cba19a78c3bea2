//! A disk that fills up and is freed again, on a small tmpfs.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use rand::RngExt;
use rand_chacha::ChaCha12Rng;

use crate::client::header;
use crate::crowd::GROUP;
use crate::figures::{Breach, Figures, Finding};
use crate::life::Life;
use crate::rounds::{self, Bounds, Round};
use crate::server::{Server, run_command, until};
use crate::small_disk;

/// What the store needs to begin, and some room.
const DISK: &str = "size=6m";
/// What a file occupies at least.
const PAGE: usize = 4096;
/// Pages that are left when the disk is filled, so that it is full in the middle of this or that write.
const MOST_PAGES_LEFT: usize = 24;
/// Times that the disk is filled in a round.
const FILLINGS: usize = 2;
/// Groups that are offered at most before the disk must have been found full.
const MOST_GROUPS: usize = 60;

/// Fills and frees the disk of one server, once a round.
///
/// # Errors
/// When the file of the figures cannot be used.
pub fn check(bounds: &Bounds) -> std::io::Result<Figures> {
    let one = |_, rng: &mut ChaCha12Rng, figures: &mut Figures| {
        let mut life = Life::new(&bounds.program, 4, rng);
        let mount = life.place.path("mount");
        let Some(mut command) = small_disk::command(&mount, DISK) else {
            let (what, why) = ("a full disk", "mounting a tmpfs in a namespace is not permitted here");
            return Round::Impossible { what: what.to_owned(), why: why.to_owned() };
        };
        keep_store_at(&life, &mount.join("store.redb"));
        let run = run_command(&life.place);
        command.arg(run.get_program()).args(run.get_args());
        Round::Made(match life.start_by(command) {
            Ok(server) => live(&mut life, server, &mount, rng, figures),
            Err(finding) => vec![finding],
        })
    };
    rounds::run("full", bounds, one, |_| Vec::new())
}

fn keep_store_at(life: &Life, path: &Path) {
    let usual = format!("{:?}", life.place.path("store.redb"));
    life.place.write_config(&life.place.config().replace(&usual, &format!("{path:?}")));
}

fn live(life: &mut Life, server: Server, mount: &Path, rng: &mut ChaCha12Rng, figures: &mut Figures) -> Vec<Finding> {
    // Seen from here, the mount lies below the server's own root.
    let inside = PathBuf::from(format!("/proc/{}/root{}", server.pid(), mount.display()));
    keep_store_at(life, &inside.join("store.redb"));
    let mut findings = Vec::new();
    for _ in 0..FILLINGS {
        if findings.is_empty() {
            findings = fill_and_free(life, &server, &inside, rng, figures);
        }
    }
    let ended = server.terminate();
    if !ended.success() {
        findings.push(Finding::new(Breach::WrongEnd, format!("SIGTERM ends it with {:?}", ended.code())));
    }
    findings
}

fn fill_and_free(
    life: &mut Life,
    server: &Server,
    inside: &Path,
    rng: &mut ChaCha12Rng,
    figures: &mut Figures,
) -> Vec<Finding> {
    let filler = inside.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; PAGE]).is_ok() {}
    let left = rng.random_range(0..MOST_PAGES_LEFT) * PAGE;
    file.set_len(file.metadata().unwrap().len().saturating_sub(left as u64)).unwrap();

    let mut findings = Vec::new();
    let mut refused = None;
    for _ in 0..MOST_GROUPS {
        let series = rng.random_range(0..life.crowd.series());
        let group = life.crowd.pick(&[series], GROUP, false, rng);
        let offers = life.crowd.offer(&group);
        let replies = crate::volley::volley(server.address, &offers, crate::volley::Offer::Wait);
        findings.extend(offers.iter().zip(&replies).filter_map(|(one, reply)| life.crowd.hear(one, reply.as_ref())));
        refused = replies.into_iter().flatten().find(|reply| reply.status == 503);
        if refused.is_some() || !findings.is_empty() {
            break;
        }
    }
    match refused {
        // A store with free pages of its own can take many groups without growing.
        None => figures.add("fillings that were not felt", 1),
        Some(reply) => {
            figures.add("fillings refused", 1);
            if reply.verdict().2 != "storage_full" || header(&reply.head, "retry-after").is_none() {
                findings.push(Finding::new(Breach::Refused, format!("{} {}", reply.head, reply.body)));
            }
            assert_eq!(server.get("/healthz").status, 200, "a server with a full disk lives");
            assert_eq!(server.get("/readyz").status, 503, "and says that it takes no commits");
        }
    }
    drop(file);
    fs::remove_file(&filler).unwrap();
    until("room again", || (server.get("/readyz").status == 200).then_some(()));
    findings.extend(life.crowd.settle(server.address, rng));
    findings.extend(life.compare());
    findings
}
