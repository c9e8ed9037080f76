//! Words that others see too: those of a core, and those of all threads.
//!
//! Code of a core runs until it submits, waits or ends, and nothing else runs there meanwhile. So a frame may read a word
//! of its core, calculate, and write it, in as many steps as it likes, as long as there is no operation, no wait and no
//! turn of a loop between them: an operation gives way to others, and so does a loop whose fuel is spent. The compiler
//! never moves what reads or writes such a word over an operation, and keeps no copy of it.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use chainring_runtime::Handle;
use chainring_runtime::frame;

/// Words (`u64`) of which each core has its own, zero at first: counters, totals, flags that all frames of a core see. Cheap
/// to clone; a clone is the same words. They may be given to several chains, with [`shared`](crate::Chain::shared), and
/// tasks and calls see them too.
#[derive(Clone)]
pub struct Shared(Arc<Names>);

#[derive(Debug)]
struct Names {
    name: Box<str>,
    count: usize,
}

type Cells = Rc<[Cell<u64>]>;

impl Shared {
    /// So many new words. The name is for messages.
    pub fn new(name: &str, count: usize) -> Shared {
        Shared(Arc::new(Names { name: name.into(), count }))
    }

    /// The name that they were given.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.count
    }

    /// A word on the core that runs the caller.
    ///
    /// # Panics
    /// If there are not as many, or outside of a runtime.
    pub fn get(&self, i: usize) -> u64 {
        self.on(&Handle::current())[i].get()
    }

    /// Sets a word on the core that runs the caller.
    ///
    /// # Panics
    /// If there are not as many, or outside of a runtime.
    pub fn set(&self, i: usize, value: u64) {
        self.on(&Handle::current())[i].set(value);
    }

    fn on(&self, core: &Handle) -> Cells {
        let make = || (0..self.0.count).map(|_| Cell::new(0)).collect::<Cells>();
        core.core_local(&self.0, make).as_ref().clone()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({:?}, {})", self.name(), self.count())
    }
}

/// A word that all threads share: a number of 64 or 32 bits. Made from an `Arc` of such a number, which whoever holds it may
/// use as he likes. Only one of 32 bits can be waited for, as a futex.
#[derive(Clone, Debug)]
pub struct Atomic(AtomicKind);

#[derive(Clone, Debug)]
enum AtomicKind {
    Small(Arc<AtomicU32>),
    Large(Arc<AtomicU64>),
}

impl From<Arc<AtomicU32>> for Atomic {
    fn from(word: Arc<AtomicU32>) -> Self {
        Atomic(AtomicKind::Small(word))
    }
}

impl From<Arc<AtomicU64>> for Atomic {
    fn from(word: Arc<AtomicU64>) -> Self {
        Atomic(AtomicKind::Large(word))
    }
}

/// Where a word of a chain lies.
#[derive(Clone, Debug)]
pub(crate) enum WordOf {
    Shared(Shared, usize),
    Atomic(Atomic),
}

impl WordOf {
    pub(crate) fn is(&self, other: &WordOf) -> bool {
        match (self, other) {
            (WordOf::Shared(a, i), WordOf::Shared(b, j)) => Arc::ptr_eq(&a.0, &b.0) && i == j,
            (WordOf::Atomic(Atomic(AtomicKind::Small(a))), WordOf::Atomic(Atomic(AtomicKind::Small(b)))) => {
                Arc::ptr_eq(a, b)
            }
            (WordOf::Atomic(Atomic(AtomicKind::Large(a))), WordOf::Atomic(Atomic(AtomicKind::Large(b)))) => {
                Arc::ptr_eq(a, b)
            }
            _ => false,
        }
    }

    /// The number of 32 bits that it is, if it is one.
    pub(crate) fn futex(&self) -> Option<&Arc<AtomicU32>> {
        match self {
            WordOf::Atomic(Atomic(AtomicKind::Small(word))) => Some(word),
            _ => None,
        }
    }

    /// For the frames of a core.
    pub(crate) fn on(&self, core: &Handle) -> frame::Word {
        match self {
            WordOf::Shared(shared, i) => frame::Word::Core(shared.on(core), *i),
            WordOf::Atomic(Atomic(AtomicKind::Small(word))) => frame::Word::Small(word.clone()),
            WordOf::Atomic(Atomic(AtomicKind::Large(word))) => frame::Word::Large(word.clone()),
        }
    }
}
