//! Small files in the memory of a core, as they are sent.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::version::Version;

/// How long a file is not looked at again.
const FRESH: Duration = Duration::from_secs(1);

pub(crate) struct Cache {
    files: HashMap<String, Entry>,
    bytes: usize,
    limit: usize,
}

struct Entry {
    bytes: Rc<[u8]>,
    version: Version,
    /// When the file was seen to have this version.
    seen: Instant,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Cache {
        Cache { files: HashMap::new(), bytes: 0, limit }
    }

    /// A file that was looked at a moment ago.
    pub(crate) fn fresh(&self, path: &str, now: Instant) -> Option<(Rc<[u8]>, Version)> {
        let entry = self.files.get(path)?;
        (now.duration_since(entry.seen) < FRESH).then(|| (entry.bytes.clone(), entry.version))
    }

    /// A file that was looked at now, if this version is here.
    pub(crate) fn seen(&mut self, path: &str, version: Version, now: Instant) -> Option<Rc<[u8]>> {
        let entry = self.files.get_mut(path).filter(|entry| entry.version == version)?;
        entry.seen = now;
        Some(entry.bytes.clone())
    }

    pub(crate) fn keep(&mut self, path: &str, bytes: Rc<[u8]>, version: Version, now: Instant) {
        // Names and bookkeeping count, or empty files would be free.
        let size = |path: &str, bytes: &[u8]| path.len() + bytes.len() + size_of::<Entry>();
        let added = size(path, &bytes);
        if added > self.limit {
            return;
        }
        if self.bytes + added > self.limit {
            // All at once: what is asked for often is soon back.
            self.files.clear();
            self.bytes = 0;
        }
        self.bytes += added;
        if let Some(old) = self.files.insert(path.to_owned(), Entry { bytes, version, seen: now }) {
            self.bytes -= size(path, &old.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(modified: u64) -> Version {
        Version { modified, ..Version::default() }
    }

    #[test]
    fn a_file_is_trusted_for_a_moment_and_then_looked_at() {
        let (mut cache, now) = (Cache::new(1 << 20), Instant::now());
        assert!(cache.fresh("a", now).is_none());
        cache.keep("a", Rc::from(*b"abc"), version(1), now);
        assert_eq!(cache.fresh("a", now).map(|(bytes, _)| bytes.to_vec()), Some(b"abc".to_vec()));
        let later = now + FRESH;
        assert!(cache.fresh("a", later).is_none());
        assert!(cache.seen("a", version(2), later).is_none(), "another version");
        assert!(cache.seen("a", version(1), later).is_some());
        assert!(cache.fresh("a", later).is_some());
    }

    #[test]
    fn it_never_holds_more_than_its_limit() {
        let (mut cache, now) = (Cache::new(1000), Instant::now());
        cache.keep("too large", Rc::from([0; 1000]), version(1), now);
        assert!(cache.fresh("too large", now).is_none());
        for number in 0..100 {
            cache.keep(&format!("file{number}"), Rc::from([0; 100]), version(1), now);
            cache.keep("same", Rc::from([0; 10]), version(number), now);
            let held: usize = cache
                .files
                .iter()
                .map(|(path, entry)| path.len() + entry.bytes.len() + size_of::<Entry>())
                .sum();
            assert_eq!(held, cache.bytes);
            assert!(held <= 1000);
        }
        // The last one, whatever it took the place of.
        assert!(cache.fresh("same", now).is_some());
    }
}
