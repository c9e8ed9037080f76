//! One case: a workload in one shape, and what every competitor did in it.

use serde::{Deserialize, Serialize};

use crate::competitor::{Competitor, REFERENCES};
use crate::load::Report;
use crate::process::load::Shape;
use crate::process::perf::SystemCalls;
use crate::stats::{Ratio, Spread, usual_deviation};

/// Above this share of its core the load itself may have been the limit.
pub(super) const BUSY: f64 = 0.95;

/// Above this share of waiting for a core, times say more about the machine than about the competitors.
const DISTURBED: f64 = 0.05;

/// A workload in one shape.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) title: String,
    pub(crate) about: String,
    pub(crate) workload: String,
    pub(crate) connections: u32,
    pub(crate) size: usize,
    pub(crate) pipeline: u32,
    /// Those of the competitors to which the others are put in relation.
    pub(crate) references: Vec<String>,
    pub(crate) competitors: Vec<Row>,
    /// What is to be said about all of them.
    pub(crate) notes: Vec<String>,
}

/// One competitor in it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) about: String,
    /// Why it has no figures.
    pub(crate) failure: Option<String>,
    pub(crate) rounds: Vec<Report>,
    pub(crate) system_calls_per_request: Option<SystemCalls>,
    /// User-space instructions, and how many requests a turn of its loop finds.
    pub(crate) instructions_per_request: Option<Spread>,
    pub(crate) requests_per_turn: Option<f64>,
    /// Why something was not counted.
    pub(crate) notes: Vec<String>,
    pub(crate) summary: Option<Summary>,
}

/// The rounds in brief.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) requests_per_second: Spread,
    pub(crate) p50_nanos: Spread,
    pub(crate) p99_nanos: Spread,
    pub(crate) p999_nanos: Spread,
    /// Of the server, user and system, by the scheduler's account.
    pub(crate) cpu_nanos_per_request: Option<Spread>,
    /// The load was busy all the time: the server could do more.
    pub(crate) load_was_the_limit: bool,
    /// The share of time that something else had the core, if it was not negligible.
    pub(crate) disturbed: Option<f64>,
    pub(crate) against: Vec<Against>,
}

impl Summary {
    /// What stands behind its name: the marks that the notes explain.
    pub(super) fn marks(&self) -> &'static str {
        match (self.load_was_the_limit, self.disturbed.is_some()) {
            (false, false) => "",
            (true, false) => " *",
            (false, true) => " ~",
            (true, true) => " * ~",
        }
    }
}

/// A competitor in relation to another, round by round.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Against {
    pub(crate) reference: String,
    pub(crate) requests_per_second: Ratio,
    pub(crate) cpu_per_request: Option<Ratio>,
    pub(crate) p99: Ratio,
}

impl Case {
    pub(crate) fn new(shape: &Shape) -> Self {
        Self {
            title: shape.title(),
            about: shape.workload.about.to_owned(),
            workload: shape.workload.name.to_owned(),
            connections: shape.connections,
            size: shape.size,
            pipeline: shape.pipeline,
            references: Vec::new(),
            competitors: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Sums up all rounds, each row beside the references that have figures; where there is none, beside the first row
    /// that has.
    pub(crate) fn conclude(&mut self) {
        let named = |row: &Row| REFERENCES.iter().position(|reference| reference.name == row.name);
        let mut references: Vec<_> = self.good().filter(|row| named(row).is_some()).collect();
        references.sort_by_key(|row| named(row));
        if references.is_empty() {
            references.extend(self.good().next());
        }
        let references: Vec<_> =
            references.into_iter().map(|row| (row.name.clone(), Figures::of(&row.rounds))).collect();
        let own: Vec<_> = self.competitors.iter().map(|row| Figures::of(&row.rounds)).collect();
        let related: Vec<_> =
            references.iter().map(|(name, other)| Reference::new(name, other, &own)).collect();
        self.references = references.iter().map(|(name, _)| name.clone()).collect();
        for (row, own) in self.competitors.iter_mut().zip(&own) {
            row.summary = row.failure.is_none().then(|| Summary::of(row, own, &related)).flatten();
        }
    }

    /// Those that have figures.
    pub(crate) fn good(&self) -> impl Iterator<Item = &Row> {
        self.competitors.iter().filter(|row| row.failure.is_none())
    }
}

impl Row {
    pub(crate) fn new(competitor: &Competitor) -> Self {
        Self {
            name: competitor.name.to_owned(),
            about: competitor.about.to_owned(),
            failure: None,
            rounds: Vec::new(),
            system_calls_per_request: None,
            instructions_per_request: None,
            requests_per_turn: None,
            notes: Vec::new(),
            summary: None,
        }
    }
}

impl Summary {
    /// In relation to one of the references.
    pub(super) fn to(&self, reference: &str) -> Option<&Against> {
        self.against.iter().find(|against| against.reference == reference)
    }

    fn of(row: &Row, own: &Figures, references: &[Reference<'_>]) -> Option<Self> {
        let spread = |figure: fn(&Report) -> f64| Spread::of(row.rounds.iter().map(figure));
        let disturbed = spread(|report| report.disturbed_share)?.median;
        Some(Self {
            requests_per_second: spread(Report::requests_per_second)?,
            p50_nanos: spread(|report| report.latency.p50 as f64)?,
            p99_nanos: spread(|report| report.latency.p99 as f64)?,
            p999_nanos: spread(|report| report.latency.p999 as f64)?,
            cpu_nanos_per_request: Spread::of(row.rounds.iter().filter_map(Report::server_nanos_per_request)),
            load_was_the_limit: spread(|report| report.load_cpu_share)?.median > BUSY,
            disturbed: (disturbed > DISTURBED).then_some(disturbed),
            against: references.iter().filter_map(|reference| Against::of(own, reference)).collect(),
        })
    }
}

/// What is put in relation, round by round: requests a second, CPU time of each, p99.
struct Figures([Vec<f64>; 3]);

/// What others are put in relation to, and what each of the relations usually deviates by.
struct Reference<'a> {
    name: &'a str,
    figures: &'a Figures,
    usual: [f64; 3],
}

impl Figures {
    fn of(rounds: &[Report]) -> Self {
        let figures: [fn(&Report) -> f64; 3] = [
            Report::requests_per_second,
            |report| report.server_nanos_per_request().unwrap_or(f64::NAN),
            |report| report.latency.p99 as f64,
        ];
        Figures(figures.map(|figure| rounds.iter().map(figure).collect()))
    }
}

impl<'a> Reference<'a> {
    fn new(name: &'a str, figures: &'a Figures, all: &[Figures]) -> Self {
        // Whoever is put in relation to itself deviates by nothing.
        let others = || all.iter().filter(|other| other.0 != figures.0);
        let usual = [0, 1, 2].map(|figure| {
            usual_deviation(others().map(|other| (&other.0[figure][..], &figures.0[figure][..])))
        });
        Self { name, figures, usual }
    }
}

impl Against {
    fn of(own: &Figures, reference: &Reference<'_>) -> Option<Self> {
        let itself = own.0 == reference.figures.0;
        let ratio = |figure: usize| {
            let usual = if itself { 0.0 } else { reference.usual[figure] };
            Ratio::paired(&own.0[figure], &reference.figures.0[figure], usual)
        };
        Some(Self {
            reference: reference.name.to_owned(),
            requests_per_second: ratio(0)?,
            cpu_per_request: ratio(1),
            p99: ratio(2)?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::load::Latency;
    use crate::workload::ECHO;

    fn round(requests: u64, cpu: u64, share: f64) -> Report {
        let latency = Latency { p50: 100_000, p99: 200_000, p999: 400_000, max: 900_000 };
        Report {
            requests,
            seconds: 1.0,
            latency,
            load_cpu_share: share,
            server_cpu_nanos: Some(cpu * requests),
            disturbed_share: 0.0,
        }
    }

    /// tokio at half of raw-linked, a competitor that the load held back, and one that has failed.
    pub(in crate::report) fn example() -> Case {
        let shape = Shape { workload: &ECHO, connections: 64, size: 64, pipeline: 1 };
        let mut case = Case::new(&shape);
        for (name, requests, share) in
            [("chainring-chain", 4100, 0.99), ("raw-linked", 4000, 0.9), ("tokio", 2000, 0.5)]
        {
            let competitor = Competitor::find(name).unwrap();
            let rounds = (0..5).map(|n| round(requests + n * n, 8_000_000 / requests, share)).collect();
            let instructions_per_request = Spread::of([requests as f64 / 10.0]);
            case.competitors.push(Row { rounds, instructions_per_request, ..Row::new(competitor) });
        }
        let failure = Some("no such <ring>".to_owned());
        case.competitors.push(Row { failure, ..Row::new(Competitor::find("glommio").unwrap()) });
        case.conclude();
        case
    }

    #[test]
    fn figures_are_put_in_relation_to_tokio_and_the_raw_loop_in_that_order() {
        let case = example();
        assert_eq!(case.references, ["tokio", "raw-linked"]);
        let raw = case.competitors[1].summary.as_ref().unwrap();
        let [tokio, itself] = &raw.against[..] else { panic!("{raw:?}") };
        assert!((tokio.requests_per_second.estimate - 2.0).abs() < 0.01, "{tokio:?}");
        assert!(tokio.requests_per_second.resolved && !tokio.p99.resolved);
        assert_eq!(itself.cpu_per_request.unwrap().estimate, 1.0);
    }

    #[test]
    fn a_row_that_the_load_held_back_is_marked_and_a_failed_one_has_no_figures() {
        let case = example();
        assert!(case.competitors[0].summary.as_ref().unwrap().load_was_the_limit);
        assert!(!case.competitors[1].summary.as_ref().unwrap().load_was_the_limit);
        assert!(case.competitors[3].summary.is_none());
    }
}
