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
//!
//! What a frame looks like ([`Layout`]) and what it can submit ([`Plan`]) is checked once, when the
//! `Frames` is made. After that `emit.rs` reads registers and computes addresses without checking again.

mod emit;
mod frames;
mod layout;
mod memory;
mod plan;
mod token;
mod views;

pub use emit::NotSubmitted;
pub(crate) use frames::Region;
pub use frames::{Frames, FramesError, Resume};
pub use layout::Layout;
pub use plan::{Len, Moves, Plan, PlanError, Transfer, Verb};
pub use token::{Frame, Registers, Stop};
pub use views::Views;
