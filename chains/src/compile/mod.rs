//! From a chain as it was written to a program that runs.
//!
//! ```text
//! tree    what the builder recorded: nested blocks
//!   | flatten   blocks become lines with jumps; transfers of several spans become one each, or one
//!   v
//! flow    a list of lines, in which every edge is explicit
//!   | check     refuses what can never work, naming chain and step
//!   | hoist     moves computations out of the way of operations that could be submitted together
//!   v
//! flow    the Program: one for all cores
//!   | segment   when it starts on a ring: maximal runs of operations become segments
//!   | code      what is computed between them becomes code
//!   v
//! lowered what the frames' region submits and runs, and the exits that are left to the runner
//! ```
//!
//! [`Passes`](crate::Passes) prints what each of them has made. `effects` says what each line reads and writes, and everything else asks it. Blocks that run side by side are lines one
//! behind the other as well (`branches`); what is said of segments and code holds for each of them by itself.

mod apart;
pub(crate) mod branches;
mod check;
mod cleanup;
pub(crate) mod code;
pub(crate) mod effects;
mod flatten;
pub(crate) mod flow;
mod hoist;
pub(crate) mod live;
pub(crate) mod member;
pub(crate) mod paths;
mod pooled;
mod scope;
pub(crate) mod segment;
mod serial;

use std::sync::Arc;

use chainring_runtime::frame::{Layout, Plans, PooledPlan};

use crate::build::{Chain, Lowering};
use crate::error::{BuildError, Reason};
use crate::program::{Inner, Program};
use code::Generated;
use flatten::Flattener;
use flow::Flow;
use segment::{LONGEST, Segments};

/// Registers and descriptors of a frame: the region numbers them in 16 bits, and keeps two for itself.
const NAMES: u32 = (1 << 16) - 2;

/// Registers that the runner keeps for itself, behind those of the chain and the alarms of its deadlines, one for each
/// depth: where a parked frame goes on, and what calls it if it sleeps, and how far the
/// step has come that it waits in.
pub(crate) const HIDDEN: u16 = 4;

/// Before them, the same for each strand of the frame, which waits in no step.
pub(crate) const OF_STRAND: u16 = 3;

/// A flow, lowered for a ring.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) segments: Segments,
    pub(crate) generated: Generated,
}

/// Lowers a flow whose lines use the registers below `registers` for a ring that takes lists of `longest` entries.
pub(crate) fn lower(flow: &Flow, registers: u16, lowering: Lowering, longest: usize) -> Lowered {
    let segments = segment::cut(flow, lowering, LONGEST.min(longest));
    let generated = code::generate(flow, &segments, registers);
    Lowered { segments, generated }
}

impl Lowered {
    /// What the frames' region is to do.
    pub(crate) fn plans(
        &self,
        flow: &Flow,
        constants: &Arc<[u8]>,
        outboxes: u16,
        pooled: &PooledPlan,
    ) -> Plans {
        let plan = |segment: &segment::Segment| {
            segment.plan(flow, self.generated.then(flow::follow(flow, segment.next), &self.segments))
        };
        Plans {
            segments: self.segments.all.iter().map(plan).collect(),
            code: self.generated.code.clone(),
            constants: constants.clone(),
            outboxes,
            pooled: pooled.clone(),
            words: Vec::new(),
            forks: self.forks(flow),
        }
    }
}

pub(crate) fn compile<S: 'static>(mut chain: Chain<S>) -> Result<Program<S>, BuildError> {
    let refuse = |reason| BuildError { chain: chain.name.clone(), step: None, reason };
    if chain.places > 1000 {
        return Err(refuse(Reason::TooMuch("sockets and files")));
    }
    if chain.outboxes > 64 {
        return Err(refuse(Reason::TooMuch("outboxes")));
    }
    // A handle has 16 bits for its number.
    if chain.bufs.len() > usize::from(u16::MAX) {
        return Err(refuse(Reason::TooMuch("buffers")));
    }
    let own = chain.bufs.iter().filter(|buf| buf.pooled.is_none());
    let bytes = own.map(|buf| u64::from(buf.len)).sum::<u64>();
    let Some(bytes) = u32::try_from(bytes).ok().filter(|bytes| *bytes <= i32::MAX as u32) else {
        return Err(refuse(Reason::TooMuch("bytes of buffers (2 GiB a frame)")));
    };
    let pooled = pooled::plan(&chain.pooled, chain.pool_limit).map_err(refuse)?;
    if chain.constants.len() > i32::MAX as usize {
        return Err(refuse(Reason::TooMuch("bytes of constants (2 GiB)")));
    }
    if chain.things.most() > usize::from(u16::MAX) {
        return Err(refuse(Reason::TooMuch("groups, logs, events or words")));
    }
    let tree = chain.blocks.pop().expect("the outermost block stays open");
    if tree.is_empty() {
        return Err(refuse(Reason::Empty));
    }
    check::handles(&tree, chain.id, &chain.name)?;
    let constants = std::mem::take(&mut chain.constants);
    let mut flattener = Flattener::new(&chain.name, chain.id, chain.regs, constants);
    let mut flow = flattener.flatten(&tree)?;
    let (registers, constants) = (flattener.regs, std::mem::take(&mut flattener.constants));
    // So has a segment, and there is at most one a line.
    if flow.lines.len() > usize::from(u16::MAX) {
        return Err(refuse(Reason::TooMuch("steps")));
    }
    apart::check(&flow, &chain.name)?;
    paths::paths(&flow, &chain, registers)?;
    hoist::hoist(&mut flow, registers);
    // What expressions compute on the way does not depend on how the flow is cut.
    let generated = lower(&flow, registers, chain.lowering, LONGEST).generated;
    // So has an op on many bytes.
    if generated.code.bulk.len() > usize::from(u16::MAX) {
        return Err(refuse(Reason::TooMuch("comparisons, searches and copies of bytes")));
    }
    let all = generated.registers;
    let deadlines = flow.scopes.iter().map(|scope| scope.depth + 1).max().unwrap_or(0);
    let hidden = HIDDEN + OF_STRAND * flow.strands();
    if u32::from(all) + u32::from(deadlines) + u32::from(hidden) + u32::from(chain.places) > NAMES {
        return Err(refuse(Reason::TooMuch("registers")));
    }
    let layout = Layout { registers: all + hidden + deadlines, descriptors: chain.places, bytes };
    Ok(Program(Arc::new(Inner {
        name: chain.name,
        flow,
        layout,
        registers,
        deadlines,
        constants: constants.into(),
        outboxes: chain.outboxes,
        pooled,
        pooled_bufs: chain.pooled,
        lowering: chain.lowering,
        accepted: chain.accepted,
        id: chain.id,
        natives: chain.natives,
        things: chain.things,
        futures: chain.futures,
    })))
}
