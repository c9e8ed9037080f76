//! The pieces of a job, and who times them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Result;

/// When a job ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Schedule {
    /// What ends between two moments counts.
    Time { from: Instant, until: Instant },
    /// So many pieces in all, which are not timed.
    Pieces(u64),
}

/// What a competitor is handed.
#[derive(Debug)]
pub(crate) struct Work {
    /// The directory that was prepared.
    pub(crate) dir: PathBuf,
    /// The number of workers.
    pub(crate) workers: usize,
    /// Bytes of a piece, where that means something.
    pub(crate) size: usize,
    /// A program of ours that the competitor starts.
    pub(crate) program: Option<PathBuf>,
    pub(super) schedule: Schedule,
}

/// One worker: a sequence of pieces, each begun when the last has ended.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Which one it is, from 0.
    pub(crate) index: usize,
    /// Pieces that have ended, counted or not.
    pub(crate) done: u64,
    schedule: Schedule,
    /// A piece that is not timed has begun.
    busy: bool,
    begun: Option<Instant>,
    latencies: Histogram<u64>,
}

impl Work {
    /// So many pieces, for tests.
    #[cfg(test)]
    pub(super) fn of_pieces(dir: &std::path::Path, workers: usize, size: usize, pieces: u64) -> Self {
        Self { dir: dir.to_owned(), workers, size, program: None, schedule: Schedule::Pieces(pieces) }
    }

    /// Every worker. They know when to stop.
    pub(crate) fn workers(&self) -> Vec<Worker> {
        (0..self.workers).map(|index| self.worker(index)).collect()
    }

    /// Starts a task for every worker and waits for all.
    pub(crate) async fn each<T>(&self, start: impl Fn(Worker) -> T) -> Result<Vec<Worker>>
    where
        T: Future<Output = Result<Worker>>,
    {
        let tasks: Vec<_> = self.workers().into_iter().map(start).collect();
        let mut workers = Vec::with_capacity(tasks.len());
        for task in tasks {
            workers.push(task.await?);
        }
        Ok(workers)
    }

    fn worker(&self, index: usize) -> Worker {
        let schedule = match self.schedule {
            Schedule::Pieces(all) => {
                let workers = self.workers as u64;
                Schedule::Pieces(all / workers + u64::from((index as u64) < all % workers))
            }
            time => time,
        };
        Worker { index, done: 0, schedule, busy: false, begun: None, latencies: histogram() }
    }
}

impl Worker {
    /// Ends the piece that was begun, if one was, and says whether to begin another.
    #[inline]
    pub(crate) fn next(&mut self) -> bool {
        let (from, until) = match self.schedule {
            Schedule::Time { from, until } => (from, until),
            // Somebody else counts, and clocks and histograms are not to be counted.
            Schedule::Pieces(all) => {
                self.done += u64::from(self.busy);
                self.busy = self.done < all;
                return self.busy;
            }
        };
        let now = Instant::now();
        if let Some(begun) = self.begun.take() {
            self.done += 1;
            if from <= now && now < until {
                self.latencies.saturating_record((now - begun).as_nanos() as u64);
            }
        }
        let go_on = now < until;
        self.begun = go_on.then_some(now);
        go_on
    }
}

/// What a task comes to where a panic in it is an error of its own.
pub(crate) async fn joined<E>(task: impl Future<Output = Result<Result<Worker>, E>>) -> Result<Worker>
where
    E: std::fmt::Display,
{
    task.await.map_err(|error| error.to_string())?
}

/// The latencies of all workers.
pub(super) fn latencies(workers: &[Worker]) -> Result<Histogram<u64>> {
    let mut all = histogram();
    for worker in workers {
        all.add(&worker.latencies)?;
    }
    Ok(all)
}

/// Up to a minute, in nanoseconds, with two digits: a worker touches few pages of it.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(Duration::from_secs(60).as_nanos() as u64, 2).expect("the bounds are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(workers: usize, schedule: Schedule) -> Work {
        Work { dir: PathBuf::new(), workers, size: 0, program: None, schedule }
    }

    #[test]
    fn pieces_are_shared_out_to_the_last() {
        let mut workers = work(3, Schedule::Pieces(8)).workers();
        for worker in &mut workers {
            while worker.next() {}
        }
        assert_eq!(workers.iter().map(|worker| worker.done).collect::<Vec<_>>(), [3, 3, 2]);
    }

    #[test]
    fn what_ends_outside_the_measured_time_is_not_counted() {
        let now = Instant::now();
        let later =
            Schedule::Time { from: now + Duration::from_secs(60), until: now + Duration::from_secs(90) };
        let [mut early] = work(1, later).workers().try_into().unwrap();
        assert!(early.next() && early.next() && early.next());
        assert_eq!((early.done, early.latencies.len()), (2, 0));
        let over = Schedule::Time { from: now, until: now };
        let [mut late] = work(1, over).workers().try_into().unwrap();
        assert!(!late.next());
        assert_eq!(late.done, 0);
    }
}
