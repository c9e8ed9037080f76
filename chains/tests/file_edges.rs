//! Files at their edges: positions that are none, the end of a file, paths that do not end or are not there yet.

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use chainring_chains::{Chain, ErrorKind, Flow, OpenHow, read};
use chainring_runtime::Runtime;
use common::{pair, soon};

/// A directory with a file `five` that holds `hello`, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("edges-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        fs::write(path.join("five"), "hello").expect("a file");
        Folder(path)
    }

    fn five(&self) -> File {
        File::options().read(true).write(true).open(self.0.join("five")).expect("it is there")
    }

    fn directory(&self) -> File {
        File::open(&self.0).expect("it is there")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn the_position_before_the_first_byte_is_an_error_and_not_where_the_file_is() {
    let folder = Folder::new("position");
    let mut c = Chain::<()>::new("at -1");
    let (file, bytes) = (c.file(), c.buffer(2));
    c.attempt(|c| {
        c.read_exact_at(file, bytes.all(), -1);
        c.finish();
    });
    let x = c.constant(b"x");
    c.write_all_at(file, x.all(), -1);
    let program = c.build().expect("the chain is right");
    let error = Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn((), |frame| {
            frame.file(file, folder.five());
        });
        soon("the frame to end", handle.expect("there is room"))
            .await
            .result
            .expect_err("there is no such place")
    });
    assert_eq!(error.step(), 4, "{error}");
    assert!(matches!(error.kind(), ErrorKind::Errno(libc::EINVAL)), "{error}");
    assert_eq!(fs::read(folder.0.join("five")).expect("it is there"), b"hello");
}

#[test]
fn a_read_at_the_end_of_the_file_finishes_if_it_is_told_to_and_only_there() {
    let folder = Folder::new("end");
    let mut c = Chain::<Vec<u64>>::new("to the end");
    let (file, bytes, len, at) = (c.file(), c.buffer(3), c.param(), c.param());
    c.repeat(|c| {
        // The count goes where the length comes from.
        c.read_at(file, bytes.to(len), at).into(len).or_finish();
        c.set(at, at + len);
        c.call((chainring_chains::value(len),), |seen, (len,)| {
            seen.push(len);
            Flow::Next
        });
        // Of nothing, nothing comes, and that is not the end.
        c.when(at.eq(3), |c| {
            c.set(len, 0);
            c.read_at(file, bytes.to(len), at).or_finish();
            c.set(len, 3);
        });
    });
    let program = c.build().expect("the chain is right");
    let exit = Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Vec::new(), |frame| {
            frame.file(file, folder.five()).set(len, 3);
        });
        soon("the end of the file", handle.expect("there is room")).await
    });
    assert!(exit.result.is_ok(), "{:?}", exit.result);
    assert_eq!(exit.session, [3, 2]);
}

#[test]
fn a_path_that_does_not_end_fails_its_own_step_and_not_those_before_it() {
    let folder = Folder::new("endless");
    let mut c = Chain::<()>::new("endless path");
    let (file, directory, other, path) = (c.file(), c.file(), c.file(), c.buffer(2));
    c.store(path, 0, chainring_chains::Order::Be16, 0x6161);
    let j = c.constant(b"J");
    c.write_all_at(file, j.all(), 0);
    c.open(other, path.all(), OpenHow::default()).beneath(directory);
    let program = c.build().expect("the chain is right");
    let error = Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn((), |frame| {
            frame.file(file, folder.five()).file(directory, folder.directory());
        });
        soon("the frame to end", handle.expect("there is room"))
            .await
            .result
            .expect_err("the path has no end")
    });
    assert_eq!(error.step(), 3, "{error}");
    assert!(matches!(error.kind(), ErrorKind::Bounds { .. }), "{error}");
    assert_eq!(
        fs::read(folder.0.join("five")).expect("it is there"),
        b"Jello",
        "the step before it has happened"
    );
}

#[test]
fn a_path_is_looked_at_when_it_has_come_and_not_before() {
    let folder = Folder::new("comes");
    for (sent, opens) in [(b"five\0", true), (b"five5", false)] {
        let mut c = Chain::<Vec<u8>>::new("a path that comes");
        let (socket, directory, file) = (c.socket(), c.file(), c.file());
        let (path, bytes) = (c.buffer(5), c.buffer(5));
        // What stands there before is the other way round.
        c.store(path, 4, chainring_chains::Order::U8, u64::from(opens));
        c.store(bytes, 0, chainring_chains::Order::U8, 0);
        c.recv_exact(socket, path.all());
        c.open(file, path.all(), OpenHow::default()).beneath(directory);
        c.read_exact_at(file, bytes.all(), 0);
        c.call((read(bytes.all()),), |seen, (bytes,)| {
            seen.extend_from_slice(bytes);
            Flow::Next
        });
        let program = c.build().expect("the chain is right");
        let (stream, mut peer) = pair();
        peer.write_all(sent).expect("send");
        let exit = Runtime::new().expect("a ring").block_on(async {
            let spawner = program.start(1).expect("it starts");
            let handle = spawner.spawn(Vec::new(), |frame| {
                frame.socket(socket, stream).file(directory, folder.directory());
            });
            soon("the frame to end", handle.expect("there is room")).await
        });
        match exit.result {
            Ok(()) => assert!(opens, "it has no end, and the kernel must not look for it"),
            Err(error) => {
                assert!(!opens && matches!(error.kind(), ErrorKind::Bounds { .. }), "{error}");
                assert_eq!(error.step(), 4);
            }
        }
        assert_eq!(exit.session, if opens { &b"hello"[..] } else { b"" });
    }
}

#[test]
fn a_part_that_a_call_cannot_be_lent_says_where_it_would_have_ended() {
    let mut c = Chain::<()>::new("too far");
    let (start, len, bytes) = (c.param(), c.param(), c.buffer(16));
    c.call((chainring_chains::write(bytes.part(start, len)),), |(), _| Flow::Next);
    let program = c.build().expect("the chain is right");
    let error = Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn((), |frame| {
            frame.set(start, 1).set(len, 17);
        });
        soon("the frame to end", handle.expect("there is room")).await.result.expect_err("it does not fit")
    });
    assert!(matches!(error.kind(), ErrorKind::Bounds { len: 18, max: 16 }), "{error}");
}

#[test]
fn a_file_that_is_closed_and_opened_again_at_once_is_the_new_one_and_closed_once() {
    let folder = Folder::new("again");
    let mut c = Chain::<Vec<u8>>::new("closed and opened");
    let (file, directory, bytes) = (c.file(), c.file(), c.buffer(5));
    let path = c.path("five");
    c.close_file(file);
    c.open(file, path, OpenHow::default()).beneath(directory);
    c.read_exact_at(file, bytes.all(), 0);
    c.call((read(bytes.all()),), |seen, (bytes,)| {
        seen.extend_from_slice(bytes);
        Flow::Next
    });
    let program = c.build().expect("the chain is right");
    let mut exit = Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Vec::new(), |frame| {
            frame.file(file, folder.five()).file(directory, folder.directory());
        });
        soon("the frame to end", handle.expect("there is room")).await
    });
    assert!(exit.result.is_ok(), "{:?}", exit.result);
    assert_eq!(exit.session, b"hello");
    assert!(exit.sockets.take_file(file).is_some(), "it is the frame's");
}
