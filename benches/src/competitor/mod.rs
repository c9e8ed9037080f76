//! Who competes: each competitor is one file and one line in [`ALL`].
//!
//! A competitor names itself and lists the workloads in which it has a part: a server, or a way to do the job. All
//! servers run on a single core, so that the figures compare the ways of doing I/O and not the ways of sharing it out.

mod blocking;
mod chainring;
mod chains;
mod epoll;
mod framing;
mod peers;
mod raw;
mod raw_buffered;
mod raw_linked;
mod raw_mapped;
mod raw_multishot;
mod sharing;
#[cfg(test)]
mod tests;

use std::io;
use std::net::TcpListener;

use crate::Result;
use crate::job;
use crate::workload::Workload;

/// Every competitor, in the order of the tables.
pub(crate) static ALL: &[&Competitor] = &[
    &chainring::CHAIN,
    &chainring::POOLED,
    &chains::SINGLE,
    &chainring::AWAIT,
    &raw_linked::COMPETITOR,
    &raw_mapped::COMPETITOR,
    &raw_buffered::COMPETITOR,
    &raw_multishot::COMPETITOR,
    &epoll::COMPETITOR,
    &blocking::COMPETITOR,
    &peers::tokio::COMPETITOR,
    &peers::tokio_multi::COMPETITOR,
    &peers::tokio_uring::COMPETITOR,
    &peers::monoio::COMPETITOR,
    &peers::compio::COMPETITOR,
    &peers::glommio::COMPETITOR,
    &sharing::CONTINUATIONS,
    &sharing::SERIAL,
    &sharing::COMMIT,
    &sharing::ATOMIC,
    &sharing::FUTEX,
    &sharing::MUTEX,
    &sharing::EVENTS,
    &sharing::CHANNEL,
];

/// Those to which all others are put in relation, where they compete.
pub(crate) static REFERENCES: &[&Competitor] = &[&peers::tokio::COMPETITOR, &raw_linked::COMPETITOR];

/// Those that compete where nobody is named and not everything is asked for.
pub(crate) static DEFAULT: &[&Competitor] =
    &[&peers::tokio::COMPETITOR, &raw_linked::COMPETITOR, &chainring::CHAIN, &chainring::AWAIT];

/// One way of writing the servers and of doing the jobs.
#[derive(Debug)]
pub(crate) struct Competitor {
    /// What the command line and the tables call it.
    pub(crate) name: &'static str,
    /// One line for people.
    pub(crate) about: &'static str,
    /// The workloads it takes part in.
    pub(crate) parts: &'static [(&'static Workload, Part)],
}

/// How it takes part.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// A function of this program that serves the listener until the process ends.
    Serve(fn(TcpListener) -> io::Result<()>),
    /// An example of the root package, which listens by itself.
    Example(&'static str),
    /// A function of this program that does a job.
    Work(job::Run),
}

impl Competitor {
    /// Finds a competitor by its name.
    pub(crate) fn find(name: &str) -> Result<&'static Competitor> {
        let found = ALL.iter().copied().find(|competitor| competitor.name == name);
        found.ok_or_else(|| {
            let known: Vec<_> = ALL.iter().map(|competitor| competitor.name).collect();
            format!("no competitor is called `{name}`; there are: {}", known.join(", ")).into()
        })
    }

    /// Its part in `workload`, or an error that lists what it has.
    pub(crate) fn part(&self, workload: &Workload) -> Result<Part> {
        let found = self.parts.iter().find(|(entered, _)| entered.name == workload.served_as());
        found.map(|&(_, part)| part).ok_or_else(|| {
            let entered: Vec<_> = self.parts.iter().map(|(entered, _)| entered.name).collect();
            format!("{} has nothing for {}, only for {}", self.name, workload.name, entered.join(", ")).into()
        })
    }

    /// Whether it takes part in `workload`.
    pub(crate) fn enters(&self, workload: &Workload) -> bool {
        self.part(workload).is_ok()
    }

    /// Those of the named competitors, or of `otherwise` if none is named, that take part in `workload`, in that order.
    pub(crate) fn select(
        only: &[String],
        otherwise: &[&'static Competitor],
        workload: &Workload,
    ) -> Result<Vec<&'static Competitor>> {
        let named = only.iter().map(|name| Self::find(name)).collect::<Result<Vec<_>>>()?;
        let from = if named.is_empty() { otherwise } else { &named };
        Ok(from.iter().copied().filter(|competitor| competitor.enters(workload)).collect())
    }
}

#[cfg(test)]
mod list_tests {
    use super::*;
    use crate::workload::{CHURN, ECHO, FRAMED};

    fn names(only: &[&str], workload: &Workload) -> Vec<&'static str> {
        let only: Vec<_> = only.iter().map(|&name| name.to_owned()).collect();
        let selected = Competitor::select(&only, DEFAULT, workload).unwrap();
        selected.iter().map(|found| found.name).collect()
    }

    #[test]
    fn names_are_unique() {
        for (index, competitor) in ALL.iter().enumerate() {
            assert!(ALL[..index].iter().all(|other| other.name != competitor.name), "{}", competitor.name);
        }
    }

    #[test]
    fn every_workload_has_somebody_to_compare_with() {
        for workload in crate::workload::ALL {
            let entered = ALL.iter().filter(|competitor| competitor.enters(workload)).count();
            assert!(entered >= 2, "{}", workload.name);
        }
    }

    #[test]
    fn a_selection_keeps_the_order_asked_for() {
        assert_eq!(names(&["tokio", "epoll"], &ECHO), ["tokio", "epoll"]);
        assert_eq!(names(&[], &FRAMED), ["tokio", "raw-linked", "chainring-chain", "chainring-await"]);
    }

    #[test]
    fn a_competitor_without_the_workload_is_left_out_and_an_unknown_one_refused() {
        assert_eq!(names(&["raw-mapped", "epoll"], &FRAMED), ["epoll"]);
        let refused = Competitor::select(&["epol".to_owned()], ALL, &ECHO).unwrap_err();
        assert!(refused.to_string().starts_with("no competitor is called `epol`"), "{refused}");
    }

    #[test]
    fn who_echoes_meets_connections_that_come_and_go() {
        for competitor in ALL {
            assert_eq!(competitor.enters(&ECHO), competitor.enters(&CHURN), "{}", competitor.name);
        }
    }
}
