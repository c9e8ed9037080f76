//! Closures that block, run by threads of their own.
//!
//! A pool owns its queue and its threads; the runtimes that use it (one, or all cores of a
//! [`Cores`](super::Cores)) share it. A thread is started when a closure finds none idle, up to the limit, and
//! ends after ten idle seconds. Closures wait in a queue without a limit of its own: whoever spawns and never
//! awaits must mind that.
//!
//! When the last runtime of a pool is dropped, closures that have not begun are dropped, and their handles
//! give a cancelled error; idle threads end; closures that are running run to their end, and nobody waits for
//! them: a program that needs their effect awaits their handles. Their results are dropped where they end.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use super::Handle;
use super::affinity;
use super::packet::Packet;
use super::quietly::{drop_each, quietly};
use super::task::{JoinError, JoinHandle};

/// Runs `work` on a thread on which it may block, and gives its result.
///
/// A panic in it reaches the handle. [`JoinHandle::abort`] keeps it from beginning, but does not end it. What
/// becomes of it when the runtime is dropped: one that has not begun is dropped, one that runs is not waited for.
///
/// # Panics
/// Outside of a runtime.
pub fn spawn_blocking<F, T>(work: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let pool = Handle::current().core().pool.borrow().clone();
    match pool {
        Some(pool) => pool.spawn(work),
        // The runtime is being dropped.
        None => {
            drop(work);
            let packet = Packet::<T>::new((), None);
            drop(packet.clone().sender());
            JoinHandle::of_packet(packet)
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

const IDLE: Duration = Duration::from_secs(10);

/// The threads, for as long as a runtime holds this.
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    limit: usize,
    /// Where its threads run: wherever the runtime was made. One that is pinned starts some of them, and would have them
    /// run beside it on its own CPU.
    cpus: Vec<usize>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    /// Threads that wait for work.
    idle: usize,
    closed: bool,
}

impl Pool {
    /// A pool of at most `limit` threads, none of which exists yet.
    pub(super) fn new(limit: usize) -> Pool {
        let limit = limit.max(1);
        Pool(Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            limit,
            cpus: affinity::allowed(),
        }))
    }

    fn spawn<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let packet = Packet::new((), None);
        let sender = packet.clone().sender();
        let job = Box::new(move || {
            if sender.begin().is_some() {
                let result = catch_unwind(AssertUnwindSafe(work));
                sender.send(result.map_err(JoinError::panicked));
            }
        });
        self.0.push(job);
        JoinHandle::of_packet(packet)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn push(self: &Arc<Self>, job: Job) {
        let mut state = self.lock();
        state.queue.push_back(job);
        if state.idle >= state.queue.len() || state.threads == self.limit {
            drop(state);
            return self.work.notify_one();
        }
        state.threads += 1;
        drop(state);
        let shared = self.clone();
        let started =
            thread::Builder::new().name("chainring-blocking".to_owned()).spawn(move || shared.run());
        if let Err(error) = started {
            let mut state = self.lock();
            state.threads -= 1;
            // Another thread will come to it; without one, whoever waits must learn of it.
            if state.threads == 0 {
                let stranded = std::mem::take(&mut state.queue);
                drop(state);
                drop_each(stranded);
                panic!("no thread could be started for blocking work: {error}");
            }
        }
    }

    fn run(&self) {
        // If they have been taken from the process meanwhile, it runs where it is.
        drop(affinity::keep_to(&self.cpus));
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                // What is left to panic here is the drop of a closure or of a result that nobody wants.
                quietly(job);
                state = self.lock();
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let (guard, timeout) =
                self.work.wait_timeout(state, IDLE).unwrap_or_else(|poisoned| poisoned.into_inner());
            state = guard;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        let stranded = std::mem::take(&mut state.queue);
        drop(state);
        self.0.work.notify_all();
        drop_each(stranded);
    }
}
