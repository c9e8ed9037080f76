//! Fragments of what somebody else has to do: connect, send, make room, wake; and what nobody does.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::fragments::masked;
use super::program::{
    ACCEPTED, ANSWERED, Block, Call, Count, End, Expr, FUTEX, FileStep, GIVEN, IN, Kind, Len, OUT, Op, Path,
    Polled, SIGNAL, STILL, Step, WOKEN,
};
use super::strategy::{any_buf, call, fixed, general, leaf, socket, source, step};

type Fragment = BoxedStrategy<Vec<Step>>;

/// Those that may stand anywhere.
pub(crate) fn simple() -> Vec<(u32, Fragment)> {
    vec![(2, polled()), (1, woken()), (1, differs()), (1, wakes()), (2, sent_from_file())]
}

/// A poll, and of what holds then what was asked for.
fn poll(what: Polled, events: u64, into: Option<usize>) -> Vec<Step> {
    let asked = |reg| {
        let value = Expr::binary(Op::And, Expr::Reg(reg), Expr::Const(events));
        Kind::Set { reg, value }.step()
    };
    [Kind::Poll { what, events, into }.step()].into_iter().chain(into.map(asked)).collect()
}

fn polled() -> Fragment {
    let what = prop_oneof![
        3 => socket().prop_map(|socket| (Polled::Socket(socket), IN)),
        2 => socket().prop_map(|socket| (Polled::Socket(socket), OUT)),
        1 => Just((Polled::Room, OUT)),
    ];
    (what, option::of(general())).prop_map(|((what, events), into)| poll(what, events, into)).boxed()
}

/// A connection is taken, and used, and another one perhaps in its place. Not in a loop: so many come as there are steps.
pub(crate) fn accepted() -> Fragment {
    vec(one_accepted(), 1..3).prop_map(|all| all.concat()).boxed()
}

fn one_accepted() -> Fragment {
    let socket = ACCEPTED;
    let recv = (fixed(0..3usize), option::of(general()), any::<bool>())
        .prop_map(move |(span, into, or_finish)| step(Kind::RecvExact { socket, span, into, or_finish }));
    let some = (fixed(any_buf()), general()).prop_map(move |(span, reg)| {
        let recv = Kind::Recv { socket, span, into: Some(reg), or_finish: false, count: Count::Logged };
        vec![recv.step(), Kind::Call(Call::Log(reg)).step()]
    });
    let send = vec(source(), 1..3).prop_map(move |spans| step(Kind::SendAll { socket, spans, into: None }));
    let passed_on = (any::<bool>(), 0..GIVEN, general()).prop_map(move |(out, other, into)| {
        let (here, there) = (End::Socket(socket), End::Socket(other));
        let (from, to) = if out { (there, here) } else { (here, there) };
        let splice = Kind::Splice { from, to, len: Len::Fixed(1), into, or_finish: false };
        vec![splice.step(), Kind::Call(Call::Log(into)).step()]
    });
    let polled = (any::<bool>(), general())
        .prop_map(move |(out, into)| poll(Polled::Socket(socket), if out { OUT } else { IN }, Some(into)));
    let used = prop_oneof![3 => recv, 2 => some, 3 => send, 1 => passed_on, 1 => polled, 1 => call()];
    let announced = option::weighted(0.4, option::of(general()));
    (announced, vec(used, 0..5))
        .prop_map(|(announced, used)| {
            let announced = announced.map(|into| poll(Polled::Listener, IN, into)).unwrap_or_default();
            [announced, step(Kind::Accept), used.concat()].concat()
        })
        .boxed()
}

/// A thread wakes the program, or sets the word to something else and wakes it then.
fn woken() -> Fragment {
    let (word, reg) = (SIGNAL, general());
    let set = move |value| Kind::SetWord { word, value: Expr::Const(value) }.step();
    let wait = move |value| Kind::FutexWait { word, expected: Expr::Const(value) }.step();
    let seen = move |reg| Kind::Set { reg, value: masked(Expr::Word(word), 63) }.step();
    (any::<bool>(), reg)
        .prop_map(move |(answered, reg)| {
            if !answered {
                return vec![set(WOKEN), wait(WOKEN), seen(reg)];
            }
            // Whoever was woken looks again.
            let cond = Expr::binary(Op::Ne, Expr::Word(word), Expr::Const(ANSWERED));
            let leave = Kind::When { cond, then: step(Kind::Leave), otherwise: Block::new() };
            let turns = Kind::Repeat { body: vec![leave.step(), wait(ANSWERED)] };
            vec![set(ANSWERED), turns.step(), seen(reg)]
        })
        .boxed()
}

/// A wait for a word that is not as expected, or never can be.
fn differs() -> Fragment {
    let other = prop_oneof![3 => 1..5u64, 1 => Just(1 << 32)];
    (leaf(), other)
        .prop_map(|(value, other)| {
            let word = FUTEX;
            let expected = Expr::binary(Op::Add, Expr::Word(word), Expr::Const(other));
            vec![
                Kind::SetWord { word, value: masked(value, 63) }.step(),
                Kind::FutexWait { word, expected }.step(),
            ]
        })
        .boxed()
}

/// Nobody waits.
fn wakes() -> Fragment {
    (leaf(), option::of(general()))
        .prop_map(|(count, into)| step(Kind::FutexWake { word: FUTEX, count, into }))
        .boxed()
}

/// What never comes: only where a deadline strikes.
pub(crate) fn in_vain() -> BoxedStrategy<Block> {
    let word = FUTEX;
    let asleep = Kind::FutexWait { word, expected: Expr::Word(word) };
    prop_oneof![3 => Just(step(Kind::Poll { what: Polled::Silent, events: IN, into: None })), 1 => Just(step(asleep))]
        .boxed()
}

/// Parts of a file that nobody writes to: what goes from a file to a socket lies in the file until the peer reads it.
fn sent_from_file() -> Fragment {
    let file = 1;
    let len = prop_oneof![2 => (1..200u32).prop_map(Len::Fixed), 1 => Just(Len::Fixed(1 << 16)), 1 => general().prop_map(Len::Reg)];
    let part = (socket(), len, general(), any::<bool>()).prop_map(move |(socket, len, into, or_finish)| {
        let (from, to) = (End::File(file), End::Socket(socket));
        // A length that a register says is small, and not nothing.
        let bounded = match len {
            Len::Reg(reg) => {
                let some = Expr::binary(Op::Or, masked(Expr::Reg(reg), 127), Expr::Const(1));
                Some(Kind::Set { reg, value: some }.step())
            }
            Len::Fixed(_) => None,
        };
        let splice = Kind::Splice { from, to, len, into, or_finish };
        bounded.into_iter().chain([splice.step(), Kind::Call(Call::Log(into)).step()]).collect::<Vec<_>>()
    });
    vec(part, 1..4)
        .prop_map(move |parts| {
            let open = Kind::File(FileStep::Open { file, path: Path::Name(STILL), flags: libc::O_RDONLY });
            [step(open), parts.concat()].concat()
        })
        .boxed()
}
