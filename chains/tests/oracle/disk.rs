//! The files of a program: a directory of its own for each frame and for each twin, the same in all of them.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What the files of a directory hold, by their names.
pub(crate) type Contents = BTreeMap<OsString, Vec<u8>>;

/// A directory with a file that is given to the program, and another.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
}

const GIVEN: usize = 40;
const THERE: usize = 300;
/// More than a page.
const STILL: usize = 6000;

impl Disk {
    pub(crate) fn new() -> Disk {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = base.join(format!("chainring-oracle-{}-{number}", std::process::id()));
        let disk = Disk { root };
        fs::create_dir_all(disk.inside()).expect("a directory");
        let bytes = |len: usize| (0..len).map(|i| (i * 7 % 13) as u8).collect::<Vec<_>>();
        fs::write(disk.inside().join("given"), bytes(GIVEN)).expect("a file");
        fs::write(disk.inside().join("there"), bytes(THERE)).expect("a file");
        fs::write(disk.inside().join("still"), bytes(STILL)).expect("a file");
        drop(disk.log());
        fs::create_dir(disk.inside().join("folder")).expect("a directory");
        disk
    }

    fn inside(&self) -> PathBuf {
        self.root.join("inside")
    }

    /// The file that is given, for reading and writing.
    pub(crate) fn given(&self) -> File {
        File::options().read(true).write(true).open(self.inside().join("given")).expect("the file is there")
    }

    pub(crate) fn directory(&self) -> File {
        File::open(self.inside()).expect("the directory is there")
    }

    /// An empty file for a log.
    pub(crate) fn log(&self) -> File {
        File::create(self.root.join("log")).expect("a file")
    }

    pub(crate) fn contents(&self) -> Contents {
        let entries =
            fs::read_dir(&self.root).expect("a directory").chain(fs::read_dir(self.inside()).expect("one"));
        let bytes = |path: &Path| if path.is_dir() { Vec::new() } else { fs::read(path).expect("a file") };
        let entries = entries.map(|entry| entry.expect("an entry"));
        entries.map(|entry| (entry.file_name(), bytes(&entry.path()))).collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.root));
    }
}

fn checked(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// openat2(2), beneath the directory.
pub(crate) fn open(directory: &File, path: &[u8], flags: i32) -> io::Result<File> {
    let mode = if flags & libc::O_CREAT != 0 { 0o600 } else { 0 };
    let how: [u64; 3] = [(flags | libc::O_CLOEXEC) as u64, mode, libc::RESOLVE_BENEATH];
    let path = CString::new(path).expect("cut at the first NUL");
    let (fd, how) = (directory.as_raw_fd(), how.as_ptr());
    // SAFETY: the path ends in a NUL, `how` is a `struct open_how`, its size is given, and both live on.
    let fd = checked(unsafe { libc::syscall(libc::SYS_openat2, fd, path.as_ptr(), how, 24_usize) })?;
    // SAFETY: the kernel has just made it, and nobody else has it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
}

/// fallocate(2)
pub(crate) fn allocate(file: &File, position: u64, len: u64) -> io::Result<()> {
    // SAFETY: it takes numbers only.
    checked(unsafe { libc::fallocate(file.as_raw_fd(), 0, position as i64, len as i64) }.into()).map(drop)
}

/// ftruncate(2)
pub(crate) fn truncate(file: &File, len: u64) -> io::Result<()> {
    // SAFETY: it takes numbers only.
    checked(unsafe { libc::ftruncate(file.as_raw_fd(), len as i64) }.into()).map(drop)
}

/// renameat(2), in the directory.
pub(crate) fn rename(directory: &File, from: &[u8], to: &[u8]) -> io::Result<()> {
    let [from, to] = [from, to].map(|path| CString::new(path).expect("cut at the first NUL"));
    let fd = directory.as_raw_fd();
    // SAFETY: both paths end in a NUL, and live on.
    checked(unsafe { libc::renameat(fd, from.as_ptr(), fd, to.as_ptr()) }.into()).map(drop)
}

/// unlinkat(2), in the directory.
pub(crate) fn remove(directory: &File, path: &[u8], is_directory: bool) -> io::Result<()> {
    let path = CString::new(path).expect("cut at the first NUL");
    let flags = if is_directory { libc::AT_REMOVEDIR } else { 0 };
    // SAFETY: the path ends in a NUL, and lives on.
    checked(unsafe { libc::unlinkat(directory.as_raw_fd(), path.as_ptr(), flags) }.into()).map(drop)
}
