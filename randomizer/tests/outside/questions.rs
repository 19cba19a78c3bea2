//! From a registry to reports: mechanisms resolved, questions drawn, releases paid for.

use std::convert::Infallible;

use hubbub_privacy::ledger::Ledger;
use hubbub_privacy::registry::Files;
use hubbub_privacy::{Metric, Observation, Period, Private, Registry, Value, budget};
use hubbub_randomizer::conformance::{ScriptedRng, SplitMix};
use hubbub_randomizer::{Mechanism, Plan, PlanError, ReleaseError, questionnaire, release};

fn plan(metrics: &str) -> Plan {
    let text = format!("schema = \"hubbub-registry/1\"\nnamespace = \"test\"\n{metrics}");
    let mut files = Files::default();
    files.definitions.insert("test.toml".into(), text.into_bytes());
    Plan::new(Registry::parse(&files).unwrap())
}

fn metric(id: u32, data: &str, privacy: &str) -> String {
    format!(
        "[metric.m{id}]\nid = {id}\nversion = 1\nstatus = \"draft\"\n[metric.m{id}.data]\n{data}\n[metric.m{id}.privacy]\n{privacy}\n"
    )
}

fn week() -> Period {
    "2026-W47".parse().unwrap()
}

#[test]
fn every_kind_gets_its_mechanism_or_a_clear_refusal() {
    let plan = plan(
        &[
            metric(1, "kind = \"boolean\"", "epsilon = \"1.0\""),
            metric(2, "kind = \"count\"\nmax = 9", "epsilon = \"1.0\""),
            metric(3, "kind = \"set\"\nvalues = [\"a\", \"b\"]\nmax_items = 1", "epsilon = \"1.0\""),
            metric(4, "kind = \"boolean\"", "epsilon = \"1.0\"\nmechanism = \"folded_geometric\""),
            metric(
                5,
                "kind = \"categorical\"\nvalues = [\"a\", \"b\", \"c\", \"d\"]",
                "epsilon = \"0.1\"\nmechanism = \"randomized_response\"",
            ),
        ]
        .concat(),
    );
    assert_eq!(plan.by_name("test.m1").unwrap().1.family(), "subset");
    assert_eq!(plan.by_name("test.m2").unwrap().1.family(), "window");
    assert!(matches!(plan.by_name("test.m3"), Ok((_, Mechanism::Subset(sets))) if sets.is_of_sets()));
    assert!(matches!(plan.by_name("test.m4"), Err(PlanError::NoMechanism { .. })));
    assert!(matches!(plan.by_name("test.m5").unwrap().1, Mechanism::Subset(subset) if subset.k() == 1));
    assert!(matches!(plan.by_name("test.nothing"), Err(PlanError::UnknownMetric(_))));
}

#[test]
fn a_release_needs_the_grant_of_its_own_question_and_randomness() {
    let plan = plan(
        &[metric(1, "kind = \"boolean\"", "epsilon = \"1.0\""), metric(2, "kind = \"boolean\"", "epsilon = \"1.0\"")]
            .concat(),
    );
    let (first, mechanism) = plan.by_name("test.m1").unwrap();
    let (second, _) = plan.by_name("test.m2").unwrap();
    let grant = |metric: &Metric| {
        let mut ledger = Ledger::default();
        let charge = ledger.charge(metric, &[], week()).unwrap();
        charge.persist(|_| Ok::<_, Infallible>(())).unwrap()
    };
    let observation = || Observation::new(first, week(), Private::new(Value::Index(1)));
    let mut rng = SplitMix::new(1);
    assert!(matches!(release(observation(), grant(second), mechanism, &mut rng), Err(ReleaseError::WrongGrant)));
    let out_of_words = release(observation(), grant(first), mechanism, &mut ScriptedRng::new([1, 2]));
    assert!(matches!(out_of_words, Err(ReleaseError::Randomness(_))));
    let report = release(observation(), grant(first), mechanism, &mut rng).unwrap();
    assert_eq!((report.metric, report.version, report.period), (first.id, 1, week()));
    assert_eq!(mechanism.check(&report.payload), Ok(()));
}

#[test]
fn questions_are_drawn_with_their_probability() {
    let plan = plan(
        &[
            metric(1, "kind = \"boolean\"", "epsilon = \"0.1\"\nask_probability = \"0.25\""),
            metric(2, "kind = \"boolean\"", "epsilon = \"0.1\"\nask_probability = \"1.0\""),
            metric(3, "kind = \"boolean\"", "epsilon = \"0.1\"\nask_probability = \"0\""),
        ]
        .concat(),
    );
    let eligible: Vec<&Metric> = plan.registry().metrics().collect();
    let mut rng = SplitMix::new(5);
    let mut asked = [0u32; 3];
    const DRAWS: u32 = 40_000;
    for _ in 0..DRAWS {
        let Ok(ids) = questionnaire::draw(plan.registry(), &eligible, &Ledger::default(), week(), &mut rng);
        ids.iter().for_each(|id| asked[id.0 as usize - 1] += 1);
    }
    assert_eq!((asked[1], asked[2]), (DRAWS, 0));
    // 5 standard deviations of a binomial with p = 1/4.
    assert!(asked[0].abs_diff(DRAWS / 4) < 5 * 87, "{}", asked[0]);
}

#[test]
fn a_binding_cap_drops_questions_in_random_order() {
    let metrics: Vec<String> = (1..=4).map(|id| metric(id, "kind = \"boolean\"", "epsilon = \"2.0\"")).collect();
    let plan = plan(&metrics.concat());
    let eligible: Vec<&Metric> = plan.registry().metrics().collect();
    let mut rng = SplitMix::new(6);
    let mut asked = [0u32; 4];
    const DRAWS: u32 = 20_000;
    for _ in 0..DRAWS {
        let Ok(ids) = questionnaire::draw(plan.registry(), &eligible, &Ledger::default(), week(), &mut rng);
        assert_eq!(ids.len(), 3, "the week's {} affords three", budget::PER_WEEK);
        ids.iter().for_each(|id| asked[id.0 as usize - 1] += 1);
    }
    // 5 standard deviations of a binomial with p = 3/4.
    assert!(asked.iter().all(|n| n.abs_diff(DRAWS * 3 / 4) < 5 * 62), "{asked:?}");
}
