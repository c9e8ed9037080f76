//! The figures of a load: what is counted between `begin` and `end`, and the report made of it.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::sys::cpu_clock::{self, CpuClock};

/// What a load tells its parent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) latency: Latency,
    /// The share of one core that the load itself needed; near 1 it was the load that set the pace.
    pub(crate) load_cpu_share: f64,
    /// CPU time of the watched server within the same span.
    pub(crate) server_cpu_nanos: Option<u64>,
    /// The greater share of time that load or server was ready to run and something else had the core.
    pub(crate) disturbed_share: f64,
}

/// Nanoseconds from a request's sending to its reply's last byte.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

impl Report {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// What happened between two moments, as far as anything did.
    pub(crate) fn between(
        begun: Mark,
        ended: Mark,
        latencies: &Histogram<u64>,
        requests: u64,
    ) -> Result<Report> {
        if requests == 0 {
            return Err("not one request has ended within the time".into());
        }
        let seconds = (ended.time - begun.time).as_secs_f64();
        let load = ended.load.since(begun.load);
        let server = ended.server.zip(begun.server).map(|(ended, begun)| ended.since(begun));
        let waited = server.map_or(load.waited, |server| server.waited.max(load.waited));
        Ok(Report {
            requests,
            seconds,
            latency: Latency::of(latencies),
            load_cpu_share: load.used.as_secs_f64() / seconds,
            server_cpu_nanos: server.map(|server| server.used.as_nanos() as u64),
            disturbed_share: waited.as_secs_f64() / seconds,
        })
    }

    pub(crate) fn server_nanos_per_request(&self) -> Option<f64> {
        self.server_cpu_nanos.map(|nanos| nanos as f64 / self.requests as f64)
    }
}

/// Owns the histogram and the clocks.
pub(super) struct Recorder {
    histogram: Histogram<u64>,
    server: Option<Server>,
    recording: bool,
    begun: Mark,
    ended: Mark,
}

/// The process that is watched.
#[derive(Clone, Copy)]
pub(crate) struct Server {
    pid: u32,
    clock: CpuClock,
}

/// All clocks at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    time: Instant,
    load: Account,
    server: Option<Account>,
}

/// What the scheduler says of one process.
#[derive(Clone, Copy)]
struct Account {
    used: Duration,
    waited: Duration,
}

impl Account {
    fn of(pid: u32, clock: CpuClock) -> Result<Self> {
        Ok(Self { used: clock.read()?, waited: cpu_clock::waited(pid).unwrap_or_default() })
    }

    fn since(self, earlier: Account) -> Account {
        let used = self.used.saturating_sub(earlier.used);
        Account { used, waited: self.waited.saturating_sub(earlier.waited) }
    }
}

impl Mark {
    /// Reads them, those of a watched server as well.
    pub(crate) fn now(server: Option<Server>) -> Result<Self> {
        let server = server.map(|server| Account::of(server.pid, server.clock)).transpose()?;
        let mut load = Account::of(std::process::id(), CpuClock::OWN)?;
        // Of programs that this one has started, and that have ended.
        load.used += cpu_clock::children()?;
        Ok(Self { time: Instant::now(), load, server })
    }
}

impl Recorder {
    /// A recorder that watches process `server`.
    pub(super) fn new(server: Option<u32>) -> Result<Self> {
        let server = server.map(|pid| CpuClock::of(pid).map(|clock| Server { pid, clock })).transpose();
        let server = server.map_err(|error| format!("cannot read the server's CPU clock: {error}"))?;
        let highest = Duration::from_secs(60).as_nanos() as u64;
        let mark = Mark::now(server)?;
        let histogram = Histogram::new_with_max(highest, 3)?;
        Ok(Self { histogram, server, recording: false, begun: mark, ended: mark })
    }

    /// From now on everything counts.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.recording = true;
        self.begun = Mark::now(self.server)?;
        Ok(())
    }

    /// Nothing counts any more.
    pub(super) fn end(&mut self) -> Result<()> {
        self.recording = false;
        self.ended = Mark::now(self.server)?;
        Ok(())
    }

    /// Takes note of one reply.
    #[inline]
    pub(super) fn record(&mut self, latency: Duration) {
        if self.recording {
            self.histogram.saturating_record(latency.as_nanos() as u64);
        }
    }

    pub(super) fn report(&self) -> Result<Report> {
        Report::between(self.begun, self.ended, &self.histogram, self.histogram.len())
    }
}
