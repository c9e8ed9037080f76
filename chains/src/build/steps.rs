//! The steps of a chain.

use chainring_runtime::frame::Verb;

use super::Chain;
use crate::access::Access;
use crate::expr::{Cond, Expr};
use crate::handle::{Reg, Socket, Span};
use crate::native::{Flow, Native};
use crate::tree::{Block, Kind, OnEnd, Step, Transfer};

impl<S: 'static> Chain<S> {
    /// Receives what there is, at least one byte, into the front of `span`. Say `.into(reg)` to learn how much.
    ///
    /// The end of the stream fails the frame, unless the step says [`or_finish`](TransferStep::or_finish).
    pub fn recv(&mut self, socket: Socket, span: Span) -> TransferStep<'_> {
        self.transfer("recv", Verb::Recv, socket, vec![span])
    }

    /// Receives exactly `span`. An end of the stream in the middle is
    /// [`ErrorKind::Short`](crate::ErrorKind::Short).
    pub fn recv_exact(&mut self, socket: Socket, span: Span) -> TransferStep<'_> {
        self.transfer("recv_exact", Verb::RecvExact, socket, vec![span])
    }

    /// Sends all of a span, or of several in order.
    pub fn send_all(&mut self, socket: Socket, spans: impl IntoIterator<Item = Span>) -> TransferStep<'_> {
        self.transfer("send_all", Verb::SendAll, socket, spans.into_iter().collect())
    }

    /// Ends the sending half of the connection: when the peer has read what was sent, it sees the end of the stream.
    /// The socket still receives.
    ///
    /// If the connection is gone the frame fails with ENOTCONN. The steps behind it are a submission of their own,
    /// because the kernel would start them although it failed; and the kernel hands it to a worker thread.
    pub fn shutdown(&mut self, socket: Socket) {
        self.push("shutdown", Kind::Shutdown(socket));
    }

    fn transfer(
        &mut self,
        name: &'static str,
        verb: Verb,
        socket: Socket,
        spans: Vec<Span>,
    ) -> TransferStep<'_> {
        let transfer = Transfer { verb, socket, spans, into: None, on_end: OnEnd::Error };
        let step = self.push(name, Kind::Transfer(transfer));
        TransferStep { step }
    }

    /// Sets a register.
    pub fn set(&mut self, reg: Reg, value: impl Into<Expr>) {
        self.push("set", Kind::Set(reg, value.into()));
    }

    /// Fails the frame with [`ErrorKind::Ensure`](crate::ErrorKind::Ensure) and `code` (an errno) unless `cond`
    /// holds.
    pub fn ensure(&mut self, cond: Cond, code: i32) {
        self.push("ensure", Kind::Ensure(cond, code));
    }

    /// Runs the block if `cond` holds; say `.otherwise(...)` for what runs if not.
    pub fn when(&mut self, cond: Cond, then: impl FnOnce(&mut Self)) -> WhenStep<'_, S> {
        // The step comes before those of its block.
        let number = self.push("when", Kind::Finish).number;
        let then = self.block(then);
        let place = self.blocks.last_mut().expect("the outermost block stays open");
        let step = place.last_mut().expect("the step was pushed above");
        *step = Step { number, name: "when", kind: Kind::When { cond, then, otherwise: Block::new() } };
        WhenStep { chain: self }
    }

    /// Repeats the block until a step in it finishes, fails or leaves.
    pub fn repeat(&mut self, body: impl FnOnce(&mut Self)) {
        let number = self.push("repeat", Kind::Finish).number;
        let body = self.block(body);
        let place = self.blocks.last_mut().expect("the outermost block stays open");
        let step = place.last_mut().expect("the step was pushed above");
        *step = Step { number, name: "repeat", kind: Kind::Repeat(body) };
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

    /// Runs `body` in submission context, with the session and exactly what `access` declares; nothing of the frame is
    /// in flight meanwhile. It must not block. A panic fails this frame alone.
    pub fn call<A, F>(&mut self, access: A, body: F)
    where
        A: Access,
        F: Fn(&mut S, A::Views<'_>) -> Flow + Send + Sync + 'static,
    {
        let index = self.natives.len();
        self.natives.push(Native::new(access, body));
        self.push("call", Kind::Call(index, access.touches()));
    }
}

impl IntoIterator for Span {
    type Item = Span;
    type IntoIter = std::iter::Once<Span>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self)
    }
}

/// A transfer that was just added, to be qualified.
#[derive(Debug)]
pub struct TransferStep<'c> {
    step: &'c mut Step,
}

impl TransferStep<'_> {
    fn transfer(&mut self) -> &mut Transfer {
        match &mut self.step.kind {
            Kind::Transfer(transfer) => transfer,
            _ => unreachable!("made by `Chain::transfer` only"),
        }
    }

    /// Puts the number of bytes into a register.
    #[allow(clippy::should_implement_trait, clippy::wrong_self_convention)]
    pub fn into(mut self, reg: Reg) -> Self {
        self.transfer().into = Some(reg);
        self
    }

    /// The end of the stream before the first byte ends the frame with success.
    pub fn or_finish(mut self) -> Self {
        self.transfer().on_end = OnEnd::Finish;
        self
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
        let place = self.chain.blocks.last_mut().and_then(|block| block.last_mut());
        match place.map(|step| &mut step.kind) {
            Some(Kind::When { otherwise, .. }) => *otherwise = block,
            _ => unreachable!("made by `Chain::when` only, which borrows the chain"),
        }
    }
}

impl<S> std::fmt::Debug for WhenStep<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WhenStep")
    }
}
