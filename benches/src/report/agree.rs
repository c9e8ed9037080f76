//! Two runs of the same comparison: whether the second finds what the first has found.
//!
//! They disagree about a ratio that one of them resolves if their intervals have nothing in common. A ratio that only one of
//! them resolves is none of that, as long as the other does not exclude it.

use super::case::{Against, Case};
use super::{Findings, table::cell};
use crate::stats::Ratio;

/// What two runs have in common.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Agreement {
    /// Ratios that at least one of them resolves.
    pub(crate) resolved: usize,
    /// Those of them about which they disagree, in words.
    pub(crate) disagreements: Vec<String>,
}

impl Agreement {
    pub(crate) fn of(one: &Findings, other: &Findings) -> Agreement {
        let mut agreement = Agreement::default();
        for case in &one.cases {
            if let Some(again) = other.cases.iter().find(|again| again.title == case.title) {
                agreement.add(case, again);
            }
        }
        agreement
    }

    fn add(&mut self, case: &Case, again: &Case) {
        for row in &case.competitors {
            let other = again.competitors.iter().find(|other| other.name == row.name);
            let (Some(one), Some(other)) = (&row.summary, other.and_then(|other| other.summary.as_ref()))
            else {
                continue;
            };
            for against in one.against.iter().filter(|against| against.reference != row.name) {
                let Some(too) = other.to(&against.reference) else { continue };
                for ((what, one), (_, other)) in ratios(against).into_iter().zip(ratios(too)) {
                    let (Some(one), Some(other)) = (one, other) else { continue };
                    self.resolved += usize::from(one.resolved || other.resolved);
                    if (one.resolved || other.resolved) && (one.low > other.high || other.low > one.high) {
                        let (title, name, reference) = (&case.title, &row.name, &against.reference);
                        let (one, other) = (cell(Some(one)), cell(Some(other)));
                        self.disagreements
                            .push(format!("{title}: {name} / {reference}, {what}: {one}, then {other}"));
                    }
                }
            }
        }
    }
}

fn ratios(against: &Against) -> [(&'static str, Option<Ratio>); 3] {
    [
        ("a second", Some(against.requests_per_second)),
        ("CPU each", against.cpu_per_request),
        ("p99", Some(against.p99)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Machine;
    use crate::report::case::tests::example;

    fn findings(change: impl FnOnce(&mut Case)) -> Findings {
        let mut case = example();
        change(&mut case);
        case.conclude();
        Findings { machine: Machine::here(), rounds: 5, seconds: 0.4, cases: vec![case], idle: Vec::new() }
    }

    #[test]
    fn a_run_agrees_with_itself_and_not_with_one_that_found_something_else() {
        let one = findings(|_| ());
        let same = Agreement::of(&one, &one);
        assert!(same.resolved > 0 && same.disagreements.is_empty(), "{same:?}");
        let faster = findings(|case| {
            case.competitors[0].rounds.iter_mut().for_each(|round| round.requests *= 3);
        });
        let differ = Agreement::of(&one, &faster).disagreements;
        let first = "echo: 64 connections, 64 bytes: chainring-chain / tokio, a second: 2.0";
        assert!(differ[0].starts_with(first), "{differ:?}");
        assert!(differ.iter().all(|text| text.contains("chainring-chain /")), "{differ:?}");
    }
}
