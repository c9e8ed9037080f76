//! Foreign code that panics where nobody expects it: an error whose Drop panics, an init outside of the runtime.

mod common;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chainring_chains::{Chain, Flow, Group};
use chainring_runtime::Runtime;
use common::one::{Notes, chain, mark, note, run};
use common::soon;

#[derive(Debug)]
struct Bomb;

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bomb")
    }
}

impl std::error::Error for Bomb {}

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("on purpose"))
    }
}

#[test]
fn an_error_that_panics_when_it_is_dropped_leads_to_its_handler_all_the_same() {
    let (program, ()) = chain(|c: &mut Chain<Notes>| {
        let errno = c.reg();
        c.attempt(|c| c.call((), |_, ()| Flow::fail(Bomb))).on_error(errno, |c| note(c, errno));
        mark(c, 7);
    });
    let ended = run(&program, Notes::new(), |_| ());
    assert_eq!((ended.text(), ended.session), (String::new(), vec![libc::EIO as u64, 7]));
}

#[test]
fn an_init_that_panics_outside_of_the_runtime_leaves_no_frame_behind() {
    let group = Group::new("one at a time");
    let (program, ()) = chain(|c: &mut Chain<Notes>| c.serial(&group, |c| mark(c, 7)));
    let runtime = Runtime::new().expect("a ring");
    let spawner = runtime.block_on(async { program.start(1).expect("it starts") });
    let panics = || spawner.spawn(Notes::new(), |_| std::panic::resume_unwind(Box::new("on purpose")));
    let panic = catch_unwind(AssertUnwindSafe(panics)).expect_err("it panics");
    assert_eq!((panic.downcast_ref(), spawner.live()), (Some(&"on purpose"), 0));
    let handle = spawner.spawn(Notes::new(), |_| ()).expect("there is room");
    let exit = runtime.block_on(soon("the frame to end", handle));
    exit.result.expect("it succeeds");
    assert_eq!(exit.session, [7]);
}
