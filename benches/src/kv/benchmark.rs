//! redis-benchmark, and what it reports.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::Result;
use crate::sys::affinity;

const PROGRAM: &str = "redis-benchmark";
/// Lists are filled before they are emptied.
pub(super) const TESTS: [&str; 8] = ["set", "get", "incr", "lpush", "rpush", "lpop", "rpop", "mset"];

/// One test.
pub(super) struct Benchmark<'t> {
    pub(super) test: &'t str,
    pub(super) requests: u64,
    pub(super) connections: u32,
    pub(super) pipeline: u32,
}

/// What it came to.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) requests_a_second: f64,
    /// Nanoseconds.
    pub(super) p99: f64,
}

pub(super) fn find() -> Result<()> {
    match Command::new(PROGRAM).arg("--version").output() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("the load is that of {PROGRAM}, which cannot be started: {error}").into()),
    }
}

impl Benchmark<'_> {
    pub(super) fn run(&self, address: SocketAddr, core: usize) -> Result<Outcome> {
        let mut benchmark = Command::new(PROGRAM);
        benchmark.args(["--csv", "-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
        benchmark.args(["-t", self.test, "-n", &self.requests.to_string()]);
        benchmark.args(["-c", &self.connections.to_string(), "-P", &self.pipeline.to_string()]);
        // SAFETY: between fork and exec the closure makes one system call and neither allocates nor locks.
        unsafe { benchmark.pre_exec(move || affinity::pin(core)) };
        let output = benchmark.output()?;
        let (text, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        // It goes on after an error of the server's, and says so.
        if !output.status.success() || said.contains("Error") || text.contains("Error") {
            return Err(format!("{PROGRAM}: {} {}", text.trim(), said.trim()).into());
        }
        parse(&text).ok_or_else(|| format!("{PROGRAM} says what is not understood: {text}").into())
    }
}

/// A line of names and one of figures.
fn parse(text: &str) -> Option<Outcome> {
    let mut lines = text.lines();
    let names: Vec<_> = lines.next()?.split(',').map(|name| name.trim_matches('"')).collect();
    let figures: Vec<_> = lines.next()?.split("\",").map(|figure| figure.trim_matches('"')).collect();
    let figure = |name| figures.get(names.iter().position(|other| *other == name)?)?.parse::<f64>().ok();
    let (requests_a_second, milliseconds) = (figure("rps")?, figure("p99_latency_ms")?);
    (lines.next().is_none() && requests_a_second > 0.0)
        .then_some(Outcome { requests_a_second, p99: milliseconds * 1e6 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\"test\",\"rps\",\"avg_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n\
        \"MSET (10 keys)\",\"98814.23\",\"0.351\",\"0.999\",\"1.703\"\n";

    #[test]
    fn a_report_is_read_by_its_names() {
        assert_eq!(parse(REPORT), Some(Outcome { requests_a_second: 98814.23, p99: 999_000.0 }));
    }

    #[test]
    fn what_is_no_report_of_one_test_is_none() {
        assert_eq!(parse(""), None);
        assert_eq!(parse(REPORT.lines().next().unwrap()), None);
        assert_eq!(parse(&format!("{REPORT}\"GET\",\"1.0\",\"1\",\"1\",\"1\"\n")), None);
        assert_eq!(parse(&REPORT.replace("rps", "speed")), None);
    }
}
