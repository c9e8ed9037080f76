//! wrk, and what it reports.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::sys::affinity;

/// What wrk has measured.
#[derive(Debug, PartialEq)]
pub(super) struct Wrk {
    pub(super) requests: u64,
    pub(super) seconds: f64,
    /// Nanoseconds.
    pub(super) p99: f64,
}

pub(super) fn run(url: &str, connections: u32, time: Duration, core: usize) -> Result<Wrk> {
    let mut wrk = Command::new("wrk");
    wrk.args([
        "-t1",
        "--latency",
        &format!("-c{connections}"),
        &format!("-d{}s", time.as_secs().max(1)),
        url,
    ]);
    // SAFETY: between fork and exec the closure makes one system call and neither allocates nor locks.
    unsafe { wrk.pre_exec(move || affinity::pin(core)) };
    let output = wrk.output().map_err(|error| format!("cannot start wrk: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("wrk: {text} {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    parse(&text)
}

fn parse(text: &str) -> Result<Wrk> {
    let mut lines = text.lines().map(str::trim);
    if let Some(trouble) =
        lines.clone().find(|line| line.starts_with("Non-2xx") || line.starts_with("Socket errors"))
    {
        return Err(format!("wrk: {trouble}").into());
    }
    let p99 = lines.find_map(|line| line.strip_prefix("99%")).and_then(|text| nanoseconds(text.trim()));
    let done = lines.find_map(|line| line.split_once(" requests in "));
    let requests = done.and_then(|(requests, _)| requests.parse().ok());
    let seconds = done.and_then(|(_, rest)| nanoseconds(rest.split(',').next()?)).map(|time| time / 1e9);
    match (requests, seconds, p99) {
        (Some(requests), Some(seconds), Some(p99)) => Ok(Wrk { requests, seconds, p99 }),
        _ => Err(format!("wrk says what is not understood: {text}").into()),
    }
}

/// `1.5ms`, `20us`, `1.00s`, `1.2m`.
fn nanoseconds(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let unit = match &text[digits.len()..] {
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        _ => return None,
    };
    digits.parse::<f64>().ok().map(|number| number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  Thread Stats   Avg      Stdev     \
        Max   +/- Stdev\n    Latency     2.44ms    8.01ms  84.01ms   95.53%\n  Latency Distribution\n     50%  625.00us\n     \
        99%   48.94ms\n  79519 requests in 1.00s, 97.44MB read\nRequests/sec:  79466.69\n";

    #[test]
    fn a_report_is_read() {
        assert_eq!(parse(REPORT).unwrap(), Wrk { requests: 79519, seconds: 1.0, p99: 48.94e6 });
    }

    #[test]
    fn troubles_are_told_and_no_figures() {
        let troubled = format!("{REPORT}  Non-2xx or 3xx responses: 79519\n");
        assert_eq!(parse(&troubled).unwrap_err().to_string(), "wrk: Non-2xx or 3xx responses: 79519");
        assert!(parse("nothing").is_err());
    }
}
