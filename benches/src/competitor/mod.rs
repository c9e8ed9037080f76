//! Who competes: each competitor is one file and one line in [`ALL`].
//!
//! A competitor names itself and lists the workloads for which it has a server. All servers run on a single
//! core, so that the figures compare the ways of doing I/O and not the ways of sharing it out.

mod chainring;
mod epoll;
mod framing;
mod peers;
mod raw;
mod raw_buffered;
mod raw_linked;
mod raw_mapped;
mod raw_multishot;
#[cfg(test)]
mod tests;

use std::io;
use std::net::TcpListener;

use crate::Result;
use crate::workload::Workload;

/// Every competitor, in the order of the tables.
pub(crate) static ALL: &[&Competitor] = &[
    &raw_linked::COMPETITOR,
    &raw_mapped::COMPETITOR,
    &raw_buffered::COMPETITOR,
    &raw_multishot::COMPETITOR,
    &epoll::COMPETITOR,
    &chainring::CHAIN,
    &chainring::AWAIT,
    &peers::tokio::COMPETITOR,
    &peers::tokio_multi::COMPETITOR,
    &peers::tokio_uring::COMPETITOR,
    &peers::monoio::COMPETITOR,
    &peers::compio::COMPETITOR,
    &peers::glommio::COMPETITOR,
];

/// The competitor to which all others are put in relation.
pub(crate) static BASELINE: &Competitor = &raw_linked::COMPETITOR;

/// One way of writing the servers.
#[derive(Debug)]
pub(crate) struct Competitor {
    /// What the command line and the tables call it.
    pub(crate) name: &'static str,
    /// One line for people.
    pub(crate) about: &'static str,
    /// The workloads it has a server for.
    pub(crate) servers: &'static [(&'static Workload, Server)],
}

/// How a server is started.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Server {
    /// A function of this program that serves the listener until the process ends.
    Here(fn(TcpListener) -> io::Result<()>),
    /// An example of the root package, which listens by itself.
    Example(&'static str),
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

    /// Its server for `workload`, or an error that lists what it has.
    pub(crate) fn server(&self, workload: &Workload) -> Result<Server> {
        let found = self.servers.iter().find(|(served, _)| served.name == workload.name);
        found.map(|&(_, server)| server).ok_or_else(|| {
            let served: Vec<_> = self.servers.iter().map(|(served, _)| served.name).collect();
            format!("{} has no server for {}, only for {}", self.name, workload.name, served.join(", "))
                .into()
        })
    }

    /// Those that compete in `workload`: the ones named, or all that have a server for it.
    pub(crate) fn select(only: &[String], workload: &Workload) -> Result<Vec<&'static Competitor>> {
        if only.is_empty() {
            return Ok(ALL
                .iter()
                .copied()
                .filter(|competitor| competitor.server(workload).is_ok())
                .collect());
        }
        let mut selected = Vec::with_capacity(only.len());
        for name in only {
            let competitor = Self::find(name)?;
            competitor.server(workload)?;
            selected.push(competitor);
        }
        Ok(selected)
    }
}

#[cfg(test)]
mod list_tests {
    use super::*;
    use crate::workload::{ECHO, FRAMED};

    #[test]
    fn names_are_unique() {
        for (index, competitor) in ALL.iter().enumerate() {
            assert!(
                ALL[index + 1..].iter().all(|other| other.name != competitor.name),
                "{}",
                competitor.name
            );
        }
    }

    #[test]
    fn the_baseline_serves_every_workload() {
        for workload in crate::workload::ALL {
            assert!(BASELINE.server(workload).is_ok(), "{}", workload.name);
        }
    }

    #[test]
    fn a_selection_keeps_the_order_asked_for() {
        let only = ["tokio".to_owned(), "epoll".to_owned()];
        let names: Vec<_> =
            Competitor::select(&only, &ECHO).unwrap().iter().map(|found| found.name).collect();
        assert_eq!(names, ["tokio", "epoll"]);
    }

    #[test]
    fn a_competitor_without_the_workload_is_refused_if_named_and_left_out_otherwise() {
        let refused = Competitor::select(&["raw-mapped".to_owned()], &FRAMED).unwrap_err();
        assert_eq!(refused.to_string(), "raw-mapped has no server for framed, only for echo");
        assert!(Competitor::select(&[], &FRAMED).unwrap().iter().all(|found| found.name != "raw-mapped"));
    }
}
