//! Code and members that name what is not there, or take what they cannot have, are refused before they run: what runs
//! them looks no more.

#[path = "../common/mod.rs"]
mod common;

mod members;
mod ops;

use chainring_runtime::Runtime;
use chainring_runtime::frame::{Code, Frames, FramesError, Layout, Plan, PlanError, Plans, Then, Transfer};
use common::{Nobody, alone};

/// Registers 0 and 1, descriptors 0 and 1, bytes 0 to 299; with 32 bytes of constants; outboxes 0 and 1.
const LAYOUT: Layout = Layout { registers: 2, descriptors: 2, bytes: 300 };
const CONSTANTS: u32 = 32;

fn made(segments: Vec<Plan>, code: Code) -> Result<(), FramesError> {
    let constants = vec![0; CONSTANTS as usize].into();
    let plans = Plans { segments, code, constants, outboxes: 2, ..Plans::default() };
    Frames::new(LAYOUT, plans, 1, Nobody).map(|frames| frames.retire())
}

fn member(member: Transfer) -> Result<(), PlanError> {
    match made(vec![Plan { members: vec![member], into: None, then: Then::Resume }], Code::default()) {
        Ok(()) => Ok(()),
        Err(FramesError::Plan { segment: 0, error }) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

fn in_runtime(body: impl FnOnce()) {
    let _alone = alone();
    Runtime::new().expect("a ring").block_on(async { body() });
}

const NO_SUCH: Result<(), PlanError> = Err(PlanError::NoSuchHandle);
const OUTSIDE: Result<(), PlanError> = Err(PlanError::OutOfBounds);
