//! Fragments of files, of the stream buffer, of what computes, and of what goes wrong.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::program::{
    BUFS, Block, CHANGED, CONSTANT, Call, Expr, FILES, FileStep, HELD, Kind, Len, Op, Path, Span, Step,
};
use super::strategy::{
    Inside, any_buf, binary, block, call, exact, expr, fixed, general, inlet, leaf, send_all, set, socket,
    source, span, step,
};

type Fragment = BoxedStrategy<Vec<Step>>;

/// Those without blocks.
pub(crate) fn simple() -> Vec<(u32, Fragment)> {
    vec![
        (2, read_exact()),
        (2, read()),
        (4, write()),
        (1, sync()),
        (2, shape()),
        (2, open()),
        (1, file().prop_map(|file| step(Kind::File(FileStep::CloseFile { file }))).boxed()),
        (1, statx()),
        (3, stream()),
        (2, compute()),
        (3, outbox()),
        (1, send()),
        (1, sleep()),
    ]
}

pub(crate) fn file() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 2 => 0..FILES]
}

pub(crate) fn masked(value: Expr, mask: u64) -> Expr {
    Expr::binary(Op::And, value, Expr::Const(mask))
}

/// Where in a file: inside of it or not far behind its end, mostly.
fn position() -> impl Strategy<Value = Expr> {
    prop_oneof![
        4 => (0..60u64).prop_map(Expr::Const),
        4 => general().prop_map(|reg| masked(Expr::Reg(reg), 63)),
        2 => leaf().prop_map(|value| masked(value, 1023)),
        // Negative numbers, and the one that the kernel takes for "where the file is".
        1 => select(vec![u64::MAX, u64::MAX - 1, 1 << 63]).prop_map(Expr::Const),
    ]
}

/// The same, and often a register itself, which is kept small.
pub(crate) fn in_register() -> impl Strategy<Value = (Vec<Step>, Expr)> {
    let register = (general(), leaf())
        .prop_map(|(reg, value)| (step(Kind::Set { reg, value: masked(value, 63) }), Expr::Reg(reg)));
    prop_oneof![1 => register, 2 => position().prop_map(|position| (Vec::new(), position))]
}

pub(crate) fn read_exact() -> Fragment {
    let into = option::weighted(0.3, general());
    let span = prop_oneof![fixed(inlet()).boxed(), span(0..3usize).boxed()];
    (file(), span, in_register(), into, prop::bool::weighted(0.3))
        .prop_map(|(file, span, (mut steps, position), into, or_finish)| {
            steps.push(FileStep::Read { file, span, position, into, exact: true, or_finish }.step());
            steps
        })
        .boxed()
}

fn read() -> Fragment {
    (file(), span(any_buf()), in_register(), general(), prop::bool::weighted(0.2))
        .prop_map(|(file, span, (mut steps, position), reg, or_finish)| {
            let into = Some(reg);
            steps.push(FileStep::Read { file, span, position, into, exact: false, or_finish }.step());
            steps.push(Kind::Call(Call::Log(reg)).step());
            steps
        })
        .boxed()
}

pub(crate) fn write() -> Fragment {
    let into = option::weighted(0.3, general());
    (file(), vec(source(), 1..4), in_register(), into)
        .prop_map(|(file, spans, (mut steps, position), into)| {
            steps.push(FileStep::Write { file, spans, position, into }.step());
            steps
        })
        .boxed()
}

fn sync() -> Fragment {
    (file(), any::<bool>()).prop_map(|(file, data)| step(Kind::File(FileStep::Sync { file, data }))).boxed()
}

/// How long a file is.
fn shape() -> Fragment {
    let truncate = (file(), in_register()).prop_map(|(file, (mut steps, len))| {
        steps.push(FileStep::Truncate { file, len }.step());
        steps
    });
    let allocate = (file(), in_register(), position()).prop_map(|(file, (mut steps, position), len)| {
        steps.push(FileStep::Fallocate { file, position, len }.step());
        steps
    });
    prop_oneof![truncate, allocate].boxed()
}

fn open() -> Fragment {
    let path = prop_oneof![
        6 => prop_oneof![3 => Just(0), 1 => 0..CHANGED].prop_map(Path::Name),
        2 => fixed(0..2usize).prop_map(Path::Bytes),
    ];
    // A path that comes over the wire, or out of a file.
    let comes = option::weighted(0.5, prop_oneof![exact(fixed(0..2usize)).prop_map(step), read_exact()]);
    let access = prop_oneof![6 => Just(libc::O_RDWR), 1 => Just(libc::O_RDONLY), 1 => Just(libc::O_WRONLY)];
    let more = select(vec![0, 0, libc::O_CREAT, libc::O_CREAT | libc::O_EXCL, libc::O_TRUNC]);
    let open = (prop_oneof![1 => Just(0), 4 => Just(1)], path, access, more, comes).prop_map(
        |(file, mut path, access, more, comes)| {
            let mut steps = comes.unwrap_or_default();
            if let (
                Path::Bytes(path),
                Some(Kind::RecvExact { span, .. } | Kind::File(FileStep::Read { span, .. })),
            ) = (&mut path, steps.last().map(|step| &step.kind))
                && span.is_fixed()
            {
                *path = *span;
            }
            steps.push(FileStep::Open { file, path, flags: access | more }.step());
            steps
        },
    );
    (open, option::weighted(0.5, write()))
        .prop_map(|(open, write)| [open, write.unwrap_or_default()].concat())
        .boxed()
}

fn statx() -> Fragment {
    (file(), option::of(general()), option::of(general()))
        .prop_map(|(file, size, mode)| step(Kind::File(FileStep::Statx { file, size, mode })))
        .boxed()
}

/// What comes is put into the stream buffer, and taken out of it.
fn stream() -> Fragment {
    let fill = (socket(), general(), any::<bool>()).prop_map(|(socket, reg, or_finish)| {
        vec![
            Kind::Fill { socket, or_finish }.step(),
            Kind::Set { reg, value: Expr::Reg(HELD) }.step(),
            Kind::Call(Call::Log(reg)).step(),
        ]
    });
    let consume = prop_oneof![
        2 => leaf().prop_map(|value| masked(value, 7)),
        1 => Just(Expr::binary(Op::Div, Expr::Reg(HELD), Expr::Const(2))),
        1 => Just(Expr::Reg(HELD)),
    ];
    let consume = consume.prop_map(|len| step(Kind::Consume { len }));
    let take = general().prop_map(|reg| step(Kind::Call(Call::Take(reg))));
    let out = prop_oneof![2 => consume, 1 => take, 1 => send_all()];
    (fill, vec(out, 0..3)).prop_map(|(fill, out)| [fill, out.concat()].concat()).boxed()
}

/// Some of a span; the call notes how much.
fn send() -> Fragment {
    (socket(), source(), general())
        .prop_map(|(socket, span, into)| {
            vec![Kind::Send { socket, span, into }.step(), Kind::Call(Call::Log(into)).step()]
        })
        .boxed()
}

fn sleep() -> Fragment {
    leaf().prop_map(|value| step(Kind::Sleep { time: masked(value, 0x7fff) })).boxed()
}

/// What is put into the outbox, and mostly sent.
fn outbox() -> Fragment {
    let number = (option::of(select(vec![1u32, 2, 4, 8])), any::<bool>(), leaf());
    let put = prop_oneof![
        3 => source().prop_map(|span| step(Kind::Append { span })),
        2 => number.prop_map(|(width, big, value)| step(Kind::AppendNumber { width, big, value })),
    ];
    let send = option::weighted(0.8, socket().prop_map(|socket| step(Kind::SendOutbox { socket })));
    (vec(put, 0..4), send).prop_map(|(put, send)| [put.concat(), send.unwrap_or_default()].concat()).boxed()
}

/// Sorted numbers, searched: the constant's bytes ascend, and so do the numbers that are made of them, in either order.
pub(crate) fn parted() -> BoxedStrategy<Expr> {
    let key = prop_oneof![
        3 => (0..12u64, select(vec![1u64, 0x101, 0x0101_0101])).prop_map(|(n, by)| Expr::Const(n * by)),
        1 => Just(Expr::Const(u64::MAX)),
        1 => general().prop_map(Expr::Reg),
    ];
    (fixed(Just(CONSTANT)), select(vec![1u32, 2, 4, 8]), any::<bool>(), 0..3u32, key, any::<bool>())
        .prop_map(|(span, width, big, more, key, or_equal)| Expr::Partition {
            span,
            width,
            big,
            stride: width + more,
            key: key.into(),
            or_equal,
        })
        .boxed()
}

/// What cannot trap: it may move.
fn movable() -> Fragment {
    let value = prop_oneof![leaf(), binary(leaf(), leaf())].prop_map(|value| masked(value, 31));
    let value = value.prop_filter("it cannot trap", |value| !value.can_trap()).boxed();
    let set = (general(), value.clone()).prop_map(|(reg, value)| step(Kind::Set { reg, value }));
    let store = (any_buf(), any::<u32>(), select(vec![1u32, 2, 4, 8]), any::<bool>(), value).prop_map(
        |(buf, at, width, big, value)| {
            let width = width.min(BUFS[buf]);
            let at = Expr::Const(u64::from(at % (BUFS[buf] - width + 1)));
            step(Kind::Store { buf, at, width, big, value })
        },
    );
    let copy = (any_buf(), fixed(any_buf()), any::<u32>()).prop_map(|(buf, from, at)| {
        let len = (from.reach().len() as u32).min(BUFS[buf]);
        let at = at % (BUFS[buf] - len + 1);
        let fixed = |buf, from| Span { from, len: Len::Fixed(len), ..Span::all(buf) };
        step(Kind::Copy { to: fixed(buf, at), from: fixed(from.buf, from.from) })
    });
    prop_oneof![3 => set, 2 => store, 1 => copy].boxed()
}

pub(crate) fn compute() -> Fragment {
    let store = (any_buf(), leaf(), select(vec![1u32, 2, 4]), any::<bool>(), expr()).prop_map(
        |(buf, at, width, big, value)| step(Kind::Store { buf, at: masked(at, 3), width, big, value }),
    );
    let copy = (span(any_buf()), source()).prop_map(|(to, from)| step(Kind::Copy { to, from }));
    prop_oneof![4 => movable(), 2 => store, 1 => copy].boxed()
}

/// Transfers with computations in between that may move, and what shows whether they were right to.
pub(crate) fn hoistable() -> Fragment {
    let recv = exact(prop_oneof![fixed(0..3usize).boxed(), span(0..3usize).boxed()]).prop_map(step);
    let transfer = prop_oneof![3 => recv, 3 => send_all(), 2 => write(), 2 => read_exact(), 1 => sync()];
    let between = prop_oneof![8 => movable(), 1 => set(), 1 => compute()];
    let transfer = transfer.boxed();
    let pairs = vec((transfer.clone(), vec(between, 1..3)), 1..4);
    let handler = (option::weighted(0.5, transfer.clone()), vec(shown(), 1..3));
    let handled = option::weighted(0.7, (general(), handler));
    // What fails in the handler, or is not handled, may have another one around it.
    let outer = option::weighted(0.3, (general(), vec(shown(), 1..3)));
    (pairs, transfer, handled, outer, vec(shown(), 1..3))
        .prop_map(|(pairs, last, handled, outer, behind)| {
            let pair =
                |(transfer, between): (Vec<Step>, Vec<Vec<Step>>)| [transfer, between.concat()].concat();
            let attempt = |body, errno, handler| step(Kind::Attempt { body, errno: Some(errno), handler });
            let body = [pairs.into_iter().flat_map(pair).collect(), last].concat();
            let steps = match handled {
                Some((errno, (transfer, shown))) => {
                    let handler = [transfer.unwrap_or_default(), shown.concat()].concat();
                    attempt(body, errno, handler)
                }
                None => body,
            };
            let steps = match outer {
                Some((errno, shown)) => attempt(steps, errno, shown.concat()),
                None => steps,
            };
            [steps, behind.concat()].concat()
        })
        .boxed()
}

/// Calls that see registers or bytes.
fn shown() -> Fragment {
    prop_oneof![
        2 => Just(step(Kind::Call(Call::Observe))),
        1 => general().prop_map(|reg| step(Kind::Call(Call::Take(reg)))),
        4 => (fixed(0..4usize), general()).prop_map(|(span, reg)| step(Kind::Call(Call::Look(span, reg)))),
        1 => (general(), general()).prop_map(|(to, from)| {
            step(Kind::Set { reg: to, value: Expr::binary(Op::Add, Expr::Reg(from), Expr::Const(1)) })
        }),
    ]
    .boxed()
}

/// Anything may go wrong in here.
pub(crate) fn attempt(depth: usize, inside: Inside) -> impl Strategy<Value = Vec<Step>> {
    let errno = option::weighted(0.85, general());
    let shown = option::weighted(0.6, shown());
    (block(depth + 1, inside), errno, shown, block(depth + 1, inside), call()).prop_map(
        |(body, errno, shown, handler, behind)| {
            let handler = [shown.unwrap_or_default(), handler].concat();
            let handler = if errno.is_some() { handler } else { Block::new() };
            [step(Kind::Attempt { body, errno, handler }), behind].concat()
        },
    )
}
