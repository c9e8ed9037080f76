//! Numbers, lengths, layouts and plans that do not fit.

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use chainring_runtime::Runtime;
use chainring_runtime::frame::{
    Directory, Extra, Frame, Frames, FramesError, Layout, Len, NotSubmitted, Plan, PlanError, Plans, Then,
    Transfer, Verb,
};

use super::{Ends, LAYOUT, Log, frames, is_closed, plans, recv};
use crate::common::{alone, pair, until};

#[test]
fn numbers_out_of_range_are_refused_and_the_frame_ends() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let (frames, _) = frames(10);
        let panics = |what: &str, misuse: &dyn Fn(Frame<'_>)| {
            let frame = frames.allocate().expect("there is room");
            assert!(catch_unwind(AssertUnwindSafe(|| misuse(frame))).is_err(), "{what} was accepted");
            assert_eq!(frames.live(), 0, "{what}: the token is gone, and so is its frame");
        };
        panics("segment 2", &|frame| drop(frame.submit(2)));
        panics("segment 65535", &|frame| drop(frame.submit(u16::MAX)));
        panics("member 0 of segment 2", &|frame| drop(frame.submit_from(2, 0, 0, false)));
        for alone in [false, true] {
            panics("member 2 of two", &|frame| drop(frame.submit_from(0, 2, 0, alone)));
            panics("member 255", &|frame| drop(frame.submit_from(0, 255, 0, alone)));
        }
        panics("register 2", &|frame| assert_eq!(frame.registers().get(2), 0));
        panics("register 65535", &|frame| frame.registers().set(u16::MAX, 1));
        panics("descriptor 1", &|mut frame| drop(frame.take_descriptor(1)));
        panics("descriptor 1", &|mut frame| frame.put_descriptor(1, pair().0));
        panics("overlapping views", &|mut frame| {
            let (mut views, _) = frame.parts();
            let _both = (views.read(0..5), views.write(4..8));
        });
        let mut frame = frames.allocate().expect("there is room");
        assert!(frame.take_descriptor(0).is_none(), "the place is vacant");
        let (mut views, _) = frame.parts();
        assert!(views.read(0..65).is_none() && views.write(65..65).is_none());
    });
}

#[test]
fn a_second_descriptor_for_the_same_place_is_refused_and_closed() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    let ((first, mut stays), (second, closed)) = (pair(), pair());
    runtime.block_on(async {
        let (frames, log) = frames(1);
        let mut frame = frames.allocate().expect("there is room");
        frame.put_descriptor(0, first);
        assert!(catch_unwind(AssertUnwindSafe(|| frame.put_descriptor(0, second))).is_err());
        frame.submit(0).expect("submitted");
        stays.write_all(b"eight by").expect("send");
        until("the segment has succeeded", || log.borrow().len() == 1).await;
        assert_eq!(log.borrow()[0].0, "advanced");
    });
    assert!(is_closed(closed));
    let mut answer = [0; 8];
    stays.read_exact(&mut answer).expect("receive");
    assert_eq!(&answer, b"eight by");
}

#[test]
fn more_bytes_done_than_there_are_is_as_good_as_all() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    let (near, mut far) = pair();
    runtime.block_on(async {
        let (frames, log) = frames(1);
        let mut frame = frames.allocate().expect("there is room");
        frame.put_descriptor(0, near);
        // Nothing is left to receive; the answer is sent.
        frame.submit_from(0, 0, u32::MAX, false).expect("submitted");
        until("the segment has succeeded", || log.borrow().len() == 1).await;
        assert_eq!(log.borrow()[0].0, "advanced");
    });
    far.read_exact(&mut [0; 8]).expect("receive");
}

#[test]
fn a_length_that_does_not_fit_gives_the_token_back() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let (frames, _) = frames(1);
        let mut frame = frames.allocate().expect("there is room");
        for len in [61, u64::from(u32::MAX) + 1, u64::MAX] {
            frame.registers().set(0, len);
            let Err((back, refused)) = frame.submit(1) else {
                panic!("{len} and four bytes were taken for 64")
            };
            let told = NotSubmitted::TooLong { member: 0, len: len.saturating_add(4), max: 64 };
            assert_eq!(refused, told);
            frame = back;
        }
    });
}

#[test]
fn layouts_and_plans_that_do_not_fit_are_refused() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let new = |layout, plans: &[Plan]| {
            let made = Frames::new(layout, plans, 4, Ends(Log::default()));
            made.map(drop).map_err(|error| error.to_string())
        };
        // More words than a template can name: registers would be taken for descriptors.
        for (registers, descriptors) in
            [(u16::MAX, u16::MAX), (u16::MAX, 0), (1, u16::MAX - 1), (40_000, 30_000)]
        {
            let refused = new(Layout { registers, descriptors, bytes: 64 }, &plans());
            assert_eq!(refused, Err(FramesError::Layout.to_string()), "{registers} and {descriptors}");
        }
        let mine = Layout { registers: u16::MAX - 2, descriptors: 1, bytes: 64 };
        assert_eq!(new(mine, &plans()), Ok(()));

        let plan = |members: Vec<Transfer>| Plan { members, into: None, then: Then::Resume };
        let refused = |plan: Plan, error: PlanError| {
            let expected = FramesError::Plan { segment: 0, error }.to_string();
            assert_eq!(new(LAYOUT, &[plan]), Err(expected));
        };
        let whole = || recv(Len::Fixed(64));
        refused(plan(vec![]), PlanError::Empty);
        refused(plan(vec![whole(); 17]), PlanError::TooLong { members: 17, limit: 16 });
        refused(plan(vec![Transfer { descriptor: 1, ..whole() }]), PlanError::NoSuchHandle);
        refused(Plan { into: Some(2), ..plan(vec![whole()]) }, PlanError::NoSuchHandle);
        refused(Plan { then: Then::Segment(1), ..plan(vec![whole()]) }, PlanError::NoSuchHandle);
        refused(plan(vec![Transfer { offset: 1, ..whole() }]), PlanError::OutOfBounds);
        refused(plan(vec![Transfer { offset: u32::MAX, ..whole() }]), PlanError::OutOfBounds);
        let len = |index, plus, max| plan(vec![recv(Len::Register { index, plus, max })]);
        refused(len(0, 0, 65), PlanError::OutOfBounds);
        refused(len(0, 9, 8), PlanError::OutOfBounds);
        refused(len(2, 0, 8), PlanError::NoSuchHandle);
        let loose = Transfer { verb: Verb::Recv, ..whole() };
        refused(plan(vec![loose, whole()]), PlanError::DoesNotSever { member: 0 });
    });
}

#[test]
fn a_member_that_works_on_what_is_closed_by_then_is_refused() {
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let close = |place| Transfer::new(Verb::Close, place, 0, Len::Fixed(0));
        let layout = Layout { descriptors: 2, ..LAYOUT };
        let outbox = |place| {
            let send = Transfer::new(Verb::SendOutbox, place, 0, Len::Fixed(0));
            Transfer { extra: Extra { outbox: Some(0), ..Extra::default() }, ..send }
        };
        let open = |directory, place| {
            let open = Transfer::new(Verb::Open, place, 0, Len::Fixed(8));
            Transfer { extra: Extra { open: Some((directory, 0)), ..Extra::default() }, ..open }
        };
        let made = |members: Vec<Transfer>| {
            let segments = vec![Plan { members, ..Plan::default() }];
            let plans = Plans { segments, constants: vec![0; 24].into(), outboxes: 1, ..Plans::default() };
            Frames::new(layout, plans, 1, Ends(Log::default())).map(drop)
        };
        let spent = |members: Vec<Transfer>| {
            let member = members.len() - 1;
            match made(members) {
                Err(FramesError::Plan { segment: 0, error }) => {
                    assert_eq!(error, PlanError::Spent { member })
                }
                other => panic!("{other:?}"),
            }
        };
        spent(vec![close(0), recv(Len::Fixed(8))]);
        spent(vec![close(1), close(0), close(1)]);
        spent(vec![close(1), open(Directory::Descriptor(1), 0)]);
        spent(vec![outbox(0), outbox(1)]);
        made(vec![recv(Len::Fixed(8)), close(0), close(1)]).expect("each is closed once");
        made(vec![close(0), open(Directory::Descriptor(1), 0)]).expect("the place is vacant for what opens");
        made(vec![close(0), open(Directory::Working, 0)]).expect("so it is");
    });
}
