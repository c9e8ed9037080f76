//! The ratios as Markdown, to be kept beside the code: with machine, kernel, versions and date.

use std::fmt::Write as _;

use super::case::{Case, Row};
use super::table::{cell, cells, idle, notes};
use super::{Findings, Machine};
use crate::table::{self, grouped, micros};

const PREFACE: &str = "\
# The comparison

Written by a program from its own report, not by hand:

    cargo run --release -p chainring-bench -- full --docs docs/comparison.md

Ratios are taken within a round; in brackets stands their 95 % interval, and one that contains 1 reads \"not resolved\". CPU is
that of the server or job, user and system. Instructions are those of user space, counted by callgrind. How it is measured,
and what to believe: [benches/README.md](../benches/README.md).
";

pub(super) fn render(findings: &Findings) -> String {
    let mut text = format!("{PREFACE}\n{}\n## chainring beside others\n\n", origin(findings));
    let header = ["workload", "written as", "beside", "a second", "CPU each", "p99", "instructions"];
    let mut brief = table::new(header.into());
    for case in &findings.cases {
        for row in case.good().filter(|row| ["chainring-chain", "chainring-await"].contains(&&row.name[..])) {
            for other in case.references.iter().filter(|other| **other != row.name) {
                let names = [&case.title, &row.name, other].map(Clone::clone);
                brief.add_row(names.into_iter().chain(relation(case, row, other)));
            }
        }
    }
    text += &brief.to_string();
    text.push('\n');
    for case in &findings.cases {
        text += &section(case);
    }
    if !findings.idle.is_empty() {
        text += &format!("\n## {}\n", idle(&findings.idle));
    }
    text
}

/// Where a competitor has nothing to show.
const NONE: &str = "n/a";

/// A row in relation to another of its case.
fn relation(case: &Case, row: &Row, other: &str) -> [String; 4] {
    let against = row.summary.as_ref().and_then(|summary| summary.to(other));
    let other = case.good().find(|row| row.name == other);
    let counts = row.instructions_per_request.zip(other.and_then(|other| other.instructions_per_request));
    [
        cell(against.map(|against| against.requests_per_second)),
        cell(against.and_then(|against| against.cpu_per_request)),
        cell(against.map(|against| against.p99)),
        counts.map_or(NONE.to_owned(), |(own, other)| format!("{:.2}", own.median / other.median)),
    ]
}

fn origin(findings: &Findings) -> String {
    let Machine { processor, cores, memory_mib, kernel, date, versions } = &findings.machine;
    let versions: Vec<_> = versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!(
        "| | |\n|---|---|\n| date | {date} UTC |\n| machine | {processor}, {cores} cores, {memory_mib} MiB |\n\
         | kernel | Linux {kernel} |\n| versions | {} |\n| rounds | {} of {} seconds, if nothing else is said |\n",
        versions.join(", "),
        findings.rounds,
        findings.seconds,
    )
}

/// Everything about one case.
fn section(case: &Case) -> String {
    let mut header: Vec<String> =
        ["competitor", "a second", "p50 us", "p99 us", "CPU ns each", "enters each", "instructions"]
            .map(str::to_owned)
            .into();
    for reference in &case.references {
        header.extend(["a second", "CPU each", "p99"].map(|column| format!("{column} / {reference}")));
    }
    let mut rows = table::new(header.iter().map(String::as_str).collect());
    for row in &case.competitors {
        let Some(summary) = &row.summary else {
            rows.add_row([&row.name, "failed"]);
            continue;
        };
        let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
        let figures = [
            format!("{}{}", row.name, summary.marks()),
            grouped(summary.requests_per_second.median),
            micros(summary.p50_nanos.median),
            micros(summary.p99_nanos.median),
            or_none(summary.cpu_nanos_per_request.map(|cpu| grouped(cpu.median))),
            or_none(row.system_calls_per_request.map(|calls| format!("{:.3}", calls.enters))),
            or_none(row.instructions_per_request.map(|count| grouped(count.median))),
        ];
        rows.add_row(figures.into_iter().chain(cells(case, &row.name, summary)));
    }
    let mut text = format!("\n## {}\n\n{}.\n\n{rows}\n", case.title, case.about);
    for note in notes(case) {
        let _ = write!(text, "\n- {}", note.replace('*', "\\*"));
    }
    text.push_str(if text.ends_with('\n') { "" } else { "\n" });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::case::tests::example;

    fn findings() -> Findings {
        Findings {
            machine: Machine::here(),
            rounds: 5,
            seconds: 0.4,
            cases: vec![example()],
            idle: Vec::new(),
        }
    }

    #[test]
    fn the_document_says_where_it_comes_from_and_how_all_compare() {
        let text = render(&findings());
        assert!(
            text.contains(&std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim().to_owned())
        );
        assert!(
            text.contains("| echo: 64 connections, 64 bytes | chainring-chain |      tokio | 2.0"),
            "{text}"
        );
        assert!(text.contains("| glommio ") && text.contains("- glommio failed: no such <ring>"), "{text}");
    }

    #[test]
    fn a_report_that_was_written_is_read_again() {
        let mut written = findings();
        // Of a single round the interval has no end, which JSON cannot say.
        written.cases[0].competitors.iter_mut().for_each(|row| row.rounds.truncate(1));
        written.cases[0].conclude();
        let file = tempfile::NamedTempFile::new().unwrap();
        written.write_json(file.path()).unwrap();
        let read = Findings::read(file.path()).unwrap();
        assert_eq!(render(&read), render(&written));
        assert!(render(&read).contains("(< 0.01 to > 100)"));
    }
}
