//! What one core has: its keys, its subscribers, and what it knows of the others.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use chainring::CoreHandle;

use super::hub::Hub;
use crate::engine::{Journal, Memory, Place, Store};
use crate::protocol::Limits;

/// What all cores share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) memory: Memory,
    pub(crate) limits: Limits,
    pub(crate) started: Instant,
    pub(crate) port: u16,
    pub(crate) connections: usize,
    pub(crate) durable: bool,
    pub(crate) next_client: AtomicU64,
    pub(crate) cores: Box<[Counters]>,
}

/// What a core tells about itself. Only it writes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    pub(crate) clients: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) keys: AtomicU64,
    pub(crate) expiring: AtomicU64,
    pub(crate) expired: AtomicU64,
}

impl Shared {
    /// A counter's sum over all cores.
    pub(crate) fn sum(&self, counter: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        self.cores.iter().map(|core| counter(core).load(Ordering::Relaxed)).sum()
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) place: Place,
    pub(crate) store: RefCell<Store>,
    pub(crate) hub: RefCell<Hub>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) handle: CoreHandle,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
}

impl Core {
    /// Makes the core of this thread.
    pub(crate) fn enter(shared: Arc<Shared>, handle: CoreHandle) -> Rc<Core> {
        let place = Place { index: handle.index(), count: handle.count() };
        let journal = if shared.durable { Journal::wanted() } else { Journal::default() };
        let store = RefCell::new(Store::new(place, shared.memory.clone(), journal));
        let core = Rc::new(Core { place, store, hub: RefCell::default(), shared, handle });
        CURRENT.set(Some(core.clone()));
        core
    }

    /// The core of this thread, for messages from the others. None before it is made, or when it has ended.
    pub(crate) fn current() -> Option<Rc<Core>> {
        CURRENT.with_borrow(Clone::clone)
    }

    pub(crate) fn leave() {
        drop(CURRENT.take());
    }

    /// Which core has a key.
    #[inline]
    pub(crate) fn of_key(&self, key: &[u8]) -> usize {
        // Not the hash of the tables: keys of one core would lie close together in them.
        if self.place.count == 1 { 0 } else { crc32fast::hash(key) as usize % self.place.count }
    }

    /// Counts something of this core.
    pub(crate) fn count(&self, counter: impl Fn(&Counters) -> &AtomicU64, change: i64) {
        let counter = counter(&self.shared.cores[self.place.index]);
        let now = counter.load(Ordering::Relaxed).wrapping_add_signed(change);
        counter.store(now, Ordering::Relaxed);
    }

    /// Tells the others how many keys there are.
    pub(crate) fn publish_counts(&self, store: &Store) {
        let counters = &self.shared.cores[self.place.index];
        counters.keys.store(store.len() as u64, Ordering::Relaxed);
        counters.expiring.store(store.expiring() as u64, Ordering::Relaxed);
        counters.expired.store(store.expired(), Ordering::Relaxed);
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
