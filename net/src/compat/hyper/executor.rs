//! hyper's background work as tasks of the core.

use std::future::Future;

/// Starts what hyper wants to run beside a connection (the streams of HTTP/2) as tasks of the core that runs the
/// caller. They need not be `Send`.
///
/// # Panics
/// If it is used outside of a runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        drop(chainring_runtime::spawn(future));
    }
}
