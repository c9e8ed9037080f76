//! A random program becomes calls of the builder.

use std::error::Error;

use chainring_chains::{Buf, Span as Bytes, read, reg, value, write};
use chainring_chains::{BuildError, Chain, Expr as Value, Flow, Lowering, Reg, Socket, SpanLen};

use super::native::{self, Next};
use super::program::{BUFS, Block, Call, Event, Expr, Kind, Len, Op, Program, REGS, SOCKETS, Span};

/// The session of a frame: what its calls have written down.
pub(crate) type Session = Vec<Event>;

/// A program that was built, and its handles.
pub(crate) struct Built {
    pub(crate) program: chainring_chains::Program<Session>,
    pub(crate) sockets: [Socket; SOCKETS],
    pub(crate) regs: [Reg; REGS],
}

/// What a call fails with.
const FAILURE: &str = "as its register says";

pub(crate) fn build(program: &Program, lowering: Lowering) -> Result<Built, BuildError> {
    let mut c = Chain::<Session>::new("random");
    c.lowering(lowering);
    let sockets = [c.accepted(), c.socket()];
    let regs = program.params.map(|given| if given.is_some() { c.param() } else { c.reg() });
    let bufs = BUFS.map(|len| c.buffer(len));
    Lowerer { sockets, regs, bufs }.block(&mut c, &program.body);
    Ok(Built { program: c.build()?, sockets, regs })
}

struct Lowerer {
    sockets: [Socket; SOCKETS],
    regs: [Reg; REGS],
    bufs: [Buf; BUFS.len()],
}

impl Lowerer {
    fn block(&self, c: &mut Chain<Session>, block: &Block) {
        for step in block {
            self.step(c, step.number, &step.kind);
        }
    }

    fn step(&self, c: &mut Chain<Session>, number: u32, kind: &Kind) {
        match kind {
            Kind::Recv { socket, span, into, or_finish, .. } => {
                let step = c.recv(self.sockets[*socket], self.span(span));
                let step = if let Some(reg) = into { step.into(self.regs[*reg]) } else { step };
                if *or_finish {
                    step.or_finish();
                }
            }
            Kind::RecvExact { socket, span, into, or_finish } => {
                let step = c.recv_exact(self.sockets[*socket], self.span(span));
                let step = if let Some(reg) = into { step.into(self.regs[*reg]) } else { step };
                if *or_finish {
                    step.or_finish();
                }
            }
            Kind::SendAll { socket, spans, into } => {
                let spans = spans.iter().map(|span| self.span(span));
                let step = c.send_all(self.sockets[*socket], spans);
                if let Some(reg) = into {
                    step.into(self.regs[*reg]);
                }
            }
            Kind::Shutdown { socket } => c.shutdown(self.sockets[*socket]),
            Kind::Set { reg, value } => c.set(self.regs[*reg], self.expr(value)),
            Kind::Ensure { cond, code } => c.ensure(self.expr(cond), *code),
            Kind::When { cond, then, otherwise } => {
                let step = c.when(self.expr(cond), |c| self.block(c, then));
                if !otherwise.is_empty() {
                    step.otherwise(|c| self.block(c, otherwise));
                }
            }
            Kind::Repeat { body } => c.repeat(|c| self.block(c, body)),
            Kind::Again => c.again(),
            Kind::Leave => c.leave(),
            Kind::Finish => c.finish(),
            Kind::Call(call) => self.call(c, number, call),
        }
    }

    fn call(&self, c: &mut Chain<Session>, step: u32, call: &Call) {
        match call {
            Call::Log(count) => c.call((value(self.regs[*count]),), move |session, (count,)| {
                session.push(native::log(step, count));
                Flow::Next
            }),
            Call::Observe => {
                let [a, b, d, e, f, g, h, i] = self.regs.map(reg);
                c.call((a, b, d, e, f, g, h, i), move |session, (a, b, d, e, f, g, h, i)| {
                    session.push(native::observe(step, &[*a, *b, *d, *e, *f, *g, *h, *i]));
                    Flow::Next
                });
            }
            Call::Look(span, reg) => {
                let access = (read(self.span(span)), value(self.regs[*reg]));
                c.call(access, move |session, (bytes, value)| {
                    session.push(native::look(step, bytes, value));
                    Flow::Next
                });
            }
            Call::Fill(span, seed) => {
                let seed = *seed;
                c.call((write(self.span(span)),), move |_, (bytes,)| {
                    native::fill(bytes, seed);
                    Flow::Next
                });
            }
            Call::Mix { from, to, reg: register } => {
                let access = (read(self.span(from)), write(self.span(to)), reg(self.regs[*register]));
                c.call(access, |_, (from, to, register)| {
                    native::mix(from, to, register);
                    Flow::Next
                });
            }
            Call::Decide(register) => {
                c.call((value(self.regs[*register]),), |_, (value,)| match native::decide(value) {
                    Next::On => Flow::Next,
                    Next::Finish => Flow::Finish,
                    Next::Fail => Flow::Fail(Box::<dyn Error + Send + Sync>::from(FAILURE)),
                })
            }
        }
    }

    fn span(&self, span: &Span) -> Bytes {
        let buf = self.bufs[span.buf];
        match span.len {
            Len::Fixed(len) => buf.range(span.from..span.from + len),
            Len::Reg(reg) => buf.to(SpanLen::Reg(self.regs[reg])),
        }
    }

    fn expr(&self, expr: &Expr) -> Value {
        match expr {
            Expr::Const(value) => Value::from(*value),
            Expr::Reg(reg) => Value::from(self.regs[*reg]),
            Expr::Load { buf, offset, width, big } => {
                let (buf, at) = (self.bufs[*buf], *offset);
                match (width, big) {
                    (1, _) => buf.u8(at),
                    (2, true) => buf.be16(at),
                    (4, true) => buf.be32(at),
                    (8, true) => buf.be64(at),
                    (2, false) => buf.le16(at),
                    (4, false) => buf.le32(at),
                    (8, false) => buf.le64(at),
                    _ => panic!("there are no loads of {width} bytes"),
                }
            }
            Expr::Binary(op, operands) => {
                let [a, b] = [&operands[0], &operands[1]].map(|operand| self.expr(operand));
                match op {
                    Op::Add => a + b,
                    Op::Sub => a - b,
                    Op::Mul => a * b,
                    Op::And => a & b,
                    Op::Or => a | b,
                    Op::Xor => a ^ b,
                    Op::Shl => a << b,
                    Op::Shr => a >> b,
                    Op::Eq => a.eq(b),
                    Op::Ne => a.ne(b),
                    Op::Lt => a.lt(b),
                    Op::Le => a.le(b),
                    Op::Gt => a.gt(b),
                    Op::Ge => a.ge(b),
                }
            }
        }
    }
}
