//! One core's keys.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::journal::Journal;
use super::refusal::Refusal;
use super::value::{List, Text, Value};

/// What a key takes beyond its bytes and its value's: an entry of the map, its place in the table, two counts.
const PER_KEY: usize = size_of::<Entry>() + size_of::<Key>() + 48;
/// And one that expires.
const PER_DEADLINE: usize = 48;
/// Bytes of replies for which there is always room.
const REPLIES: usize = 1 << 20;
/// A core tells the others what it has taken when it is so much.
const STEP: i64 = 64 << 10;

pub(super) type Key = Rc<[u8]>;

/// What is under a key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    /// When it ends, in milliseconds since 1970; 0 is never.
    pub(super) deadline: u64,
}

/// What is to be under a key.
#[derive(Debug)]
pub(super) enum New<'b> {
    /// These bytes, perhaps in the memory of what is there.
    Copy(&'b [u8]),
    Value(Value),
}

impl New<'_> {
    fn into_value(self) -> Value {
        match self {
            New::Copy(bytes) => Value::Text(Text::new(bytes.to_vec())),
            New::Value(value) => value,
        }
    }
}

/// The memory of all cores' values, and its limit.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    used: Arc<AtomicI64>,
    limit: usize,
    /// What this core has not told the others.
    untold: i64,
}

impl Memory {
    /// Clones of it share the limit, in bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Memory { used: Arc::default(), limit, untold: 0 }
    }

    pub(crate) fn change(&mut self, before: usize, after: usize) {
        self.untold += after as i64 - before as i64;
        if self.untold.abs() >= STEP {
            self.used.fetch_add(std::mem::take(&mut self.untold), Ordering::Relaxed);
        }
    }

    pub(crate) fn used(&self) -> usize {
        usize::try_from(self.used.load(Ordering::Relaxed) + self.untold).unwrap_or(0)
    }

    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.used())
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

/// Which of how many stores this one is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) index: usize,
    pub(crate) count: usize,
}

/// Which of `count` cores has a key.
#[inline]
pub(crate) fn core_of(key: &[u8], count: usize) -> usize {
    // Not the hash of the tables: keys of one core would lie close together in them.
    if count == 1 { 0 } else { crc32fast::hash(key) as usize % count }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) map: IndexMap<Key, Entry, RandomState>,
    /// Keys that end, the next one first.
    pub(super) expiring: BTreeSet<(u64, Key)>,
    pub(crate) memory: Memory,
    pub(crate) journal: Journal,
    /// Milliseconds since 1970.
    pub(super) now: u64,
    pub(crate) place: Place,
    /// Why it cannot be changed any more.
    pub(crate) read_only: Option<String>,
    pub(super) expired: u64,
    /// It is being made as a log says: nothing is refused.
    pub(crate) is_loading: bool,
}

impl Store {
    pub(crate) fn new(place: Place, memory: Memory, journal: Journal) -> Self {
        let (map, expiring) = Default::default();
        Store {
            map,
            expiring,
            memory,
            journal,
            now: 0,
            place,
            read_only: None,
            expired: 0,
            is_loading: false,
        }
    }

    /// Bytes of replies that may be copied before any of them are sent: a part of what is free, as they are put together
    /// from those of all cores; and a few when nothing is, so that what is there can be read.
    pub(crate) fn reply_room(&self) -> usize {
        (self.memory.room() / (2 * self.place.count)).max(REPLIES)
    }

    /// Keys that are there; some of them may be over.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// What is under a key.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<&Entry> {
        let index = self.find(key)?;
        Some(&self.map[index])
    }

    /// Its place in the map, if it is not over.
    #[inline]
    fn find(&mut self, key: &[u8]) -> Option<usize> {
        let index = self.map.get_index_of(key)?;
        let deadline = self.map[index].deadline;
        if deadline != 0 && deadline <= self.now {
            self.expire_key(key);
            return None;
        }
        Some(index)
    }

    /// The text under a key.
    pub(super) fn text(&mut self, key: &[u8]) -> Result<Option<&Text>, Refusal> {
        match self.get(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::List(_)) => Err(Refusal::WrongType),
        }
    }

    /// The list under a key.
    pub(super) fn list(&mut self, key: &[u8]) -> Result<Option<&List>, Refusal> {
        match self.get(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(Value::Text(_)) => Err(Refusal::WrongType),
        }
    }

    /// Changes what is under a key, or under a new one what `or` makes.
    #[inline]
    pub(super) fn edit<T>(
        &mut self,
        key: &[u8],
        or: impl FnOnce() -> Value,
        edit: impl FnOnce(&mut Value) -> T,
    ) -> T {
        if let Some(index) = self.find(key) {
            let value = &mut self.map[index].value;
            let before = value.weight();
            let result = edit(value);
            let after = value.weight();
            self.memory.change(before, after);
            return result;
        }
        let mut value = or();
        let result = edit(&mut value);
        self.insert(key, value);
        result
    }

    /// Puts a value under a key, whatever was there. Without `deadline` the key ends when it would have.
    #[inline]
    pub(super) fn put(&mut self, key: &[u8], deadline: Option<u64>, new: New<'_>) {
        let Some(index) = self.find(key) else {
            self.insert(key, new.into_value());
            if let Some(deadline @ 1..) = deadline {
                self.set_deadline(key, deadline);
            }
            return;
        };
        let Entry { value, deadline: old } = &mut self.map[index];
        let before = value.weight();
        match (&mut *value, new) {
            (Value::Text(text), New::Copy(bytes)) => text.assign(bytes),
            (_, new) => *value = new.into_value(),
        }
        let after = value.weight();
        let moved = deadline.filter(|deadline| deadline != old);
        self.memory.change(before, after);
        if let Some(deadline) = moved {
            self.set_deadline(key, deadline);
        }
    }

    fn insert(&mut self, key: &[u8], value: Value) {
        self.memory.change(0, PER_KEY + key.len() + value.weight());
        self.map.insert(key.into(), Entry { value, deadline: 0 });
    }

    /// Says when a key ends; 0 is never. False if there is no such key.
    pub(super) fn set_deadline(&mut self, key: &[u8], deadline: u64) -> bool {
        let Some(index) = self.find(key) else { return false };
        let Some((key, entry)) = self.map.get_index_mut(index) else { return false };
        let before = std::mem::replace(&mut entry.deadline, deadline);
        if before == deadline {
            return true;
        }
        let key = key.clone();
        if before != 0 {
            self.expiring.remove(&(before, key.clone()));
            self.memory.change(PER_DEADLINE, 0);
        }
        if deadline != 0 {
            self.expiring.insert((deadline, key));
            self.memory.change(0, PER_DEADLINE);
        }
        true
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Value> {
        self.find(key)?;
        self.take(key)
    }

    /// The same, whether it is over or not.
    pub(super) fn take(&mut self, key: &[u8]) -> Option<Value> {
        // The last one takes its place; see `scan`.
        let (key, entry) = self.map.swap_remove_entry(key)?;
        self.memory.change(PER_KEY + key.len() + entry.value.weight(), 0);
        if entry.deadline != 0 {
            self.memory.change(PER_DEADLINE, 0);
            self.expiring.remove(&(entry.deadline, key));
        }
        if self.map.len() < self.map.capacity() / 8 {
            self.map.shrink_to(self.map.capacity() / 2);
        }
        Some(entry.value)
    }

    /// Takes all keys out.
    pub(super) fn clear(&mut self) {
        let keys = self.map.drain(..).map(|(key, entry)| PER_KEY + key.len() + entry.value.weight());
        let weight = keys.sum::<usize>() + PER_DEADLINE * self.expiring.len();
        self.memory.change(weight, 0);
        self.map = IndexMap::default();
        self.expiring.clear();
    }

    /// Shows some keys from behind `cursor` (0 at first), downwards, and gives the next one, 0 at the end.
    ///
    /// A key that is there from beginning to end is shown: where one is taken out, the last one takes its place, which is
    /// one that was shown already or will be.
    pub(super) fn scan(&self, cursor: usize, count: usize, mut show: impl FnMut(&[u8], &Entry)) -> usize {
        let from = if cursor == 0 { self.map.len() } else { cursor.min(self.map.len()) };
        let to = from.saturating_sub(count);
        for (key, entry) in self.map.get_range(to..from).into_iter().flatten().rev() {
            if entry.deadline == 0 || entry.deadline > self.now {
                show(key, entry);
            }
        }
        to
    }
}
