//! A store as commands that make it.

use super::journal::Journal;
use super::store::{Entry, Store};
use super::value::Value;

/// Items of a list that are noted together.
const ITEMS: usize = 512;

impl Store {
    /// Notes keys from behind `cursor`, as [`scan`](Store::scan) goes through them, each in the journal that `which` says:
    /// what there is now, whatever was noted about the key before. Gives the next cursor, 0 at the end.
    pub(crate) fn describe(
        &self,
        cursor: usize,
        count: usize,
        which: impl Fn(&[u8]) -> usize,
        journals: &mut [Journal],
    ) -> usize {
        self.scan(cursor, count, |key, entry| note(key, entry, &mut journals[which(key)]))
    }
}

fn note(key: &[u8], entry: &Entry, journal: &mut Journal) {
    let mut digits = itoa::Buffer::new();
    let deadline = digits.format(entry.deadline).as_bytes();
    match &entry.value {
        Value::Text(text) if entry.deadline == 0 => journal.note(&[b"SET", key, text.bytes()]),
        Value::Text(text) => journal.note(&[b"SET", key, text.bytes(), b"PXAT", deadline]),
        Value::List(list) => {
            journal.note(&[b"DEL", key]);
            let mut items = list.range(0, -1).peekable();
            while items.peek().is_some() {
                let some: Vec<_> = items.by_ref().take(ITEMS).map(|item| item.bytes()).collect();
                let args: Vec<_> = std::iter::once(key).chain(some).collect();
                journal.note_all(b"RPUSH", args.into_iter());
            }
            if entry.deadline != 0 {
                journal.note(&[b"PEXPIREAT", key, deadline]);
            }
        }
    }
}
