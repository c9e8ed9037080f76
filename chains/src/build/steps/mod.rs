//! The steps of a chain, by what they are about.

mod branches;
mod compute;
mod control;
mod file;
mod io;
mod name;
mod socket;
mod splice;
mod sync;
mod words;

pub use branches::Branches;
pub(crate) use branches::MOST as MOST_BRANCHES;
pub use control::{AttemptStep, WhenStep};
pub use file::{OpenStep, StatxStep};
pub use io::TransferStep;
pub use name::{RenameStep, UnlinkStep};
pub use socket::FillStep;
pub use splice::SpliceStep;
pub use sync::CommitStep;
pub use words::WordStep;
