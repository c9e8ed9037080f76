//! All frames of one program on one core.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;

use super::code::{self, Prepared, Trap, Word};
use super::emit::Interrupt;
use super::layout::Layout;
use super::memory::{ASKED, CANCELLING, FREE, Header, INTERRUPTED, Memory, PARKED};
use super::outbox::Outboxes;
use super::plan::{PlanError, Plans};
use super::pooled::{self, Pooled};
use super::region::{NONE, Region};
use super::strand::{self, ForkError};
use super::template::{self, Bounds, Template};
use super::token::{Frame, Stop};
use crate::driver::key::MAX_INDEX;
use crate::driver::{Key, Owner};
use crate::exec::Handle;
use crate::metrics::Counter;
use crate::op::{Completion, cancel};

/// What goes on when a frame's segment has completed.
///
/// Each method is given the frame, with nothing of it in flight, and ends by submitting, parking or freeing it. A
/// panic in one of them aborts the process: whoever runs foreign code in them catches its panics.
pub trait Resume: 'static {
    /// The whole segment has succeeded, and its plan says [`Then::Resume`](super::Then::Resume).
    fn advanced(&self, frame: Frame<'_>, segment: u16);

    /// What was to follow a segment that has succeeded did not end with a submission.
    fn interrupted(&self, frame: Frame<'_>, interrupt: Interrupt);

    /// A member has failed or come short, a part of a segment has succeeded, or the frame is being cancelled.
    fn stopped(&self, frame: Frame<'_>, stop: Stop);

    /// The frame's turn has come after [`Frame::park`].
    fn unparked(&self, frame: Frame<'_>);
}

/// Why frames could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum FramesError {
    /// A segment that this ring or this layout does not allow.
    Plan {
        /// Which of the plans.
        segment: usize,
        /// What is wrong with it.
        error: PlanError,
    },
    /// Code that this layout does not allow.
    Code(PlanError),
    /// Branches that cannot run side by side.
    Fork(ForkError),
    /// More registers and descriptors than a template can name.
    Layout,
    /// No address space.
    Memory(io::Error),
    /// No pool for the pooled buffers.
    Pool(io::Error),
    /// The ring already serves as many programs as it can tell apart, or is shutting down.
    TooMany,
}

impl fmt::Display for FramesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FramesError::Plan { segment, error } => write!(f, "segment {segment}: {error}"),
            FramesError::Code(error) => write!(f, "the code: {error}"),
            FramesError::Fork(error) => write!(f, "the forks: {error}"),
            FramesError::Layout => write!(f, "a frame has more registers and descriptors than can be named"),
            FramesError::Memory(error) => write!(f, "no address space for the frames: {error}"),
            FramesError::Pool(error) => write!(f, "no pool for the frames' buffers: {error}"),
            FramesError::TooMany => write!(f, "the ring takes no further program"),
        }
    }
}

impl std::error::Error for FramesError {}

/// The frames of one program on the core they were made on, together with what resumes them.
pub struct Frames<R> {
    pub(super) region: Region,
    pub(super) runner: R,
}

impl<R: Resume> Frames<R> {
    /// Checks the plans and reserves address space for `limit` frames.
    ///
    /// # Errors
    /// Among others, [`PlanError::NotOffered`] if a member is to do what this ring does not offer: it would fail whenever
    /// its turn comes, and nothing is looked up then.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new(
        layout: Layout,
        plans: impl Into<Plans>,
        limit: u32,
        runner: R,
    ) -> Result<Rc<Self>, FramesError> {
        let plans = plans.into();
        strand::none(&plans)?;
        Frames::make(layout, plans, limit, runner)
    }

    pub(super) fn make(layout: Layout, plans: Plans, limit: u32, runner: R) -> Result<Rc<Self>, FramesError> {
        let Plans { segments, code, constants, outboxes, pooled, words, forks } = plans;
        let core = Handle::current();
        let ring = &core.driver().ring;
        if !layout.is_nameable() || pooled.sizes.len() > pooled::MOST {
            return Err(FramesError::Layout);
        }
        let pooled = Pooled::new(&pooled).map_err(FramesError::Pool)?;
        let constant_bytes = u32::try_from(constants.len()).map_err(|_| FramesError::Layout)?;
        let bounds = Bounds {
            layout: &layout,
            constants: constant_bytes,
            outboxes,
            pooled: &pooled,
            segments: segments.len(),
            ops: code.ops.len(),
            ring,
        };
        let template = |(segment, plan)| {
            Template::check(plan, &bounds).map_err(|error| FramesError::Plan { segment, error })
        };
        let mut templates: Box<[Template]> =
            segments.iter().enumerate().map(template).collect::<Result<_, _>>()?;
        let code = code::check(code, &layout, constant_bytes, segments.len(), words.len(), outboxes, &pooled);
        let code = code.map_err(FramesError::Code)?;
        template::join(&mut templates, &code);
        let has_gates = templates.iter().any(|template| template.gate.segment != template::NONE);
        let prepared = Prepared::new(&code, &layout, &constants);
        if !words.iter().all(Word::is_there) {
            return Err(FramesError::Code(PlanError::NoSuchHandle));
        }
        let branches = strand::check(&forks, &templates, &code).map_err(FramesError::Fork)?;
        let each = branches.each();
        let limit = limit.clamp(1, MAX_INDEX / u32::from(each.max(1)));
        let memory = Memory::reserve(&layout, each, limit).map_err(FramesError::Memory)?;
        let mut made = None;
        core.driver()
            .add_owner(|owner, generation| {
                let (free, live, retired) = (Cell::new(NONE), Cell::new(0), Cell::new(false));
                let core = core.clone();
                let advanced = Counter::default();
                let region = Region {
                    core,
                    owner,
                    generation,
                    layout,
                    memory,
                    templates,
                    code,
                    prepared,
                    computes: Cell::new(false),
                    has_gates,
                    handover: Cell::new(None),
                    trap: Cell::new(Trap::Division),
                    constants,
                    outboxes: Outboxes::new(outboxes),
                    pooled,
                    words: words.into(),
                    branches,
                    advanced,
                    free,
                    live,
                    retired,
                };
                let frames = Rc::new(Frames { region, runner });
                made = Some(frames.clone());
                frames
            })
            .map_err(|_| FramesError::TooMany)?;
        Ok(made.expect("the owner was just made"))
    }

    /// What resumes the frames.
    pub fn runner(&self) -> &R {
        &self.runner
    }

    /// Takes a free frame, its registers and bytes zero and its descriptors vacant. `None` if all are in use, or no
    /// memory can be had for more.
    pub fn allocate(&self) -> Option<Frame<'_>> {
        self.region.allocate()
    }

    /// Whether [`allocate`](Frames::allocate) would succeed.
    pub fn has_room(&self) -> bool {
        self.region.has_room()
    }

    /// The number of frames in use.
    pub fn live(&self) -> u32 {
        self.region.live.get()
    }

    /// Segments that have succeeded as a whole.
    pub fn advanced(&self) -> u64 {
        self.region.advanced.get()
    }

    /// Cancels the frame `key`: what it has in flight is cancelled, and it is resumed with a [`Stop`]
    /// that says so. Nothing happens if that use of the frame is over.
    pub fn cancel(&self, key: Key) {
        if let Some(record) = self.region.find(key) {
            self.region.cancel(record);
        }
    }

    /// [Cancels](Frames::cancel) every frame that is in use.
    pub fn cancel_all(&self) {
        for index in 0..self.region.memory.accessible() {
            let record = self.region.memory.record(index);
            if !record.header().has(FREE) {
                self.region.cancel(record);
            }
        }
    }

    /// No frame will be allocated any more; once the last one is free, the runtime lets go of this value.
    pub fn retire(&self) {
        // Once: afterwards the owner's number may be another's.
        if !self.region.retired.replace(true) {
            self.region.forget_if_unused();
        }
    }
}

impl<R: Resume> Owner for Frames<R> {
    fn completed(&self, key: Key, step: u32, completion: Completion) {
        match self.region.find(key).filter(|record| record.header().in_flight()) {
            Some(record) => self.settle(record, step, &completion),
            None => self.region.core.driver().ring.counters.strays.add(1),
        }
    }

    fn region(&self) -> Option<&Region> {
        Some(&self.region)
    }

    fn take_over(&self, until: u32) {
        self.take_over_all(until);
    }

    fn ready(&self, key: Key) {
        let Some(record) = self.region.find(key) else { return };
        let header = record.header();
        if header.has(PARKED) {
            header.flags.set(header.flags.get() & !PARKED);
            let index = key.index() as usize;
            let told = self.region.stop_waiting(index);
            // Whoever is to do something else has no use for what it was told of, even if it goes on with that at once.
            let elsewhere = header.has(CANCELLING | INTERRUPTED);
            self.runner.unparked(Frame::new(&self.region, record, index));
            if told && (elsewhere || !header.in_flight()) {
                self.region.pass_on();
            }
        }
    }

    fn is_cancelled(&self, key: Key) -> bool {
        self.region.find(key).is_some_and(|record| record.header().in_flight() && record.header().has(ASKED))
    }

    fn interrupt(&self, key: Key) {
        if let Some(record) = self.region.find(key) {
            self.region.interrupt(record);
        }
    }

    fn ask_cancel(&self, key: Key) -> bool {
        let Some(record) = self.region.find(key) else { return true };
        let template = &self.region.templates[usize::from(record.header().segment.get())];
        let driver = self.region.core.driver();
        // Each member by its own name: its descriptor may be open elsewhere too, and whoever works on it there has not
        // asked. In order, so that one that starts meanwhile is met.
        let mut members = 0..=u32::from(template.last);
        members.all(|step| driver.push(cancel::by_user_data(key.with_step(step))))
    }

    fn shut_down(&self) {
        self.cancel_all();
    }

    fn is_idle(&self) -> bool {
        !self.region.any(|record| self.region.has(record, |header| header.in_flight() || header.has(PARKED)))
    }

    fn last_generation(&self) -> u32 {
        let frames = 0..self.region.memory.accessible();
        let key = |index| self.region.memory.record(index).header().key.get();
        frames.map(|index| key(index).generation()).max().unwrap_or(self.region.generation)
    }
}

impl<R> Drop for Frames<R> {
    fn drop(&mut self) {
        // The runtime holds the frames' owner until nothing of them is in flight; only a ring that failed lets
        // go earlier, and then nobody knows what the kernel still writes: keep the mappings.
        if self.region.any(|record| self.region.has(record, Header::in_flight)) {
            std::mem::forget(self.region.constants.clone());
            self.region.outboxes.leak();
            self.region.pooled.leak();
            return self.region.memory.leak();
        }
        // Frames are still in use if their tokens were leaked.
        for index in (0..self.region.memory.accessible()).filter(|_| self.region.live.get() > 0) {
            let record = self.region.memory.record(index);
            if !record.header().has(FREE) {
                drop(Frame::new(&self.region, record, index));
            }
        }
    }
}

impl<R> fmt::Debug for Frames<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("layout", &self.region.layout)
            .field("live", &self.region.live.get())
            .finish()
    }
}
