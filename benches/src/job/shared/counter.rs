//! Chains that count.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chainring::chains::{Chain, Flow, Group, Program, Reg, Shared, Word};

use super::futex::{lock, unlock};
use super::{Work, Worker, each};
use crate::Result;

/// A word of the core: continuations never run at once, so nothing else is needed.
pub(crate) fn continuations(work: &Work) -> Result<Vec<Worker>> {
    let words = Shared::new("counter", 1);
    let program = counting(|c| {
        let (word, n) = (c.shared(&words, 0), c.reg());
        add(c, word, n);
    })?;
    of_a_core(work, &program, &words)
}

/// The same inside of a synchronization group.
pub(crate) fn serial(work: &Work) -> Result<Vec<Worker>> {
    let (words, group) = (Shared::new("counter", 1), Group::new("counter"));
    let program = counting(|c| {
        let (word, n) = (c.shared(&words, 0), c.reg());
        c.serial(&group, |c| add(c, word, n));
    })?;
    of_a_core(work, &program, &words)
}

/// A word of all threads that is added to in one piece.
pub(crate) fn atomic(work: &Work, cores: usize) -> Result<Vec<Worker>> {
    let counter = Arc::new(AtomicU64::new(0));
    let program = counting(|c| {
        let word = c.atomic(counter.clone());
        c.fetch_add(word, 1);
    })?;
    counted(of_all(work, cores, &program)?, counter.load(Ordering::Relaxed))
}

/// A word of all threads behind a lock that is a futex.
pub(crate) fn futex(work: &Work, cores: usize) -> Result<Vec<Worker>> {
    let (counter, locked) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU32::new(0)));
    let program = counting(|c| {
        let (word, locked) = (c.atomic(counter.clone()), c.atomic(locked.clone()));
        let (n, was) = (c.reg(), c.reg());
        lock(c, locked, was);
        add(c, word, n);
        unlock(c, locked, was);
    })?;
    counted(of_all(work, cores, &program)?, counter.load(Ordering::Relaxed))
}

/// The mutex of the standard library, in a call. It stops the whole core where it is taken.
pub(crate) fn mutex(work: &Work, cores: usize) -> Result<Vec<Worker>> {
    let counter = Arc::new(Mutex::new(0));
    let shared = counter.clone();
    let program = counting(|c| {
        c.call((), move |_, ()| {
            *shared.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            Flow::Next
        });
    })?;
    let workers = of_all(work, cores, &program)?;
    counted(workers, *counter.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Reads, calculates and writes.
pub(super) fn add<S: 'static>(c: &mut Chain<S>, word: Word, n: Reg) {
    c.set(n, word);
    c.set(n, n + 1);
    c.set(word, n);
}

/// A connection, with a nop in place of its peer.
pub(super) fn counting(count: impl FnOnce(&mut Chain<Worker>)) -> Result<Program<Worker>> {
    let mut c = Chain::new("count");
    c.repeat(|c| {
        c.call((), |worker: &mut Worker, ()| if worker.next() { Flow::Next } else { Flow::Finish });
        c.nop();
        count(c);
    });
    Ok(c.build()?)
}

fn of_a_core(work: &Work, program: &Program<Worker>, words: &Shared) -> Result<Vec<Worker>> {
    each::core(work, 1, async |_, workers| {
        let workers = each::frame(program, workers, |worker| worker, |_| Ok(())).await?;
        counted(workers, words.get(0))
    })
}

fn of_all(work: &Work, cores: usize, program: &Program<Worker>) -> Result<Vec<Worker>> {
    each::core(work, cores, async |_, workers| {
        each::frame(program, workers, |worker| worker, |_| Ok(())).await
    })
}

/// None was lost, and none came in addition.
pub(super) fn counted(workers: Vec<Worker>, counter: u64) -> Result<Vec<Worker>> {
    let done: u64 = workers.iter().map(|worker| worker.done).sum();
    if counter == done {
        Ok(workers)
    } else {
        Err(format!("{done} were added, and the counter says {counter}").into())
    }
}
