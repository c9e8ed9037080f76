//! The standard library: a thread for each writer. The first that finds nobody committing commits for all.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Condvar, Mutex, PoisonError};

use super::{create, record};
use crate::Result;
use crate::job::{Work, Worker};

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    /// The number of the commit that takes `pending`, and of the last one that is on disk.
    next: u64,
    durable: u64,
    committing: bool,
}

struct Log {
    file: File,
    state: Mutex<State>,
    committed: Condvar,
}

pub(crate) fn run(work: &Work) -> Result<Vec<Worker>> {
    let state = Mutex::new(State { next: 1, ..State::default() });
    let log = &Log { file: create(&work.dir)?, state, committed: Condvar::new() };
    std::thread::scope(|scope| {
        let threads = work.workers().into_iter().map(|worker| scope.spawn(|| append(worker, work.size, log)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("panicked".into()))).collect()
    })
}

fn append(mut worker: Worker, size: usize, log: &Log) -> Result<Worker> {
    while worker.next() {
        log.append(&record(&worker, size))?;
    }
    Ok(worker)
}

impl Log {
    fn append(&self, record: &[u8]) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.pending.extend_from_slice(record);
        let mine = state.next;
        while state.durable < mine {
            if state.committing {
                state = self.committed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.committing = true;
            let (batch, commit) = (std::mem::take(&mut state.pending), state.next);
            state.next += 1;
            drop(state);
            (&self.file).write_all(&batch)?;
            self.file.sync_data()?;
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.durable = commit;
            state.committing = false;
            self.committed.notify_all();
        }
        Ok(())
    }
}
