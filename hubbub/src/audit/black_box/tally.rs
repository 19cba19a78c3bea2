//! Counts of everything that is judged, in memory that does not grow with the number of reports.

use hubbub_privacy::{Payload, ReportId};

use super::events::{Events, Purpose};
use super::statistics::{Comparison, Frequency};
use super::succession::Succession;

/// An event, or a bit of the id, in the reports of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfInput {
    /// The event's number, or the bit's.
    pub event: usize,
    /// The input's number.
    pub input: usize,
}

/// All counts.
pub struct Tally {
    events: Events,
    /// By half, event and input.
    hits: [Vec<u64>; 2],
    /// By half and input.
    draws: [Vec<u64>; 2],
    /// By bit of the id and input.
    bits: Vec<u64>,
    succession: Succession,
}

/// Events are chosen on the first half of the draws and measured on the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// For choosing.
    First,
    /// For measuring.
    Second,
}

const ID_BITS: usize = 128;

impl Tally {
    /// Nothing counted yet.
    pub fn new(events: Events) -> Self {
        let (n, all) = (events.inputs(), events.list().len());
        let succession = Succession::new(&events);
        let (hits, draws) = (vec![0; all * n], vec![0; n]);
        Self {
            hits: [hits.clone(), hits],
            draws: [draws.clone(), draws],
            bits: vec![0; ID_BITS * n],
            events,
            succession,
        }
    }

    /// What is counted.
    pub const fn events(&self) -> &Events {
        &self.events
    }

    /// Successive reports.
    pub const fn succession(&self) -> &Succession {
        &self.succession
    }

    /// Counts a report, possible for the mechanism, that was made of an input.
    pub fn add(&mut self, half: Half, input: usize, payload: Payload, id: ReportId) {
        let n = self.events.inputs();
        let (hits, draws) = (&mut self.hits[half as usize], &mut self.draws[half as usize]);
        draws[input] += 1;
        let pattern = self.events.visit(&payload, |event| hits[event * n + input] += 1);
        let id = u128::from_be_bytes(id.0);
        (0..ID_BITS).for_each(|bit| self.bits[bit * n + input] += (id >> bit & 1) as u64);
        self.succession.add(input, payload, pattern >> input & 1 == 1);
    }

    /// How often an event came in the reports of an input, in one half.
    pub fn in_half(&self, half: Half, at: OfInput) -> Frequency {
        let hits = self.hits[half as usize][at.event * self.events.inputs() + at.input];
        Frequency { hits, draws: self.draws[half as usize][at.input] }
    }

    /// How often an event came in the reports of an input.
    pub fn of(&self, at: OfInput) -> Frequency {
        self.in_half(Half::First, at) + self.in_half(Half::Second, at)
    }

    /// Everything of one purpose that the law predicts.
    pub fn comparisons(&self, purpose: Purpose) -> impl Iterator<Item = Comparison<OfInput>> + '_ {
        let events = self.events.list().iter().enumerate().filter(move |(_, event)| event.purpose == purpose);
        events.flat_map(move |(number, event)| {
            event.law.iter().enumerate().filter_map(move |(input, law)| {
                let at = OfInput { event: number, input };
                law.map(|law| Comparison { subject: at, frequency: self.of(at), law })
            })
        })
    }

    /// How often a report supports the input it was made of, all inputs together. Inputs are uniform, so the law is the mean.
    pub fn own_support(&self) -> Comparison<()> {
        let n = self.events.inputs();
        // The first events are the support of each input.
        let of_own = (0..n).map(|i| self.of(OfInput { event: i, input: i }));
        let law = (0..n).map(|i| self.events.support_of_own(i)).sum::<f64>() / n as f64;
        Comparison { subject: (), frequency: of_own.fold(Frequency::default(), |sum, part| sum + part), law }
    }

    /// Every bit of the ids, which must be 0 and 1 equally often whatever the input.
    pub fn id_bits(&self) -> impl Iterator<Item = Comparison<OfInput>> + '_ {
        let n = self.events.inputs();
        (0..ID_BITS * n).map(move |place| {
            let (event, input) = (place / n, place % n);
            let draws = self.draws[0][input] + self.draws[1][input];
            let frequency = Frequency { hits: self.bits[place], draws };
            Comparison { subject: OfInput { event, input }, frequency, law: 0.5 }
        })
    }
}
