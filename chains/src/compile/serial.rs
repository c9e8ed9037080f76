//! Blocks inside of a synchronization group become lines:
//!
//! ```text
//! enter G     outside: a frame that ends here, or fails, holds nothing
//!   ...       inside; `leave` and `again` that lead out of the block leave the group before they jump
//! leave G
//! ```
//!
//! Each line says which group it is inside of. A frame whose error leads to a handler that is inside of none leaves the
//! group on the way there, and one that ends leaves it at its end.
//!
//! What may have to wait for a peer, or for somebody who may himself wait for the group, is refused inside.

use super::flatten::Flattener;
use super::flow::{Inst, Line};
use crate::error::{BuildError, Reason};
use crate::sync::Sync;
use crate::tree::{Block, Step};

impl Flattener<'_> {
    pub(super) fn serial(&mut self, step: &Step, group: u16, body: &Block) -> Result<(), BuildError> {
        if self.group.is_some() {
            return Err(self.refuse(step, Reason::GroupInside));
        }
        self.push(step, Inst::Sync(Sync::Enter(group)), true);
        self.group = Some(group);
        let start = self.lines.len();
        self.block(body)?;
        if let Some(line) = self.lines[start..].iter().find(|line| waits_for_others(line)) {
            let step = Some((line.step, line.name));
            return Err(BuildError { chain: self.chain.clone(), step, reason: Reason::PeerInside });
        }
        self.push(step, Inst::Sync(Sync::Leave(group)), false);
        self.group = None;
        Ok(())
    }
}

fn waits_for_others(line: &Line) -> bool {
    match &line.inst {
        Inst::Io(io) => io.waits_for_others(),
        Inst::Sync(sync) => sync.waits_for_others(),
        _ => false,
    }
}
