//! One runtime a core.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::thread;

use super::{Builder, Runtime};

/// `n` threads with a runtime each, every one pinned to a CPU of its own as long as there are enough.
pub fn cores(n: NonZeroUsize) -> Cores {
    Cores { n, builder: Builder::new() }
}

/// See [`cores`].
#[derive(Clone, Debug)]
pub struct Cores {
    n: NonZeroUsize,
    builder: Builder,
}

impl Cores {
    /// Builds each core's runtime with these sizes and wishes.
    #[must_use]
    pub fn builder(mut self, builder: Builder) -> Self {
        self.builder = builder;
        self
    }

    /// Runs one future a core, made on its thread by `start` from the core's number, and gives their results in
    /// the order of these numbers.
    ///
    /// # Errors
    /// If a runtime cannot be built. The others then still run to their end.
    ///
    /// # Panics
    /// With the panic of a core, after the others have ended.
    pub fn run<F, T>(&self, start: impl Fn(usize) -> F + Sync) -> io::Result<Vec<T>>
    where
        F: Future<Output = T>,
        T: Send,
    {
        let cpus = allowed_cpus();
        let start = &start;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.n.get())
                .map(|core| {
                    let cpu = if cpus.len() >= self.n.get() { Some(cpus[core]) } else { None };
                    let body = move || -> io::Result<T> {
                        cpu.map_or(Ok(()), pin)?;
                        let runtime: Runtime = self.builder.build()?;
                        Ok(runtime.block_on(start(core)))
                    };
                    thread::Builder::new().name(format!("chainring-{core}")).spawn_scoped(scope, body)
                })
                .collect::<io::Result<_>>()?;
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    }
}

/// The CPUs that this thread may run on.
fn allowed_cpus() -> Vec<usize> {
    let mut set = empty_set();
    // SAFETY: the set is a local variable of the size given.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    if result != 0 {
        return Vec::new();
    }
    // SAFETY: CPU_ISSET only reads the set, at indices below its size.
    (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

fn pin(cpu: usize) -> io::Result<()> {
    let mut set = empty_set();
    // SAFETY: the index came out of a set of this size.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is a local variable of the size given.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn empty_set() -> libc::cpu_set_t {
    // SAFETY: a plain array of bits, for which zero is the empty set.
    unsafe { std::mem::zeroed() }
}
