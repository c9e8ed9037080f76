//! Bytes that pass the frame by.

use chainring_runtime::frame::Verb;

use super::super::Chain;
use crate::handle::{End, Pipe, Reg, SpanLen};
use crate::tree::{Compute, IoStep, Kind, OnEnd};

impl<S: 'static> Chain<S> {
    /// Moves what there is, at least one byte and at most `len` (a number or register), from one socket or file to another
    /// without copying it through the frame (splice(2)): waits until there is something, moves it into the pipe, and then
    /// exactly that out of it. Files are read and written where they are at. Say `.into(reg)` to learn how much.
    ///
    /// The kernel keeps a worker thread busy for as long as it moves bytes, so this is for much at a time; while it waits
    /// for bytes there is none. What was in the pipe when the step fails is lost. Bytes on their way from a file to a socket
    /// are still the file's: if it is written to before the peer has got them, the peer gets what was written.
    ///
    /// The end of the stream fails the frame, unless the step says [`or_finish`](SpliceStep::or_finish).
    pub fn splice(
        &mut self,
        from: impl Into<End>,
        to: impl Into<End>,
        pipe: Pipe,
        len: impl Into<SpanLen>,
    ) -> SpliceStep<'_, S> {
        let (from, to, moved) = (from.into().0, to.into().0, self.reg());
        self.push("splice", Kind::MakePipe(pipe));
        let number = self.steps;
        if !from.file {
            let ready = IoStep::new(Verb::Poll(libc::POLLIN as u32), from, None);
            self.push_part(number, "splice", Kind::Io(ready));
        }
        let (second, passes) = (Some(from), Some(len.into()));
        let come =
            IoStep { second, passes, into: Some(moved), ..IoStep::new(Verb::Splice, pipe.write, None) };
        self.push_part(number, "splice", Kind::Io(come));
        let (second, passes) = (Some(pipe.read), Some(SpanLen::Reg(moved)));
        let go = IoStep { second, passes, ..IoStep::new(Verb::SpliceAll, to, None) };
        self.push_part(number, "splice", Kind::Io(go));
        self.push_part(number, "splice", Kind::Compute(Compute::Set(pipe.used, 0.into())));
        SpliceStep { number, moved, chain: self }
    }
}

/// A `splice` that was just added, to be qualified.
pub struct SpliceStep<'c, S> {
    number: u32,
    moved: Reg,
    chain: &'c mut Chain<S>,
}

impl<S: 'static> SpliceStep<'_, S> {
    /// Puts the number of bytes into a register.
    #[allow(
        clippy::should_implement_trait,
        clippy::wrong_self_convention,
        reason = "a chain reads as steps: `recv(...).into(reg)`"
    )]
    pub fn into(self, reg: Reg) -> Self {
        self.chain.push_part(self.number, "splice", Kind::Compute(Compute::Set(reg, self.moved.into())));
        self
    }

    /// The end of the stream, or of the file, ends the frame with success.
    pub fn or_finish(self) -> Self {
        let block = self.chain.blocks.last_mut().expect("the outermost block stays open");
        for step in block.iter_mut().rev().take_while(|step| step.number == self.number) {
            if let Kind::Io(io @ IoStep { verb: Verb::Splice, .. }) = &mut step.kind {
                io.on_end = OnEnd::Finish;
            }
        }
        self
    }
}

impl<S> std::fmt::Debug for SpliceStep<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SpliceStep")
    }
}
