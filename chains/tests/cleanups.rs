//! A read and the close behind it: one submission, and the file is closed whatever becomes of the read.

mod common;

use chainring_chains::{Chain, ErrorKind, Exit, File, Flow, Init, OpenHow, Program, read};
use chainring_runtime::injector::Injector;
use chainring_runtime::{Builder, Capability, Runtime};
use common::one::{Dir, Ended, Notes, alone, lowered, note};
use common::{descriptors, soon};

/// Reads what there is of a given file, closes it, and notes how much it was and its first byte.
fn whole(c: &mut Chain<Notes>) -> File {
    let (file, data, n) = (c.file(), c.buffer(100), c.reg());
    c.read_at(file, data.all(), 0).into(n);
    c.close_file(file);
    note(c, n);
    file
}

/// Runs a frame to its end, and gives back the file if it still has it.
fn run(
    builder: &Builder,
    program: &Program<Notes>,
    file: File,
    faults: impl FnOnce(&Injector),
    init: impl FnOnce(&mut Init<'_, '_>),
) -> (Ended<Notes>, bool) {
    let runtime: Runtime = builder.build().expect("a ring");
    let outcome = runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        faults(runtime.handle().injector());
        let handle = spawner.spawn(Notes::new(), init).expect("there is room");
        let Exit { session, mut sockets, result } = soon("the frame to end", handle).await;
        let open = sockets.take_file(file).is_some();
        (Ended { session, result, counters: spawner.counters() }, open)
    });
    let metrics = runtime.metrics();
    assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
    outcome
}

fn rings() -> [Builder; 2] {
    [Builder::new(), Builder::new().mask(Capability::SkipSuccess)]
}

#[test]
fn the_close_goes_with_the_read_and_the_count_is_that_of_the_read() {
    let _alone = alone();
    let dir = Dir::new();
    for builder in rings() {
        for (len, noted) in [(100, 100), (40, 40), (0, 0)] {
            for (i, (program, file)) in lowered(whole).into_iter().enumerate() {
                let text = program.explain().to_string();
                assert_eq!(
                    text.contains("hardlinked, 2 SQEs submitted at once, 2 completions"),
                    i == 0,
                    "{text}"
                );
                assert_eq!(text.contains("runs whatever becomes of the one before"), i == 0, "{text}");
                let open = dir.file("given", &vec![7; len]);
                let init = |frame: &mut Init<'_, '_>| {
                    frame.file(file, open);
                };
                let (ended, open) = run(&builder, &program, file, |_| {}, init);
                assert_eq!((ended.text(), &ended.session[..], open), (String::new(), &[noted][..], false));
            }
        }
    }
}

#[test]
fn a_read_that_fails_leaves_nothing_open() {
    let _alone = alone();
    let dir = Dir::new();
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    for builder in rings() {
        for (i, (program, file)) in lowered(whole).into_iter().enumerate() {
            // A directory is not read.
            let open = std::fs::File::open(dir.path()).expect("the directory");
            let init = |frame: &mut Init<'_, '_>| {
                frame.file(file, open);
            };
            let (ended, open) = run(&builder, &program, file, |_| {}, init);
            assert!(ended.text().ends_with("(read_at): Is a directory (os error 21)"), "{}", ended.text());
            assert_eq!(open, i == 1, "linked to the close, the read leaves the file to it");
        }
    }
    assert_eq!(descriptors(), before);
}

#[test]
fn a_close_whose_file_the_handler_needs_waits_for_the_read() {
    let _alone = alone();
    let dir = Dir::new();
    for needs in [false, true] {
        for (i, (program, file)) in lowered(|c| {
            let (file, data, n, errno) = (c.file(), c.buffer(100), c.reg(), c.reg());
            c.attempt(|c| {
                c.read_at(file, data.all(), 0).into(n);
                c.close_file(file);
            })
            .on_error(errno, |c| {
                note(c, errno);
                if needs {
                    c.statx(file).size(n);
                }
            });
            file
        })
        .into_iter()
        .enumerate()
        {
            let text = program.explain().to_string();
            assert_eq!(text.contains("hardlinked"), i == 0 && !needs, "{text}");
            let open = std::fs::File::open(dir.path()).expect("the directory");
            let init = |frame: &mut Init<'_, '_>| {
                frame.file(file, open);
            };
            let (ended, _) = run(&Builder::new(), &program, file, |_| {}, init);
            assert_eq!((ended.text(), &ended.session[..]), (String::new(), &[libc::EISDIR as u64][..]));
        }
    }
}

#[test]
fn the_end_of_the_file_finishes_and_closes() {
    let _alone = alone();
    let dir = Dir::new();
    for builder in rings() {
        for (program, file) in lowered(|c| {
            let (file, data, n) = (c.file(), c.buffer(100), c.reg());
            c.read_at(file, data.all(), 50).into(n).or_finish();
            c.close_file(file);
            note(c, n);
            file
        }) {
            for (len, noted) in [(50, None), (51, Some(1))] {
                let open = dir.file("given", &vec![7; len]);
                let init = |frame: &mut Init<'_, '_>| {
                    frame.file(file, open);
                };
                let (ended, _) = run(&builder, &program, file, |_| {}, init);
                assert_eq!((ended.text(), ended.session), (String::new(), noted.into_iter().collect()));
            }
        }
    }
}

#[test]
fn a_read_that_its_file_has_cancelled_is_not_repeated_after_the_close() {
    let _alone = alone();
    let dir = Dir::new();
    for builder in rings() {
        for (i, (program, file)) in lowered(whole).into_iter().enumerate() {
            let open = dir.file("given", b"a few bytes");
            let init = |frame: &mut Init<'_, '_>| {
                frame.file(file, open);
            };
            let cancels = |faults: &Injector| faults.fail("read", libc::ECANCELED, 1);
            let (ended, open) = run(&builder, &program, file, cancels, init);
            let text = ended.text();
            assert!(text.ends_with("(read_at): Operation canceled (os error 125)"), "{text}");
            assert_eq!((ended.counters.one_by_one, open), (0, i == 1), "linked to the close, it was closed");
        }
        // Nor after a close that has failed: that has closed all the same.
        let [(program, file), _] = lowered(whole);
        let open = dir.file("given", b"a few bytes");
        let init = |frame: &mut Init<'_, '_>| {
            frame.file(file, open);
        };
        let fails = |faults: &Injector| {
            faults.fail("read", libc::ECANCELED, 1);
            faults.fail("close", libc::EIO, 1);
        };
        let (ended, _) = run(&builder, &program, file, fails, init);
        assert!(ended.text().ends_with("(read_at): Operation canceled (os error 125)"), "{}", ended.text());
        assert_eq!(ended.counters.one_by_one, 0);
    }
}

#[test]
fn members_that_cannot_be_prepared_have_run_nothing_and_closed_nothing() {
    let _alone = alone();
    let dir = Dir::new();
    for builder in rings() {
        for (i, (program, file)) in lowered(whole).into_iter().enumerate() {
            let given = |open| {
                move |frame: &mut Init<'_, '_>| {
                    frame.file(file, open);
                }
            };
            let init = given(dir.file("given", b"a few bytes"));
            let (ended, open) = run(&builder, &program, file, |faults| faults.refuse("read", 1), init);
            assert!(ended.text().ends_with("(read_at): Invalid argument (os error 22)"), "{}", ended.text());
            assert!(open, "the close has not run either");

            // Refused is the close, and with it the read: by itself it works.
            let init = given(dir.file("given", b"a few bytes"));
            let (ended, _) = run(&builder, &program, file, |faults| faults.refuse("close", 1), init);
            assert!(
                ended.text().ends_with("(close_file): Invalid argument (os error 22)") == (i == 1),
                "{}",
                ended.text()
            );
            if i == 0 {
                assert_eq!(
                    (ended.text(), &ended.session[..], ended.counters.one_by_one),
                    (String::new(), &[11][..], 1)
                );
            }
        }
    }
}

#[test]
fn a_server_of_files_opens_reads_and_closes_a_thousand_times() {
    let _alone = alone();
    let dir = Dir::new();
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    dir.file("page", b"what the page says");
    let path = dir.join("page");
    for (program, file) in lowered(|c| {
        let (file, data, n, turns) = (c.file(), c.pooled(100), c.reg(), c.reg());
        let path = c.path(&path);
        c.set(turns, 0);
        c.repeat(|c| {
            c.open(file, path, OpenHow::default());
            c.read_at(file, data.all(), 0).into(n);
            c.close_file(file);
            c.call((read(data.to(n)),), |notes, (bytes,)| {
                notes.push(bytes.len() as u64);
                Flow::Next
            });
            c.set(turns, turns + 1);
            c.when(turns.eq(1000), |c| c.finish());
        });
        file
    }) {
        let (ended, open) = run(&Builder::new(), &program, file, |_| {}, |_| {});
        assert_eq!((ended.text(), open), (String::new(), false), "{}", program.explain());
        assert!(ended.session.len() == 1000 && ended.session.iter().all(|n| *n == 18));
    }
    assert_eq!(descriptors(), before);
}

#[test]
fn a_frame_is_cancelled_while_its_read_waits_and_the_file_is_closed() {
    let _alone = alone();
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    for builder in rings() {
        for (program, file) in lowered(whole) {
            // A terminal takes a position, and has nothing to say.
            let runtime = builder.build().expect("a ring");
            let Ok(open) = std::fs::File::options().read(true).write(true).open("/dev/ptmx") else { return };
            runtime.block_on(async {
                let spawner = program.start(1).expect("it starts");
                let handle = spawner.spawn(Notes::new(), |frame| {
                    frame.file(file, open);
                });
                let handle = handle.expect("there is room");
                chainring_runtime::time::sleep(std::time::Duration::from_millis(10)).await;
                handle.cancel();
                let exit = soon("the frame to end", handle).await;
                let error = exit.result.expect_err("it was cancelled");
                assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
            });
            let metrics = runtime.metrics();
            assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
        }
    }
    assert_eq!(descriptors(), before);
}
