//! Which files are the log.
//!
//! A log is one file a core. A new one of a core counts when it has been renamed to a higher number than the one before;
//! all of them, for another number of cores, when their folder has.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::load::load;
use super::record::records;
use crate::engine::{Journal, Memory, Place, Store, core_of};

/// The folder of a log, of which there is a file for each core.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Two servers would write over what the other has acknowledged: the folder of all logs is locked while this is open.
    _lock: Arc<File>,
}

impl Folder {
    /// Opens the log in `dir`, or makes an empty one, for as many cores as are wanted. Nobody else can until it is dropped.
    ///
    /// # Errors
    /// Those of the file system; `ResourceBusy` if the log is open already, `InvalidData` if it is damaged.
    pub(crate) fn open(dir: &Path, cores: usize) -> io::Result<Folder> {
        fs::create_dir_all(dir)?;
        let lock = lock(dir)?;
        let mut epochs = BTreeMap::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(number) = name.strip_prefix("epoch-") {
                match number.parse::<u64>() {
                    Ok(number) => drop(epochs.insert(number, path)),
                    // One that was not finished.
                    Err(_) => fs::remove_dir_all(&path)?,
                }
            }
        }
        let last = epochs.pop_last();
        // Those before were given up when the last one was made.
        for path in epochs.values() {
            fs::remove_dir_all(path)?;
        }
        match last {
            Some((number, path)) => {
                let folder = Folder { path, _lock: lock };
                let files = folder.files()?;
                if files.len() == cores {
                    return Ok(folder);
                }
                let new = folder.spread(dir, number + 1, &files, cores)?;
                fs::remove_dir_all(&folder.path)?;
                Ok(Folder { path: new, ..folder })
            }
            None => Ok(Folder { path: make(dir, 1, &vec![Vec::new(); cores])?, _lock: lock }),
        }
    }

    /// The file of a core, and its number.
    pub(crate) fn file(&self, core: usize) -> io::Result<(PathBuf, u64)> {
        let file = self.files()?.remove(&core);
        let text = || format!("{} has no log of core {core}", self.path.display());
        file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, text()))
    }

    /// Where the file of a core with this number is to be, and where it is made.
    pub(crate) fn names(&self, core: usize, number: u64) -> (PathBuf, PathBuf) {
        (self.path.join(format!("{core}.{number}.log")), self.path.join(format!("{core}.{number}.new")))
    }

    /// What has to be synced for names to last.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of each core that counts; the others are removed.
    fn files(&self) -> io::Result<BTreeMap<usize, (PathBuf, u64)>> {
        let mut files: BTreeMap<usize, (PathBuf, u64)> = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let mut parts = name.split('.');
            let (core, number, end) = (parts.next(), parts.next(), parts.next());
            let (Some(core), Some(number)) =
                (core.and_then(|core| core.parse().ok()), number.and_then(|number| number.parse().ok()))
            else {
                continue;
            };
            match files.get(&core) {
                _ if end != Some("log") => fs::remove_file(&path)?,
                Some((_, other)) if *other > number => fs::remove_file(&path)?,
                _ => {
                    if let Some((older, _)) = files.insert(core, (path, number)) {
                        fs::remove_file(older)?;
                    }
                }
            }
        }
        Ok(files)
    }

    /// The same keys for another number of cores.
    fn spread(
        &self,
        dir: &Path,
        epoch: u64,
        files: &BTreeMap<usize, (PathBuf, u64)>,
        cores: usize,
    ) -> io::Result<PathBuf> {
        let place = Place { index: 0, count: 1 };
        let mut all = Store::new(place, Memory::new(usize::MAX), Journal::default());
        for (path, _) in files.values() {
            load(path, &mut all)?;
        }
        let mut journals = vec![Journal::wanted(); cores];
        all.describe(0, usize::MAX, |key| core_of(key, cores), &mut journals);
        let bytes: Vec<_> = journals.iter_mut().map(Journal::take).collect();
        make(dir, epoch, &bytes)
    }
}

fn lock(dir: &Path) -> io::Result<Arc<File>> {
    let file = File::open(dir)?;
    match file.try_lock() {
        Ok(()) => Ok(Arc::new(file)),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::ResourceBusy, "it is in use by another server"))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Makes a log of one file for each of `contents`, all at once, and gives its folder.
fn make(dir: &Path, epoch: u64, contents: &[Vec<u8>]) -> io::Result<PathBuf> {
    let (path, new) = (dir.join(format!("epoch-{epoch}")), dir.join(format!("epoch-{epoch}.new")));
    fs::create_dir(&new)?;
    for (core, bytes) in contents.iter().enumerate() {
        let mut file = File::create(new.join(format!("{core}.0.log")))?;
        if !bytes.is_empty() {
            for record in records(bytes) {
                file.write_all(&record)?;
            }
        }
        file.sync_all()?;
    }
    File::open(&new)?.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(dir)?.sync_all()?;
    Ok(path)
}
