//! Coordination without locks: what frames, tasks and cores share.
//!
//! Everything here is a *thing* that threads share and programs name ([`Group`], [`Log`]), and for each core a *state* of
//! it, which only that core sees: made when a program that uses the thing is started there, kept by the runtime for as
//! long as the thing and the runtime are. Two continuations of a core never run at once, so a state is plain cells.
//!
//! # How a frame waits
//!
//! A step that may wait leaves the code for the runner (`run/wait.rs`), which asks the state. If the frame has to wait, its
//! key goes into the state's queue, and the frame is parked *at* the step. Whoever lets it go on calls it; the step is
//! then done again, and finds what it waits for, or waits on. So a call says nothing by itself, and one too many does no
//! harm. A frame that is cancelled, or interrupted otherwise, is taken out of the queue before it goes on. Nothing of a
//! waiting frame is in flight.

mod event;
mod futex;
mod group;
mod log;
mod queue;
mod step;
mod words;

use std::fmt;
use std::rc::Rc;

use chainring_runtime::Handle;
use chainring_runtime::frame::Word;

use crate::error::Refused;
use crate::handle::Reg;
pub(crate) use event::Posts;
pub use event::{Event, Waiting};
pub(crate) use futex::{Futex, Futexes};
pub use group::Group;
pub(crate) use group::Turns;
pub use log::{Commit, Log, OpenLog};
pub(crate) use log::{NotCommitted, Ticket};
pub(crate) use queue::Waiter;
pub(crate) use step::Sync;
pub(crate) use words::WordOf;
pub use words::{Atomic, Shared};

/// The things that a chain uses, by the numbers that its steps give them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Things {
    pub(crate) groups: Vec<Group>,
    pub(crate) logs: Vec<Log>,
    pub(crate) events: Vec<Event>,
    pub(crate) words: Vec<WordOf>,
    /// Whether it waits for futexes, or wakes them.
    pub(crate) futexes: bool,
}

/// Their states on a core.
#[derive(Debug)]
pub(crate) struct States {
    pub(crate) groups: Box<[Rc<Turns>]>,
    pub(crate) logs: Box<[OpenLog]>,
    pub(crate) events: Box<[Rc<Posts>]>,
    pub(crate) futexes: Futexes,
}

impl Things {
    /// The most that there are of one kind: each has 16 bits for its number.
    pub(crate) fn most(&self) -> usize {
        [self.groups.len(), self.logs.len(), self.events.len(), self.words.len()]
            .into_iter()
            .max()
            .unwrap_or(0)
    }

    /// Their states on the core that runs the caller.
    pub(crate) fn start(&self, core: &Handle) -> Result<States, Refused> {
        if self.futexes && !core.capabilities().futex() {
            return Err(Refused::NoFutex);
        }
        let open = |log: &Log| log.on(core).ok_or_else(|| Refused::NoLog(log.name().into()));
        Ok(States {
            groups: self.groups.iter().map(|group| group.on(core)).collect(),
            logs: self.logs.iter().map(open).collect::<Result<_, _>>()?,
            events: self.events.iter().map(|event| event.on(core)).collect(),
            futexes: Futexes::default(),
        })
    }

    /// The words, as frames of this core see them.
    pub(crate) fn words(&self, core: &Handle) -> Vec<Word> {
        self.words.iter().map(|word| word.on(core)).collect()
    }
}

impl Things {
    /// How a step reads in `explain()`.
    pub(crate) fn tell(&self, step: &Sync<Reg>) -> impl fmt::Display {
        let event = |event: u16| self.events[usize::from(event)].name();
        match step {
            Sync::Wait(number) => format!("wait for {}", event(*number)),
            Sync::Notify { event: number, core: None } => format!("notify {}", event(*number)),
            Sync::Notify { event: number, core: Some(core) } => {
                format!("notify {} on core {core}", event(*number))
            }
            Sync::FutexWait { word, expected } => format!("wait for {word} as long as it is {expected}"),
            Sync::FutexWake { word, count, into } => {
                let into = into.map(|reg| format!(", count -> {reg}")).unwrap_or_default();
                format!("wake {count} of {word}{into}")
            }
            Sync::Enter(group) => format!("enter {}", self.groups[usize::from(*group)].name()),
            Sync::Leave(group) => format!("leave {}", self.groups[usize::from(*group)].name()),
            Sync::Commit { log, spans, into, .. } => {
                let spans: String = spans.iter().map(|span| format!(" {span}")).collect();
                let into = into.map(|reg| format!(", position -> {reg}")).unwrap_or_default();
                format!("commit to {} <-{spans}{into}", self.logs[usize::from(*log)].name())
            }
        }
    }
}

/// The number of a thing among those that a chain uses; it may be a new one.
pub(crate) fn number_of<T: Clone>(all: &mut Vec<T>, thing: &T, same: impl Fn(&T, &T) -> bool) -> u16 {
    let known = all.iter().position(|known| same(known, thing));
    let number = known.unwrap_or_else(|| {
        all.push(thing.clone());
        all.len() - 1
    });
    // `build` refuses more than have a number.
    u16::try_from(number).unwrap_or(u16::MAX)
}
