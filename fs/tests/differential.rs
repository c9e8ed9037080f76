//! The same random operations in two directories, one by this crate and one by the standard library: equal results,
//! errno for errno, and equal trees, byte for byte.

mod common;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use chainring_fs as fs;
use common::run;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// What is done. Paths are seen from the directory.
#[derive(Clone, Debug)]
enum Step {
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
    Open(PathBuf, Flags, Vec<Act>),
}

#[derive(Clone, Copy, Debug)]
struct Flags {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    custom: i32,
    mode: u32,
}

/// What is done to an open file.
#[derive(Clone, Debug)]
enum Act {
    Read(usize),
    ReadAt(usize, u64),
    ReadExactAt(usize, u64),
    ReadToEnd,
    Write(usize),
    WriteAllAt(usize, u64),
    Seek(SeekFrom),
    SetLen(u64),
    Sync,
    Len,
}

/// What came of it, in words that can be compared.
type Outcome = Result<String, String>;

fn outcome<T: std::fmt::Debug>(result: io::Result<T>) -> Outcome {
    result.map(|value| format!("{value:?}")).map_err(|error| match error.raw_os_error() {
        // The standard library refuses some numbers and options in words of its own.
        None if error.kind() == io::ErrorKind::InvalidInput => format!("errno {}", libc::EINVAL),
        Some(errno) => format!("errno {errno}"),
        None => format!("{:?}", error.kind()),
    })
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + len) as u8).collect()
}

/// A word for many bytes.
fn digest(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    format!("{} bytes {sum:x}", bytes.len())
}

/// Metadata, as far as two directories can agree on it. How long a directory is depends on its past.
fn shape(len: u64, mode: u32, nlink: u64) -> String {
    let len = if mode & libc::S_IFMT == libc::S_IFDIR { 0 } else { len };
    format!("{len} {mode:o} {nlink}")
}

/// The part of an absolute path inside of the tree of the round, which the directory is three levels deep in.
fn inside(dir: &Path, path: PathBuf) -> PathBuf {
    let dir = dir.canonicalize().unwrap();
    path.strip_prefix(dir.ancestors().nth(3).unwrap()).map(Path::to_owned).unwrap_or(path)
}

async fn ours(dir: &Path, step: &Step) -> Outcome {
    let at = |path: &PathBuf| dir.join(path);
    match step {
        Step::Write(path, len) => outcome(fs::write(at(path), bytes(*len)).await.0),
        Step::WriteAtomic(path, len) => outcome(fs::write_atomic(at(path), bytes(*len)).await.0),
        Step::Read(path) => outcome(fs::read(at(path)).await.map(|bytes| digest(&bytes))),
        Step::ReadToString(path) => outcome(fs::read_to_string(at(path)).await),
        Step::CreateDir(path) => outcome(fs::create_dir(at(path)).await),
        Step::CreateDirAll(path) => outcome(fs::create_dir_all(at(path)).await),
        Step::RemoveFile(path) => outcome(fs::remove_file(at(path)).await),
        Step::RemoveDir(path) => outcome(fs::remove_dir(at(path)).await),
        Step::RemoveDirAll(path) => outcome(fs::remove_dir_all(at(path)).await),
        Step::Rename(from, to) => outcome(fs::rename(at(from), at(to)).await),
        Step::HardLink(from, to) => outcome(fs::hard_link(at(from), at(to)).await),
        Step::Symlink(target, path) => outcome(fs::symlink(target, at(path)).await),
        Step::ReadLink(path) => outcome(fs::read_link(at(path)).await),
        Step::Canonicalize(path) => outcome(fs::canonicalize(at(path)).await.map(|path| inside(dir, path))),
        Step::ReadDir(path) => {
            let list = async {
                let mut list = fs::read_dir(at(path)).await?;
                let mut names = BTreeMap::new();
                while let Some(entry) = list.next_entry().await? {
                    assert_eq!(entry.path(), at(path).join(entry.file_name()));
                    assert_eq!(entry.metadata().await?.file_type(), entry.file_type()?);
                    names.insert(entry.file_name().to_owned(), entry.file_type()?);
                }
                Ok(names)
            };
            outcome(list.await)
        }
        Step::Metadata(path) => {
            outcome(fs::metadata(at(path)).await.map(|m| shape(m.len(), m.mode(), m.nlink())))
        }
        Step::SymlinkMetadata(path) => {
            outcome(fs::symlink_metadata(at(path)).await.map(|m| shape(m.len(), m.mode(), m.nlink())))
        }
        Step::Exists(path) => outcome(fs::exists(at(path)).await),
        Step::SetPermissions(path, mode) => {
            outcome(fs::set_permissions(at(path), Permissions::from_mode(*mode)).await)
        }
        Step::Copy(from, to) => outcome(fs::copy(at(from), at(to)).await),
        Step::Open(path, flags, acts) => {
            let options = fs::OpenOptions::new()
                .read(flags.read)
                .write(flags.write)
                .append(flags.append)
                .truncate(flags.truncate)
                .create(flags.create)
                .create_new(flags.create_new)
                .custom_flags(flags.custom)
                .mode(flags.mode);
            match options.open(at(path)).await {
                Err(error) => outcome(Err::<(), _>(error)),
                Ok(mut file) => {
                    let mut said = Vec::new();
                    for act in acts {
                        said.push(ours_act(&mut file, act).await);
                    }
                    outcome(file.close().await.map(|()| said))
                }
            }
        }
    }
}

async fn ours_act(file: &mut fs::File, act: &Act) -> Outcome {
    match act {
        Act::Read(len) => {
            let (result, bytes) = file.read(Vec::with_capacity(*len)).await;
            outcome(result.map(|n| (n, digest(&bytes))))
        }
        Act::ReadAt(len, offset) => {
            let (result, bytes) = file.read_at(Vec::with_capacity(*len), *offset).await;
            outcome(result.map(|n| (n, digest(&bytes))))
        }
        Act::ReadExactAt(len, offset) => {
            let (result, bytes) = file.read_exact_at(Vec::with_capacity(*len), *offset).await;
            outcome(result.map(|()| digest(&bytes)))
        }
        Act::ReadToEnd => {
            let (result, bytes) = file.read_to_end(Vec::new()).await;
            outcome(result.map(|n| (n, digest(&bytes))))
        }
        Act::Write(len) => outcome(file.write(bytes(*len)).await.0),
        Act::WriteAllAt(len, offset) => outcome(file.write_all_at(bytes(*len), *offset).await.0),
        Act::Seek(to) => outcome(file.seek(*to)),
        Act::SetLen(len) => outcome(file.set_len(*len).await),
        Act::Sync => outcome(file.sync_data().await),
        Act::Len => outcome(file.metadata().await.map(|metadata| metadata.len())),
    }
}

fn theirs(dir: &Path, step: &Step) -> Outcome {
    use std::fs;
    let at = |path: &PathBuf| dir.join(path);
    match step {
        Step::Write(path, len) => outcome(fs::write(at(path), bytes(*len))),
        Step::WriteAtomic(path, len) => outcome(replaced(&at(path), &bytes(*len))),
        Step::Read(path) => outcome(fs::read(at(path)).map(|bytes| digest(&bytes))),
        Step::ReadToString(path) => outcome(fs::read_to_string(at(path))),
        Step::CreateDir(path) => outcome(fs::create_dir(at(path))),
        Step::CreateDirAll(path) => outcome(fs::create_dir_all(at(path))),
        Step::RemoveFile(path) => outcome(fs::remove_file(at(path))),
        Step::RemoveDir(path) => outcome(fs::remove_dir(at(path))),
        Step::RemoveDirAll(path) => outcome(fs::remove_dir_all(at(path))),
        Step::Rename(from, to) => outcome(fs::rename(at(from), at(to))),
        Step::HardLink(from, to) => outcome(fs::hard_link(at(from), at(to))),
        Step::Symlink(target, path) => outcome(symlink(target, at(path))),
        Step::ReadLink(path) => outcome(fs::read_link(at(path))),
        Step::Canonicalize(path) => outcome(fs::canonicalize(at(path)).map(|path| inside(dir, path))),
        Step::ReadDir(path) => {
            let list = || {
                let mut names = BTreeMap::new();
                for entry in fs::read_dir(at(path))? {
                    let entry = entry?;
                    names.insert(entry.file_name(), chainring_fs::FileType::from(entry.file_type()?));
                }
                Ok(names)
            };
            outcome(list())
        }
        Step::Metadata(path) => outcome(fs::metadata(at(path)).map(|m| shape(m.len(), m.mode(), m.nlink()))),
        Step::SymlinkMetadata(path) => {
            outcome(fs::symlink_metadata(at(path)).map(|m| shape(m.len(), m.mode(), m.nlink())))
        }
        Step::Exists(path) => outcome(fs::exists(at(path))),
        Step::SetPermissions(path, mode) => {
            outcome(fs::set_permissions(at(path), Permissions::from_mode(*mode)))
        }
        Step::Copy(from, to) => outcome(fs::copy(at(from), at(to))),
        Step::Open(path, flags, acts) => {
            let opened = fs::OpenOptions::new()
                .read(flags.read)
                .write(flags.write)
                .append(flags.append)
                .truncate(flags.truncate)
                .create(flags.create)
                .create_new(flags.create_new)
                .custom_flags(flags.custom)
                .mode(flags.mode)
                .open(at(path));
            match opened {
                Err(error) => outcome(Err::<(), _>(error)),
                Ok(mut file) => {
                    Ok(format!("{:?}", acts.iter().map(|act| theirs_act(&mut file, act)).collect::<Vec<_>>()))
                        .and_then(|said| outcome(Ok(())).map(|_| said))
                }
            }
        }
    }
}

fn theirs_act(file: &mut std::fs::File, act: &Act) -> Outcome {
    let read = |result: io::Result<usize>, bytes: &[u8]| outcome(result.map(|n| (n, digest(&bytes[..n]))));
    match act {
        Act::Read(len) => {
            let mut bytes = vec![0; *len];
            read(file.read(&mut bytes), &bytes)
        }
        Act::ReadAt(len, offset) => {
            let mut bytes = vec![0; *len];
            read(file.read_at(&mut bytes, *offset), &bytes)
        }
        Act::ReadExactAt(len, offset) => {
            let mut bytes = vec![0; *len];
            outcome(file.read_exact_at(&mut bytes, *offset).map(|()| digest(&bytes)))
        }
        Act::ReadToEnd => {
            let mut bytes = Vec::new();
            outcome(file.read_to_end(&mut bytes).map(|n| (n, digest(&bytes))))
        }
        Act::Write(len) => outcome(file.write(&bytes(*len))),
        Act::WriteAllAt(len, offset) => outcome(file.write_all_at(&bytes(*len), *offset)),
        Act::Seek(to) => outcome(file.seek(*to)),
        Act::SetLen(len) => outcome(file.set_len(*len)),
        Act::Sync => outcome(file.sync_data()),
        Act::Len => outcome(file.metadata().map(|metadata| metadata.len())),
    }
}

/// What an atomic replacement comes to, step by step.
fn replaced(path: &Path, contents: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::from_raw_os_error(libc::EISDIR))?;
    if name.as_encoded_bytes().contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let parent = path.parent().unwrap();
    std::fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(parent)?;
    let beside = parent.join(".beside");
    std::fs::write(&beside, contents)?;
    std::fs::rename(&beside, parent.join(name)).inspect_err(|_| std::fs::remove_file(&beside).unwrap())
}

/// Everything in a directory: names, kinds, permissions, contents, links.
fn tree(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let content = if metadata.is_dir() {
                todo.push(path.clone());
                String::new()
            } else if metadata.is_symlink() {
                format!("{:?}", std::fs::read_link(&path).unwrap())
            } else {
                format!("{} {} {:?}", metadata.len(), metadata.nlink(), sparse(&path))
            };
            let shape = format!("{:o} {content}", metadata.mode());
            found.insert(path.strip_prefix(dir).unwrap().to_owned(), shape);
        }
    }
    found
}

/// The contents, without the zeros of holes.
fn sparse(path: &Path) -> Vec<(u64, String)> {
    let mut bytes = vec![0; 1 << 16];
    // Root may read whatever the permissions are.
    let Ok(file) = std::fs::File::open(path) else { return Vec::new() };
    let len = file.metadata().unwrap().len();
    // Past 4 GiB only what was written there matters: look at the ends.
    let spots = (0..len.min(1 << 20)).step_by(1 << 16).chain([len.saturating_sub(1 << 16), (4 << 30) - 10]);
    spots
        .filter_map(|at| {
            let n = file.read_at(&mut bytes, at).unwrap();
            bytes[..n].iter().any(|byte| *byte != 0).then(|| (at, digest(&bytes[..n])))
        })
        .collect()
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

fn step() -> impl Strategy<Value = Step> {
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
        4 => (path(), flags(), prop::collection::vec(act(), 0..8)).prop_map(|(path, flags, acts)| Step::Open(path, flags, acts)),
    ]
}

/// Whether a step would read or copy a file to its end that is very long.
fn is_endless(dir: &Path, step: &Step) -> bool {
    let long =
        |path: &PathBuf| std::fs::metadata(dir.join(path)).is_ok_and(|metadata| metadata.len() > 1 << 24);
    match step {
        Step::Read(path) | Step::ReadToString(path) | Step::Copy(path, _) => long(path),
        Step::Open(path, _, acts) => {
            let grows = |act: &Act| matches!(act, Act::WriteAllAt(_, offset) | Act::Seek(SeekFrom::Start(offset)) if *offset > 1 << 24);
            acts.iter().any(|act| matches!(act, Act::ReadToEnd)) && (long(path) || acts.iter().any(grows))
        }
        _ => false,
    }
}

#[test]
fn random_operations_come_to_the_same_as_with_the_standard_library() {
    let config = Config { cases: 1, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    run(async |temp| {
        for round in 0..120 {
            let steps = prop::collection::vec(step(), 40).new_tree(&mut runner).unwrap().current();
            // `..` leads out of the directory, but not out of the tree that is compared.
            let roots = ["ours", "theirs"].map(|name| temp.join(name).join(round.to_string()).join("p/q"));
            let dirs = roots.clone().map(|root| root.join("r"));
            for dir in &dirs {
                std::fs::create_dir_all(dir).unwrap();
                symlink("loop", dir.join("loop")).unwrap();
            }
            for (i, step) in steps.iter().enumerate() {
                if is_endless(&dirs[1], step) {
                    continue;
                }
                let (ours, theirs) = (ours(&dirs[0], step).await, theirs(&dirs[1], step));
                assert_eq!(ours, theirs, "round {round}, step {i}: {step:?}\nof {:?}", &steps[..=i]);
            }
            assert_eq!(tree(&roots[0]), tree(&roots[1]), "round {round}: {steps:#?}");
        }
    });
}
