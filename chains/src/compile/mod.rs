//! From a chain as it was written to a program that runs.
//!
//! ```text
//! tree    what the builder recorded: nested blocks
//!   | flow      blocks become lines with jumps; transfers of several spans become one each, or one
//!   v
//! flow    a list of lines, in which every edge is explicit
//!   | check     refuses what can never work, naming chain and step
//!   v
//! flow    the Program: one for all cores
//!   | segment   when it starts on a ring: maximal runs of transfers become segments
//!   v
//! lowered what the runner executes and the frames' region submits
//! ```

pub(crate) mod check;
pub(crate) mod flow;
pub(crate) mod segment;

use std::sync::Arc;

use chainring_runtime::frame::Layout;

use crate::build::Chain;
use crate::error::{BuildError, Reason};
use crate::program::{Inner, Program};

/// Registers and sockets of a frame: the region numbers them in 16 bits, and keeps two for itself.
const NAMES: u32 = (1 << 16) - 2;

/// Registers that the runner keeps for itself, behind those of the chain: where a parked frame goes on.
pub(crate) const HIDDEN: u16 = 2;

pub(crate) fn compile<S: 'static>(mut chain: Chain<S>) -> Result<Program<S>, BuildError> {
    let refuse = |reason| BuildError { chain: chain.name.clone(), step: None, reason };
    if chain.sockets > 1000 {
        return Err(refuse(Reason::TooMuch("sockets")));
    }
    if u32::from(chain.regs) + u32::from(HIDDEN) + u32::from(chain.sockets) > NAMES {
        return Err(refuse(Reason::TooMuch("registers")));
    }
    // A handle has 16 bits for its number.
    if chain.bufs.len() > usize::from(u16::MAX) {
        return Err(refuse(Reason::TooMuch("buffers")));
    }
    let bytes = chain.bufs.iter().map(|buf| u64::from(buf.len)).sum::<u64>();
    let Some(bytes) = u32::try_from(bytes).ok().filter(|bytes| *bytes <= i32::MAX as u32) else {
        return Err(refuse(Reason::TooMuch("bytes of buffers (2 GiB a frame)")));
    };
    let tree = chain.blocks.pop().expect("the outermost block stays open");
    if tree.is_empty() {
        return Err(refuse(Reason::Empty));
    }
    check::handles(&tree, chain.id, &chain.name)?;
    let flow = flow::flatten(&tree, &chain.name)?;
    // So has a segment, and there is at most one a line.
    if flow.lines.len() > usize::from(u16::MAX) {
        return Err(refuse(Reason::TooMuch("steps")));
    }
    check::paths(&flow, &chain)?;
    let layout = Layout { registers: chain.regs + HIDDEN, descriptors: chain.sockets, bytes };
    Ok(Program(Arc::new(Inner {
        name: chain.name,
        flow,
        layout,
        lowering: chain.lowering,
        accepted: chain.accepted,
        id: chain.id,
        natives: chain.natives,
    })))
}
