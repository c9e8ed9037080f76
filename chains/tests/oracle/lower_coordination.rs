//! What passes by, is polled, coordinates, or is awaited becomes calls of the builder.

use std::time::Duration;

use chainring_chains::{Branches, Chain, End as Place, Flow, SpanLen, reg, value, write};
use chainring_chains::{WordStep, read};
use chainring_runtime::{time, yield_now};

use super::lower::{Lowerer, Session};
use super::native;
use super::program::{BUFS, Block, End, Len, Polled, Ready, Span, TURN, TURN_BUFS, TURN_REGS};

impl Lowerer {
    pub(super) fn splice(
        &self,
        c: &mut Chain<Session>,
        from: &End,
        to: &End,
        len: Len,
        into: usize,
        or_finish: bool,
    ) {
        let len = match len {
            Len::Fixed(len) => SpanLen::Fixed(len),
            Len::Reg(reg) => SpanLen::Reg(self.regs[reg]),
        };
        let step = c.splice(self.end(from), self.end(to), self.pipe, len).into(self.regs[into]);
        if or_finish {
            step.or_finish();
        }
    }

    pub(super) fn poll(&self, c: &mut Chain<Session>, what: Polled, events: u64, into: Option<usize>) {
        let what = match what {
            Polled::Socket(socket) => self.sockets[socket],
            Polled::Listener => self.polled[0],
            Polled::Silent => self.polled[1],
            Polled::Room => self.polled[2],
        };
        let step = c.poll(what, events as u32);
        if let Some(reg) = into {
            step.into(self.regs[reg]);
        }
    }

    /// A register takes what a step on a word says.
    pub(super) fn taken(&self, step: WordStep<'_>, into: Option<usize>) {
        if let Some(reg) = into {
            step.into(self.regs[reg]);
        }
    }

    pub(super) fn fork(&self, c: &mut Chain<Session>, need: Option<usize>, branches: &[Block]) {
        let add = |b: &mut Branches<'_, Session>| {
            branches.iter().for_each(|branch| b.branch(|c| self.block(c, branch)));
        };
        match need {
            Some(need) => c.quorum(need, add),
            None => c.all(add),
        }
    }

    pub(super) fn pipelined(&self, c: &mut Chain<Session>, depth: usize, ahead: &Block, in_order: &Block) {
        c.pipelined(
            depth,
            |c, turn| {
                let mut own = self.clone();
                own.regs[..TURN_REGS].fill_with(|| c.reg());
                own.regs[TURN] = turn;
                for (buf, len) in own.bufs[..TURN_BUFS].iter_mut().zip(BUFS) {
                    *buf = c.buffer(len);
                }
                own.block(c, ahead);
                own
            },
            |c, _, own| own.block(c, in_order),
        );
    }

    pub(super) fn fetch(
        &self,
        c: &mut Chain<Session>,
        from: &Span,
        to: &Span,
        register: usize,
        ready: Ready,
    ) {
        let (from, to, register) = (self.span(from), self.span(to), self.regs[register]);
        c.call_async(
            (read(from), value(register)),
            move |_, (bytes, value)| {
                let bytes = bytes.to_vec();
                async move {
                    match ready {
                        Ready::AtOnce => {}
                        Ready::NextTurn => yield_now().await,
                        Ready::Later => time::sleep(Duration::from_micros(100)).await,
                    }
                    (bytes, value)
                }
            },
            (write(to), reg(register)),
            |_, (to, register), (bytes, mut value): (Vec<u8>, u64)| {
                native::mix(&bytes, to, &mut value);
                *register = value;
                Flow::Next
            },
        );
    }

    fn end(&self, end: &End) -> Place {
        match end {
            End::Socket(socket) => self.sockets[*socket].into(),
            End::File(file) => self.files[*file].into(),
        }
    }
}
