//! Frames: the state of one connection that runs as a chain, laid out so that a segment of linked
//! operations can be submitted by patching a template.
//!
//! Who owns what:
//!
//! - A [`Frames`] owns two mappings, the *region*: dense control records (registers, descriptors; never
//!   written by the kernel) and buffers (bytes that the kernel reads and writes). Frame `i` has record `i`
//!   and buffer `i`. The mappings never move.
//! - While something of a frame is in flight, its bytes belong to the kernel and nobody has a reference to
//!   them. While nothing is, there is at most one [`Frame`], a token: the right to look at the bytes and to
//!   submit. [`Frame::submit`] consumes it; the completion of what it submitted brings it back, as the
//!   argument of [`Resume`].
//! - A frame is its own slot: a segment's entries carry the frame's key, and no other memory is taken.
//! - A frame is reused only when nothing of it is in flight, and then with a new generation.
//! - A frame can go several ways at once ([`Frame::fork`]): there is a [`Strand`] for each, with a key of its own and what
//!   it has in flight, and the frame's token comes back when the last of them has ended. See `strand/mod.rs`.
//!
//! What a frame looks like ([`Layout`]), what it can submit ([`Plan`]) and what is computed in between ([`Code`]) is
//! checked once, when the `Frames` is made. After that `emit.rs`, `wide.rs` and `code/execute.rs` read registers and
//! compute addresses without checking again.
//!
//! ```text
//! completion -> Region::advance: a whole segment has succeeded (refill.rs: a member that pooled buffers come or go with)
//!                 -> code of its plan (code/execute.rs)  -> next segment (emit.rs, wide.rs) -> submission queue
//!                 |                                      -> left, trapped, spent: Resume::interrupted
//!               Frames::settle: anything else            -> Resume::stopped
//! ```

mod call;
mod code;
mod emit;
mod frames;
mod interrupt;
mod layout;
mod memory;
mod outbox;
mod plan;
mod pooled;
mod refill;
mod region;
mod row;
mod settle;
mod strand;
mod submit;
mod template;
mod token;
mod verb;
mod views;
mod wide;

pub use code::{Area, Bulk, Code, OnWord, Op, Operator, Order, Trap, Word};
pub use emit::{Interrupt, NotSubmitted};
pub use frames::{Frames, FramesError, Resume};
pub use layout::Layout;
pub use outbox::{Blob, Outbox};
pub use plan::{Directory, Extra, Len, Plan, PlanError, Plans, PooledPlan, Target, Then, Transfer};
pub(crate) use region::Region;
pub use strand::{Branch, Fork, ForkError, ResumeStrands, Strand};
pub use token::{Frame, Registers, Stop};
pub use verb::{Half, Moves, Success, Verb};
pub use views::Views;
