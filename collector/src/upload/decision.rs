//! What to do with a report after an attempt: free of files and sockets.

use hubbub_randomizer::uniform;
use rand::TryCryptoRng;

use super::http::{Answer, PostError};
use crate::outbox::Outcome;

/// A pending report is offered again after two to six hours: by then a quiet server has its 32 reports, or has not.
const PENDING_S: (i64, i64) = (2 * 3600, 6 * 3600);
/// After a failure, ten minutes to an hour: a server that comes back is not met by everybody at once.
const FAILURE_S: (i64, i64) = (600, 3600);
/// No server can make a device wait longer than a day.
const LONGEST_WAIT_S: i64 = 24 * 3600;

/// What happens to a report now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What to tell the daemon.
    pub outcome: Outcome,
    /// The server's code, or what kept it from answering.
    pub code: String,
    /// When to offer the same bytes again; nothing when the file is to be deleted.
    pub due_s: Option<i64>,
}

/// Decides by the server's contract. Nothing is offered after `last_chance_s`.
///
/// # Errors
/// The generator's, which draws the next time.
pub fn decide<R: TryCryptoRng + ?Sized>(
    answer: &Result<Answer, PostError>,
    now_s: i64,
    last_chance_s: i64,
    rng: &mut R,
) -> Result<Decision, R::Error> {
    let mut again = |outcome, code: String, (least_s, most_s): (i64, i64)| {
        let spread_s = uniform::below((most_s - least_s).max(1).cast_unsigned(), rng)?.cast_signed();
        let due_s = now_s.saturating_add(least_s + spread_s).min(last_chance_s);
        Ok(Decision { outcome, code, due_s: Some(due_s) })
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => return again(Outcome::Later, failure.code().to_owned(), FAILURE_S),
    };
    let code = if answer.code.is_empty() { format!("http_{}", answer.status) } else { answer.code.clone() };
    let last = |outcome| Ok(Decision { outcome, code: code.clone(), due_s: None });
    match answer.status {
        // A proxy's page or half an answer: the same bytes again cost nothing, a report that was never counted does.
        200 if answer.is_doubtful => again(Outcome::Later, "unclear_answer".to_owned(), FAILURE_S),
        200 => last(Outcome::Counted),
        202 => again(Outcome::Pending, code, PENDING_S),
        400 | 413 | 415 | 422 => last(Outcome::Rejected),
        410 => last(Outcome::Stop),
        429 | 503 => {
            let asked_s = answer.retry_after_s.unwrap_or(FAILURE_S.0).clamp(0, LONGEST_WAIT_S);
            let most_s = asked_s.saturating_add(asked_s.max(FAILURE_S.1)).min(LONGEST_WAIT_S);
            // At the bound there is no room above: spread below it instead, or all devices would come at once.
            let least_s = asked_s.min(LONGEST_WAIT_S - FAILURE_S.1);
            again(Outcome::Later, code, (least_s, most_s))
        }
        // A proxy's error page, a redirect, a wrong path: nothing that says the report is bad.
        _ => again(Outcome::Later, code, FAILURE_S),
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SysRng;

    use super::*;

    const NOW_S: i64 = 1_000_000;

    fn answer(status: u16, retry_after_s: Option<i64>) -> Result<Answer, PostError> {
        Ok(Answer { status, code: String::new(), retry_after_s, is_doubtful: false })
    }

    #[test]
    fn a_200_that_nobody_of_the_contract_said_keeps_the_report() {
        let doubtful = Answer { status: 200, code: String::new(), retry_after_s: None, is_doubtful: true };
        let decision = decided(&Ok(doubtful));
        assert_eq!((decision.outcome, decision.due_s.is_some()), (Outcome::Later, true));
    }

    fn decided(answer: &Result<Answer, PostError>) -> Decision {
        decide(answer, NOW_S, i64::MAX, &mut SysRng).unwrap()
    }

    #[test]
    fn the_contract_is_followed_status_by_status() {
        for (status, outcome, is_kept) in [
            (200, Outcome::Counted, false),
            (202, Outcome::Pending, true),
            (400, Outcome::Rejected, false),
            (413, Outcome::Rejected, false),
            (415, Outcome::Rejected, false),
            (422, Outcome::Rejected, false),
            (410, Outcome::Stop, false),
            (429, Outcome::Later, true),
            (503, Outcome::Later, true),
            (500, Outcome::Later, true),
            (302, Outcome::Later, true),
            (404, Outcome::Later, true),
            (204, Outcome::Later, true),
        ] {
            let decision = decided(&answer(status, None));
            assert_eq!((decision.outcome, decision.due_s.is_some()), (outcome, is_kept), "{status}");
            assert_eq!(decision.code, format!("http_{status}"));
        }
        let unreachable = decided(&Err(PostError::Timeout));
        assert_eq!((unreachable.outcome, unreachable.code.as_str()), (Outcome::Later, "no_answer"));
    }

    #[test]
    fn every_wait_lies_in_its_window_and_varies() {
        for (status, retry_after_s, least_s, most_s) in [
            (202, None, 2 * 3600, 6 * 3600),
            (500, None, 600, 3600),
            (503, None, 600, 4200),
            (503, Some(7200), 7200, 14_400),
            (429, Some(0), 0, 3600),
            (429, Some(-5), 0, 3600),
            (503, Some(i64::MAX), LONGEST_WAIT_S - 3600, LONGEST_WAIT_S),
        ] {
            let waits: Vec<i64> =
                (0..200).map(|_| decided(&answer(status, retry_after_s)).due_s.unwrap() - NOW_S).collect();
            assert!(waits.iter().all(|wait| (least_s..=most_s).contains(wait)), "{status}: {waits:?}");
            let span_s = waits.iter().max().unwrap() - waits.iter().min().unwrap();
            assert!(span_s > (most_s - least_s) / 2, "{status}: waits hardly vary ({span_s} s)");
        }
    }

    #[test]
    fn nothing_is_offered_after_the_last_chance() {
        let decision = decide(&answer(202, None), NOW_S, NOW_S + 60, &mut SysRng).unwrap();
        assert_eq!(decision.due_s, Some(NOW_S + 60));
    }
}
