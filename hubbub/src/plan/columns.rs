//! Tables and paragraphs for people.

/// Where a paragraph is broken.
const WIDTH: usize = 110;
/// Where the text of a labelled paragraph starts.
const INDENT: usize = 16;

/// Rows of cells, each column as wide as its widest cell; the first row is the header.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// A label and its text, broken into lines; nothing when there is no text.
pub fn labelled(label: &str, text: &str) -> String {
    let first = [label].into_iter().chain(std::iter::repeat(""));
    let line = |(label, line): (&str, String)| format!("  {label:<width$}{line}\n", width = INDENT - 2);
    first.zip(broken(text, WIDTH - INDENT)).map(line).collect()
}

/// A paragraph, broken into lines.
pub fn wrapped(text: &str) -> String {
    broken(text, WIDTH).into_iter().map(|line| line + "\n").collect()
}

fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a", "bb"], vec!["ccc", "d"]].map(|row| row.into_iter().map(str::to_owned).collect());
        assert_eq!(aligned(&rows), "a    bb\nccc  d\n");
        assert_eq!(aligned(&[]), "");
    }

    #[test]
    fn paragraphs_are_broken_between_words() {
        assert_eq!(labelled("why", "short"), "  why           short\n");
        assert_eq!(labelled("why", " "), "");
        let long = labelled("why", &"four ".repeat(40));
        assert_eq!(long.lines().count(), 3);
        assert!(long.lines().all(|line| line.chars().count() <= WIDTH && line.chars().nth(INDENT) == Some('f')));
        assert_eq!(long.matches("four").count(), 40);
        assert_eq!(wrapped(&"four ".repeat(40)).lines().next().unwrap().len(), WIDTH - 1);
    }
}
