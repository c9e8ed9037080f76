//! The table of counts.

use super::Row;
use crate::competitor::BASELINE;
use crate::process::load::Shape;
use crate::stats::Spread;
use crate::table;

/// One line for each competitor, the failed ones included.
pub(super) fn render(rows: &[Row], shape: &Shape, requests: u64) -> String {
    let per_request = |count: u64| count as f64 / requests as f64;
    let totals = |row: &Row| row.runs.iter().map(|counts| per_request(counts.total)).collect::<Vec<_>>();
    let baseline = rows.iter().find(|row| row.competitor.name == BASELINE.name);
    let baseline = baseline.and_then(|row| Spread::of(totals(row)));
    let against = format!("vs {}", BASELINE.name);
    let mut rendered = table::new(vec![
        "competitor",
        "instructions/request",
        "lowest to highest",
        &against,
        "requests/turn",
    ]);
    let mut failures = String::new();
    for row in rows {
        let name = row.competitor.name;
        if let Err(error) = &row.program {
            failures += &format!("\n{name}: {error}");
            rendered.add_row([name, "failed", "", "", ""]);
            continue;
        }
        let Some(spread) = Spread::of(totals(row)) else { continue };
        let ratio =
            baseline.map_or("n/a".to_owned(), |baseline| format!("{:.2}", spread.median / baseline.median));
        let turns = Spread::of(row.runs.iter().map(|counts| per_request(counts.turns)));
        rendered.add_row([
            name.to_owned(),
            format!("{:.1}", spread.median),
            format!("{:.1} to {:.1}", spread.low, spread.high),
            ratio,
            turns.map_or("n/a".to_owned(), |turns| format!("{:.1}", 1.0 / turns.median)),
        ]);
    }
    let Shape { workload, connections, size, .. } = shape;
    format!("{}, {connections} connections, {size} bytes, callgrind\n{rendered}{failures}", workload.name)
}
