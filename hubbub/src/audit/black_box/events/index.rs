//! Reports of one index on a line: windows and folded geometric noise.

use std::ops::Range;

use hubbub_privacy::{Payload, Value};
use hubbub_randomizer::{FoldedGeometric, Window};

use super::{Event, MAX_OUTPUTS, Purpose, Ranges, Reports, Watched, What, index_of};

/// The events of indices 0..size.
pub struct IndexEvents {
    size: u32,
    law: Law,
    /// The outputs that support each input.
    supporting: Vec<Range<u32>>,
    large: Option<(Ranges, Watched)>,
}

enum Law {
    /// Of each input, the window of its outputs; the chance of one of them and of any other.
    Window { windows: Vec<Range<u32>>, inside: f64, outside: f64 },
    /// Of each input, the chance of every output.
    Table(Vec<Vec<f64>>),
}

impl IndexEvents {
    pub fn of_window(window: &Window, inputs: &[Value]) -> Self {
        let windows: Vec<Range<u32>> = inputs.iter().map(index_of).map(|x| x..x + window.width()).collect();
        let law = |is_inside| window.law().probability(is_inside).to_f64().value();
        let size = window.values() as u32 + window.width() - 1;
        let law = Law::Window { windows: windows.clone(), inside: law(true), outside: law(false) };
        let large = (size as usize > MAX_OUTPUTS).then(|| {
            let edges =
                windows.iter().flat_map(|window| [window.start.saturating_sub(1), window.start, window.end - 1]);
            (Ranges::of(size), Watched::new(size, super::MAX_RANGES, edges))
        });
        Self { size, law, supporting: windows, large }
    }

    pub fn of_folded(folded: &FoldedGeometric, inputs: &[Value]) -> Self {
        let size = folded.max() + 1;
        let row = |x: u32| (0..size).map(|y| folded.chance(x, y)).collect::<Vec<f64>>();
        let table: Vec<Vec<f64>> = inputs.iter().map(index_of).map(row).collect();
        // Every output has some chance for every input, so an input is given the upper half of its law.
        let upper_half = |row: &Vec<f64>| {
            let at_least = |y: u32| row[y as usize..].iter().sum::<f64>();
            let apart = |y: u32| (at_least(y) - 0.5).abs();
            let split = (1..size).min_by(|&a, &b| apart(a).total_cmp(&apart(b)));
            split.expect("counts go up to 1 at least")..size
        };
        let supporting = table.iter().map(upper_half).collect();
        Self { size, law: Law::Table(table), supporting, large: None }
    }

    /// P(the report of input `x` lies in `outputs`).
    fn within(&self, x: usize, outputs: &Range<u32>) -> f64 {
        match &self.law {
            Law::Window { windows, inside, outside } => {
                let window = &windows[x];
                let common = window.end.min(outputs.end).saturating_sub(window.start.max(outputs.start));
                f64::from(common) * inside + f64::from(outputs.end - outputs.start - common) * outside
            }
            Law::Table(table) => table[x][outputs.start as usize..outputs.end as usize].iter().sum(),
        }
    }

    fn inputs(&self) -> Range<usize> {
        0..self.supporting.len()
    }
}

fn number(payload: &Payload) -> u32 {
    match payload {
        Payload::Number(y) => *y,
        Payload::List(_) => unreachable!("only possible reports are counted"),
    }
}

impl Reports for IndexEvents {
    fn pattern(&self, payload: &Payload) -> u8 {
        let y = number(payload);
        self.inputs().fold(0, |bits, i| bits | u8::from(self.supporting[i].contains(&y)) << i)
    }

    fn supports(&self, i: usize, x: usize) -> f64 {
        self.within(x, &self.supporting[i])
    }

    fn agreement(&self, a: usize, b: usize) -> Option<f64> {
        let Law::Window { windows, inside, outside } = &self.law else { return None };
        let (a, b) = (&windows[a], &windows[b]);
        let common = f64::from(a.end.min(b.end).saturating_sub(a.start.max(b.start)));
        let w = f64::from(a.end - a.start);
        let neither = f64::from(self.size) - 2.0 * w + common;
        Some(common * inside * inside + 2.0 * (w - common) * inside * outside + neither * outside * outside)
    }

    fn outputs(&self) -> Option<Vec<Payload>> {
        self.large.is_none().then(|| (0..self.size).map(Payload::Number).collect())
    }

    fn rank(&self, payload: &Payload) -> usize {
        number(payload) as usize
    }

    fn chance(&self, x: usize, payload: &Payload) -> f64 {
        let y = number(payload);
        self.within(x, &(y..y + 1))
    }

    fn events(&self) -> Vec<Event> {
        let Some((ranges, watched)) = &self.large else { return Vec::new() };
        let outputs = ranges.all().chain(watched.list.iter().map(|&y| y..y + 1));
        let law = |outputs: &Range<u32>| self.inputs().map(|x| self.within(x, outputs)).collect::<Vec<f64>>();
        let event = |outputs: Range<u32>| {
            let law = law(&outputs);
            Event::new(What::Index(outputs), Purpose::Calibration, law.into_iter())
        };
        outputs.map(event).collect()
    }

    fn partitions(&self) -> Vec<Range<usize>> {
        self.large.iter().map(|(ranges, _)| 0..ranges.count()).collect()
    }

    fn visit(&self, payload: &Payload, mut each: impl FnMut(usize)) {
        let Some((ranges, watched)) = &self.large else { return };
        let y = number(payload);
        each(ranges.of_index(y));
        if let Some(place) = watched.place(y) {
            each(ranges.count() + place);
        }
    }
}
