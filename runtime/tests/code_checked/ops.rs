//! Ops and bulk ops that name what is not there.

use std::cell::Cell;
use std::rc::Rc;

use chainring_runtime::frame::{
    Area, Bulk, Code, Frames, FramesError, Len, OnWord, Op, Operator, Order, Plan, PlanError, Plans, Then,
    Transfer, Verb, Word,
};

use super::{CONSTANTS, LAYOUT, NO_SUCH, OUTSIDE, in_runtime, made};
use crate::common::Nobody;

/// What is said of this op, with another behind it.
fn op(op: Op) -> Result<(), PlanError> {
    ops(vec![op, Op::Leave(0)], vec![])
}

fn ops(ops: Vec<Op>, bulk: Vec<Bulk>) -> Result<(), PlanError> {
    match made(vec![], Code { ops, bulk }) {
        Ok(()) => Ok(()),
        Err(FramesError::Code(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

fn bulk(bulk: Bulk) -> Result<(), PlanError> {
    ops(vec![Op::Bulk(0), Op::Leave(0)], vec![bulk])
}

#[test]
fn registers_that_are_not_there() {
    in_runtime(|| {
        for wrong in [2, 3, u16::MAX] {
            let with = |to, a, b| {
                [
                    Op::Binary { operator: Operator::Add, to, a, b },
                    Op::LoadAt { order: Order::U8, to, index: a, start: 0, room: 8 },
                    Op::StoreAt { order: Order::U8, from: to, index: b, start: 0, room: 8 },
                ]
            };
            assert!(with(1, 1, 0).into_iter().all(|fine| op(fine).is_ok()));
            let [binary, load, store] = with(wrong, 1, 1);
            assert_eq!([op(binary), op(load), op(store)], [NO_SUCH; 3]);
            let [binary, load, _] = with(1, wrong, 1);
            assert_eq!([op(binary), op(load)], [NO_SUCH; 2]);
            let [binary, _, store] = with(1, 1, wrong);
            assert_eq!([op(binary), op(store)], [NO_SUCH; 2]);
            for refused in [
                Op::Set { to: wrong, value: 1 },
                Op::Move { to: wrong, from: 0 },
                Op::Move { to: 0, from: wrong },
                Op::BinaryBy { operator: Operator::Add, to: wrong, a: 0, value: 1 },
                Op::BinaryBy { operator: Operator::Add, to: 0, a: wrong, value: 1 },
                Op::Load { order: Order::U8, to: wrong, at: 0 },
                Op::LoadAtMost { order: Order::U8, to: wrong, at: 0, most: 0, or: 0 },
                Op::Store { order: Order::U8, from: wrong, at: 0 },
                Op::Unless { condition: wrong, to: 0 },
                Op::UnlessWithin { a: wrong, low: 0, span: 0, to: 0 },
                Op::IfWithin { a: wrong, low: 0, span: 0, to: 0 },
                Op::Rewind { room: 1, from: wrong, len: 0, end: 0, left: 0 },
                Op::Rewind { room: 1, from: 0, len: wrong, end: 0, left: 0 },
                Op::Rewind { room: 1, from: 0, len: 0, end: wrong, left: 0 },
                Op::Rewind { room: 1, from: 0, len: 0, end: 0, left: wrong },
            ] {
                assert_eq!(op(refused), NO_SUCH, "{refused:?}");
            }
        }
    });
}

#[test]
fn bytes_that_are_not_there() {
    in_runtime(|| {
        for order in [Order::U8, Order::Be16, Order::Be32, Order::Be64, Order::Le16, Order::Le32, Order::Le64]
        {
            let last = LAYOUT.bytes - order.width();
            assert_eq!(op(Op::Load { order, to: 0, at: last }), Ok(()));
            assert_eq!(op(Op::Store { order, from: 0, at: last }), Ok(()));
            let load_at_most = |at| {
                let load = Op::LoadAtMost { order, to: 0, at, most: 1, or: 2 };
                ops(vec![load, Op::Leave(0), Op::Leave(1)], vec![])
            };
            assert_eq!(load_at_most(last), Ok(()));
            for at in [last + 1, LAYOUT.bytes, u32::MAX - order.width() + 1, u32::MAX] {
                assert_eq!(op(Op::Load { order, to: 0, at }), OUTSIDE, "{order:?} at {at}");
                assert_eq!(op(Op::Store { order, from: 0, at }), OUTSIDE, "{order:?} at {at}");
                assert_eq!(load_at_most(at), OUTSIDE, "{order:?} at {at}");
            }
        }
        let order = Order::Be64;
        for (start, room, expected) in [
            (0, 300, Ok(())),
            (300, 0, Ok(())),
            (1, 300, OUTSIDE),
            (301, 0, OUTSIDE),
            (u32::MAX, 1, OUTSIDE),
            (1, u32::MAX, OUTSIDE),
        ] {
            assert_eq!(op(Op::LoadAt { order, to: 0, index: 1, start, room }), expected);
            assert_eq!(op(Op::StoreAt { order, from: 0, index: 1, start, room }), expected);
            assert_eq!(
                bulk(Bulk::Compact { offset: start, room, from: 0, len: 1, end: 0, left: 1 }),
                expected
            );
        }
    });
}

#[test]
fn targets_segments_and_bulk_ops_that_are_not_there() {
    in_runtime(|| {
        for (to, expected) in [(0, Ok(())), (1, Ok(())), (2, NO_SUCH), (u32::MAX, NO_SUCH)] {
            assert_eq!(op(Op::Jump { to }), expected, "to {to}");
            assert_eq!(op(Op::Unless { condition: 0, to }), expected, "to {to}");
            assert_eq!(op(Op::UnlessWithin { a: 0, low: 1, span: 2, to }), expected, "to {to}");
            assert_eq!(op(Op::IfWithin { a: 0, low: 1, span: 2, to }), expected, "to {to}");
            let operator = Operator::Lt;
            assert_eq!(op(Op::UnlessCompared { operator, a: 0, b: 1, to }), expected, "to {to}");
        }
        for (or, expected) in [(0, Ok(())), (3, Ok(())), (4, NO_SUCH), (u32::MAX, NO_SUCH)] {
            let take = Op::Take { by: 0, len: 1, from: 0, or };
            assert_eq!(ops(vec![take, Op::Leave(0), Op::Leave(1), Op::Leave(2)], vec![]), expected);
        }
        for (or, expected) in [(0, Ok(())), (4, Ok(())), (5, NO_SUCH), (u32::MAX, NO_SUCH)] {
            let take = Op::TakeSum { to: 0, a: 1, plus: 2, len: 1, from: 0, or };
            let behind = [0, 1, 2, 3].map(Op::Leave);
            assert_eq!(ops([&[take][..], &behind].concat(), vec![]), expected, "or {or}");
        }
        for (or, expected) in [(0, Ok(())), (2, Ok(())), (3, NO_SUCH), (u32::MAX, NO_SUCH)] {
            let load = Op::LoadAtMost { order: Order::U8, to: 0, at: 0, most: 1, or };
            assert_eq!(ops(vec![load, Op::Leave(0), Op::Leave(1)], vec![]), expected, "or {or}");
        }
        for (number, a, b, or, expected) in [
            (0, 0, 1, 2, Ok(())),
            (1, 0, 1, 2, NO_SUCH),
            (0, LAYOUT.registers, 1, 2, NO_SUCH),
            (0, 0, LAYOUT.registers, 2, NO_SUCH),
            (0, 0, 1, 3, NO_SUCH),
            (0, 0, 1, u32::MAX, NO_SUCH),
        ] {
            let compact = Bulk::Compact { offset: 0, room: 8, from: 0, len: 1, end: 0, left: 1 };
            let all = vec![Op::BulkUnless { number, a, b, or }, Op::Leave(0), Op::Leave(1)];
            assert_eq!(ops(all, vec![compact]), expected, "{number} {a} {b} {or}");
        }
        assert_eq!(op(Op::Submit(0)), NO_SUCH);
        assert_eq!(op(Op::Bulk(0)), NO_SUCH);
        let code = |ops| Code { ops, bulk: vec![] };
        let plan =
            |then| Plan { members: vec![Transfer::new(Verb::Nop, 0, 0, Len::Fixed(0))], into: None, then };
        assert!(made(vec![plan(Then::Resume)], code(vec![Op::Submit(0)])).is_ok());
        assert!(matches!(
            made(vec![plan(Then::Resume)], code(vec![Op::Submit(1)])),
            Err(FramesError::Code(PlanError::NoSuchHandle))
        ));
        assert!(made(vec![plan(Then::Code(1))], code(vec![Op::Leave(7), Op::Leave(u32::MAX)])).is_ok());
        for (then, ops) in
            [(2, vec![Op::Leave(7), Op::Leave(8)]), (0, vec![]), (u32::MAX, vec![Op::Leave(0)])]
        {
            let refused = made(vec![plan(Then::Code(then))], code(ops));
            assert!(
                matches!(refused, Err(FramesError::Plan { segment: 0, error: PlanError::NoSuchHandle })),
                "{refused:?}"
            );
        }
    });
}

#[test]
fn code_that_runs_off_its_end() {
    in_runtime(|| {
        let goes_on = [
            Op::Set { to: 0, value: 1 },
            Op::Bulk(0),
            Op::Unless { condition: 0, to: 0 },
            Op::UnlessWithin { a: 0, low: 0, span: 0, to: 0 },
            Op::IfWithin { a: 0, low: 0, span: 0, to: 0 },
            Op::UnlessCompared { operator: Operator::Eq, a: 0, b: 1, to: 0 },
        ];
        let compact = vec![Bulk::Compact { offset: 0, room: 8, from: 0, len: 1, end: 0, left: 1 }];
        for last in goes_on {
            assert_eq!(ops(vec![Op::Leave(0), last], compact.clone()), Err(PlanError::Endless), "{last:?}");
        }
        let behind_the_next = Op::LoadAtMost { order: Order::U8, to: 0, at: 0, most: 1, or: 0 };
        assert_eq!(
            op(behind_the_next),
            Err(PlanError::Endless),
            "nothing is behind the op that it goes over"
        );
        let take = Op::Take { by: 0, len: 1, from: 0, or: 0 };
        assert_eq!(ops(vec![take, Op::Leave(0), Op::Leave(1)], vec![]), Err(PlanError::Endless));
        let take = Op::TakeSum { to: 0, a: 1, plus: 2, len: 1, from: 0, or: 0 };
        let behind = [0, 1, 2].map(Op::Leave);
        assert_eq!(ops([&[take][..], &behind].concat(), vec![]), Err(PlanError::Endless));
        for skips in [
            Op::BulkUnless { number: 0, a: 0, b: 1, or: 0 },
            Op::Rewind { room: 8, from: 0, len: 1, end: 0, left: 1 },
        ] {
            assert_eq!(ops(vec![skips, Op::Leave(0)], compact.clone()), Err(PlanError::Endless), "{skips:?}");
            assert_eq!(ops(vec![skips, Op::Leave(0), Op::Leave(1)], compact.clone()), Ok(()), "{skips:?}");
        }
        assert_eq!(PlanError::Endless.to_string(), "the code runs off its end");
        for last in [Op::Leave(0), Op::Jump { to: 0 }] {
            assert_eq!(ops(vec![Op::Set { to: 0, value: 1 }, last], vec![]), Ok(()));
        }
        assert_eq!(ops(vec![], vec![]), Ok(()), "there is none to run");
    });
}

#[test]
fn areas_that_are_not_there() {
    let area = Area { offset: 0, start: None, room: 8, len: Len::Fixed(8), constant: false, pooled: None };
    let constant = Area { constant: true, ..area };
    in_runtime(|| {
        let everywhere = |wrong: Area| {
            [
                bulk(Bulk::Copy { to: area, from: wrong }),
                bulk(Bulk::Equal { to: 0, a: wrong, b: area }),
                bulk(Bulk::Equal { to: 0, a: area, b: wrong }),
                bulk(Bulk::Find { to: 0, area: wrong, byte: 1 }),
                bulk(Bulk::Hash { to: 0, area: wrong }),
                bulk(Bulk::FindBytes { to: 0, area: wrong, bytes: area }),
                bulk(Bulk::FindBytes { to: 0, area, bytes: wrong }),
                bulk(Bulk::Append { outbox: 1, area: wrong }),
                bulk(Bulk::Partition {
                    to: 0,
                    area: wrong,
                    order: Order::Be16,
                    stride: 2,
                    key: 1,
                    or_equal: true,
                }),
            ]
        };
        assert_eq!(everywhere(area), [const { Ok(()) }; 9]);
        assert_eq!(everywhere(constant), [const { Ok(()) }; 9]);
        assert_eq!(bulk(Bulk::Copy { to: constant, from: area }), NO_SUCH, "constants are nobody's to write");
        let at_end = Area { offset: CONSTANTS - 8, ..constant };
        assert_eq!(everywhere(at_end), [const { Ok(()) }; 9]);
        for wrong in [
            Area { offset: 293, ..area },
            Area { offset: u32::MAX, ..area },
            Area { room: u32::MAX, offset: 1, ..area },
            Area { offset: CONSTANTS - 7, ..constant },
            Area { room: CONSTANTS + 1, ..constant },
            Area { offset: u32::MAX, ..constant },
        ] {
            assert_eq!(everywhere(wrong), [OUTSIDE; 9], "{wrong:?}");
            if !wrong.constant {
                assert_eq!(bulk(Bulk::Copy { to: wrong, from: area }), OUTSIDE, "{wrong:?}");
            }
        }
        let length = |index| Len::Register { index, plus: 0, max: 8 };
        for wrong in [Area { start: Some(2), ..area }, Area { len: length(2), ..constant }] {
            assert_eq!(everywhere(wrong), [NO_SUCH; 9], "{wrong:?}");
        }
        assert_eq!(everywhere(Area { start: Some(1), len: length(1), ..area }), [const { Ok(()) }; 9]);
        for refused in [
            Bulk::Equal { to: 2, a: area, b: area },
            Bulk::Find { to: 2, area, byte: 0 },
            Bulk::Find { to: 0, area, byte: 2 },
            Bulk::Hash { to: 2, area },
            Bulk::Compact { offset: 0, room: 8, from: 2, len: 0, end: 0, left: 0 },
            Bulk::Compact { offset: 0, room: 8, from: 0, len: 2, end: 0, left: 0 },
            Bulk::Compact { offset: 0, room: 8, from: 0, len: 0, end: 2, left: 0 },
            Bulk::Compact { offset: 0, room: 8, from: 0, len: 0, end: 0, left: 2 },
        ] {
            assert_eq!(bulk(refused), NO_SUCH, "{refused:?}");
        }
    });
}

#[test]
fn words_that_are_not_there() {
    let word = |on_word, words| {
        let code = Code { ops: vec![Op::Bulk(0), Op::Leave(0)], bulk: vec![Bulk::Word(on_word)] };
        let plans = Plans { code, words, ..Plans::default() };
        match Frames::new(LAYOUT, plans, 1, Nobody).map(|frames| frames.retire()) {
            Ok(()) => Ok(()),
            Err(FramesError::Code(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    };
    let core = |i| Word::Core(Rc::from([Cell::new(0), Cell::new(0)]), i);
    in_runtime(|| {
        let load = |word| OnWord::Load { to: 0, word };
        assert_eq!(word(load(0), vec![]), NO_SUCH);
        assert_eq!(word(load(1), vec![core(0), core(1)]), Ok(()));
        assert_eq!(word(load(2), vec![core(0), core(1)]), NO_SUCH);
        assert_eq!(word(load(0), vec![core(2)]), NO_SUCH, "of two");
        assert_eq!(word(OnWord::Load { to: 2, word: 0 }, vec![core(0)]), NO_SUCH);
        assert_eq!(word(OnWord::Store { from: 2, word: 0 }, vec![core(0)]), NO_SUCH);
        for (to, a, b, expected) in
            [(0, 1, 1, Ok(())), (2, 0, 0, NO_SUCH), (0, 2, 0, NO_SUCH), (0, 0, 2, NO_SUCH)]
        {
            let exchange = OnWord::Exchange { to, word: 0, current: a, new: b };
            assert_eq!(word(exchange, vec![core(0)]), expected);
        }
        for (to, by, expected) in [(1, 1, Ok(())), (2, 0, NO_SUCH), (0, 2, NO_SUCH)] {
            assert_eq!(word(OnWord::Add { to, word: 0, by }, vec![core(0)]), expected);
        }
    });
}

/// What is said of lending constants, with two ops behind it.
fn lend(outbox: u16, from: u32, len: u32) -> Result<(), PlanError> {
    ops(vec![Op::Lend { outbox, from, len }, Op::Leave(0), Op::Leave(1)], vec![])
}

#[test]
fn constants_and_room_that_are_not_there() {
    in_runtime(|| {
        for (from, len, expected) in [
            (0, CONSTANTS, Ok(())),
            (CONSTANTS - 1, 1, Ok(())),
            (CONSTANTS, 1, OUTSIDE),
            (0, CONSTANTS + 1, OUTSIDE),
            (u32::MAX, 1, OUTSIDE),
            (1, u32::MAX, OUTSIDE),
            (0, 0, OUTSIDE),
        ] {
            assert_eq!(lend(0, from, len), expected, "{len} from {from}");
        }
        assert_eq!(
            ops(vec![Op::Lend { outbox: 0, from: 0, len: 1 }, Op::Leave(0)], vec![]),
            Err(PlanError::Endless)
        );
        let rewind = Op::Rewind { room: 0, from: 0, len: 1, end: 0, left: 1 };
        assert_eq!(ops(vec![rewind, Op::Leave(0), Op::Leave(1)], vec![]), OUTSIDE);
    });
}

#[test]
fn outboxes_that_are_not_there_and_numbers_that_overlap() {
    let area = Area { offset: 0, start: None, room: 8, len: Len::Fixed(8), constant: false, pooled: None };
    in_runtime(|| {
        for (outbox, expected) in [(0, Ok(())), (1, Ok(())), (2, NO_SUCH), (u16::MAX, NO_SUCH)] {
            assert_eq!(bulk(Bulk::Append { outbox, area }), expected, "outbox {outbox}");
            assert_eq!(lend(outbox, 0, 8), expected, "outbox {outbox}");
            for order in [None, Some(Order::Be64)] {
                assert_eq!(bulk(Bulk::AppendNumber { outbox, from: 0, order }), expected, "outbox {outbox}");
            }
        }
        let parted = |to, key, stride| {
            bulk(Bulk::Partition { to, area, order: Order::Le32, stride, key, or_equal: false })
        };
        for (stride, expected) in [(4, Ok(())), (5, Ok(())), (u32::MAX, Ok(())), (3, OUTSIDE), (0, OUTSIDE)] {
            assert_eq!(parted(0, 1, stride), expected, "every {stride} bytes");
        }
        for number in [
            parted(2, 0, 4),
            parted(0, 2, 4),
            bulk(Bulk::AppendNumber { outbox: 0, from: 2, order: None }),
            bulk(Bulk::FindBytes { to: 2, area, bytes: area }),
            op(Op::UnlessCompared { operator: Operator::Eq, a: 2, b: 0, to: 0 }),
            op(Op::UnlessCompared { operator: Operator::Eq, a: 0, b: 2, to: 0 }),
        ] {
            assert_eq!(number, NO_SUCH);
        }
        for (by, len, from) in [(2, 0, 0), (0, 2, 0), (0, 0, 2)] {
            let take = Op::Take { by, len, from, or: 0 };
            assert_eq!(ops(vec![take, Op::Leave(0), Op::Leave(1), Op::Leave(2)], vec![]), NO_SUCH);
        }
        for (to, a, len, from) in [(2, 0, 0, 0), (0, 2, 0, 0), (0, 0, 2, 0), (0, 0, 0, 2)] {
            let take = Op::TakeSum { to, a, plus: 1, len, from, or: 0 };
            let behind = [0, 1, 2, 3].map(Op::Leave);
            assert_eq!(ops([&[take][..], &behind].concat(), vec![]), NO_SUCH);
        }
    });
}
