//! A shorter log of the same keys.
//!
//! The new log is written while the server goes on: it gets every change as the old one does, and between them, key by
//! key, what there is. What it says about a key before that one has been gone through may be wrong, since it does not know
//! what there was before; but then comes what there is, and from there on it is right. When all keys have been gone
//! through and everything is on the disk, the new file is renamed, and that makes it the log. Nothing is acknowledged
//! meanwhile that is not in both.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::PathBuf;

use super::disk::{Disk, Next, all, append, open};
use crate::engine::{Journal, Store};
use crate::serve::core::Core;

/// Bytes of keys and values that are written without looking at anything else in between.
const PIECE: usize = 256 << 10;

impl Disk {
    /// Whether a log of this length is worth it: at least `from` bytes, and twice what it was.
    pub(crate) fn is_long(&self, from: u64) -> bool {
        self.len() >= from.max(2 * self.compacted.get())
    }

    fn len(&self) -> u64 {
        self.log.borrow().durable()
    }

    /// Compacts the log of `core`, which this is.
    ///
    /// # Errors
    /// Those of writing the new file. The old one goes on.
    pub(crate) async fn compact(&self, core: &Core) -> io::Result<()> {
        let (path, new) = self.folder.names(self.core, self.number.get() + 1);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
        let log = open(file, 0)?;
        self.next.replace(Some(Next { log, counts: false }));
        let written = self.write(core, path, new.clone()).await;
        if written.is_err() {
            self.next.replace(None);
            // Nobody looks for it under this name.
            drop(fs::remove_file(new));
            // Not again before there is twice as much.
            self.compacted.set(self.len());
        }
        written
    }

    async fn write(&self, core: &Core, path: PathBuf, new: PathBuf) -> io::Result<()> {
        let Some(log) = self.next.borrow().as_ref().map(|next| next.log.clone()) else { return Ok(()) };
        let mut cursor = 0;
        loop {
            let some;
            (some, cursor) = describe(&core.store.borrow(), cursor);
            all(append(&log, &some)).await?;
            if cursor == 0 {
                break;
            }
        }
        // What is noted from here on is acknowledged only if the new log has it, and what was before is in it.
        if let Some(next) = &mut *self.next.borrow_mut() {
            next.counts = true;
        }
        all(append(&log, b"")).await?;
        let folder = self.folder.path().to_owned();
        let (old, _) = self.folder.names(self.core, self.number.get());
        let renamed = chainring::spawn_blocking(move || {
            fs::rename(new, path)?;
            // From here on there is no way back: whoever starts next takes the new one.
            io::Result::Ok(File::open(folder).and_then(|folder| folder.sync_all()))
        });
        let synced: io::Result<()> = renamed.await.map_err(io::Error::other)??;
        self.compacted.set(log.durable());
        self.log.replace(log);
        self.next.replace(None);
        self.number.set(self.number.get() + 1);
        match synced {
            // If it stays it is removed when the server starts.
            Ok(()) => drop(chainring::spawn_blocking(move || fs::remove_file(old))),
            // Which of the two is there after a crash, nobody knows.
            Err(error) => core.fail(&error),
        }
        Ok(())
    }
}

/// Some keys from behind `cursor`, as commands; and the next cursor.
fn describe(store: &Store, mut cursor: usize) -> (Vec<u8>, usize) {
    let mut some = [Journal::wanted()];
    loop {
        cursor = store.describe(cursor, 1, |_| 0, &mut some);
        if cursor == 0 || some[0].len() >= PIECE {
            return (some[0].take(), cursor);
        }
    }
}
