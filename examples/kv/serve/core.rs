//! What one core has: its keys, its subscribers, and what it knows of the others.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use chainring::CoreHandle;
use chainring::time::sleep;

use super::hub::Hub;
use crate::engine::{Journal, Memory, Place, Store, core_of};
use crate::log::{Disk, Folder, Persist};
use crate::protocol::Limits;

/// How often keys that are over are looked for, if nobody asks for them.
const PAUSE: Duration = Duration::from_millis(100);
/// Keys that are taken out without looking at connections in between.
const AT_ONCE: usize = 500;

/// What all cores share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) memory: Memory,
    pub(crate) limits: Limits,
    pub(crate) started: Instant,
    pub(crate) port: u16,
    pub(crate) connections: usize,
    pub(crate) folder: Option<Folder>,
    /// Bytes of a core's log from which on it is compacted.
    pub(crate) compact_from: u64,
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
    /// Where changes are kept.
    disk: Option<Disk>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
}

impl Core {
    /// Makes the core of this thread; with the keys of its log, if there is one.
    pub(crate) fn enter(shared: Arc<Shared>, handle: CoreHandle) -> io::Result<Rc<Core>> {
        let place = Place { index: handle.index(), count: handle.count() };
        let journal = if shared.folder.is_some() { Journal::wanted() } else { Journal::default() };
        let mut store = Store::new(place, shared.memory.clone(), journal);
        let disk = match &shared.folder {
            Some(folder) => Some(Disk::open(folder, place.index, &mut store)?),
            None => None,
        };
        let (store, hub) = (RefCell::new(store), RefCell::default());
        let core = Rc::new(Core { place, store, hub, shared, handle, disk });
        CURRENT.set(Some(core.clone()));
        Ok(core)
    }

    /// The core of this thread, for messages from the others. None before it is made, or when it has ended.
    pub(crate) fn current() -> Option<Rc<Core>> {
        CURRENT.with_borrow(Clone::clone)
    }

    pub(crate) fn leave() {
        drop(CURRENT.take());
    }

    /// What has to happen before anybody is told of the commands that were just done. None if nothing.
    #[inline]
    pub(crate) fn persist(&self) -> Option<Persist> {
        self.disk.as_ref()?.persist(&mut self.store.borrow_mut())
    }

    /// Changes could not be written: there will be no more.
    pub(crate) fn fail(&self, error: &io::Error) {
        self.store.borrow_mut().read_only.get_or_insert_with(|| {
            eprintln!("core {}: the log cannot be written: {error}; no more changes", self.place.index);
            error.to_string()
        });
    }

    /// Takes out keys that are over, and keeps the log short. Never ends.
    pub(crate) async fn keep_house(self: Rc<Self>) {
        loop {
            let more = {
                let mut store = self.store.borrow_mut();
                store.tell(now());
                store.expire(AT_ONCE)
            };
            self.publish_counts(&self.store.borrow());
            // Nobody waits for it, but what is read next may be what has ended.
            if let Some(persist) = self.persist()
                && let Err(error) = persist.wait().await
            {
                self.fail(&error);
            }
            match &self.disk {
                Some(disk) if disk.is_long(self.shared.compact_from) => {
                    if let Err(error) = disk.compact(&self).await {
                        eprintln!("core {}: the log is not compacted: {error}", self.place.index);
                    }
                }
                _ if more => chainring::yield_now().await,
                _ => sleep(PAUSE).await,
            }
        }
    }

    /// Which core has a key.
    #[inline]
    pub(crate) fn of_key(&self, key: &[u8]) -> usize {
        core_of(key, self.place.count)
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
