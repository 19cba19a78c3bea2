//! Planted lies about devices: ledgers that forget, questionnaires that look, answers that come twice.
//!
//! The honest device is composed of the shipped parts; a liar is the same device with one deed replaced.

mod respondent;

use hubbub_privacy::Registry;
use hubbub_randomizer::conformance::device::check_respondent;
use respondent::Lie::*;
use respondent::{Lie, Simulated};

/// Devices for each case.
const DEVICES: u32 = 4;
const SEED: u64 = 3;

/// The honest device, of the shipped parts.
pub fn honest(registry: &Registry, seed: u64) -> Simulated {
    Simulated::new(registry, seed, None)
}

/// Every lie and the check that must catch it.
pub const LIES: [(Lie, &str); 29] = [
    (RefundsOnCrash, "ledger"),
    (RefundsWhenTheClockGoesBack, "ledger"),
    (RefundsWhenTheRegistryIsReadAgain, "ledger"),
    (CountsTwice, "ledger"),
    (ChargesNothing, "ledger"),
    (ChargesAfterTheReport, "ledger"),
    (ChargesAnothersEpsilon, "ledger"),
    (ShowsLessThanItSpent, "ledger"),
    (AllowsOneReportMore, "ledger"),
    (GivesTheWeeksBudgetTwice, "ledger"),
    (ForgetsOneReportOfTheYear, "ledger"),
    (ForgetsOneReportForLife, "ledger"),
    (CountsLifetimesByVersion, "ledger"),
    (CountsLifetimesById, "ledger"),
    (RetriesWithFreshNoise, "once"),
    (AnswersAWeekAgain, "once"),
    (RandomizesWhenItOffers, "once"),
    (SkipsTheDefault, "presence"),
    (SkipsWhatItWasNotTold, "presence"),
    (SkipsUnlistedValues, "presence"),
    (SendsUnlistedValues, "domain"),
    (TakesUnlistedValuesForAbsent, "domain"),
    (AnswersWhatIsNotDefault, "draw"),
    (DrawsAfterLooking, "draw"),
    (IgnoresAskProbabilities, "draw"),
    (AsksWithOneCoinForAll, "draw"),
    (DropsInOrder, "draw"),
    (SendsTheTruth, "fresh noise"),
    (RemembersAnswers, "fresh noise"),
];

#[test]
fn every_lying_device_is_caught() {
    let mut escaped = Vec::new();
    for (lie, caught_by) in LIES {
        match check_respondent(|registry, seed| Simulated::new(registry, seed, Some(lie)), DEVICES, SEED) {
            Err(misconduct) if misconduct.check() == caught_by => println!("{caught_by:12} {lie:?}: {misconduct}"),
            other => escaped.push(format!("{lie:?}: {other:?} instead of {caught_by}")),
        }
    }
    assert!(escaped.is_empty(), "{}", escaped.join("\n"));
}

#[test]
fn the_honest_device_passes_through_the_same_door() {
    assert_eq!(check_respondent(honest, DEVICES, SEED), Ok(()));
}
