//! Keys that end: when somebody asks for them, and in time even if nobody does.

use super::store::Store;

impl Store {
    /// Tells the time, in milliseconds since 1970. It never goes back, whatever the clock does.
    pub(crate) fn tell(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// Takes out keys that are over, at most `limit`, and says whether there may be more.
    pub(crate) fn expire(&mut self, limit: usize) -> bool {
        for _ in 0..limit {
            let Some((_, key)) = self.expiring.first().filter(|(deadline, _)| *deadline <= self.now) else {
                return false;
            };
            let key = key.clone();
            self.expire_key(&key);
        }
        true
    }

    /// Keys that have ended by themselves.
    pub(crate) fn expired(&self) -> u64 {
        self.expired
    }

    /// Keys that will.
    pub(crate) fn expiring(&self) -> usize {
        self.expiring.len()
    }

    pub(super) fn expire_key(&mut self, key: &[u8]) {
        // The log is told, so that reading it needs no clock.
        self.journal.note(&[b"DEL", key]);
        drop(self.take(key));
        self.expired += 1;
    }
}
