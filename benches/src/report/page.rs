//! `index.html`: the tables and the plots in one file that refers to nothing else.

use std::fmt::Write as _;

use super::case::{Case, Row};
use super::table::{cells, notes, spread};
use super::{Findings, plot};
use crate::Result;
use crate::table::{grouped, micros};

const STYLE: &str = "
body { font: 15px/1.45 system-ui, sans-serif; color: #22262b; background: #fff; max-width: 1290px;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .2rem; border-top: 1px solid #d9dde2; padding-top: 1.2rem; }
p { margin: .2rem 0 .8rem; max-width: 100ch; }
table { display: block; overflow-x: auto; border-collapse: collapse; margin: .6rem 0 1rem; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #e8ebee; }
td, th { white-space: nowrap; } .ratios { font-size: 12.5px; }
.ratios th, .ratios td { padding: .2rem .4rem; }
th { font-weight: 600; } th:first-child, td:first-child { text-align: left; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; }
.plots svg { border: 1px solid #e8ebee; max-width: 100%; height: auto; }
.unresolved { color: #6b727c; } .failed { color: #b42318; }
";

const READING: &str = "Each round runs every competitor once, one after the other, and a ratio is taken within a round. \
    Behind it stands its 95 % interval (Student's t on the logarithms of the rounds' ratios, with at least the deviation that is \
    usual in the table); where that contains 1, the two are not resolved (in the plots, the figure stands in brackets). Latency \
    and throughput are medians of the rounds. CPU time is the server's, user and system, by the scheduler's account. System \
    calls and instructions are counted in passes of their own.";

/// The whole page.
pub(super) fn render(findings: &Findings) -> Result<String> {
    let machine = &findings.machine;
    let mut page = String::new();
    let versions: Vec<_> =
        machine.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>chainring compared, {date}</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>chainring compared</h1>\n<p>{machine}<br>{versions}<br>\
         {rounds} rounds of {seconds} s</p>\n<p>{READING}</p>\n",
        date = escaped(&machine.date),
        machine = escaped(&machine.line()),
        versions = escaped(&versions.join(", ")),
        rounds = findings.rounds,
        seconds = findings.seconds,
    )?;
    for case in &findings.cases {
        section(&mut page, case)?;
    }
    if !findings.idle.is_empty() {
        page +=
            "<h2>Idle connections</h2>\n<table><tr><th>competitor</th><th>resident bytes each</th></tr>\n";
        for idle in &findings.idle {
            let bytes = match (&idle.failure, idle.bytes) {
                (None, Some(bytes)) => grouped(bytes),
                (failure, _) => failed(failure.as_deref()),
            };
            writeln!(page, "<tr><td>{}</td><td>{bytes}</td></tr>", idle.name)?;
        }
        page += "</table>\n";
    }
    page += "</body></html>\n";
    Ok(page)
}

fn section(page: &mut String, case: &Case) -> Result<()> {
    writeln!(page, "<h2>{}</h2>\n<p>{}</p>", escaped(&case.title), escaped(&case.about))?;
    page.push_str("<div class=\"plots\">\n");
    for draw in [plot::throughput, plot::cpu, plot::latency, plot::instructions] {
        if let Some(svg) = draw(case)? {
            page.push_str(&svg);
        }
    }
    page.push_str("</div>\n");
    let figures = [
        "competitor",
        "a second (spread)",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "CPU ns each (spread)",
        "system calls each",
        "enters each",
        "instructions each",
    ];
    table(page, "figures", &figures, case, |row| {
        let Some(summary) = &row.summary else { return vec![failed(row.failure.as_deref())] };
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "n/a".to_owned());
        vec![
            spread(summary.requests_per_second) + summary.marks(),
            micros(summary.p50_nanos.median),
            micros(summary.p99_nanos.median),
            micros(summary.p999_nanos.median),
            or_none(summary.cpu_nanos_per_request.map(spread)),
            or_none(row.system_calls_per_request.map(|calls| format!("{:.3}", calls.all))),
            or_none(row.system_calls_per_request.map(|calls| format!("{:.3}", calls.enters))),
            or_none(row.instructions_per_request.map(|count| grouped(count.median))),
        ]
    })?;
    let mut header = vec!["competitor".to_owned()];
    for reference in &case.references {
        header.extend(["a second", "CPU each", "p99"].map(|column| format!("{column} / {reference}")));
    }
    let header: Vec<_> = header.iter().map(String::as_str).collect();
    table(page, "ratios", &header, case, |row| {
        let Some(summary) = &row.summary else { return vec![failed(None)] };
        let cells = cells(case, &row.name, summary).into_iter().map(|cell| {
            let class = if cell.contains("not resolved") { " class=\"unresolved\"" } else { "" };
            format!("<span{class}>{}</span>", escaped(&cell))
        });
        cells.collect()
    })?;
    let notes: Vec<_> = notes(case).iter().map(|note| escaped(note)).collect();
    writeln!(page, "<p>{}</p>", notes.join("<br>\n"))?;
    Ok(())
}

/// A table with a line for each competitor; `cells` are HTML.
fn table(
    page: &mut String,
    class: &str,
    header: &[&str],
    case: &Case,
    cells: impl Fn(&Row) -> Vec<String>,
) -> Result<()> {
    write!(page, "<table class=\"{class}\"><tr>")?;
    for column in header {
        write!(page, "<th>{}</th>", escaped(column))?;
    }
    page.push_str("</tr>\n");
    for row in &case.competitors {
        write!(page, "<tr><td title=\"{}\">{}</td>", escaped(&row.about), escaped(&row.name))?;
        for cell in cells(row) {
            write!(page, "<td>{cell}</td>")?;
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
    Ok(())
}

fn failed(why: Option<&str>) -> String {
    let why = why.map_or(String::new(), |why| format!(" title=\"{}\"", escaped(why)));
    format!("<span class=\"failed\"{why}>failed</span>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::case::tests::example;
    use crate::report::{Idle, Machine};

    #[test]
    fn the_page_shows_every_case_and_escapes_what_others_said() {
        let idle = Idle { name: "tokio".to_owned(), bytes: Some(4321.0), failure: None };
        let findings = Findings {
            machine: Machine::here(),
            rounds: 5,
            seconds: 1.0,
            cases: vec![example()],
            idle: vec![idle],
        };
        let page = render(&findings).unwrap();
        assert!(page.contains("<h2>echo: 64 connections, 64 bytes</h2>"));
        assert!(page.contains("no such &lt;ring&gt;") && !page.contains("<ring>"));
        assert!(page.contains("4 321"));
        assert_eq!(page.matches("<svg").count(), 4);
    }
}
