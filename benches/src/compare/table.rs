//! The table of a comparison.

use super::Row;
use crate::competitor::BASELINE;
use crate::load::Report;
use crate::process::load::Shape;
use crate::stats::{Spread, median};
use crate::table::{self, grouped, micros};

/// Above this share of its core the load itself may have been the limit.
const BUSY: f64 = 0.95;

/// Above this share of waiting for a core, times say more about the machine than about the competitors.
const DISTURBED: f64 = 0.05;

/// One line for each competitor, the failed ones included, and what there is to say about them.
pub(super) fn render(rows: &[Row], shape: &Shape) -> String {
    let baseline = rows.iter().find(|row| row.competitor.name == BASELINE.name).map(|row| &row.rounds[..]);
    let against = format!("vs {}", BASELINE.name);
    let mut rendered = table::new(vec![
        "competitor",
        "requests/s",
        &against,
        "p50 us",
        "p99 us",
        "p99.9 us",
        "CPU ns/request",
        "syscalls/request",
        "enters/request",
    ]);
    let mut notes = Vec::new();
    for row in rows {
        let name = row.competitor.name;
        if let Err(error) = &row.program {
            notes.push(format!("{name} failed: {error}"));
            rendered.add_row([name, "failed"]);
            continue;
        }
        let of = |figure: fn(&Report) -> f64| median(row.rounds.iter().map(figure)).unwrap_or(f64::NAN);
        let busy = of(|report| report.load_cpu_share) > BUSY;
        let nanos = median(row.rounds.iter().filter_map(Report::server_nanos_per_request));
        let counted = row.system_calls.as_ref().and_then(|counted| counted.as_ref().ok());
        rendered.add_row([
            if busy { format!("{name} *") } else { name.to_owned() },
            grouped(of(Report::requests_per_second)),
            table::ratio(ratio(&row.rounds, baseline.unwrap_or(&[]))),
            micros(of(|report| report.latency.p50 as f64)),
            micros(of(|report| report.latency.p99 as f64)),
            micros(of(|report| report.latency.p999 as f64)),
            nanos.map_or("n/a".to_owned(), grouped),
            counted.map_or("n/a".to_owned(), |counted| format!("{:.3}", counted.all)),
            counted.map_or("n/a".to_owned(), |counted| format!("{:.3}", counted.enters)),
        ]);
        if busy {
            notes.push(format!(
                "* the load needed more than {:.0} % of its core: the server could do more",
                BUSY * 100.0
            ));
        }
        let disturbed = of(|report| report.disturbed_share);
        if disturbed > DISTURBED {
            notes.push(format!(
                "{name} was disturbed: for {:.0} % of the time something else had the core",
                disturbed * 100.0
            ));
        }
        if let Some(Err(error)) = &row.system_calls {
            notes.push(format!("system calls not counted: {error}"));
        }
    }
    notes.sort();
    notes.dedup();
    let Shape { workload, connections, size, pipeline } = shape;
    let deep = if *pipeline > 1 { format!(", {pipeline} requests deep") } else { String::new() };
    let title = format!("{}, {connections} connections, {size} bytes{deep}", workload.name);
    let notes: String = notes.iter().map(|note| format!("\n{note}")).collect();
    format!("{title}\n{rendered}{notes}")
}

/// The throughput in relation to the baseline's in the same round.
fn ratio(rounds: &[Report], baseline: &[Report]) -> Option<Spread> {
    let pairs = rounds.iter().zip(baseline);
    Spread::of(pairs.map(|(own, other)| own.requests_per_second() / other.requests_per_second()))
}
