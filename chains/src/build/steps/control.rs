//! Steps that decide what comes next. Control is lexical: a block has one entry, and the builder's closures are its
//! braces.

use super::super::Chain;
use crate::expr::{Cond, Expr};
use crate::handle::Reg;
use crate::tree::{Block, Kind, Step};

impl<S: 'static> Chain<S> {
    /// Runs the block if `cond` holds; say `.otherwise(...)` for what runs if not.
    pub fn when(&mut self, cond: Cond, then: impl FnOnce(&mut Self)) -> WhenStep<'_, S> {
        self.nested("when", then, |then| Kind::When { cond, then, otherwise: Block::new() });
        WhenStep { chain: self }
    }

    /// Repeats the block until a step in it finishes, fails or leaves. A block without I/O burns fuel: after some turns
    /// the other frames have theirs.
    pub fn repeat(&mut self, body: impl FnOnce(&mut Self)) {
        self.nested("repeat", body, Kind::Repeat);
    }

    /// Runs the block, and [`on_error`](AttemptStep::on_error) another one if a step in it fails: with an errno, a stream
    /// that ends, a span that does not fit, an `ensure`, a call's failure, a deadline of a [`within`](Chain::within) inside. A
    /// cancelled frame, and one whose call panics, ends all the same.
    pub fn attempt(&mut self, body: impl FnOnce(&mut Self)) -> AttemptStep<'_, S> {
        self.nested("attempt", body, |body| Kind::Attempt { body, errno: None, handler: Block::new() });
        AttemptStep { chain: self }
    }

    /// Bounds the whole block, its loops included: it is left within `time`, a [`Duration`](std::time::Duration) or an
    /// expression in nanoseconds, or fails.
    ///
    /// When the time is up, what is in flight is cancelled, and the frame fails with
    /// [`ErrorKind::Deadline`](crate::ErrorKind::Deadline) at the step that was running. A result that came first stands,
    /// and the next step of the block is the one that fails; if there is none, the block was in time. A register that
    /// takes the count of an interrupted transfer (`.into`) says how much of it was done, except for a
    /// [`splice`](Chain::splice). Of branches that it interrupts, what they had received when they were cancelled is lost
    /// to their stream buffers and registers. Attempts inside of the block do
    /// not handle its deadline, or a loop around them would outlive it; an attempt around the block does, with ETIMEDOUT,
    /// and its handler runs without that deadline. Of nested deadlines each is its own, and the earlier one comes first.
    ///
    /// It costs neither a submission nor a system call; the wheel's ticks are a quarter of a millisecond. The steps of the
    /// block begin a segment of their own, and so do those behind it.
    pub fn within(&mut self, time: impl Into<Expr>, body: impl FnOnce(&mut Self)) {
        let time = time.into();
        self.nested("within", body, |body| Kind::Within(time, body));
    }

    /// Waits for as many nanoseconds, or a [`Duration`](std::time::Duration), without I/O.
    pub fn sleep(&mut self, nanoseconds: impl Into<Expr>) {
        self.push("sleep", Kind::Sleep(nanoseconds.into()));
    }

    /// Starts the innermost repeat again.
    pub fn again(&mut self) {
        self.push("again", Kind::Again);
    }

    /// Leaves the innermost repeat.
    pub fn leave(&mut self) {
        self.push("leave", Kind::Leave);
    }

    /// Ends the frame with success.
    pub fn finish(&mut self) {
        self.push("finish", Kind::Finish);
    }

    /// Adds a step with a block inside. It is numbered before those of its block.
    pub(super) fn nested(
        &mut self,
        name: &'static str,
        body: impl FnOnce(&mut Self),
        kind: impl FnOnce(Block) -> Kind,
    ) {
        let number = self.push(name, Kind::Finish).number;
        let block = self.block(body);
        *self.last_step() = Step { number, name, kind: kind(block) };
    }

    pub(super) fn last_step(&mut self) -> &mut Step {
        let block = self.blocks.last_mut().expect("the outermost block stays open");
        block.last_mut().expect("a step was pushed before")
    }
}

/// A `when` that was just added, to be given an alternative.
pub struct WhenStep<'c, S> {
    chain: &'c mut Chain<S>,
}

impl<S: 'static> WhenStep<'_, S> {
    /// Runs the block if the condition does not hold.
    pub fn otherwise(self, body: impl FnOnce(&mut Chain<S>)) {
        let block = self.chain.block(body);
        match &mut self.chain.last_step().kind {
            Kind::When { otherwise, .. } => *otherwise = block,
            _ => unreachable!("made by `Chain::when` only, which borrows the chain"),
        }
    }
}

/// An `attempt` that was just added, to be told what to do when it fails. Without a handler, the steps behind it are
/// what comes next.
pub struct AttemptStep<'c, S> {
    chain: &'c mut Chain<S>,
}

impl<S: 'static> AttemptStep<'_, S> {
    /// Runs the block if a step of the attempt has failed, and goes on behind it: whatever the error was, it is dealt with
    /// then. To let the frame fail all the same, let the handler do so, with an [`ensure`](Chain::ensure). `errno` says why: what the kernel or
    /// the `ensure` said; ENODATA for a stream that ended early; EMSGSIZE for a span that does not fit; EDOM for a
    /// division by zero; EIO for a call that failed; ETIMEDOUT for a deadline.
    pub fn on_error(self, errno: Reg, body: impl FnOnce(&mut Chain<S>)) {
        let block = self.chain.block(body);
        match &mut self.chain.last_step().kind {
            Kind::Attempt { errno: reg, handler, .. } => (*reg, *handler) = (Some(errno), block),
            _ => unreachable!("made by `Chain::attempt` only, which borrows the chain"),
        }
    }
}

impl<S> std::fmt::Debug for WhenStep<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WhenStep")
    }
}

impl<S> std::fmt::Debug for AttemptStep<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AttemptStep")
    }
}
