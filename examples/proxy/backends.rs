//! The back ends, whose turn it is, and what each has had to do. Shared by all cores.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub(crate) struct Backends {
    all: Vec<Backend>,
    turn: AtomicUsize,
    begin: Instant,
    retry: Duration,
    /// The second in which something was told last, and what was not told since.
    told: AtomicU64,
    untold: AtomicU64,
    /// Clients for whom there was none.
    pub(crate) refused: AtomicU64,
}

pub(crate) struct Backend {
    pub(crate) host: String,
    /// Connections now, and ever.
    active: AtomicU64,
    total: AtomicU64,
    failures: AtomicU64,
    /// Bytes from clients, and to them.
    pub(crate) up: AtomicU64,
    pub(crate) down: AtomicU64,
    /// Left out until then: milliseconds since the beginning.
    dead_until: AtomicU64,
}

impl Backends {
    pub(crate) fn new(hosts: Vec<String>, retry: Duration) -> Backends {
        let number = || AtomicU64::new(0);
        let backend = |host| Backend {
            host,
            active: number(),
            total: number(),
            failures: number(),
            up: number(),
            down: number(),
            dead_until: number(),
        };
        let all = hosts.into_iter().map(backend).collect();
        let (turn, begin) = (AtomicUsize::new(0), Instant::now());
        Backends { all, turn, begin, retry, told: number(), untold: number(), refused: number() }
    }

    /// Whom to try for the next connection: whose turn it is and those after it; last, as there is nobody else, those that
    /// were left out.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = &Backend> {
        let (count, now) = (self.all.len(), self.now());
        let first = self.turn.fetch_add(1, Relaxed) % count;
        let mut order: Vec<_> = (0..count).map(|i| &self.all[(first + i) % count]).collect();
        order.sort_by_key(|backend| backend.dead_until.load(Relaxed) > now);
        order.into_iter()
    }

    /// It could not be reached.
    pub(crate) fn failed(&self, backend: &Backend) {
        backend.failures.fetch_add(1, Relaxed);
        backend.dead_until.store(self.now() + self.retry.as_millis() as u64, Relaxed);
    }

    /// Tells a trouble; not more than one a second, or they would be as many as there are clients.
    pub(crate) fn tell(&self, trouble: fmt::Arguments<'_>) {
        let second = 1 + self.begin.elapsed().as_secs();
        if self.told.swap(second, Relaxed) == second {
            self.untold.fetch_add(1, Relaxed);
            return;
        }
        match self.untold.swap(0, Relaxed) {
            0 => eprintln!("{trouble}"),
            others => eprintln!("{trouble} (and {others} others before)"),
        }
    }

    fn now(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64
    }
}

impl Backend {
    /// A connection was made, which lasts as long as what is returned.
    pub(crate) fn connected(&self) -> Connected<'_> {
        self.dead_until.store(0, Relaxed);
        self.active.fetch_add(1, Relaxed);
        self.total.fetch_add(1, Relaxed);
        Connected(self)
    }
}

pub(crate) struct Connected<'b>(&'b Backend);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

impl fmt::Display for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now();
        for backend in &self.all {
            let read = |number: &AtomicU64| number.load(Relaxed);
            write!(
                f,
                "{}: {} active of {} connections",
                backend.host,
                read(&backend.active),
                read(&backend.total)
            )?;
            write!(f, ", {} failed, {} bytes up", read(&backend.failures), read(&backend.up))?;
            write!(f, ", {} bytes down", read(&backend.down))?;
            let dead = if read(&backend.dead_until) > now { ", left out" } else { "" };
            writeln!(f, "{dead}")?;
        }
        writeln!(f, "{} clients found none", self.refused.load(Relaxed))
    }
}
