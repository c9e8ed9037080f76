//! What names files, passes by, coordinates, or is awaited becomes calls of the builder.

use std::time::Duration;

use chainring_chains::{Chain, End as Place, Flow, SpanLen, reg, value, write};
use chainring_chains::{WordStep, read};
use chainring_runtime::{time, yield_now};

use super::lower::{Lowerer, Session};
use super::native;
use super::program::{ACCEPTED, BUFS, End, Kind, Len, Polled, Ready, TURN, TURN_BUFS, TURN_REGS};

impl Lowerer {
    pub(super) fn coordinate(&self, c: &mut Chain<Session>, kind: &Kind) {
        let into = |step: WordStep<'_>, into: &Option<usize>| {
            if let Some(reg) = into {
                step.into(self.regs[*reg]);
            }
        };
        match kind {
            Kind::Splice { from, to, len, into, or_finish } => {
                let len = match len {
                    Len::Fixed(len) => SpanLen::Fixed(*len),
                    Len::Reg(reg) => SpanLen::Reg(self.regs[*reg]),
                };
                let step = c.splice(self.end(from), self.end(to), self.pipe, len).into(self.regs[*into]);
                if *or_finish {
                    step.or_finish();
                }
            }
            Kind::Nop => c.nop(),
            Kind::Accept => c.accept(self.polled[0], self.sockets[ACCEPTED]),
            Kind::Poll { what, events, into } => {
                let what = match what {
                    Polled::Socket(socket) => self.sockets[*socket],
                    Polled::Listener => self.polled[0],
                    Polled::Silent => self.polled[1],
                    Polled::Room => self.polled[2],
                };
                let step = c.poll(what, *events as u32);
                if let Some(reg) = into {
                    step.into(self.regs[*reg]);
                }
            }
            Kind::Rename { from, to } => {
                let (from, to) = (self.path(c, from), self.path(c, to));
                c.rename(from, to).from_directory(self.directory).to_directory(self.directory);
            }
            Kind::Remove { path, directory } => {
                let path = self.path(c, path);
                let step = if *directory { c.remove_dir(path) } else { c.unlink(path) };
                step.in_directory(self.directory);
            }
            Kind::SetWord { word, value } => c.set(self.words[*word], self.expr(value)),
            Kind::FetchAdd { word, value, into: reg } => {
                into(c.fetch_add(self.words[*word], self.expr(value)), reg);
            }
            Kind::Exchange { word, current, new, into: reg } => {
                let (current, new) = (self.expr(current), self.expr(new));
                into(c.compare_exchange(self.words[*word], current, new), reg);
            }
            Kind::FutexWait { word, expected } => c.futex_wait(self.words[*word], self.expr(expected)),
            Kind::FutexWake { word, count, into: reg } => {
                into(c.futex_wake(self.words[*word], self.expr(count)), reg);
            }
            Kind::Notify => c.notify(&self.things.event),
            Kind::Wait => c.wait(&self.things.event),
            Kind::Commit { spans, into } => {
                let spans: Vec<_> = spans.iter().map(|span| self.span(span)).collect();
                let step = c.commit(&self.things.log, spans);
                if let Some(reg) = into {
                    step.into(self.regs[*reg]);
                }
            }
            Kind::Serial { body } => c.serial(&self.things.group, |c| self.block(c, body)),
            Kind::Within { time, body } => {
                c.within(Duration::from_nanos(*time), |c| self.block(c, body));
            }
            Kind::Fork { need, branches } => {
                let add = |b: &mut chainring_chains::Branches<'_, Session>| {
                    branches.iter().for_each(|branch| b.branch(|c| self.block(c, branch)));
                };
                match need {
                    Some(need) => c.quorum(*need, add),
                    None => c.all(add),
                }
            }
            Kind::Pipelined { depth, ahead, in_order } => c.pipelined(
                *depth,
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
            ),
            Kind::Fetch { from, to, reg: register, ready } => {
                let ready = *ready;
                let (from, to, register) = (self.span(from), self.span(to), self.regs[*register]);
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
            other => unreachable!("it coordinates nothing: {other:?}"),
        }
    }

    fn end(&self, end: &End) -> Place {
        match end {
            End::Socket(socket) => self.sockets[*socket].into(),
            End::File(file) => self.files[*file].into(),
        }
    }
}
