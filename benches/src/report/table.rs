//! Tables for a terminal.

use super::case::{BUSY, Summary};
use super::{Case, Idle};
use crate::stats::{Ratio, Spread};
use crate::table::{self, grouped, micros};

/// The figures, one line for each competitor, the failed ones included; the ratios; and what there is to say about them.
pub(crate) fn render(case: &Case) -> String {
    let notes: String = notes(case).iter().map(|note| format!("\n{note}")).collect();
    format!("{}\n\n{}\n\n{}{notes}", case.title, figures(case), ratios(case))
}

fn figures(case: &Case) -> comfy_table::Table {
    let mut header = vec!["competitor", "a second (spread)", "p50 us", "p99 us", "p99.9 us"];
    header.extend(["CPU ns each (spread)", "system calls each", "enters each"]);
    let mut rendered = table::new(header);
    for row in &case.competitors {
        let Some(summary) = &row.summary else {
            rendered.add_row([&row.name, "failed"]);
            continue;
        };
        let name = format!("{}{}", row.name, summary.marks());
        let cpu = summary.cpu_nanos_per_request;
        let calls = row.system_calls_per_request;
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "n/a".to_owned());
        rendered.add_row([
            name,
            spread(summary.requests_per_second),
            micros(summary.p50_nanos.median),
            micros(summary.p99_nanos.median),
            micros(summary.p999_nanos.median),
            or_none(cpu.map(spread)),
            or_none(calls.map(|calls| format!("{:.3}", calls.all))),
            or_none(calls.map(|calls| format!("{:.3}", calls.enters))),
        ]);
    }
    rendered
}

/// A median and the lowest and highest round.
pub(super) fn spread(Spread { median, low, high }: Spread) -> String {
    format!("{} ({} to {})", grouped(median), grouped(low), grouped(high))
}

fn ratios(case: &Case) -> comfy_table::Table {
    let columns = ["a second", "CPU each", "p99"];
    let header: Vec<_> = case
        .references
        .iter()
        .flat_map(|reference| columns.iter().map(move |column| format!("{column} / {reference}")))
        .collect();
    let header = std::iter::once("competitor").chain(header.iter().map(String::as_str)).collect();
    let mut rendered = table::new(header);
    for row in &case.competitors {
        let Some(summary) = &row.summary else { continue };
        let name = format!("{}{}", row.name, summary.marks());
        rendered.add_row(std::iter::once(name).chain(cells(case, &row.name, summary)));
    }
    rendered
}

/// The ratios of one competitor to all references.
pub(super) fn cells(case: &Case, name: &str, summary: &Summary) -> Vec<String> {
    let cells = case.references.iter().flat_map(|reference| {
        let against = summary.to(reference);
        let ratios = [
            against.map(|against| against.requests_per_second),
            against.and_then(|against| against.cpu_per_request),
            against.map(|against| against.p99),
        ];
        ratios.map(|ratio| if *reference == name { "1".to_owned() } else { cell(ratio) })
    });
    cells.collect()
}

/// A ratio and its interval, or that the two may as well be equal.
pub(super) fn cell(ratio: Option<Ratio>) -> String {
    /// Beyond this an interval only says that the rounds were too few.
    const FAR: f64 = 100.0;
    let Some(Ratio { estimate, low, high, resolved }) = ratio else { return "n/a".to_owned() };
    let low = if low < 1.0 / FAR { "< 0.01".to_owned() } else { format!("{low:.2}") };
    let high = if high > FAR { "> 100".to_owned() } else { format!("{high:.2}") };
    if resolved {
        format!("{estimate:.2} ({low} to {high})")
    } else {
        format!("not resolved ({low} to {high})")
    }
}

pub(super) fn notes(case: &Case) -> Vec<String> {
    let mut notes = case.notes.clone();
    for row in &case.competitors {
        if let Some(error) = &row.failure {
            notes.push(format!("{} failed: {error}", row.name));
        }
        notes.extend(row.notes.iter().cloned());
        let Some(summary) = &row.summary else { continue };
        if summary.load_was_the_limit {
            notes.push(format!(
                "* the load needed more than {:.0} % of its core: the server could do more",
                BUSY * 100.0
            ));
        }
        if let Some(share) = summary.disturbed {
            notes.push(format!(
                "~ {} or its load was ready and had no core for {:.0} % of the time: unless its own threads took turns, times say little",
                row.name,
                share * 100.0
            ));
        }
    }
    notes.sort();
    notes.dedup();
    notes
}

/// Instructions, one line for each competitor that was counted or has failed.
pub(crate) fn instructions(case: &Case) -> String {
    let reference = case.good().find(|row| row.name == crate::competitor::REFERENCES[1].name);
    let reference = reference.and_then(|row| row.instructions_per_request);
    let against = format!("/ {}", crate::competitor::REFERENCES[1].name);
    let header = vec!["competitor", "instructions each", "lowest to highest", &against, "each turn"];
    let mut rendered = table::new(header);
    let mut failures = String::new();
    for row in &case.competitors {
        if let Some(error) = &row.failure {
            failures += &format!("\n{} failed: {error}", row.name);
            rendered.add_row([&row.name, "failed"]);
        }
        let Some(Spread { median, low, high }) = row.instructions_per_request else { continue };
        rendered.add_row([
            row.name.to_owned(),
            format!("{median:.1}"),
            format!("{low:.1} to {high:.1}"),
            reference.map_or("n/a".to_owned(), |reference| format!("{:.2}", median / reference.median)),
            row.requests_per_turn.map_or("n/a".to_owned(), |turn| format!("{turn:.1}")),
        ]);
    }
    format!("{}: user-space instructions, by callgrind\n\n{rendered}{failures}", case.title)
}

/// Memory of idle connections.
pub(crate) fn idle(rows: &[Idle]) -> String {
    let mut rendered = table::new(vec!["competitor", "resident bytes a connection"]);
    for row in rows {
        match (&row.failure, row.bytes) {
            (None, Some(bytes)) => rendered.add_row([row.name.to_owned(), grouped(bytes)]),
            (failure, _) => rendered
                .add_row([row.name.to_owned(), format!("failed: {}", failure.as_deref().unwrap_or("?"))]),
        };
    }
    format!("Idle connections\n\n{rendered}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::case::tests::example;

    #[test]
    fn every_competitor_has_a_line_and_the_failed_one_a_reason() {
        let text = render(&example());
        assert!(text.starts_with("echo: 64 connections, 64 bytes\n"), "{text}");
        assert!(
            text.contains("| chainring-chain * |") && text.contains("the server could do more"),
            "{text}"
        );
        assert!(text.contains("glommio failed: no such <ring>"), "{text}");
        assert!(text.contains("not resolved (1.00 to 1.00)"), "{text}");
    }

    #[test]
    fn a_single_round_has_an_estimate_and_no_interval() {
        assert_eq!(cell(Ratio::paired(&[3.0], &[2.0], 0.0)), "not resolved (< 0.01 to > 100)");
        assert_eq!(cell(Ratio::paired(&[2.0, 2.0], &[1.0, 1.0], 0.0)), "2.00 (2.00 to 2.00)");
    }
}
