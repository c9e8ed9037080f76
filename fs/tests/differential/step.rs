//! What is done, and how it is chosen.

use std::ffi::OsString;
use std::io::SeekFrom;
use std::path::PathBuf;

use proptest::prelude::*;

/// What is done. Paths are seen from the directory.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write(PathBuf, usize),
    WriteAtomic(PathBuf, usize),
    Read(PathBuf),
    ReadToString(PathBuf),
    CreateDir(PathBuf),
    CreateDirAll(PathBuf),
    RemoveFile(PathBuf),
    RemoveDir(PathBuf),
    RemoveDirAll(PathBuf),
    Rename(PathBuf, PathBuf),
    HardLink(PathBuf, PathBuf),
    Symlink(PathBuf, PathBuf),
    ReadLink(PathBuf),
    Canonicalize(PathBuf),
    ReadDir(PathBuf),
    Metadata(PathBuf),
    SymlinkMetadata(PathBuf),
    Exists(PathBuf),
    SetPermissions(PathBuf, u32),
    Copy(PathBuf, PathBuf),
    GetXattr(PathBuf, OsString),
    SetXattr(PathBuf, OsString, usize),
    RemoveXattr(PathBuf, OsString),
    ListXattr(PathBuf),
    Open(PathBuf, Flags, Vec<Act>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) append: bool,
    pub(crate) truncate: bool,
    pub(crate) create: bool,
    pub(crate) create_new: bool,
    pub(crate) custom: i32,
    pub(crate) mode: u32,
}

/// What is done to an open file.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Read(usize),
    ReadAt(usize, u64),
    ReadExactAt(usize, u64),
    ReadExactVectoredAt(Vec<usize>, u64),
    ReadToEnd,
    Write(usize),
    WriteAllAt(usize, u64),
    WriteAllVectoredAt(Vec<usize>, u64),
    Seek(SeekFrom),
    SetLen(u64),
    Sync,
    Len,
    GetXattr(OsString),
    SetXattr(OsString, usize),
    RemoveXattr(OsString),
    ListXattr,
}

fn path() -> impl Strategy<Value = PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let name = prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "c", "dir"]).prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::sample::select(vec![".", "..", "", "a/", "x\0y"]).prop_map(|name| name.as_bytes().to_vec()),
        1 => Just(b"not-utf-8-\xff\xfe".to_vec()),
        1 => prop::sample::select(vec![255usize, 256, 4096]).prop_map(|len| vec![b'l'; len]),
    ];
    // A path never leaves the directory, which is three levels deep in one of its own.
    prop::collection::vec(name, 1..4).prop_map(|names| {
        let path = names.join(&b'/');
        let path = path.iter().position(|byte| *byte != b'/').map_or(vec![b'.'], |at| path[at..].to_vec());
        PathBuf::from(std::ffi::OsString::from_vec(path))
    })
}

/// Of two errors io_uring tells that of a second path that is too long, and the system calls that of the path that they
/// look at first: so only the first may be.
fn two_paths() -> impl Strategy<Value = (PathBuf, PathBuf)> {
    (path(), path()).prop_map(|(from, to)| (from, if to.as_os_str().len() > 3000 { "b".into() } else { to }))
}

fn target() -> impl Strategy<Value = PathBuf> {
    prop::sample::select(vec!["a", "b", "c", "dir", "dir/a", "../r/b", ".", "none", "loop"])
        .prop_map(PathBuf::from)
}

fn len() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), 1..100usize, prop::sample::select(vec![4095, 4096, 4097, 4128, 10_000, 70_000])]
}

fn offset() -> impl Strategy<Value = u64> {
    let edges = vec![0, 4096, (4 << 30) - 10, (4 << 30) + 5, 1 << 40, i64::MAX as u64, 1 << 63, u64::MAX - 1];
    prop_oneof![3 => 0..200u64, 1 => prop::sample::select(edges)]
}

/// Of two errors io_uring tells that of the name, or of the value, and the system calls that of the path.
fn named() -> impl Strategy<Value = (PathBuf, OsString)> {
    (path(), attribute()).prop_map(|(path, name)| {
        let is_good = name.len() < 100 && !name.is_empty();
        (path, if is_good { name } else { "user.a".into() })
    })
}

fn attribute() -> impl Strategy<Value = OsString> {
    prop_oneof![
        6 => prop::sample::select(vec!["user.a", "user.b", "trusted.c"]).prop_map(OsString::from),
        1 => prop::sample::select(vec!["user.", "nobody", "", "user.x\0y"]).prop_map(OsString::from),
        1 => prop::sample::select(vec![255usize, 256]).prop_map(|len| "user.".to_owned() + &"n".repeat(len - 5)).prop_map(OsString::from),
    ]
}

/// Short, or longer than what is asked for first; all of a file's have to fit into a block.
fn value() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), 1..50usize, prop::sample::select(vec![256, 257, 500, 100_000])]
}

/// Several parts, and where. Of two errors io_uring tells that of the file first, and pwrite(2) that of the offset.
fn parts() -> impl Strategy<Value = (Vec<usize>, u64)> {
    (prop::collection::vec(len(), 0..6), offset()).prop_map(|(lens, offset)| (lens, offset & i64::MAX as u64))
}

fn act() -> impl Strategy<Value = Act> {
    let seek = prop_oneof![
        offset().prop_map(SeekFrom::Start),
        (-100..100i64).prop_map(SeekFrom::Current),
        (-100..100i64).prop_map(SeekFrom::End),
    ];
    // A length that makes reading to the end reasonable.
    let set_len = prop_oneof![0..10_000u64, prop::sample::select(vec![1 << 63, u64::MAX])];
    prop_oneof![
        // Of nothing, io_uring reads even from a directory.
        len().prop_map(|len| Act::Read(len.max(1))),
        (len(), offset()).prop_map(|(len, offset)| Act::ReadAt(len.max(1), offset)),
        (len(), offset()).prop_map(|(len, offset)| Act::ReadExactAt(len, offset)),
        len().prop_map(Act::Write),
        (len(), offset()).prop_map(|(len, offset)| Act::WriteAllAt(len, offset)),
        seek.prop_map(Act::Seek),
        set_len.prop_map(Act::SetLen),
        parts().prop_map(|(lens, offset)| Act::ReadExactVectoredAt(lens, offset)),
        parts().prop_map(|(lens, offset)| Act::WriteAllVectoredAt(lens, offset)),
        attribute().prop_map(Act::GetXattr),
        (attribute(), value()).prop_map(|(name, len)| Act::SetXattr(name, len)),
        attribute().prop_map(Act::RemoveXattr),
        Just(Act::ListXattr),
        Just(Act::Sync),
        Just(Act::Len),
        Just(Act::ReadToEnd),
    ]
}

fn flags() -> impl Strategy<Value = Flags> {
    let custom = prop::sample::select(vec![0, 0, 0, libc::O_NOFOLLOW, libc::O_DIRECTORY, libc::O_SYNC]);
    let mode = prop::sample::select(vec![0o666, 0o600, 0o755, 0o000]);
    // Either sensible or anything.
    let sensible = prop_oneof![
        Just([true, true, false, false, true, false]),
        Just([true, false, false, false, false, false])
    ];
    let anything = any::<[bool; 6]>();
    (prop_oneof![2 => sensible, 1 => anything], custom, mode).prop_map(|(bits, custom, mode)| {
        let [read, write, append, truncate, create, create_new] = bits;
        // Both refuse to create with O_DIRECTORY, the one before, the other after it looks at the path.
        let custom = if create || create_new { custom & !libc::O_DIRECTORY } else { custom };
        Flags { read, write, append, truncate, create, create_new, custom, mode }
    })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (path(), len()).prop_map(|(path, len)| Step::Write(path, len)),
        1 => (path(), len()).prop_map(|(path, len)| Step::WriteAtomic(path, len)),
        2 => path().prop_map(Step::Read),
        1 => path().prop_map(Step::ReadToString),
        3 => path().prop_map(Step::CreateDir),
        1 => path().prop_map(Step::CreateDirAll),
        1 => path().prop_map(Step::RemoveFile),
        1 => path().prop_map(Step::RemoveDir),
        1 => path().prop_map(Step::RemoveDirAll),
        2 => two_paths().prop_map(|(from, to)| Step::Rename(from, to)),
        1 => two_paths().prop_map(|(from, to)| Step::HardLink(from, to)),
        2 => (target(), path()).prop_map(|(target, path)| Step::Symlink(target, path)),
        1 => path().prop_map(Step::ReadLink),
        1 => path().prop_map(Step::Canonicalize),
        1 => path().prop_map(Step::ReadDir),
        1 => path().prop_map(Step::Metadata),
        1 => path().prop_map(Step::SymlinkMetadata),
        1 => path().prop_map(Step::Exists),
        1 => (path(), 0..0o1000u32).prop_map(|(path, mode)| Step::SetPermissions(path, mode | 0o700)),
        1 => (path(), path()).prop_map(|(from, to)| Step::Copy(from, to)),
        1 => named().prop_map(|(path, name)| Step::GetXattr(path, name)),
        2 => (named(), value().prop_filter("too long for any", |len| *len < 1 << 16)).prop_map(|((path, name), len)| Step::SetXattr(path, name, len)),
        1 => named().prop_map(|(path, name)| Step::RemoveXattr(path, name)),
        1 => path().prop_map(Step::ListXattr),
        4 => (path(), flags(), prop::collection::vec(act(), 0..8)).prop_map(|(path, flags, acts)| Step::Open(path, flags, acts)),
    ]
}
