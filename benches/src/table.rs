//! How figures are written.

use comfy_table::{CellAlignment, Table, presets};

use crate::stats::Spread;

/// An empty table, in Markdown: names to the left, figures to the right.
pub(crate) fn new(header: Vec<&str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A whole number in groups of three digits.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A ratio and how far single rounds strayed from it.
pub(crate) fn ratio(spread: Option<Spread>) -> String {
    match spread {
        Some(Spread { median, low, high }) => format!("{median:.2} ({low:.2} to {high:.2})"),
        None => "n/a".to_owned(),
    }
}

/// Nanoseconds as microseconds.
pub(crate) fn micros(nanos: f64) -> String {
    format!("{:.0}", nanos / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!(grouped(7.0), "7");
        assert_eq!(grouped(123.4), "123");
        assert_eq!(grouped(1_234_567.0), "1 234 567");
    }
}
