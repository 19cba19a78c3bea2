//! The network's faults: lost replies, duplicates at once and later, reordering, cut and slow requests, pipelines.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::client::Reply;
use crate::crowd::{Crowd, Offered};
use crate::figures::{Breach, Figures, Finding};
use crate::life::{Life, VOLLEY};
use crate::rounds::{self, Bounds, Round};
use crate::volley::Wire;

/// Of a hundred requests, so many get no reader for their answer.
const LOST: u32 = 30;
/// So many come twice at the same time.
const TWICE: u32 = 30;
/// So many are cut off in the middle.
const CUT: u32 = 5;
/// So many arrive in two pieces.
const SLOW: u32 = 10;
/// Requests on one connection, sent before the first answer.
const PIPELINE: usize = 5;
/// Who has no answer by then goes away: held requests wait for others, and those behind them in a pipeline for both.
const PATIENCE: Duration = Duration::from_millis(300);
/// What is left for looking whether an answer is there.
const A_LOOK: Duration = Duration::from_millis(1);
/// Sides that send at once.
const SIDES: usize = 3;

/// Offers a whole population through a bad network, once a round.
///
/// # Errors
/// When the file of the figures cannot be used.
pub fn check(bounds: &Bounds) -> std::io::Result<Figures> {
    let one = |_, rng: &mut ChaCha12Rng, figures: &mut Figures| Round::Made(offer_everything(bounds, rng, figures));
    rounds::run("chaos", bounds, one, |_| Vec::new())
}

fn offer_everything(bounds: &Bounds, rng: &mut ChaCha12Rng, figures: &mut Figures) -> Vec<Finding> {
    let mut life = Life::new(&bounds.program, 1, rng);
    let server = match life.start() {
        Ok(server) => server,
        Err(finding) => return vec![finding],
    };
    let (crowd, counted) = (Mutex::new(&mut life.crowd), Mutex::new(figures));
    let mut findings: Vec<Finding> = std::thread::scope(|scope| {
        let (crowd, counted) = (&crowd, &counted);
        let side = |rng| scope.spawn(move || send_all(crowd, server.address, rng, counted));
        let sides: Vec<_> = (0..SIDES).map(|_| side(ChaCha12Rng::from_rng(rng))).collect();
        sides.into_iter().flat_map(|side| side.join().unwrap()).collect()
    });
    findings.extend(life.crowd.settle(server.address, rng));
    findings.extend(life.compare());
    if !server.terminate().success() {
        findings.push(Finding::new(Breach::WrongEnd, "SIGTERM does not end it well"));
    }
    // A restart must remember as much.
    if findings.is_empty() { life.settle(rng) } else { findings }
}

fn send_all(
    crowd: &Mutex<&mut Crowd>,
    address: SocketAddr,
    mut rng: ChaCha12Rng,
    figures: &Mutex<&mut Figures>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    while findings.is_empty() {
        let offers = {
            let mut crowd = crowd.lock().unwrap();
            // One series after the other, so that groups fill; what is left over is offered again when all is quiet.
            let Some(series) = crowd.first_fresh() else { break };
            let picked = crowd.pick(&[series], VOLLEY, true, &mut rng);
            crowd.offer(&picked)
        };
        let heard = if rng.random_ratio(1, 4) {
            pipelined(address, &offers, &mut rng, figures)
        } else {
            scattered(address, &offers, &mut rng, figures)
        };
        let mut crowd = crowd.lock().unwrap();
        findings.extend(heard.iter().filter_map(|(at, reply)| crowd.hear(&offers[*at], Some(reply))));
    }
    findings
}

/// Each request on connections of its own, each with a fate of its own.
fn scattered(
    address: SocketAddr,
    offers: &[Offered],
    rng: &mut ChaCha12Rng,
    figures: &Mutex<&mut Figures>,
) -> Vec<(usize, Reply)> {
    let mut wires: Vec<(usize, Wire)> = Vec::new();
    let mut slow = Vec::new();
    for (at, offer) in offers.iter().enumerate() {
        let draw = |rng: &mut ChaCha12Rng, of_a_hundred| rng.random_ratio(of_a_hundred, 100);
        let copies = if draw(rng, TWICE) { 2 } else { 1 };
        figures.lock().unwrap().add("duplicates at once", copies - 1);
        for _ in 0..copies {
            let mut wire = Wire::open(address).expect("the server listens");
            let (lost, cut) = (draw(rng, LOST), draw(rng, CUT));
            let half =
                if cut || draw(rng, SLOW) { rng.random_range(1..offer.request.len()) } else { offer.request.len() };
            let sent = wire.send(&offer.request[..half]);
            match (cut, lost) {
                _ if !sent => {}
                (true, _) => figures.lock().unwrap().add("requests cut", 1),
                _ if half < offer.request.len() => slow.push((at, half, wire)),
                (_, true) => figures.lock().unwrap().add("replies lost", 1),
                _ => wires.push((at, wire)),
            }
        }
    }
    for (at, half, mut wire) in slow {
        if wire.send(&offers[at].request[half..]) {
            wires.push((at, wire));
        }
    }
    wires.shuffle(rng);
    let until = Instant::now() + PATIENCE;
    wires.into_iter().filter_map(|(at, mut wire)| Some((at, wire.reply(left(until))?))).collect()
}

/// Several requests on each connection without waiting; some of the answers are never read.
fn pipelined(
    address: SocketAddr,
    offers: &[Offered],
    rng: &mut ChaCha12Rng,
    figures: &Mutex<&mut Figures>,
) -> Vec<(usize, Reply)> {
    let mut wires = Vec::new();
    for (number, offers) in offers.chunks(PIPELINE).enumerate() {
        let mut wire = Wire::open(address).expect("the server listens");
        let bytes: Vec<u8> = offers.iter().flat_map(|offer| offer.request.iter().copied()).collect();
        let sent = wire.send(&bytes);
        let read = if rng.random_ratio(LOST, 100) { rng.random_range(0..offers.len()) } else { offers.len() };
        figures.lock().unwrap().add("pipelined requests", offers.len() as u64);
        wires.push((number * PIPELINE, if sent { read } else { 0 }, wire));
    }
    let mut heard = Vec::new();
    let until = Instant::now() + PATIENCE;
    for (first, read, mut wire) in wires {
        let replies = (0..read).map_while(|at| Some((first + at, wire.reply(left(until))?)));
        heard.extend(replies);
    }
    heard
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(A_LOOK)
}
