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

/// Registers that the runner keeps for itself, behind those of the chain: where a parked frame goes on.
pub(crate) const HIDDEN: u16 = 2;

pub(crate) fn compile<S: 'static>(mut chain: Chain<S>) -> Result<Program<S>, BuildError> {
    let refuse = |reason| BuildError { chain: chain.name.clone(), step: None, reason };
    if chain.regs > u16::MAX - HIDDEN - chain.sockets.min(1000) {
        return Err(refuse(Reason::TooMuch("registers")));
    }
    if chain.sockets > 1000 {
        return Err(refuse(Reason::TooMuch("sockets")));
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
