//! Foreign code whose panic nobody waits for.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs foreign code; true if it came to its end. Its panic ends here, after the panic hook has had its say.
pub(super) fn quietly(run: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(run)).map_err(discard).is_ok()
}

/// Drops foreign things, of which each may panic.
pub(crate) fn drop_each<T>(things: impl IntoIterator<Item = T>) {
    for thing in things {
        quietly(|| drop(thing));
    }
}

/// Drops what foreign code has panicked with, which is foreign too and may panic in turn; there it ends.
pub(super) fn discard(panic: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // What `panic!` makes is harmless to drop; anything else might go on like this for ever, and is leaked.
        if !another.is::<&'static str>() && !another.is::<String>() {
            std::mem::forget(another);
        }
    }
}
