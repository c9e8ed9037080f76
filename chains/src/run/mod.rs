//! Running a program on a core.
//!
//! Who owns what: the runtime owns the frames (`chainring_runtime::frame`) and calls the [`runner`] with a token
//! whenever a frame has nothing in flight. The runner owns what is not bytes: the program, and in a side table of the
//! same index each frame's session and where its exit goes. User code (calls, exits, the Drop of a session) runs
//! with nothing borrowed but the session itself, and its panics end there.

mod awaiting;
mod branches;
mod control;
mod deadline;
mod exit;
mod pipe;
mod place;
mod runner;
mod serve;
mod sessions;
mod spawn;
mod stop;
mod wait;

pub use control::ServeControl;
pub use exit::{Exit, Sockets};
pub use runner::Counters;
pub use serve::{Peer, Serve};
pub use spawn::{ChainHandle, Full, Init, Spawner};
