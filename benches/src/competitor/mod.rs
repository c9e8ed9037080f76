//! Who competes: each competitor is one file and one line in [`ALL`].
//!
//! A competitor names itself and lists the workloads in which it has a part: a server, or a way to do the job. All
//! servers run on a single core, so that the figures compare the ways of doing I/O and not the ways of sharing it out.

mod blocking;
mod chainring;
mod chains;
mod epoll;
mod framing;
mod installed;
mod peers;
mod proxied;
mod raw;
mod raw_buffered;
mod raw_linked;
mod raw_mapped;
mod raw_multishot;
mod sharing;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use crate::Result;
use crate::job;
use crate::workload::Workload;
pub(crate) use installed::Installed;

/// Every competitor, in the order of the tables.
pub(crate) static ALL: &[&Competitor] = &[
    &chainring::CHAIN,
    &chainring::POOLED,
    &chains::SINGLE,
    &chains::BUFFERED,
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
    &peers::hyper::COMPETITOR,
    &installed::REDIS,
    &installed::NGINX,
    &installed::COREUTILS,
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
pub(crate) static REFERENCES: &[&Competitor] = &[
    &peers::tokio::COMPETITOR,
    &raw_linked::COMPETITOR,
    &peers::hyper::COMPETITOR,
    &installed::REDIS,
    &installed::NGINX,
    &installed::COREUTILS,
];

/// Who serves behind a proxy.
pub(crate) static BEHIND: &Competitor = &epoll::COMPETITOR;

/// Those that compete where nobody is named and not everything is asked for.
pub(crate) static DEFAULT: &[&Competitor] = &[
    &peers::tokio::COMPETITOR,
    &raw_linked::COMPETITOR,
    &chainring::CHAIN,
    &chains::BUFFERED,
    &chainring::AWAIT,
];

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
    /// The same, told what is around it.
    ServeWith(fn(TcpListener, &Around) -> io::Result<()>),
    /// An example of the root package, which listens by itself.
    Example(&'static str),
    /// The same with further arguments, in which `{dir}` and `{behind}` stand for what is around it.
    ExampleWith(&'static str, &'static [&'static str]),
    /// A program of others that has to be there.
    Installed(&'static Installed),
    /// A function of this program that does a job.
    Work(job::Run),
    /// The same, done by programs that it starts: an example of the root package, the path of which it is told, or one of
    /// others.
    WorkWith(Option<&'static str>, job::Run),
}

/// What a server meets beside its clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct Around {
    /// A directory with files that were prepared, which it may write to as well.
    pub(crate) dir: PathBuf,
    /// A server to which it passes on what it is asked.
    pub(crate) behind: Option<SocketAddr>,
}

impl Part {
    /// The example of the root package that it needs.
    pub(crate) fn example(self) -> Option<&'static str> {
        match self {
            Part::Example(name) | Part::ExampleWith(name, _) => Some(name),
            Part::WorkWith(name, _) => name,
            Part::Serve(_) | Part::ServeWith(_) | Part::Installed(_) | Part::Work(_) => None,
        }
    }
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

    /// Whether a program of others that it consists of is there.
    pub(crate) fn is_here(&self, workload: &Workload) -> bool {
        match self.part(workload) {
            Ok(Part::Installed(program)) => program.is_here(),
            _ => true,
        }
    }

    /// Those of the named competitors, or of `otherwise` if none is named, that take part in `workload`, in that order.
    /// Programs that are not installed take part only if they are named, and fail.
    pub(crate) fn select(
        only: &[String],
        otherwise: &[&'static Competitor],
        workload: &Workload,
    ) -> Result<Vec<&'static Competitor>> {
        let named = only.iter().map(|name| Self::find(name)).collect::<Result<Vec<_>>>()?;
        let entered = |from: &[&'static Competitor]| {
            let entered = from.iter().copied().filter(|competitor| competitor.enters(workload));
            entered.collect::<Vec<_>>()
        };
        if !named.is_empty() {
            return Ok(entered(&named));
        }
        let mut all = entered(otherwise);
        all.retain(|competitor| {
            let here = competitor.is_here(workload);
            if !here {
                eprintln!("{} is not installed, and left out of {}", competitor.name, workload.name);
            }
            here
        });
        Ok(all)
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
        let framed = ["tokio", "raw-linked", "chainring-chain", "chainring-buffered", "chainring-await"];
        assert_eq!(names(&[], &FRAMED), framed);
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
