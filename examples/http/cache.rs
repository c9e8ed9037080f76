//! Small files in the memory of a core, as they are sent.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::answer::About;
use crate::version::Version;

/// How long a file is not looked at again.
const FRESH: Duration = Duration::from_secs(1);

pub(crate) struct Cache {
    files: HashMap<String, Entry, RandomState>,
    bytes: usize,
    limit: usize,
}

/// A file, and what is said about it.
pub(crate) struct File {
    pub(crate) bytes: Rc<[u8]>,
    pub(crate) version: Version,
    pub(crate) about: About,
}

struct Entry {
    file: Rc<File>,
    /// When the file was seen to have this version.
    seen: Instant,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Cache {
        Cache { files: HashMap::default(), bytes: 0, limit }
    }

    /// A file that was looked at a moment ago.
    pub(crate) fn fresh(&self, path: &str, now: Instant) -> Option<Rc<File>> {
        let entry = self.files.get(path)?;
        (now.duration_since(entry.seen) < FRESH).then(|| entry.file.clone())
    }

    /// A file that was looked at now, if this version is here.
    pub(crate) fn seen(&mut self, path: &str, version: Version, now: Instant) -> Option<Rc<File>> {
        let entry = self.files.get_mut(path).filter(|entry| entry.file.version == version)?;
        entry.seen = now;
        Some(entry.file.clone())
    }

    pub(crate) fn keep(&mut self, path: &str, file: Rc<File>, now: Instant) {
        // Names and bookkeeping count, or empty files would be free.
        let added = size(path, &file);
        if added > self.limit {
            return;
        }
        if self.bytes + added > self.limit {
            // All at once: what is asked for often is soon back.
            self.files.clear();
            self.bytes = 0;
        }
        self.bytes += added;
        if let Some(old) = self.files.insert(path.to_owned(), Entry { file, seen: now }) {
            self.bytes -= size(path, &old.file);
        }
    }
}

/// The memory that a file takes.
fn size(path: &str, file: &File) -> usize {
    path.len() + file.bytes.len() + file.about.len() + size_of::<File>() + size_of::<Entry>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(modified: u64) -> Version {
        Version { modified, ..Version::default() }
    }

    fn file(bytes: &[u8], version: Version) -> Rc<File> {
        Rc::new(File { bytes: Rc::from(bytes), version, about: About::new("a", &version) })
    }

    #[test]
    fn a_file_is_trusted_for_a_moment_and_then_looked_at() {
        let (mut cache, now) = (Cache::new(1 << 20), Instant::now());
        assert!(cache.fresh("a", now).is_none());
        cache.keep("a", file(b"abc", version(1)), now);
        assert_eq!(cache.fresh("a", now).map(|file| file.bytes.to_vec()), Some(b"abc".to_vec()));
        let later = now + FRESH;
        assert!(cache.fresh("a", later).is_none());
        assert!(cache.seen("a", version(2), later).is_none(), "another version");
        assert!(cache.seen("a", version(1), later).is_some());
        assert!(cache.fresh("a", later).is_some());
    }

    #[test]
    fn it_never_holds_more_than_its_limit() {
        let (mut cache, now) = (Cache::new(2000), Instant::now());
        cache.keep("too large", file(&[0; 2000], version(1)), now);
        assert!(cache.fresh("too large", now).is_none());
        for number in 0..100 {
            cache.keep(&format!("file{number}"), file(&[0; 100], version(1)), now);
            cache.keep("same", file(&[0; 10], version(number)), now);
            let held: usize = cache.files.iter().map(|(path, entry)| size(path, &entry.file)).sum();
            assert_eq!(held, cache.bytes);
            assert!(held <= 2000);
        }
        // The last one, whatever it took the place of.
        assert!(cache.fresh("same", now).is_some());
    }
}
