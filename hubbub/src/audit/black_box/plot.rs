//! The verdicts as a picture: what was observed against what is exact, with intervals.
//!
//! A self-contained SVG without scripts or fonts of its own, readable on light and dark paper.

use std::fmt::Write;

use super::statistics::Deviation;
use super::verdict::{Outcome, Verdict, decimal};

const WIDTH: f64 = 1100.0;
/// Where the subject's text ends, the deviation's middle lies and the figures start.
const MIDDLE: f64 = 720.0;
const FIGURES: f64 = 930.0;
const ROW: f64 = 18.0;
const MARGIN: f64 = 16.0;
/// Standard deviations on each side, and their length.
const SPAN: f64 = 10.0;
const UNIT: f64 = 18.0;
/// Rows of each check.
const ROWS: usize = 10;
/// What fits on a line, and left of the picture.
const TITLE_CHARS: usize = 110;
const SUBJECT_CHARS: usize = 84;

const STYLE: &str = "svg{background:#fff;color:#1a1a1a;font:12px sans-serif}text{fill:currentColor}\
.title{font-size:16px;font-weight:bold}.check{font-weight:bold}.soft{opacity:.65}\
.line{stroke:currentColor;stroke-width:1;opacity:.4}.bar{stroke:#2a6fb0;stroke-width:5;opacity:.55}.dot{fill:#174a7a}\
.bad .bar{stroke:#c0392b}.bad .dot{fill:#8e1b10}.bad text{fill:#a82315}\
@media(prefers-color-scheme:dark){svg{background:#16181c;color:#e8e8e8}.bar{stroke:#6fb3f2}.dot{fill:#b9dcff}\
.bad .bar{stroke:#ff8a7a}.bad .dot{fill:#ffc9c1}.bad text{fill:#ff9d90}}";

/// The picture of an audit.
pub fn svg(title: &str, verdicts: &[Verdict]) -> String {
    let mut body = String::new();
    let mut y = MARGIN + 16.0;
    text(&mut body, MARGIN, y, "title", &shortened(title, TITLE_CHARS));
    y += ROW;
    let explained = "Dot: observed. Bar: where the true probability lies. Line: the exact law. Unit: standard deviations; \
                     beyond 10 at the edge. Figures: observed / law.";
    text(&mut body, MARGIN, y, "soft", explained);
    for verdict in verdicts {
        let rows = &verdict.deviations[..verdict.deviations.len().min(ROWS)];
        y += ROW * if rows.is_empty() { 1.0 } else { 1.5 };
        let failed = verdict.outcome == Outcome::Failed;
        body.push_str(if failed { "<g class=\"bad\">" } else { "<g>" });
        text(&mut body, MARGIN, y, "check", &format!("{}: {}", verdict.check, verdict.outcome.word()));
        if rows.is_empty() {
            let said = match verdict.check {
                "epsilon" => format!("{}; {}; {}", verdict.statistic, verdict.limit, verdict.worst),
                _ if verdict.outcome == Outcome::Passed => String::new(),
                _ => verdict.worst.clone(),
            };
            text(&mut body, MARGIN + 190.0, y, "", &shortened(&said, 2 * SUBJECT_CHARS - 40));
        }
        body.push_str("</g>");
        for deviation in rows {
            y += ROW;
            row(&mut body, y, deviation);
        }
    }
    let height = y + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\"><title>{}</title><style>{STYLE}</style>{body}</svg>\n",
        escaped(title)
    )
}

fn row(body: &mut String, y: f64, deviation: &Deviation<String>) {
    let Deviation { subject, frequency, law, interval } = deviation;
    let n = frequency.draws as f64;
    // A probability of 0 or 1 has no deviation; one draw is then the unit.
    let unit = ((law * (1.0 - law)).max(1.0 / n) / n).sqrt();
    let x = |probability: f64| MIDDLE + ((probability - law) / unit).clamp(-SPAN, SPAN) * UNIT;
    body.push_str(if deviation.contradicts() { "<g class=\"bad\">" } else { "<g>" });
    text(body, MARGIN + 10.0, y, "", &shortened(subject, SUBJECT_CHARS));
    let middle = y - 4.0;
    let (low, high, dot) = (x(interval.0), x(interval.1), x(frequency.observed()));
    let (top, bottom) = (y - ROW + 4.0, y + 4.0);
    write!(
        body,
        "<line class=\"line\" x1=\"{MIDDLE}\" x2=\"{MIDDLE}\" y1=\"{top}\" y2=\"{bottom}\"/>\
         <line class=\"bar\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>\
         <circle class=\"dot\" cx=\"{dot:.1}\" cy=\"{middle}\" r=\"3.5\"/>"
    )
    .expect("a string takes everything");
    text(body, FIGURES, y, "", &format!("{} / {}", decimal(frequency.observed()), decimal(*law)));
    body.push_str("</g>");
}

fn text(body: &mut String, x: f64, y: f64, class: &str, words: &str) {
    write!(body, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", escaped(words))
        .expect("a string takes everything");
}

fn shortened(words: &str, chars: usize) -> String {
    match words.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::audit::black_box::statistics::Frequency;

    #[test]
    fn labels_cannot_break_the_picture() {
        let deviation = |subject: &str, hits| Deviation {
            subject: subject.to_owned(),
            frequency: Frequency { hits, draws: 1000 },
            law: 0.0,
            interval: (0.0, 1.0),
        };
        let verdict = Verdict {
            check: "calibration",
            outcome: Outcome::Failed,
            worst: String::new(),
            statistic: String::new(),
            limit: String::new(),
            deviations: vec![deviation("</text><script>&", 1000), deviation(&"ä".repeat(500), 0)],
            figures: Value::Null,
        };
        let picture = svg("a < b", &[verdict]);
        assert!(!picture.contains("<script") && picture.contains("&lt;script&gt;&amp;"), "{picture}");
        assert!(!picture.contains("NaN") && !picture.contains("inf") && picture.contains('…'));
        assert!(picture.contains("prefers-color-scheme:dark"));
    }
}
