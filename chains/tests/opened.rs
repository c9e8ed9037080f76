//! Files that a frame opens: paths, directories that they do not leave, and that no descriptor stays.

mod common;

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, OpenHow, Order, Span};
use chainring_runtime::{Runtime, time};
use common::one::{Dir, Notes, alone, chain, lowered, note, run};
use common::{descriptors, soon, watchdog};

fn read_write() -> OpenHow {
    OpenHow { flags: libc::O_RDWR as u64, ..OpenHow::default() }
}

fn create() -> OpenHow {
    OpenHow { flags: (libc::O_RDWR | libc::O_CREAT) as u64, mode: 0o640, ..OpenHow::default() }
}

/// A chain that opens a path and notes the first byte of what it finds there. Gives notes and error.
fn opening(
    path: impl FnOnce(&mut Chain<Notes>) -> Span,
    how: OpenHow,
    beneath: Option<std::fs::File>,
) -> (Notes, String) {
    let (program, directory) = chain(|c| {
        let (file, directory, data, first) = (c.file(), c.file(), c.buffer(1), c.reg());
        let path = path(c);
        let step = c.open(file, path, how);
        if beneath.is_some() {
            step.beneath(directory);
        }
        c.read_exact_at(file, data.all(), 0);
        c.set(first, data.u8(0));
        note(c, first);
        directory
    });
    let ended = run(&program, Notes::new(), |frame| {
        beneath.into_iter().for_each(|open| {
            frame.file(directory, open);
        });
    });
    let text = ended.text();
    (ended.session, text)
}

#[test]
fn a_path_is_opened_and_one_that_is_not_there_names_the_step() {
    let _alone = alone();
    let dir = Dir::new();
    dir.file("there", b"x");
    let there = dir.join("there");
    assert_eq!(opening(|c| c.path(&there), read_write(), None), (vec![u64::from(b'x')], String::new()));
    let not = dir.join("not there");
    let (notes, text) = opening(|c| c.path(&not), read_write(), None);
    assert!(notes.is_empty());
    assert_eq!(text, "chain test, step 1 (open): No such file or directory (os error 2)");
    // A path that a buffer holds, and one that ends nowhere.
    let bytes = [there.as_os_str().as_encoded_bytes(), b"\0"].concat();
    let in_buffer = |bytes: &[u8]| {
        opening(
            |c| {
                let (path, from) = (c.buffer(bytes.len() as u32), c.constant(bytes));
                c.copy(path.all(), from.all());
                path.all()
            },
            read_write(),
            None,
        )
    };
    assert_eq!(in_buffer(&bytes), (vec![u64::from(b'x')], String::new()));
    let (_, text) = in_buffer(&bytes[..bytes.len() - 1]);
    assert!(text.starts_with("chain test, step 2 (open): a span of "), "{text}");
    let (_, text) = opening(|c| c.constant(b"no end").all(), read_write(), None);
    assert!(text.starts_with("chain test, step 1 (open): a span of "), "{text}");
}

#[test]
fn a_path_beneath_a_directory_does_not_lead_out_of_it() {
    let _alone = alone();
    let dir = Dir::new();
    std::fs::create_dir(dir.join("inside")).expect("a directory");
    dir.file("inside/own", b"o");
    dir.file("secret", b"s");
    std::os::unix::fs::symlink("../secret", dir.join("inside/link")).expect("a link");
    let beneath = |path: &str| {
        let inside = std::fs::File::open(dir.join("inside")).expect("a directory");
        opening(|c| c.path(path), read_write(), Some(inside))
    };
    assert_eq!(beneath("own"), (vec![u64::from(b'o')], String::new()));
    let refused = (vec![], "chain test, step 1 (open): Invalid cross-device link (os error 18)".to_owned());
    assert_eq!(beneath("../secret"), refused);
    assert_eq!(beneath("link"), refused);
    assert_eq!(beneath(dir.join("secret").to_str().expect("a name")), refused);
}

#[test]
fn a_file_is_made_with_its_mode_and_handed_over_with_the_exit() {
    let _alone = alone();
    let dir = Dir::new();
    let (program, file) = chain::<(), _>(|c| {
        let (file, path, text) = (c.file(), c.path(dir.join("new")), c.constant(b"hello"));
        c.open(file, path, create());
        c.write_all_at(file, text.all(), 3);
        c.fdatasync(file);
        file
    });
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    let runtime = Runtime::new().expect("a ring");
    let mut exit = runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        soon("the frame to end", spawner.spawn((), |_| ()).expect("there is room")).await
    });
    exit.result.expect("it works");
    let mut taken = std::fs::File::from(exit.sockets.take_file(file).expect("it is still open"));
    assert!(exit.sockets.take_file(file).is_none(), "once");
    let mut bytes = Vec::new();
    taken.seek(SeekFrom::Start(0)).and_then(|_| taken.read_to_end(&mut bytes)).expect("the file");
    assert_eq!(bytes, b"\0\0\0hello");
    let umask = 0o027;
    assert_eq!(taken.metadata().expect("the file").mode() & 0o7777 & !umask, 0o640 & !umask);
    drop((taken, exit.sockets));
    drop(runtime);
    assert_eq!(descriptors(), before, "open descriptors");
}

#[test]
fn a_file_closed_and_opened_again_in_a_loop_leaves_no_descriptor() {
    let _alone = alone();
    let dir = Dir::new();
    drop(Runtime::new().expect("a ring"));
    for (program, _) in lowered(|c| {
        let (file, n, data) = (c.file(), c.reg(), c.buffer(4));
        let paths = [c.path(dir.join("one")), c.path(dir.join("two"))];
        c.set(n, 0);
        c.open(file, paths[0], create());
        c.repeat(|c| {
            c.store(data, 0, Order::Be32, n);
            c.write_all_at(file, data.all(), n * 4);
            c.close_file(file);
            c.open(file, paths[1], create());
            c.write_all_at(file, data.all(), n * 4);
            // Takes the place of the one before.
            c.open(file, paths[0], create());
            c.set(n, n + 1);
            c.when(n.eq(50), |c| c.leave());
        });
        c.close_file(file);
        note(c, n);
    }) {
        let before = descriptors();
        let ended = run(&program, Notes::new(), |_| ());
        assert_eq!((ended.text(), ended.session), (String::new(), vec![50]), "{}", program.explain());
        assert_eq!(descriptors(), before, "open descriptors");
        let expected: Vec<u8> = (0..50u32).flat_map(u32::to_be_bytes).collect();
        for name in ["one", "two"] {
            assert_eq!(std::fs::read(dir.join(name)).expect("the file"), expected, "{name}");
            std::fs::remove_file(dir.join(name)).expect("the file");
        }
    }
}

#[test]
fn an_open_that_fails_behind_a_close_leaves_the_place_vacant() {
    let _alone = alone();
    let dir = Dir::new();
    drop(Runtime::new().expect("a ring"));
    for (program, file) in lowered(|c| {
        let (file, errno, data) = (c.file(), c.reg(), c.buffer(4));
        let path = c.path(dir.join("not there"));
        c.attempt(|c| {
            c.close_file(file);
            c.open(file, path, read_write());
        })
        .on_error(errno, |c| note(c, errno));
        c.read_at(file, data.all(), 0);
        file
    }) {
        let before = descriptors();
        let open = dir.file("given", b"abcd");
        let ended = run(&program, Notes::new(), |frame| {
            frame.file(file, open);
        });
        assert_eq!(ended.session, [libc::ENOENT as u64]);
        assert_eq!(ended.text(), "chain test, step 5 (read_at): Bad file descriptor (os error 9)");
        assert_eq!(descriptors(), before, "open descriptors");
    }
}

#[test]
fn a_read_that_waits_for_a_pipe_is_cancelled() {
    let _alone = alone();
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let path = dir.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
    assert!(made.success());
    let (program, _) = chain::<Notes, _>(|c| {
        let (file, len, data) = (c.file(), c.reg(), c.buffer(8));
        let path = c.path(&path);
        c.open(file, path, read_write());
        c.repeat(|c| {
            c.read_at(file, data.all(), 0).into(len);
            note(c, len);
        });
    });
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    let runtime = Runtime::new().expect("a ring");
    let mut other = std::fs::File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(&path)
        .expect("the pipe");
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Notes::new(), |_| ()).expect("there is room");
        time::sleep(Duration::from_millis(5)).await;
        other.write_all(b"abc").expect("the pipe");
        time::sleep(Duration::from_millis(10)).await;
        handle.cancel();
        let exit = soon("the frame to end", handle).await;
        let error = exit.result.expect_err("cancelled");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { done: 0 }), "{error}");
        assert_eq!((error.step(), exit.session), (3, vec![3]));
    });
    drop((other, runtime));
    assert_eq!(descriptors(), before, "open descriptors");
}
