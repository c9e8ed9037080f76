//! Where random programs come from.
//!
//! A strategy makes fragments of one or a few steps that belong together (a recv and the call that notes its count; a
//! loop and its counter), so that whatever shrinking leaves still ends. What `build()` would refuse is mended
//! afterwards, in most programs: see `check.rs`.

use std::cell::RefCell;
use std::collections::HashMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::arrivals;
use super::check;
use super::coordinated;
use super::fragments;
use super::program::{
    BUFS, Block, CONSTANT, Call, Count, DEEPEST, ECHO_BUF, ECHO_REG, Expr, GENERAL, GIVEN, HELD, Kind, Len,
    Op, Program, REGS, Span, Step, counter,
};

/// A program, mended or, seldom, not.
pub(crate) fn program() -> impl Strategy<Value = Program> {
    let params = vec(option::of(0..20u64), GENERAL);
    let echo = option::weighted(0.15, echo());
    let mended = prop_oneof![1 => Just(false), 12 => Just(true)];
    (params, block(0, Inside::Nothing), echo, mended).prop_map(|(given, mut body, echo, mended)| {
        body.extend(echo.into_iter().flatten());
        body.push(Kind::Call(Call::Observe).step());
        let mut params = [None; REGS];
        params[..GENERAL].copy_from_slice(&given);
        let mut program = Program { params, body };
        program.renumber();
        if mended {
            check::repair(&mut program);
        }
        program
    })
}

/// The innermost loop around a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Inside {
    Nothing,
    /// One that may be started again: its start counts, or consumes.
    Loop,
    /// One that counts at its end.
    Counted,
}

thread_local! {
    /// Blocks are in each other in many ways, and take long to make: each is made once.
    static BLOCKS: RefCell<HashMap<(usize, Inside), BoxedStrategy<Block>>> = RefCell::default();
}

pub(crate) fn block(depth: usize, inside: Inside) -> BoxedStrategy<Block> {
    let known = BLOCKS.with_borrow(|blocks| blocks.get(&(depth, inside)).cloned());
    known.unwrap_or_else(|| {
        let most = [7, 5, 4, 3][depth.min(3)];
        let fragments = vec(fragment(depth, inside), 1..=most);
        let block = fragments.prop_map(|fragments| fragments.concat()).boxed();
        BLOCKS.with_borrow_mut(|blocks| blocks.insert((depth, inside), block.clone()));
        block
    })
}

fn fragment(depth: usize, inside: Inside) -> BoxedStrategy<Vec<Step>> {
    let mut kinds = vec![
        (4, recv().boxed()),
        (6, recv_exact().boxed()),
        (8, send_all().boxed()),
        (3, framed().boxed()),
        (2, turn().boxed()),
        (3, set().boxed()),
        (2, ensure().boxed()),
        (4, call().boxed()),
        (1, Just(vec![Kind::Shutdown { socket: 0 }.step()]).boxed()),
        (1, jump(Kind::Finish).boxed()),
        (1, leaf().prop_flat_map(|errno| jump(Kind::Fail { errno })).boxed()),
    ];
    kinds.extend(fragments::simple());
    kinds.extend(coordinated::simple());
    kinds.extend(arrivals::simple());
    if inside == Inside::Nothing {
        kinds.push((4, arrivals::accepted()));
    }
    if depth < DEEPEST {
        kinds.extend(coordinated::nested(depth, inside));
        kinds.push((4, fragments::attempt(depth, inside).boxed()));
        kinds.push((6, fragments::hoistable().boxed()));
        kinds.push((4, when(depth, inside).boxed()));
        kinds.push((5, repeat(depth).boxed()));
    }
    if inside != Inside::Nothing {
        kinds.push((2, jump(Kind::Leave).boxed()));
    }
    if inside == Inside::Loop {
        kinds.push((2, jump(Kind::Again).boxed()));
    }
    weighted(kinds)
}

/// One of many. As a union does, but that makes a generator of random numbers for each of those before the one that it
/// takes, to shrink towards them: with as many as there are here that takes as long as all the rest.
fn weighted(kinds: Vec<(u32, BoxedStrategy<Vec<Step>>)>) -> BoxedStrategy<Vec<Step>> {
    let total: u32 = kinds.iter().map(|(weight, _)| weight).sum();
    let pick = move |mut number: u32| {
        let mut kinds = kinds.iter();
        loop {
            let (weight, kind) = kinds.next().expect("the number is less than the sum");
            match number.checked_sub(*weight) {
                Some(left) => number = left,
                None => break kind.clone(),
            }
        }
    };
    (0..total).prop_flat_map(pick).boxed()
}

pub(crate) fn step(kind: Kind) -> Vec<Step> {
    vec![kind.step()]
}

pub(crate) fn socket() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0), 1 => 0..GIVEN]
}

pub(crate) fn general() -> std::ops::Range<usize> {
    0..GENERAL
}

/// A buffer to receive into: a small one, mostly.
pub(crate) fn inlet() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..3usize, 1 => 3..ECHO_BUF]
}

/// A span of known length in one of the buffers that `buf` gives.
pub(crate) fn fixed(buf: impl Strategy<Value = usize> + 'static) -> BoxedStrategy<Span> {
    (buf, any::<(u32, u32)>(), prop::bool::weighted(0.4))
        .prop_map(|(buf, (a, b), all)| {
            if all {
                return Span::all(buf);
            }
            let from = a % BUFS[buf];
            Span { buf, from, start: None, len: Len::Fixed(1 + b % (BUFS[buf] - from)) }
        })
        .boxed()
}

pub(crate) fn span(buf: impl Strategy<Value = usize> + Clone + 'static) -> BoxedStrategy<Span> {
    let to = (buf.clone(), general()).prop_map(|(buf, reg)| Span::to(buf, reg));
    let len = prop_oneof![2 => (1..5u32).prop_map(Len::Fixed), 1 => general().prop_map(Len::Reg)];
    let part = (buf.clone(), general(), len)
        .prop_map(|(buf, start, len)| Span { start: Some(start), ..Span { len, ..Span::all(buf) } });
    prop_oneof![6 => fixed(buf), 2 => to, 1 => part].boxed()
}

/// Bytes to be read, of any kind.
pub(crate) fn source() -> BoxedStrategy<Span> {
    let held = prop_oneof![
        2 => Just(Len::Reg(HELD)),
        1 => (1..5u32).prop_map(Len::Fixed),
        1 => general().prop_map(Len::Reg)
    ];
    prop_oneof![12 => span(any_buf()), 2 => fixed(Just(CONSTANT)), 1 => held.prop_map(Span::held)].boxed()
}

pub(crate) fn any_buf() -> std::ops::Range<usize> {
    0..ECHO_BUF
}

fn recv() -> impl Strategy<Value = Vec<Step>> {
    let logged =
        (socket(), span(0..ECHO_BUF), general(), any::<bool>()).prop_map(|(socket, span, reg, or_finish)| {
            let recv = Kind::Recv { socket, span, into: Some(reg), or_finish, count: Count::Logged };
            vec![recv.step(), Kind::Call(Call::Log(reg)).step()]
        });
    prop_oneof![2 => logged, 1 => recv_one().prop_map(step)]
}

fn recv_one() -> impl Strategy<Value = Kind> {
    (socket(), 0..ECHO_BUF, any::<u32>(), option::of(general()), any::<bool>()).prop_map(
        |(socket, buf, from, into, or_finish)| {
            let span = Span { buf, from: from % BUFS[buf], start: None, len: Len::Fixed(1) };
            Kind::Recv { socket, span, into, or_finish, count: Count::One }
        },
    )
}

pub(crate) fn exact(span: impl Strategy<Value = Span>) -> impl Strategy<Value = Kind> {
    let into = option::weighted(0.3, general());
    (socket(), span, into, any::<bool>()).prop_map(|(socket, span, into, or_finish)| Kind::RecvExact {
        socket,
        span,
        into,
        or_finish,
    })
}

pub(crate) fn recv_exact() -> BoxedStrategy<Vec<Step>> {
    exact(prop_oneof![fixed(inlet()).boxed(), span(0..3usize).boxed()]).prop_map(step).boxed()
}

pub(crate) fn send_all() -> BoxedStrategy<Vec<Step>> {
    let several = vec(source(), 1..4);
    // Behind each other in memory: one transfer.
    let neighbours =
        (0..ECHO_BUF - 1, general()).prop_map(|(buf, reg)| vec![Span::all(buf), Span::to(buf + 1, reg)]);
    let empty = fixed(any_buf()).prop_map(|span| vec![Span { len: Len::Fixed(0), ..span }, span]);
    let spans = prop_oneof![6 => several, 2 => neighbours, 1 => empty];
    let into = option::weighted(0.3, general());
    (socket(), spans, into)
        .prop_map(|(socket, spans, into)| step(Kind::SendAll { socket, spans, into }))
        .boxed()
}

/// A message with its length in front, answered.
fn framed() -> impl Strategy<Value = Vec<Step>> {
    let mask = select(vec![3u64, 7, 15, 63]);
    (socket(), general(), mask, any::<bool>(), any::<bool>()).prop_map(
        |(socket, len, mask, or_finish, checked)| {
            let head = Span { buf: 0, from: 0, start: None, len: Len::Fixed(2) };
            let size = Expr::Load { buf: 0, offset: 0, width: 2, big: true };
            let size = Expr::Binary(Op::And, Box::new([size, Expr::Const(mask)]));
            let body = Span::to(2, len);
            let mut steps = vec![
                Kind::RecvExact { socket, span: head, into: None, or_finish }.step(),
                Kind::Set { reg: len, value: size }.step(),
                Kind::RecvExact { socket, span: body, into: None, or_finish: false }.step(),
                Kind::SendAll { socket, spans: vec![head, body], into: None }.step(),
            ];
            if checked {
                let cond = Expr::Binary(Op::Le, Box::new([Expr::Reg(len), Expr::Const(mask / 2 + 1)]));
                steps.insert(2, Kind::Ensure { cond, code: libc::EMSGSIZE }.step());
            }
            steps
        },
    )
}

/// A message of known length, answered: what links.
fn turn() -> impl Strategy<Value = Vec<Step>> {
    (exact(fixed(0..3usize)), socket()).prop_map(|(recv, to)| {
        let Kind::RecvExact { span, .. } = recv else { unreachable!("made by `exact`") };
        vec![recv.step(), Kind::SendAll { socket: to, spans: vec![span], into: None }.step()]
    })
}

pub(crate) fn leaf() -> BoxedStrategy<Expr> {
    let load = (0..ECHO_BUF, any::<u32>(), select(vec![1u32, 2, 4, 8]), any::<bool>()).prop_map(
        |(buf, offset, width, big)| {
            let width = width.min(BUFS[buf]);
            Expr::Load { buf, offset: offset % (BUFS[buf] - width + 1), width, big }
        },
    );
    let number = prop_oneof![8 => 0..70u64, 1 => any::<u64>()];
    let bytes = prop_oneof![
        2 => (source(), 0..12u64).prop_map(|(span, byte)| Expr::Find { span, byte: Expr::Const(byte).into() }),
        1 => (source(), general()).prop_map(|(span, reg)| Expr::Find { span, byte: Expr::Reg(reg).into() }),
        2 => (source(), source()).prop_map(|(a, b)| Expr::Equals(a, b)),
        1 => source().prop_map(Expr::Hash),
        2 => (source(), source()).prop_map(|(a, b)| Expr::FindBytes(a, b)),
        2 => (source(), fixed(Just(CONSTANT))).prop_map(|(a, b)| Expr::FindBytes(a, b)),
        2 => fragments::parted(),
    ];
    let index = (0..ECHO_BUF, general(), any::<bool>(), select(vec![1u32, 2, 4, 8]), any::<bool>()).prop_map(
        |(buf, reg, fits, width, big)| {
            let width = width.min(BUFS[buf]);
            // The largest mask that keeps it inside.
            let most = u64::from((BUFS[buf] - width + 1).next_power_of_two() / 2).max(1) - 1;
            let inside = Expr::binary(Op::And, Expr::Reg(reg), Expr::Const(most));
            let index = Box::new(if fits { inside } else { Expr::Reg(reg) });
            Expr::LoadAt { buf, index, width, big }
        },
    );
    prop_oneof![
        4 => number.prop_map(Expr::Const),
        6 => general().prop_map(Expr::Reg),
        4 => load,
        1 => index,
        1 => bytes,
        1 => Just(Expr::Reg(HELD))
    ]
    .boxed()
}

pub(crate) fn binary(a: BoxedStrategy<Expr>, b: BoxedStrategy<Expr>) -> BoxedStrategy<Expr> {
    let op = select(Op::ALL.to_vec()).prop_map(|(op, _)| op);
    (op, a, b, prop::bool::weighted(0.85))
        .prop_map(|(op, a, b, divides)| match op {
            Op::Div | Op::Rem if divides => Expr::binary(op, a, Expr::binary(Op::Or, b, Expr::Const(1))),
            _ => Expr::binary(op, a, b),
        })
        .boxed()
}

pub(crate) fn expr() -> BoxedStrategy<Expr> {
    prop_oneof![2 => leaf(), 2 => binary(leaf(), leaf()), 1 => binary(binary(leaf(), leaf()), leaf())].boxed()
}

pub(crate) fn set() -> BoxedStrategy<Vec<Step>> {
    let small = (expr(), select(vec![1u64, 3, 7, 15, 63]))
        .prop_map(|(value, mask)| Expr::Binary(Op::And, Box::new([value, Expr::Const(mask)])));
    let value = prop_oneof![3 => small, 2 => (0..16u64).prop_map(Expr::Const), 1 => expr()];
    (general(), value).prop_map(|(reg, value)| step(Kind::Set { reg, value })).boxed()
}

/// A small number compared with another one, which often is the same.
fn compared() -> BoxedStrategy<Expr> {
    let op = select(vec![Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge]);
    (op, leaf(), 0..4u64)
        .prop_map(|(op, value, number)| {
            let small = Expr::binary(Op::And, value, Expr::Const(3));
            Expr::binary(op, small, Expr::Const(number))
        })
        .boxed()
}

fn ensure() -> impl Strategy<Value = Vec<Step>> {
    let likely = leaf().prop_map(|value| Expr::Binary(Op::Lt, Box::new([value, Expr::Const(u64::MAX / 2)])));
    let cond = prop_oneof![5 => likely, 1 => expr(), 1 => compared()];
    (cond, select(vec![libc::EPROTO, libc::EMSGSIZE]))
        .prop_map(|(cond, code)| step(Kind::Ensure { cond, code }))
}

pub(crate) fn call() -> BoxedStrategy<Vec<Step>> {
    let mix = (source(), span(any_buf()), general());
    prop_oneof![
        2 => Just(Call::Observe),
        4 => (source(), general()).prop_map(|(span, reg)| Call::Look(span, reg)),
        2 => (span(any_buf()), any::<u8>()).prop_map(|(span, seed)| Call::Fill(span, seed)),
        3 => mix.prop_map(|(from, to, reg)| Call::Mix { from, to, reg }),
        1 => general().prop_map(Call::Take),
        3 => general().prop_map(Call::Decide),
    ]
    .prop_map(|call| step(Kind::Call(call)))
    .boxed()
}

/// A jump that is taken sometimes; without a condition, what follows it would never be reached.
pub(crate) fn jump(kind: Kind) -> impl Strategy<Value = Vec<Step>> {
    let sometimes = (leaf(), 0..10u64).prop_map({
        let kind = kind.clone();
        move |(value, number)| {
            let cond = Expr::Binary(Op::Eq, Box::new([value, Expr::Const(number)]));
            step(Kind::When { cond, then: step(kind.clone()), otherwise: Block::new() })
        }
    });
    prop_oneof![9 => sometimes, 1 => Just(step(kind))]
}

fn when(depth: usize, inside: Inside) -> impl Strategy<Value = Vec<Step>> {
    let otherwise = prop_oneof![Just(Block::new()).boxed(), block(depth + 1, inside)];
    (prop_oneof![1 => expr(), 1 => compared()], block(depth + 1, inside), otherwise)
        .prop_map(|(cond, then, otherwise)| step(Kind::When { cond, then, otherwise }))
}

fn repeat(depth: usize) -> impl Strategy<Value = Vec<Step>> {
    let counter = counter(depth);
    let reset = Kind::Set { reg: counter, value: Expr::Const(0) }.step();
    let next = Expr::Binary(Op::Add, Box::new([Expr::Reg(counter), Expr::Const(1)]));
    let count = Kind::Set { reg: counter, value: next }.step();
    let check = move |times: u64| {
        let cond = Expr::Binary(Op::Ge, Box::new([Expr::Reg(counter), Expr::Const(times)]));
        Kind::When { cond, then: step(Kind::Leave), otherwise: Block::new() }.step()
    };
    // Counted before the body.
    let before = (1..5u64, block(depth + 1, Inside::Loop)).prop_map({
        let (reset, count) = (reset.clone(), count.clone());
        move |(times, body)| {
            let body = [vec![check(times), count.clone()], body].concat();
            vec![reset.clone(), Kind::Repeat { body }.step()]
        }
    });
    // Counted behind it.
    let behind = (1..5u64, block(depth + 1, Inside::Counted)).prop_map(move |(times, body)| {
        let body = [body, vec![count.clone(), check(times)]].concat();
        vec![reset.clone(), Kind::Repeat { body }.step()]
    });
    // Not at all: every turn takes something from a stream, which ends.
    let head = prop_oneof![exact(fixed(0..3usize)).boxed(), recv_one().boxed()];
    let stream = (head, block(depth + 1, Inside::Loop))
        .prop_map(|(head, body)| step(Kind::Repeat { body: [step(head), body].concat() }));
    prop_oneof![before, behind, stream]
}

/// All that comes is sent back, to the end of the stream.
fn echo() -> impl Strategy<Value = Vec<Step>> {
    any::<bool>().prop_map(|or_finish| {
        let (socket, reg) = (0, ECHO_REG);
        let recv =
            Kind::Recv { socket, span: Span::all(ECHO_BUF), into: Some(reg), or_finish, count: Count::Free };
        let send = Kind::SendAll { socket, spans: vec![Span::to(ECHO_BUF, reg)], into: None };
        step(Kind::Repeat { body: vec![recv.step(), send.step()] })
    })
}
