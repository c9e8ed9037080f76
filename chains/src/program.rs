//! A compiled chain: data, shared by all cores.

use std::fmt;
use std::sync::Arc;

use chainring_runtime::Handle;
use chainring_runtime::frame::{FramesError, Layout, PlanError, PooledPlan};

use crate::build::Lowering;
use crate::compile::flow::Flow;
use crate::compile::segment::LONGEST;
use crate::compile::{self, Lowered};
use crate::error::{Refused, StartError};
use crate::explain::Explain;
use crate::future::CallAsync;
use crate::handle::{Buf, BuilderId, Socket};
use crate::native::Native;
use crate::run::Spawner;
use crate::sync::Things;

/// A compiled chain for connections with a session of type `S`. Cheap to clone, and the same on every core.
///
/// A program does nothing by itself: [`serve`](Program::serve) runs it for the connections of a listener,
/// [`start`](Program::start) for whatever is spawned.
pub struct Program<S>(pub(crate) Arc<Inner<S>>);

pub(crate) struct Inner<S> {
    pub(crate) name: Arc<str>,
    pub(crate) flow: Flow,
    pub(crate) layout: Layout,
    /// Registers that the flow's lines use.
    pub(crate) registers: u16,
    /// How deep deadlines nest; each depth has a hidden register.
    pub(crate) deadlines: u16,
    /// Bytes that all frames share.
    pub(crate) constants: Arc<[u8]>,
    pub(crate) outboxes: u16,
    pub(crate) pooled: PooledPlan,
    pub(crate) pooled_bufs: Vec<Buf>,
    pub(crate) lowering: Lowering,
    pub(crate) accepted: Option<Socket>,
    pub(crate) id: BuilderId,
    pub(crate) natives: Vec<Native<S>>,
    pub(crate) things: Things,
    pub(crate) futures: Vec<CallAsync<S>>,
}

impl<S: 'static> Program<S> {
    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How it was compiled: segments, their submissions and completions, and why each ends where it does. On a ring
    /// of default size; see [`Spawner::explain`] for a particular one.
    pub fn explain(&self) -> Explain<'_> {
        self.explain_for(LONGEST, true)
    }

    /// Starts the program on the core that runs the caller, for up to `limit` frames at a time.
    ///
    /// # Errors
    /// If there is no address space for that many frames, the ring serves too many programs already, or it does not offer
    /// what a step does.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn start(&self, limit: u32) -> Result<Spawner<S>, StartError> {
        let longest_list = Handle::current().longest_list() as usize;
        let spawner = Spawner::new(self.clone(), self.lower(longest_list), limit);
        spawner.map_err(|refused| self.explain_refused(refused, longest_list).into())
    }

    /// Says which step it is that the ring does not offer. It is asked when the frames are made, by segment and member.
    #[cold]
    fn explain_refused(&self, refused: Refused, longest_list: usize) -> Refused {
        let Refused::Frames(FramesError::Plan { segment, error: PlanError::NotOffered { member, verb } }) =
            refused
        else {
            return refused;
        };
        // What was lowered went with the frames; it is the same once more.
        let line = self.lower(longest_list).segments.all[segment].members[member];
        let line = &self.0.flow.lines[line];
        let (step, name, since) = (line.step, line.name, verb.facts().since);
        Refused::NotOffered { chain: self.0.name.clone(), step, name, since }
    }

    /// How the program is lowered for a particular ring.
    pub(crate) fn explain_for(&self, longest_list: usize, skips: bool) -> Explain<'_> {
        let Lowered { segments, generated } = self.lower(longest_list);
        let Inner { name, flow, layout, registers, pooled_bufs: pooled, things, .. } = &*self.0;
        let (layout, registers) = (*layout, *registers);
        Explain { name, flow, layout, registers, segments, generated, pooled, things, skips }
    }

    fn lower(&self, longest_list: usize) -> Lowered {
        compile::lower(&self.0.flow, self.0.registers, self.0.lowering, longest_list)
    }
}

impl<S> Clone for Program<S> {
    fn clone(&self) -> Self {
        Program(self.0.clone())
    }
}

impl<S> fmt::Debug for Program<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("name", &self.0.name).finish_non_exhaustive()
    }
}
