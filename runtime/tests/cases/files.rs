//! Files, paths and memory.

use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::fd::AsRawFd;

use chainring_runtime::Descriptor;
use chainring_runtime::buf::AlignedBuf;
use chainring_runtime::op::fallocate::fallocate;
use chainring_runtime::op::fsync::{fdatasync, fsync};
use chainring_runtime::op::getxattr::{fgetxattr, getxattr};
use chainring_runtime::op::madvise::{Advice, madvise};
use chainring_runtime::op::openat2::{OpenHow, openat2};
use chainring_runtime::op::read::read_at;
use chainring_runtime::op::read_fixed::read_fixed_at;
use chainring_runtime::op::read_vectored::read_vectored_at;
use chainring_runtime::op::setxattr::{fsetxattr, setxattr};
use chainring_runtime::op::statx::statx;
use chainring_runtime::op::sync_file_range::sync_file_range;
use chainring_runtime::op::write::write_at;
use chainring_runtime::op::write_fixed::write_fixed_at;
use chainring_runtime::op::write_vectored::write_vectored_at;
use chainring_runtime::op::{fadvise, ftruncate, link, mkdir, rename, symlink, unlink};

use super::{Case, World, act, buffer, fail, unit};
use crate::common::{own, path, pipe};

const OWN: u64 = u64::MAX;

fn file(world: &World) -> Descriptor {
    world.dir.file("file", b"hello, file")
}

fn name(world: &World, name: &str) -> CString {
    path(world.dir.join(name))
}

/// The end to read from of a pipe that stays empty.
fn empty(world: &World) -> Descriptor {
    let (read, write) = pipe();
    world.keep(&write);
    read
}

/// The end to write to of a pipe that is full.
fn full(world: &World) -> Descriptor {
    let (read, write) = std::io::pipe().unwrap();
    let mut filling = write.try_clone().unwrap();
    // SAFETY: sets flags of a descriptor that is open.
    unsafe { libc::fcntl(filling.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    while filling.write(&[0; 4096]).is_ok() {}
    // SAFETY: as above.
    unsafe { libc::fcntl(filling.as_raw_fd(), libc::F_SETFL, 0) };
    world.hold(read);
    own(write)
}

/// Sets an extended attribute of the file.
fn tag(world: &World, attribute: &CStr) -> bool {
    let path = name(world, "file");
    // SAFETY: two strings that end with a zero, and five bytes.
    unsafe { libc::setxattr(path.as_ptr(), attribute.as_ptr(), c"value".as_ptr().cast(), 5, 0) == 0 }
}

/// A file with an extended attribute.
fn tagged(world: &World) -> Descriptor {
    let file = file(world);
    assert!(tag(world, &attribute()), "the file system has no extended attributes");
    file
}

/// The name of an attribute that files here can have: tmpfs had none of users before 6.6.
fn attribute() -> CString {
    let world = World::new();
    file(&world);
    if tag(&world, c"user.a") { c"user.a".into() } else { c"trusted.a".into() }
}

fn directory(world: &World) -> Descriptor {
    own(std::fs::File::open(world.dir.join("")).unwrap())
}

/// A file that cannot be written.
fn read_only(world: &World) -> Descriptor {
    file(world);
    own(std::fs::File::open(world.dir.join("file")).unwrap())
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "read",
            |w| {
                act({
                    let file = file(w);
                    async move {
                        let (read, bytes) = read_at(&file, Vec::with_capacity(64), 7).await;
                        assert_eq!((read?, &bytes[..]), (4, &b"file"[..]));
                        Ok(())
                    }
                })
            },
            libc::EISDIR,
            |w| buffer(read_at(&directory(w), vec![0; 8], 0)),
        )
        .stuck(|w| buffer(read_at(&empty(w), vec![0; 8], OWN))),
        Case::new(
            "read_vectored",
            |w| {
                act({
                    let file = file(w);
                    async move {
                        let parts = (vec![0u8; 2], [0u8; 5], Box::new([0u8; 16]));
                        let (read, (a, b, c)) = read_vectored_at(&file, parts, 0).await;
                        assert_eq!(
                            (read?, &a[..], &b[..], &c[..4]),
                            (11, &b"he"[..], &b"llo, "[..], &b"file"[..])
                        );
                        Ok(())
                    }
                })
            },
            libc::EISDIR,
            |w| buffer(read_vectored_at(&directory(w), vec![vec![0; 8]; 9], 0)),
        )
        .stuck(|w| buffer(read_vectored_at(&empty(w), [[0u8; 8], [0; 8]], OWN))),
        Case::new(
            "read_fixed",
            |w| {
                act({
                    let (file, room) = (file(w), w.fixed().get().unwrap());
                    async move {
                        let (read, room) = read_fixed_at(&file, room, 0).await;
                        assert_eq!((read?, &room[..]), (11, &b"hello, file"[..]));
                        Ok(())
                    }
                })
            },
            libc::EISDIR,
            |w| buffer(read_fixed_at(&directory(w), w.fixed().get().unwrap(), 0)),
        )
        .stuck(|w| buffer(read_fixed_at(&empty(w), w.fixed().get().unwrap(), OWN))),
        Case::new(
            "write",
            |w| buffer(write_at(&file(w), "HELLO", 0)),
            libc::EBADF,
            |w| buffer(write_at(&read_only(w), "HELLO", 0)),
        )
        .stuck(|w| buffer(write_at(&full(w), vec![1; 100], OWN)))
        .after(|w| std::fs::read(w.dir.join("file")).unwrap() == b"HELLO, file"),
        Case::new(
            "write_vectored",
            |w| buffer(write_vectored_at(&file(w), vec!["HE", "L", "L", "", "O"], 0)),
            libc::EBADF,
            |w| buffer(write_vectored_at(&read_only(w), ["HELLO"], 0)),
        )
        .stuck(|w| buffer(write_vectored_at(&full(w), ("HE", vec![1; 100]), OWN)))
        .after(|w| std::fs::read(w.dir.join("file")).unwrap() == b"HELLO, file"),
        Case::new(
            "write_fixed",
            |w| {
                let mut bytes = w.fixed().get().unwrap();
                bytes.set_len(5);
                bytes.copy_from_slice(b"HELLO");
                buffer(write_fixed_at(&file(w), bytes, 0))
            },
            libc::EBADF,
            |w| {
                let mut bytes = w.fixed().get().unwrap();
                bytes.set_len(5);
                buffer(write_fixed_at(&read_only(w), bytes, 0))
            },
        )
        .stuck(|w| {
            let mut bytes = w.fixed().get().unwrap();
            bytes.set_len(5);
            buffer(write_fixed_at(&full(w), bytes, OWN))
        })
        .after(|w| std::fs::read(w.dir.join("file")).unwrap() == b"HELLO, file"),
        Case::new("fsync", |w| unit(fsync(&file(w))), libc::EINVAL, |w| unit(fsync(&empty(w)))),
        Case::new("fsync data", |w| unit(fdatasync(&file(w))), libc::EINVAL, |w| unit(fdatasync(&empty(w)))),
        Case::new(
            "sync_file_range",
            |w| unit(sync_file_range(&file(w), 0, 0, libc::SYNC_FILE_RANGE_WRITE)),
            libc::ESPIPE,
            |w| unit(sync_file_range(&empty(w), 0, 0, libc::SYNC_FILE_RANGE_WRITE)),
        ),
        Case::new(
            "fallocate",
            |w| unit(fallocate(&file(w), 0, 0, 8192)),
            libc::EINVAL,
            |w| unit(fallocate(&file(w), 0, 0, 0)),
        )
        .after(|w| std::fs::metadata(w.dir.join("file")).unwrap().len() == 8192),
        Case::new(
            "ftruncate",
            |w| unit(ftruncate::ftruncate(&file(w), 5)),
            libc::EINVAL,
            |w| unit(ftruncate::ftruncate(&read_only(w), 5)),
        )
        .after(|w| std::fs::metadata(w.dir.join("file")).unwrap().len() == 5),
        Case::new(
            "fadvise",
            |w| unit(fadvise::fadvise(&file(w), 0, 0, libc::POSIX_FADV_WILLNEED)),
            libc::ESPIPE,
            |w| unit(fadvise::fadvise(&empty(w), 0, 0, libc::POSIX_FADV_WILLNEED)),
        ),
        Case::new(
            "madvise",
            |_| {
                act(async {
                    let mut memory = AlignedBuf::new(100_000)?;
                    memory.fill(1);
                    let (advised, memory) = madvise(memory, Advice::DontNeed).await;
                    assert!(memory.iter().all(|byte| *byte == 0));
                    advised
                })
            },
            libc::EIO,
            |_| {
                fail("madvise");
                buffer(madvise(AlignedBuf::new(1).unwrap(), Advice::Cold))
            },
        ),
        Case::new(
            "openat2",
            |w| {
                act({
                    file(w);
                    let (at, how) =
                        (directory(w), OpenHow { resolve: libc::RESOLVE_BENEATH, ..OpenHow::default() });
                    async move { openat2(Some(&at), c"file".into(), how).await.map(drop) }
                })
            },
            libc::EXDEV,
            |w| {
                let how = OpenHow { resolve: libc::RESOLVE_BENEATH, ..OpenHow::default() };
                unit(openat2(Some(&directory(w)), c"../file".into(), how))
            },
        ),
        Case::new(
            "statx",
            |w| {
                act({
                    file(w);
                    let (at, want) = (directory(w), libc::STATX_BASIC_STATS);
                    async move {
                        let stat = statx(Some(&at), c"file".into(), 0, want).await?;
                        assert_eq!((stat.size, u32::from(stat.mode) & libc::S_IFMT), (11, libc::S_IFREG));
                        Ok(())
                    }
                })
            },
            libc::ENOENT,
            |w| unit(statx(None, name(w, "none"), 0, libc::STATX_SIZE)),
        ),
        Case::new(
            "mkdir",
            |w| unit(mkdir::mkdir(Some(&directory(w)), c"new".into(), 0o700)),
            libc::EEXIST,
            |w| unit(mkdir::mkdir(None, name(w, ""), 0o700)),
        )
        .after(|w| w.dir.join("new").is_dir()),
        Case::new(
            "unlink",
            |w| {
                file(w);
                unit(unlink::unlink(Some(&directory(w)), c"file".into(), 0))
            },
            libc::ENOENT,
            |w| unit(unlink::unlink(None, name(w, "none"), 0)),
        )
        .after(|w| !w.dir.join("file").exists()),
        Case::new(
            "rename",
            |w| {
                file(w);
                unit(rename::rename(Some(&directory(w)), c"file".into(), None, name(w, "new"), 0))
            },
            libc::ENOENT,
            |w| unit(rename::rename(None, name(w, "none"), None, name(w, "new"), 0)),
        )
        .after(|w| w.dir.join("new").exists() && !w.dir.join("file").exists()),
        Case::new(
            "link",
            |w| {
                file(w);
                unit(link::link(Some(&directory(w)), c"file".into(), None, name(w, "new"), 0))
            },
            libc::ENOENT,
            |w| unit(link::link(None, name(w, "none"), None, name(w, "new"), 0)),
        )
        .after(|w| w.dir.join("new").exists() && w.dir.join("file").exists()),
        Case::new(
            "symlink",
            |w| unit(symlink::symlink(c"file".into(), Some(&directory(w)), c"new".into())),
            libc::EEXIST,
            |w| unit(symlink::symlink(c"file".into(), None, name(w, ""))),
        )
        .after(|w| std::fs::read_link(w.dir.join("new")).unwrap().as_os_str() == "file"),
        Case::new(
            "setxattr",
            |w| {
                file(w);
                buffer(setxattr(name(w, "file"), attribute(), "value", 0))
            },
            libc::ENODATA,
            |w| {
                file(w);
                buffer(setxattr(name(w, "file"), attribute(), "value", libc::XATTR_REPLACE))
            },
        ),
        Case::new(
            "fsetxattr",
            |w| buffer(fsetxattr(&file(w), attribute(), "value", libc::XATTR_CREATE)),
            libc::ENODATA,
            |w| buffer(fsetxattr(&file(w), attribute(), "value", libc::XATTR_REPLACE)),
        ),
        Case::new(
            "getxattr",
            |w| {
                act({
                    let path = name(w, "file");
                    tagged(w);
                    async move {
                        let (needed, _) = getxattr(path.clone(), attribute(), Vec::new()).await;
                        assert_eq!(needed?, 5);
                        let (read, value) = getxattr(path, attribute(), Vec::with_capacity(64)).await;
                        assert_eq!((read?, &value[..]), (5, &b"value"[..]));
                        Ok(())
                    }
                })
            },
            libc::ENODATA,
            |w| {
                file(w);
                buffer(getxattr(name(w, "file"), attribute(), vec![0; 64]))
            },
        ),
        Case::new(
            "fgetxattr",
            |w| {
                act({
                    let file = tagged(w);
                    async move {
                        let (read, value) = fgetxattr(&file, attribute(), Vec::with_capacity(64)).await;
                        assert_eq!((read?, &value[..]), (5, &b"value"[..]));
                        Ok(())
                    }
                })
            },
            libc::ENODATA,
            |w| buffer(fgetxattr(&file(w), attribute(), vec![0; 64])),
        ),
    ]
}
