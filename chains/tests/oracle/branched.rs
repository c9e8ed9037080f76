//! Fragments with parts that run side by side: branches, and turns of a block.
//!
//! What one branch does no other one may see, or the outcome would be a matter of who is faster: each has registers,
//! buffers and a socket of its own. Where a branch may fail, or be one too many, the others do nothing that shows.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::fragments::masked;
use super::program::{BUFS, Block, CONSTANT, Expr, FileStep, GIVEN, Kind, LONG, Len, Op, Span, Step, TURN};
use super::strategy::{call, fixed, general, step};

type Fragment = BoxedStrategy<Vec<Step>>;

/// What belongs to one of the branches.
#[derive(Clone, Copy)]
struct Own {
    regs: [usize; 2],
    bufs: [usize; 2],
    socket: usize,
}

const OWN: [Own; GIVEN] =
    [Own { regs: [0, 1], bufs: [0, 2], socket: 0 }, Own { regs: [2, 3], bufs: [1, 3], socket: 1 }];

impl Own {
    fn reg(self) -> impl Strategy<Value = usize> + Clone {
        select(self.regs.to_vec())
    }

    fn expr(self) -> BoxedStrategy<Expr> {
        let load = select(self.bufs.to_vec()).prop_map(|buf| Expr::Load {
            buf,
            offset: 0,
            width: 2.min(BUFS[buf]),
            big: true,
        });
        let leaf = prop_oneof![(0..20u64).prop_map(Expr::Const), self.reg().prop_map(Expr::Reg), load];
        let op = select(vec![Op::Add, Op::Mul, Op::Xor, Op::Div, Op::Lt, Op::Eq]);
        (op, leaf.clone(), leaf).prop_map(|(op, a, b)| Expr::binary(op, a, b)).boxed()
    }

    fn span(self) -> BoxedStrategy<Span> {
        let to = (select(self.bufs.to_vec()), self.reg()).prop_map(|(buf, reg)| Span::to(buf, reg));
        prop_oneof![3 => fixed(select(self.bufs.to_vec())), 1 => to].boxed()
    }

    fn step(self) -> BoxedStrategy<Kind> {
        let socket = self.socket;
        let recv = (self.span(), option::of(self.reg())).prop_map(move |(span, into)| Kind::RecvExact {
            socket,
            span,
            into,
            or_finish: false,
        });
        let send = (vec(prop_oneof![self.span(), fixed(Just(CONSTANT))], 1..3), option::of(self.reg()))
            .prop_map(move |(spans, into)| Kind::SendAll { socket, spans, into });
        let set =
            (self.reg(), self.expr()).prop_map(|(reg, value)| Kind::Set { reg, value: masked(value, 15) });
        let store = (select(self.bufs.to_vec()), self.expr()).prop_map(|(buf, value)| Kind::Store {
            buf,
            at: Expr::Const(1),
            width: 2,
            big: false,
            value,
        });
        let ensure = self.expr().prop_map(|value| Kind::Ensure {
            cond: Expr::binary(Op::Ne, masked(value, 7), Expr::Const(3)),
            code: libc::EPROTO,
        });
        let sleep = (0..40_000u64).prop_map(|time| Kind::Sleep { time: Expr::Const(time) });
        prop_oneof![4 => recv, 4 => send, 2 => set, 1 => store, 1 => ensure, 1 => sleep, 1 => Just(Kind::Nop)]
            .boxed()
    }

    fn block(self) -> BoxedStrategy<Block> {
        let simple = self.step().prop_map(step).boxed();
        let when = (self.expr(), self.step(), self.step()).prop_map(|(cond, then, otherwise)| {
            step(Kind::When { cond, then: step(then), otherwise: step(otherwise) })
        });
        let attempt = (vec(self.step(), 1..3), self.reg(), option::of(self.step())).prop_map(
            |(body, errno, handler)| {
                let handler = handler.map(step).unwrap_or_default();
                let body = body.into_iter().map(Kind::step).collect();
                step(Kind::Attempt { body, errno: Some(errno), handler })
            },
        );
        vec(prop_oneof![5 => simple, 1 => when, 1 => attempt], 1..5).prop_map(|steps| steps.concat()).boxed()
    }

    /// Whatever goes wrong in it stays there.
    fn sure(self) -> BoxedStrategy<Block> {
        (self.block(), self.reg())
            .prop_map(|(body, errno)| step(Kind::Attempt { body, errno: Some(errno), handler: Block::new() }))
            .boxed()
    }
}

/// Side by side: whatever comes to an end early must leave nothing half done that anybody could see.
pub(super) fn branches() -> Fragment {
    let [first, second] = OWN;
    let idle = || prop_oneof![Just(step(Kind::Nop)), Just(step(Kind::Sleep { time: Expr::Const(20_000) }))];
    let never = || Just(step(Kind::Sleep { time: Expr::Const(2 * LONG) }));
    let fails = || {
        Just(step(Kind::Ensure {
            cond: Expr::binary(Op::Eq, Expr::Const(1), Expr::Const(2)),
            code: libc::EPROTO,
        }))
    };
    let every = (first.sure(), second.sure(), option::of(idle()))
        .prop_map(|(a, b, idle)| (None, [Some(a), Some(b), idle].into_iter().flatten().collect()));
    let may_fail = (first.block(), idle(), any::<bool>())
        .prop_map(|(a, idle, swapped)| (None, if swapped { vec![idle, a] } else { vec![a, idle] }));
    let ends_all = (fails(), vec(never(), 1..3)).prop_map(|(fails, mut branches)| {
        branches.push(fails);
        (None, branches)
    });
    let enough = (first.sure(), second.sure(), vec(prop_oneof![never(), fails()], 1..3))
        .prop_map(|(a, b, others)| (Some(2), [vec![a], others, vec![b]].concat()));
    let too_few = (never(), fails(), fails()).prop_map(|(never, a, b)| (Some(2), vec![never, a, b]));
    let fork = prop_oneof![4 => every, 2 => may_fail, 1 => ends_all, 3 => enough, 1 => too_few];
    (fork, option::weighted(0.6, (general(), vec(call(), 0..2))), vec(call(), 0..2))
        .prop_map(|((need, branches), handled, behind)| {
            let fork = step(Kind::Fork { need, branches });
            let fork = match handled {
                Some((errno, handler)) => {
                    step(Kind::Attempt { body: fork, errno: Some(errno), handler: handler.concat() })
                }
                None => fork,
            };
            [fork, behind.concat()].concat()
        })
        .boxed()
}

/// Reads side by side, and what is made of them in order.
pub(super) fn pipelined() -> Fragment {
    let turn = || Expr::Reg(TURN);
    let (own, shared) = (0, 2..4usize);
    let position = (0..50u64, 0..30u64).prop_map(move |(factor, plus)| {
        let product = Expr::binary(Op::Mul, turn(), Expr::Const(factor));
        Expr::binary(Op::Add, product, Expr::Const(plus))
    });
    let span = (0..3usize, option::of(Just(own)), 1..20u32).prop_map(|(buf, reg, len)| match reg {
        Some(reg) => Span::to(buf, reg),
        None => Span { len: Len::Fixed(len.min(BUFS[buf])), ..Span::all(buf) },
    });
    let checked = option::weighted(0.2, 0..6u64);
    let in_order = (option::of(shared), 0..GIVEN, any::<bool>(), option::weighted(0.3, 0..8u64));
    (2..6usize, 0..9u64, position, span, any::<bool>(), checked, in_order)
        .prop_map(move |(depth, turns, position, span, exact, checked, (sum, socket, again, early))| {
            let at = |turn: u64, kind| {
                let cond = Expr::binary(Op::Eq, Expr::Reg(TURN), Expr::Const(turn));
                Kind::When { cond, then: step(kind), otherwise: Block::new() }.step()
            };
            let position = Kind::Set { reg: own, value: masked(position, 127) };
            let read = Kind::File(FileStep::Read {
                file: 0,
                span,
                position: Expr::Reg(own),
                into: Some(1),
                exact,
                or_finish: false,
            });
            let mut ahead = vec![at(turns, Kind::Leave), position.step()];
            if again {
                ahead.push(at(1, Kind::Again));
            }
            ahead.push(read.step());
            if let Some(turn) = checked {
                let cond = Expr::binary(Op::Ne, Expr::Reg(TURN), Expr::Const(turn));
                ahead.push(Kind::Ensure { cond, code: libc::EPROTO }.step());
            }
            let sent = Span::to(span.buf, 1);
            let mut in_order = vec![Kind::SendAll { socket, spans: vec![sent], into: None }.step()];
            if let Some(reg) = sum {
                let value = Expr::binary(Op::Add, Expr::Reg(reg), Expr::Reg(own));
                in_order.push(Kind::Set { reg, value: masked(value, 63) }.step());
            }
            if let Some(turn) = early {
                in_order.push(at(turn, Kind::Leave));
            }
            step(Kind::Pipelined { depth, ahead, in_order })
        })
        .boxed()
}
