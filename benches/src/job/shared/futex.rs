//! A lock that is a word of 32 bits: 0 free, 1 taken, 2 taken and waited for.

use chainring::chains::{Chain, Reg, Word};

/// Takes it; waits if it is taken. `was` is a register for its own use.
pub(super) fn lock<S: 'static>(c: &mut Chain<S>, word: Word, was: Reg) {
    c.compare_exchange(word, 0, 1).into(was);
    c.when(was.ne(0), |c| {
        c.repeat(|c| {
            c.when(was.eq(1), |c| {
                c.compare_exchange(word, 1, 2).into(was);
            });
            c.when(was.ne(0), |c| c.futex_wait(word, 2));
            // Whoever has waited does not know whether others do.
            c.compare_exchange(word, 0, 2).into(was);
            c.when(was.eq(0), |c| c.leave());
        });
    });
}

/// Gives it back, and wakes one that waits, if there may be any.
pub(super) fn unlock<S: 'static>(c: &mut Chain<S>, word: Word, was: Reg) {
    c.fetch_add(word, -1).into(was);
    c.when(was.ne(1), |c| {
        c.set(word, 0);
        c.futex_wake(word, 1);
    });
}
