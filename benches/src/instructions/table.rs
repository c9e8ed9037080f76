//! The table of counts.

use super::Row;
use crate::stats::Spread;
use crate::table;

/// One line for each competitor, the failed ones included. What a row has counted is divided by `requests`, each of
/// which is called `unit`.
pub(super) fn render(title: &str, rows: &[Row], baseline: &str, unit: &str, requests: u64) -> String {
    let per_request = |count: u64| count as f64 / requests as f64;
    let totals = |row: &Row| row.runs.iter().map(|counts| per_request(counts.total)).collect::<Vec<_>>();
    let against = format!("vs {baseline}");
    let baseline = rows.iter().find(|row| row.name == baseline);
    let baseline = baseline.and_then(|row| Spread::of(totals(row)));
    let (cost, turn) = (format!("instructions/{unit}"), format!("{unit}s/turn"));
    let mut rendered = table::new(vec!["competitor", &cost, "lowest to highest", &against, &turn]);
    let mut failures = String::new();
    for row in rows {
        let name = row.name;
        if let Some(error) = &row.failure {
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
    format!("{title}, callgrind\n{rendered}{failures}")
}
