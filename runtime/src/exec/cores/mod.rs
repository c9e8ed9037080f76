//! One runtime a core, and messages between them.
//!
//! Each thread owns its runtime; what the others know of it is its `Remote`, made before the threads are, so that
//! a core can be sent to before it runs. A message goes through the remote's queue; if the receiver sleeps, its
//! bell is rung: by an `IORING_OP_MSG_RING` that goes out with the sender's next submission, or, from a thread
//! without a ring, by its eventfd. A receiver that expects the next message at once does not sleep (`linger`). The result goes
//! back by the same way, to the queue of the core that awaits it, so that a task is woken, and its memory touched, by its
//! own core only. For that the group keeps a second descriptor of each ring until nobody has a
//! handle or waker of the group any more, so that a message can never reach a stranger's ring.

#[allow(unsafe_code)]
mod handle;

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

pub use handle::CoreHandle;

use super::blocking::Pool;
use super::{Builder, Remote, affinity, linger};

/// `n` threads with a runtime each, every one pinned to a CPU of its own as long as there are enough.
///
/// ```
/// use std::num::NonZeroUsize;
///
/// let two = NonZeroUsize::new(2).unwrap();
/// let sums = chainring_runtime::cores(two).run(async |core| {
///     // Another core makes the future, and only its result comes back.
///     let next = core.core((core.index() + 1) % core.count());
///     let answer = next.spawn(|| async { chainring_runtime::Handle::current().in_group().unwrap().index() });
///     core.index() + answer.await.unwrap_or(0)
/// })?;
/// assert_eq!(sums.len(), 2);
/// # std::io::Result::Ok(())
/// ```
pub fn cores(n: NonZeroUsize) -> Cores {
    Cores { n, builder: Builder::new(), pinned: true, patience: linger::PATIENCE }
}

/// See [`cores`].
#[derive(Clone, Debug)]
pub struct Cores {
    n: NonZeroUsize,
    builder: Builder,
    pinned: bool,
    patience: Duration,
}

impl Cores {
    /// Builds each core's runtime with these sizes and wishes. The cores share one pool of blocking threads.
    #[must_use]
    pub fn builder(mut self, builder: Builder) -> Self {
        self.builder = builder;
        self
    }

    /// Whether each core stays on a CPU of its own. True by default; it needs as many allowed CPUs as there are
    /// cores, and is not done if there are fewer.
    #[must_use]
    pub fn pinned(mut self, pinned: bool) -> Self {
        self.pinned = pinned;
        self
    }

    /// How long a core with a CPU of its own may stay awake, with nothing to do, for the next message of another: not at all
    /// if it is zero, and not for longer than a millisecond. The default is 20 microseconds, about what it costs two cores that one sleeps and the other wakes it.
    ///
    /// It does so only while messages keep coming that fast. After a time in vain it sleeps as ever, and tries again only
    /// when more messages have ended its sleeps: 1, 3, 7, up to 63 of them.
    #[must_use]
    pub fn linger(mut self, patience: Duration) -> Self {
        self.patience = patience.min(Duration::from_millis(1));
        self
    }

    /// Runs one future a core, made on its thread by `start` from the core's handle, and gives their results in
    /// the order of the cores' numbers. Returns when all have ended.
    ///
    /// # Errors
    /// If a thread or a runtime cannot be made. The others then still run to their end.
    ///
    /// # Panics
    /// With the panic of a core, after the others have ended.
    pub fn run<F, T>(&self, start: impl Fn(CoreHandle) -> F + Sync) -> io::Result<Vec<T>>
    where
        F: Future<Output = T>,
        T: Send,
    {
        let remotes =
            (0..self.n.get()).map(|_| Remote::new().map(Arc::new)).collect::<io::Result<Arc<[_]>>>()?;
        let pool = self.builder.pool();
        let cpus = if self.pinned { affinity::allowed() } else { Vec::new() };
        let cpu_of = |core| if cpus.len() >= self.n.get() { Some(cpus[core]) } else { None };
        let (start, pool) = (&start, &pool);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.n.get())
                .map(|index| {
                    let (core, cpu) = (CoreHandle::new(remotes.clone(), index), cpu_of(index));
                    let body = move || self.run_one(core, cpu, pool.clone(), start);
                    let thread = thread::Builder::new().name(format!("chainring-{index}"));
                    // At once: the others may wait for what they have sent to this core.
                    thread.spawn_scoped(scope, body).inspect_err(|_| remotes[index].shut())
                })
                .collect();
            let mut results = Vec::with_capacity(threads.len());
            let mut panic = None;
            for thread in threads {
                match thread.map(thread::ScopedJoinHandle::join) {
                    Ok(Ok(result)) => results.push(result),
                    Ok(Err(payload)) => panic = panic.or(Some(payload)),
                    Err(error) => results.push(Err(error)),
                }
            }
            if let Some(payload) = panic {
                std::panic::resume_unwind(payload);
            }
            results.into_iter().collect()
        })
    }

    fn run_one<F, T>(
        &self,
        core: CoreHandle,
        cpu: Option<usize>,
        pool: Arc<Pool>,
        start: &(impl Fn(CoreHandle) -> F + Sync),
    ) -> io::Result<T>
    where
        F: Future<Output = T>,
    {
        // Also if there is no runtime in the end: whoever sends must not wait forever.
        let _shut = Shut(core.remote().clone());
        cpu.map_or(Ok(()), |cpu| affinity::keep_to(&[cpu]))?;
        let runtime = self.builder.build_with(core.remote().clone(), pool)?;
        runtime.handle().core().join_group(core.clone())?;
        if cpu.is_some() {
            runtime.handle().core().linger.allow(self.patience);
        }
        Ok(runtime.block_on(async { start(core).await }))
    }
}

struct Shut(Arc<Remote>);

impl Drop for Shut {
    fn drop(&mut self) {
        self.0.shut();
    }
}
