//! Fragments of what coordinates: deadlines, groups, branches, turns side by side, words, events, the log, futures; and of
//! what came to be read into and written elsewhere: pipes, names, buffers that are there only while they are used.
//!
//! Whoever has nobody to wait for but himself must not wait: a wait has its notify in front, a branch that never ends has a
//! sibling that is enough, and in a group is nothing that needs a peer.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::arrivals::in_vain;
use super::branched::{branches, pipelined};
use super::fragments::{compute, file, in_register, masked, read_exact, write};
use super::program::{
    Block, CHANGED, CONSTANT, Call, Count, End, Expr, FileStep, INSIDE_WORD, Kind, LONG, Len, OWNED, Op,
    POOLED, Path, Ready, SHORT, Span, Step, WORDS,
};
use super::strategy::{
    Inside, any_buf, block, call, expr, fixed, general, jump, leaf, set, socket, source, span, step,
};

type Fragment = BoxedStrategy<Vec<Step>>;

/// Those that need no blocks of any kind.
pub(crate) fn simple() -> Vec<(u32, Fragment)> {
    vec![
        (2, splice()),
        (1, names()),
        (3, held_for_a_while()),
        (2, word()),
        (1, posted()),
        (1, commit()),
        (1, fetch()),
        (1, alone()),
        (2, late()),
        (1, left_in_time()),
        (2, cleaned_up()),
        (2, pipelined()),
        (3, branches()),
    ]
}

/// Those with blocks of any kind.
pub(crate) fn nested(depth: usize, inside: Inside) -> Vec<(u32, Fragment)> {
    vec![(2, patient(depth, inside)), (2, serial(inside))]
}

/// From a socket as much as comes, where what is put cannot fail; else a byte. From a file to a file what there is.
fn splice() -> Fragment {
    let len = prop_oneof![2 => (1..200u32).prop_map(Len::Fixed), 1 => Just(Len::Fixed(1 << 16))];
    let one = (socket(), prop_oneof![socket().prop_map(End::Socket), file().prop_map(End::File)])
        .prop_map(|(from, to)| (End::Socket(from), to, Len::Fixed(1)));
    let much = (socket(), len.clone()).prop_map(|(from, len)| (End::Socket(from), End::Socket(1), len));
    // What goes from a file to a socket lies in the file until the peer reads it, and may be written to meanwhile.
    let stored = (file(), file(), len).prop_map(|(from, to, len)| (End::File(from), End::File(to), len));
    let noted = |from, to, len, into, or_finish| {
        let splice = Kind::Splice { from, to, len, into, or_finish };
        vec![splice.step(), Kind::Call(Call::Log(into)).step()]
    };
    let whole = (prop_oneof![one, much, stored], general(), any::<bool>())
        .prop_map(move |((from, to, len), into, or_finish)| noted(from, to, len, into, or_finish));
    // A byte that is left in the pipe, because there is no file for it, is not the next one's.
    let left = (socket(), socket(), general(), general()).prop_map(move |(from, to, into, errno)| {
        let (from, to, one) = (End::Socket(from), End::Socket(to), Len::Fixed(1));
        let attempt = |body| Kind::Attempt { body, errno: Some(errno), handler: Block::new() }.step();
        let close = attempt(step(Kind::File(FileStep::CloseFile { file: 1 })));
        let lost = attempt(noted(from, End::File(1), one, into, false));
        [vec![close, lost], noted(from, to, one, into, false)].concat()
    });
    prop_oneof![4 => whole, 1 => left].boxed()
}

fn path() -> impl Strategy<Value = Path> {
    prop_oneof![6 => (0..CHANGED).prop_map(Path::Name), 1 => fixed(0..2usize).prop_map(Path::Bytes)]
}

fn names() -> Fragment {
    let rename = (path(), path()).prop_map(|(from, to)| Kind::Rename { from, to });
    let remove = (path(), any::<bool>()).prop_map(|(path, directory)| Kind::Remove { path, directory });
    prop_oneof![2 => rename, 2 => remove, 1 => Just(Kind::Nop)].prop_map(step).boxed()
}

/// A pooled or an owned buffer: filled, added to, looked at, and given back.
fn held_for_a_while() -> Fragment {
    let buf = prop_oneof![2 => Just(POOLED), 1 => Just(OWNED)];
    let fill = |buf: usize| {
        let exact = (socket(), 1..40u32, option::of(general()), any::<bool>()).prop_map(
            move |(socket, len, into, or_finish)| {
                let span = Span { len: Len::Fixed(len), ..Span::all(buf) };
                step(Kind::RecvExact { socket, span, into, or_finish })
            },
        );
        let some = (socket(), general(), any::<bool>()).prop_map(move |(socket, reg, or_finish)| {
            let (span, into, count) = (Span::all(buf), Some(reg), Count::Logged);
            let recv = Kind::Recv { socket, span, into, or_finish, count };
            vec![recv.step(), Kind::Call(Call::Log(reg)).step()]
        });
        let read = (file(), 1..40u32, general()).prop_map(move |(file, len, reg)| {
            let span = Span { len: Len::Fixed(len), ..Span::all(buf) };
            let (position, into) = (Expr::Const(3), Some(reg));
            step(Kind::File(FileStep::Read { file, span, position, into, exact: true, or_finish: false }))
        });
        prop_oneof![3 => exact, 2 => some, 1 => read]
    };
    let used = |buf: usize| {
        // Mostly of what has come.
        let part = prop_oneof![
            4 => (0..8u32, 1..8u32).prop_map(move |(from, len)| {
                Span { from, len: Len::Fixed(len), ..Span::all(buf) }
            }),
            2 => general().prop_map(move |reg| Span::to(buf, reg)),
            1 => span(Just(buf)),
        ];
        let part = part.boxed();
        let send = (socket(), vec(part.clone(), 1..3))
            .prop_map(|(socket, spans)| step(Kind::SendAll { socket, spans, into: None }));
        let look = (part.clone(), general()).prop_map(|(span, reg)| step(Kind::Call(Call::Look(span, reg))));
        let mix = (source(), part.clone(), general())
            .prop_map(|(from, to, reg)| step(Kind::Call(Call::Mix { from, to, reg })));
        let value = prop_oneof![
            part.clone().prop_map(Expr::Hash),
            (part.clone(), 0..12u64)
                .prop_map(|(span, byte)| Expr::Find { span, byte: Expr::Const(byte).into() }),
        ];
        let set =
            (general(), value).prop_map(|(reg, value)| step(Kind::Set { reg, value: masked(value, 15) }));
        let copy = (fixed(any_buf()), part.clone()).prop_map(|(to, from)| step(Kind::Copy { to, from }));
        let store = (part.clone(), expr()).prop_map(move |(span, value)| match span.buf {
            POOLED => step(Kind::Store {
                buf: POOLED,
                at: Expr::Const(span.from.into()),
                width: 1,
                big: true,
                value,
            }),
            _ => step(Kind::Copy { to: Span { len: Len::Fixed(4), ..span }, from: Span::all(0) }),
        });
        let written = (file(), part.clone()).prop_map(|(file, span)| {
            step(Kind::File(FileStep::Write {
                file,
                spans: vec![span],
                position: Expr::Const(7),
                into: None,
            }))
        });
        let more = (socket(), 0..40u32, 1..9u32).prop_map(move |(socket, from, len)| {
            let span = Span { from, len: Len::Fixed(len), ..Span::all(buf) };
            step(Kind::RecvExact { socket, span, into: None, or_finish: false })
        });
        let log = vec(part, 1..3).prop_map(|spans| step(Kind::Commit { spans, into: None }));
        prop_oneof![
            4 => send, 3 => look, 2 => mix, 2 => set, 1 => copy, 1 => store, 1 => written, 1 => more, 1 => log,
            1 => call(), 1 => compute()
        ]
    };
    buf.prop_flat_map(move |buf| (fill(buf), vec(used(buf), 1..4)))
        .prop_map(|(fill, used)| [fill, used.concat()].concat())
        .boxed()
}

fn word() -> Fragment {
    let word = || select((0..WORDS).filter(|word| *word != INSIDE_WORD).collect::<Vec<_>>());
    let value = || prop_oneof![2 => leaf(), 1 => word().prop_map(Expr::Word), 1 => expr()];
    let set = (word(), value()).prop_map(|(word, value)| Kind::SetWord { word, value });
    let see = (general(), word(), leaf()).prop_map(|(reg, word, value)| Kind::Set {
        reg,
        value: masked(Expr::binary(Op::Add, Expr::Word(word), value), 63),
    });
    let add = (word(), value(), option::of(general())).prop_map(|(word, value, into)| Kind::FetchAdd {
        word,
        value,
        into,
    });
    let exchange = (word(), value(), value(), option::of(general()))
        .prop_map(|(word, current, new, into)| Kind::Exchange { word, current, new, into });
    prop_oneof![2 => set, 2 => see, 2 => add, 1 => exchange].prop_map(step).boxed()
}

fn posted() -> Fragment {
    (1..3usize).prop_map(|posts| [vec![Kind::Notify.step(); posts], step(Kind::Wait)].concat()).boxed()
}

fn commit() -> Fragment {
    (vec(source(), 1..3), option::of(general()))
        .prop_map(|(spans, into)| step(Kind::Commit { spans, into }))
        .boxed()
}

fn fetch() -> Fragment {
    let ready = select(vec![Ready::AtOnce, Ready::NextTurn, Ready::Later]);
    (source(), span(any_buf()), general(), ready)
        .prop_map(|(from, to, reg, ready)| step(Kind::Fetch { from, to, reg, ready }))
        .boxed()
}

/// What needs no peer.
fn local() -> Fragment {
    prop_oneof![2 => write(), 2 => read_exact(), 2 => compute(), 2 => set(), 2 => call(), 1 => names(), 1 => word()]
        .boxed()
}

/// A section that fails if another frame is in it as well, whatever goes wrong inside of it.
fn alone() -> Fragment {
    let transfer = prop_oneof![write(), read_exact(), names(), compute()];
    (vec(transfer, 1..3), general())
        .prop_map(|(steps, errno)| {
            let mut steps = steps.concat();
            // The end of a file must not lead out of it.
            for step in &mut steps {
                if let Kind::File(FileStep::Read { or_finish, .. }) = &mut step.kind {
                    *or_finish = false;
                }
            }
            let word = INSIDE_WORD;
            let free = Expr::binary(Op::Eq, Expr::Word(word), Expr::Const(0));
            let attempt = Kind::Attempt { body: steps, errno: Some(errno), handler: Block::new() };
            let body = vec![
                Kind::Ensure { cond: free, code: libc::EDEADLK }.step(),
                Kind::SetWord { word, value: Expr::Const(1) }.step(),
                attempt.step(),
                Kind::SetWord { word, value: Expr::Const(0) }.step(),
            ];
            step(Kind::Serial { body })
        })
        .boxed()
}

/// A group that is left in every way that there is.
fn serial(inside: Inside) -> Fragment {
    let mut ways = vec![(6, local()), (1, jump(Kind::Finish).boxed())];
    if inside != Inside::Nothing {
        ways.push((1, jump(Kind::Leave).boxed()));
    }
    if inside == Inside::Loop {
        ways.push((1, jump(Kind::Again).boxed()));
    }
    let steps = vec(proptest::strategy::Union::new_weighted(ways), 1..4);
    steps.prop_map(|steps| step(Kind::Serial { body: steps.concat() })).boxed()
}

/// A deadline that is never come to, around anything.
fn patient(depth: usize, inside: Inside) -> Fragment {
    block(depth + 1, inside).prop_map(|body| step(Kind::Within { time: LONG, body })).boxed()
}

/// A deadline that strikes, and what makes it, with attempts inside that are not to deal with it.
fn late() -> Fragment {
    let before = vec(prop_oneof![set(), compute()], 0..2);
    let sleep = || step(Kind::Sleep { time: Expr::Const(2 * LONG) });
    let side_by_side = |need| Kind::Fork { need, branches: vec![sleep(), step(Kind::Nop)] };
    let waits = prop_oneof![
        2 => Just(sleep()),
        2 => in_vain(),
        // The step that waits may fail, and so has a handler: that is for its own errors, not for the deadline.
        5 => (in_vain(), general()).prop_map(move |(in_vain, reg)| {
            let handler = step(Kind::Set { reg, value: Expr::Const(77) });
            step(Kind::Attempt { body: in_vain, errno: Some(reg), handler })
        }),
        1 => general().prop_map(move |reg| {
            let handler = step(Kind::Set { reg, value: Expr::Const(77) });
            // It has to have something to deal with.
            let cond = Expr::binary(Op::Lt, Expr::Reg(reg), Expr::Const(u64::MAX));
            let ensure = step(Kind::Ensure { cond, code: libc::EPROTO });
            step(Kind::Attempt { body: [ensure, sleep()].concat(), errno: Some(reg), handler })
        }),
        1 => prop_oneof![Just(sleep()), in_vain()].prop_map(|body| step(Kind::Repeat { body })),
        1 => Just(step(Kind::Serial { body: sleep() })),
        1 => Just(step(side_by_side(None))),
    ];
    let behind = vec(prop_oneof![set(), call()], 0..2);
    let handled = option::weighted(0.8, (general(), vec(prop_oneof![call(), set()], 0..2)));
    (before, waits, behind, handled, general())
        .prop_map(|(before, waits, behind, handled, seen)| {
            // Behind what never ends nothing can be reached.
            let endless = matches!(waits[0].kind, Kind::Repeat { .. });
            let behind = if endless { Block::new() } else { behind.concat() };
            let within = step(Kind::Within { time: SHORT, body: [before.concat(), waits, behind].concat() });
            let Some((errno, handler)) = handled else { return within };
            let attempt = Kind::Attempt { body: within, errno: Some(errno), handler: handler.concat() };
            vec![attempt.step(), Kind::Call(Call::Look(Span::all(CONSTANT), seen)).step()]
        })
        .boxed()
}

/// A block that is left in time in one way or another, and what sleeps for longer behind it.
fn left_in_time() -> Fragment {
    let within = |body: Vec<Vec<Step>>| step(Kind::Within { time: SHORT, body: body.concat() });
    let compute = || vec(prop_oneof![set(), compute()], 0..2).prop_map(|steps| steps.concat()).boxed();
    let errno = general();
    let attempt = move |errno, body| step(Kind::Attempt { body, errno: Some(errno), handler: Block::new() });
    let ends = (compute(), errno.clone()).prop_map(move |(body, errno)| attempt(errno, within(vec![body])));
    let leaves = (compute(), errno.clone()).prop_map(move |(body, errno)| {
        let leave = step(Kind::Leave);
        let turns = step(Kind::Repeat { body: within(vec![body, leave]) });
        attempt(errno, turns)
    });
    let fails = (compute(), errno).prop_map(move |(body, errno)| {
        let never = Expr::binary(Op::Eq, Expr::Const(1), Expr::Const(2));
        let fail = step(Kind::Ensure { cond: never, code: libc::EPROTO });
        attempt(errno, within(vec![body, fail]))
    });
    let twice = compute().prop_map(move |body| within(vec![body, within(vec![])]));
    let sleep = step(Kind::Sleep { time: Expr::Const(4 * SHORT) });
    prop_oneof![ends, leaves, fails, twice].prop_map(move |left| [left, sleep.clone()].concat()).boxed()
}

/// What is opened is read and closed in one submission.
fn cleaned_up() -> Fragment {
    let open = (0..CHANGED, select(vec![libc::O_RDONLY, libc::O_RDWR]));
    let errno = option::weighted(0.7, general());
    (open, fixed(1..4usize), in_register(), general(), errno, prop::bool::weighted(0.3))
        .prop_map(|((name, flags), span, (mut steps, position), reg, errno, exact)| {
            let (file, into) = (1, Some(reg));
            let read = vec![
                FileStep::Open { file, path: Path::Name(name), flags }.step(),
                FileStep::Read { file, span, position, into, exact, or_finish: false }.step(),
                FileStep::CloseFile { file }.step(),
                Kind::Call(if exact { Call::Observe } else { Call::Log(reg) }).step(),
            ];
            match errno {
                Some(errno) => {
                    let handler = Block::new();
                    steps.push(Kind::Attempt { body: read, errno: Some(errno), handler }.step());
                }
                None => steps.extend(read),
            }
            steps
        })
        .boxed()
}

/// Whether a program's frames would see each other in words, or in what the log says where something lies.
pub(crate) fn is_shared(step: &Step) -> bool {
    match &step.kind {
        Kind::SetWord { word, .. } | Kind::FetchAdd { word, .. } | Kind::Exchange { word, .. } => {
            *word != INSIDE_WORD
        }
        Kind::Set { value, .. } => sees_words(value),
        Kind::Commit { .. } => true,
        kind if kind.takes_futexes() => true,
        _ => false,
    }
}

fn sees_words(expr: &Expr) -> bool {
    match expr {
        Expr::Word(_) => true,
        Expr::Binary(_, operands) => operands.iter().any(sees_words),
        _ => false,
    }
}
