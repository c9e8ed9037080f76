//! Waking many, of whom one may panic.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

/// Wakes everybody, and then goes on with the first panic if there was one.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut first = None;
    for waker in wakers {
        let result = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        first = first.or(result.err());
    }
    if let Some(panic) = first {
        resume_unwind(panic);
    }
}
