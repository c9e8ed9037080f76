//! `nops`: the round trip through the ring that does nothing, many at once, in this process: what is left is the price
//! of submitting, completing and waking.
//!
//! Only what has such an operation competes. tokio has none: its readiness makes a system call an operation, and
//! what does without the kernel (a yield, a channel) submits nothing and waits for nothing.

mod chainring;
mod raw;

use std::io;

use crate::Result;

/// Who has an operation that does nothing; the first is the one to which the others are put in relation.
pub(crate) static ALL: &[(&str, Run)] = &[("raw", raw::run), ("chainring-await", chainring::run)];

/// Completes so many nops in each of so many tasks.
type Run = fn(tasks: u32, each: u64) -> io::Result<()>;

/// Awaits nops in this process; to be counted by `instructions --workload nop`
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// `raw` or `chainring-await`
    competitor: String,
    /// Nops in flight
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=128))]
    tasks: u32,
    /// Nops one after the other
    #[arg(long, default_value_t = 1000)]
    each: u64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let run = find(&options.competitor)?;
    run(options.tasks, options.each)
        .map_err(|error| format!("{} stopped: {error}", options.competitor).into())
}

/// Those that were named, or all.
pub(crate) fn select(only: &[String]) -> Result<Vec<&'static str>> {
    for name in only {
        find(name)?;
    }
    let wanted = |name: &&str| only.is_empty() || only.iter().any(|only| only == name);
    Ok(ALL.iter().map(|(name, _)| *name).filter(wanted).collect())
}

fn find(name: &str) -> Result<Run> {
    let found = ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, run)| *run).ok_or_else(|| {
        let known: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
        format!("`{name}` has no operation that does nothing; these have: {}", known.join(", ")).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_competitor_comes_to_an_end() {
        for (name, run) in ALL {
            run(64, 100).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
