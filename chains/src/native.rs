//! Native calls: closures with their access, the types forgotten.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chainring_runtime::frame::Frame;

use crate::access::{Access, OutOfBounds, lend};

/// What a chain does after a call.
#[derive(Debug)]
pub enum Flow {
    /// The next step.
    Next,
    /// The frame ends with success.
    Finish,
    /// The frame ends with [`ErrorKind::Call`](crate::ErrorKind::Call).
    Fail(Box<dyn Error + Send + Sync>),
}

impl Flow {
    /// Ends the frame with this error, or message.
    pub fn fail(error: impl Into<Box<dyn Error + Send + Sync>>) -> Flow {
        Flow::Fail(error.into())
    }
}

type Body<S> = dyn Fn(&mut S, &mut Frame<'_>) -> Result<Flow, OutOfBounds> + Send + Sync;

/// A closure that is given a session and views of a frame.
pub(crate) struct Native<S> {
    body: Box<Body<S>>,
}

impl<S: 'static> Native<S> {
    pub(crate) fn new<A, F>(access: A, body: F) -> Self
    where
        A: Access,
        F: Fn(&mut S, A::Views<'_>) -> Flow + Send + Sync + 'static,
    {
        let body =
            move |session: &mut S, frame: &mut Frame<'_>| lend(access, frame, |views| body(session, views));
        Native { body: Box::new(body) }
    }

    /// Runs the closure.
    #[inline]
    pub(crate) fn run(&self, session: &mut S, frame: &mut Frame<'_>) -> Result<Flow, OutOfBounds> {
        (self.body)(session, frame)
    }
}

/// Runs foreign code whose panic nobody waits for: it ends here, after the panic hook has had its say.
pub(crate) fn quietly(body: impl FnOnce()) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(body)) else { return };
    // The payload may panic when it is dropped, and what it panics with too: that is where it ends.
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(another);
    }
}

impl<S> fmt::Debug for Native<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Native")
    }
}
