//! What is counted in the reports, and how likely the exact law makes it for every input.
//!
//! Every report has a **pattern**: which inputs it supports. For the families of sets that is the whole likelihood ratio,
//! so the reports that support one input and not another are the event that tells these two best apart. Small output
//! spaces are counted output by output; of large ones, indices, pairs of them, coordinates and ranges.

mod cyclotomic;
mod index;
mod subset;

use std::ops::Range;

use hubbub_privacy::{Payload, Value};
use hubbub_randomizer::Mechanism;

use cyclotomic::CyclotomicEvents;
use index::IndexEvents;
use subset::SubsetEvents;

/// Outputs that are counted one by one at most. Of more, most would come too rarely to say anything.
const MAX_OUTPUTS: usize = 4096;
/// Ranges that a larger space is cut into.
const MAX_RANGES: u32 = 256;

/// Which check an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// One coordinate of a report.
    Calibration,
    /// Several coordinates of a report together.
    Joint,
    /// Only to tell inputs apart.
    Distinction,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The report supports this input.
    Supports(usize),
    /// The report supports exactly these inputs, one bit each.
    Pattern(u8),
    /// The report is this one.
    Output(Payload),
    /// The report holds an index of this range (or is one).
    Index(Range<u32>),
    /// The report holds both.
    Pair(u32, u32),
    /// The coordinate lies in this range.
    Coordinate(Range<u32>),
    /// The coordinate lies in this range, and the report supports this input.
    CoordinateSupports(Range<u32>, usize),
}

/// An event of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What happens.
    pub what: What,
    /// Which check it belongs to.
    pub purpose: Purpose,
    /// Its probability for each input, where the law has a formula for it.
    pub law: Vec<Option<f64>>,
}

impl Event {
    fn new(what: What, purpose: Purpose, law: impl Iterator<Item = f64>) -> Self {
        Self { what, purpose, law: law.map(Some).collect() }
    }

    /// The event in words; `input` names an input.
    pub fn describe(&self, input: impl Fn(usize) -> String) -> String {
        let range = |range: &Range<u32>| match range.len() {
            1 => range.start.to_string(),
            _ => format!("{} to {}", range.start, range.end - 1),
        };
        match &self.what {
            What::Supports(i) => format!("supports {}", input(*i)),
            What::Pattern(bits) => format!("supports just the inputs {bits:#b}"),
            What::Output(Payload::Number(y)) => format!("report {y}"),
            What::Output(Payload::List(items)) => format!("report {items:?}"),
            What::Index(indices) => format!("index {}", range(indices)),
            What::Pair(a, b) => format!("indices {a} and {b}"),
            What::Coordinate(j) => format!("coordinate {}", range(j)),
            What::CoordinateSupports(j, i) => format!("coordinate {}, supports {}", range(j), input(*i)),
        }
    }
}

/// What a family knows of its reports.
trait Reports {
    /// Which inputs a report supports, one bit each.
    fn pattern(&self, payload: &Payload) -> u8;
    /// P(a report of input `x` supports input `i`).
    fn supports(&self, i: usize, x: usize) -> f64;
    /// P(reports of inputs `a` and `b` are equal), where there is a formula.
    fn agreement(&self, a: usize, b: usize) -> Option<f64>;
    /// All outputs, in the order of `rank`, if there are at most [`MAX_OUTPUTS`].
    fn outputs(&self) -> Option<Vec<Payload>>;
    /// The place of a possible report among all outputs.
    fn rank(&self, payload: &Payload) -> usize;
    /// P(a report of input `x` is this one).
    fn chance(&self, x: usize, payload: &Payload) -> f64;
    /// Events beyond patterns and whole outputs.
    fn events(&self) -> Vec<Event>;
    /// Which of [`Reports::events`] are one of several that exclude each other and exhaust all outputs.
    fn partitions(&self) -> Vec<Range<usize>>;
    /// Calls `each` with those of [`Reports::events`] that a report is part of.
    fn visit(&self, payload: &Payload, each: impl FnMut(usize));
}

enum Family {
    Subset(Box<SubsetEvents>),
    Cyclotomic(CyclotomicEvents),
    Index(IndexEvents),
}

/// The same call on whichever family it is.
macro_rules! each {
    ($family:expr, $events:ident => $call:expr) => {
        match $family {
            Family::Subset($events) => $call,
            Family::Cyclotomic($events) => $call,
            Family::Index($events) => $call,
        }
    };
}

/// All events of one mechanism's reports for some inputs.
pub struct Events {
    family: Family,
    list: Vec<Event>,
    inputs: usize,
    partitions: Vec<Range<usize>>,
    /// The events that are whole outputs, if those are counted.
    outputs: Option<Range<usize>>,
    /// Where the family's own events start.
    own: usize,
    agreement: Vec<Vec<Option<f64>>>,
}

impl Events {
    /// The events of `mechanism` for at most eight inputs.
    pub fn of(mechanism: &Mechanism, inputs: &[Value]) -> Self {
        match mechanism {
            Mechanism::Subset(subset) => {
                let boxed = |events| Family::Subset(Box::new(events));
                Self::build(SubsetEvents::new(subset, inputs), boxed, inputs.len())
            }
            Mechanism::Cyclotomic(cyclotomic) => {
                Self::build(CyclotomicEvents::new(cyclotomic, inputs), Family::Cyclotomic, inputs.len())
            }
            Mechanism::Window(window) => {
                Self::build(IndexEvents::of_window(window, inputs), Family::Index, inputs.len())
            }
            Mechanism::FoldedGeometric(folded) => {
                Self::build(IndexEvents::of_folded(folded, inputs), Family::Index, inputs.len())
            }
        }
    }

    fn build<R: Reports>(reports: R, family: impl FnOnce(R) -> Family, inputs: usize) -> Self {
        let all = 0..inputs;
        let support =
            |i| Event::new(What::Supports(i), Purpose::Calibration, all.clone().map(|x| reports.supports(i, x)));
        let mut list: Vec<Event> = all.clone().map(support).collect();
        let pattern = |bits: u32| Event {
            what: What::Pattern(bits as u8),
            purpose: Purpose::Distinction,
            law: vec![None; inputs],
        };
        list.extend((0..1 << inputs).map(pattern));
        let outputs = reports.outputs();
        let chances = |output: &Payload| all.clone().map(|x| reports.chance(x, output)).collect::<Vec<f64>>();
        let chances: Option<Vec<Vec<f64>>> = outputs.as_ref().map(|outputs| outputs.iter().map(chances).collect());
        let agreement = |a: usize, b: usize| match &chances {
            Some(chances) => Some(chances.iter().map(|of_output| of_output[a] * of_output[b]).sum()),
            None => reports.agreement(a, b),
        };
        let agreement = all.clone().map(|a| all.clone().map(|b| agreement(a, b)).collect()).collect();
        let start = list.len();
        let mut partitions: Vec<Range<usize>> = std::iter::once(inputs..start).collect();
        for (output, chances) in outputs.iter().flatten().zip(chances.iter().flatten()) {
            let several = matches!(output, Payload::List(items) if items.len() > 1);
            let purpose = if several { Purpose::Joint } else { Purpose::Calibration };
            list.push(Event::new(What::Output(output.clone()), purpose, chances.iter().copied()));
        }
        let own = list.len();
        let outputs = outputs.map(|_| start..own);
        partitions.extend(outputs.clone());
        partitions.extend(reports.partitions().into_iter().map(|range| own + range.start..own + range.end));
        list.extend(reports.events());
        Self { family: family(reports), list, inputs, partitions, outputs, own, agreement }
    }

    /// All events.
    pub fn list(&self) -> &[Event] {
        &self.list
    }

    /// How many inputs there are.
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// Events that exclude each other and exhaust all outputs.
    pub fn partitions(&self) -> &[Range<usize>] {
        &self.partitions
    }

    /// Calls `each` with the number of every event that a possible report is part of; gives its pattern.
    pub fn visit(&self, payload: &Payload, mut each: impl FnMut(usize)) -> u8 {
        let pattern = each!(&self.family, reports => reports.pattern(payload));
        (0..self.inputs).filter(|i| pattern >> i & 1 == 1).for_each(&mut each);
        each(self.inputs + usize::from(pattern));
        if let Some(outputs) = &self.outputs {
            each(outputs.start + each!(&self.family, reports => reports.rank(payload)));
        }
        each!(&self.family, reports => reports.visit(payload, |event| each(self.own + event)));
        pattern
    }

    /// The events, of which at most one happens, that together are all reports likelier for `likely` than for `unlikely`.
    pub fn telling(&self, likely: usize, unlikely: usize) -> Vec<usize> {
        if let Some(outputs) = self.outputs.clone() {
            return outputs.filter(|&i| self.list[i].law[likely] > self.list[i].law[unlikely]).collect();
        }
        let tells = |bits: usize| bits >> likely & 1 == 1 && bits >> unlikely & 1 == 0;
        (0..1 << self.inputs).filter(|bits| tells(*bits)).map(|bits| self.inputs + bits).collect()
    }

    /// P(a report supports the input it was made of).
    pub fn support_of_own(&self, input: usize) -> f64 {
        each!(&self.family, reports => reports.supports(input, input))
    }

    /// P(reports of two inputs are equal), where the law has a formula for it.
    pub fn agreement(&self, a: usize, b: usize) -> Option<f64> {
        self.agreement[a][b]
    }
}

/// Consecutive ranges of equal length, the last one perhaps shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ranges {
    size: u32,
    length: u32,
}

impl Ranges {
    fn of(size: u32) -> Self {
        Self { size, length: size.div_ceil(MAX_RANGES) }
    }

    const fn count(self) -> usize {
        self.size.div_ceil(self.length) as usize
    }

    const fn of_index(self, index: u32) -> usize {
        (index / self.length) as usize
    }

    fn all(self) -> impl Iterator<Item = Range<u32>> {
        (0..self.size).step_by(self.length as usize).map(move |low| low..(low + self.length).min(self.size))
    }
}

/// Some of many indices, each with a place of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Watched {
    list: Vec<u32>,
    places: Vec<u32>,
}

impl Watched {
    const NOWHERE: u32 = u32::MAX;

    /// Of `size` indices at most `most`: the preferred ones first, then evenly spread ones.
    fn new(size: u32, most: u32, preferred: impl Iterator<Item = u32>) -> Self {
        let step = size.div_ceil(most.max(1)) as usize;
        let mut places = vec![Self::NOWHERE; size as usize];
        let mut list = Vec::new();
        for index in preferred.chain((0..size).step_by(step)) {
            if list.len() < most as usize && places[index as usize] == Self::NOWHERE {
                places[index as usize] = list.len() as u32;
                list.push(index);
            }
        }
        Self { list, places }
    }

    fn place(&self, index: u32) -> Option<usize> {
        let place = self.places[index as usize];
        (place != Self::NOWHERE).then_some(place as usize)
    }
}

/// The values of a domain without sets.
fn index_of(value: &Value) -> u32 {
    match value {
        Value::Index(index) => *index,
        Value::Items(_) => unreachable!("sets have the subset family"),
    }
}

#[cfg(test)]
mod tests;
