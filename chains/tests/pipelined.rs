//! A block whose turns overlap: parts that run ahead side by side, and parts that run in the order of the turns.

mod common;

use std::time::{Duration, Instant};

use chainring_chains::{Chain, ChainHandle, ErrorKind, Exit, File, Init, OpenHow, Program, Reg};
use chainring_runtime::injector::Injector;
use chainring_runtime::{Builder, Capability, Runtime, yield_now};
use common::one::{Dir, Ended, Notes, alone, chain, lowered, note};
use common::several::{receive, run_on};
use common::{PATIENCE, descriptors, soon, watchdog};

const BLOCK: u32 = 4096;

/// Copies a file of a given size, with so many reads in flight, and notes how many blocks it has written.
fn copy(c: &mut Chain<Notes>, depth: usize) -> (File, File, Reg) {
    let (from, to, size) = (c.file(), c.file(), c.param());
    let (blocks, in_order) = (c.reg(), c.reg());
    c.set(blocks, 0);
    c.set(in_order, 1);
    c.pipelined(
        depth,
        |c, turn| {
            let (block, at, len) = (c.buffer(BLOCK), c.reg(), c.reg());
            c.set(at, turn * BLOCK);
            c.when(at.ge(size), |c| c.leave());
            c.set(len, size - at);
            c.when(len.gt(BLOCK), |c| c.set(len, BLOCK));
            c.read_exact_at(from, block.to(len), at);
            (block, at, len)
        },
        |c, turn, (block, at, len)| {
            c.set(in_order, in_order & turn.eq(blocks));
            c.set(blocks, blocks + 1);
            c.write_all_at(to, block.to(len), at);
        },
    );
    note(c, blocks);
    note(c, in_order);
    (from, to, size)
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 4096 * 7 + i) as u8).collect()
}

/// Runs a frame to its end on a core with these faults; what is done `meanwhile` is done while it runs.
fn run_beside<T>(
    runtime: &Runtime,
    program: &Program<Notes>,
    faults: impl FnOnce(&Injector),
    init: impl FnOnce(&mut Init<'_, '_>),
    meanwhile: impl AsyncFnOnce(&ChainHandle<Notes>) -> T,
) -> (Ended<Notes>, T) {
    let _watchdog = watchdog(Duration::from_secs(60));
    runtime.block_on(async {
        let spawner = program.start(1).unwrap_or_else(|error| panic!("{error}"));
        faults(runtime.handle().injector());
        let handle = spawner.spawn(Notes::new(), init).expect("there is room");
        let done = meanwhile(&handle).await;
        let Exit { session, result, .. } = soon("the frame to end", handle).await;
        (Ended { session, result, counters: spawner.counters() }, done)
    })
}

/// The same, with nothing beside it.
fn run(
    runtime: &Runtime,
    program: &Program<Notes>,
    faults: impl FnOnce(&Injector),
    init: impl FnOnce(&mut Init<'_, '_>),
) -> Ended<Notes> {
    run_beside(runtime, program, faults, init, async |_| {}).0
}

/// Gives the frame of [`copy`] its files, and says that there are `size` bytes.
fn given(
    (from, to, size): (File, File, Reg),
    dir: &Dir,
    bytes: &[u8],
    len: usize,
) -> impl FnOnce(&mut Init<'_, '_>) + use<> {
    let files = (dir.file("from", bytes), dir.file("to", b""));
    move |frame| {
        frame.file(from, files.0).file(to, files.1).set(size, len as u64);
    }
}

#[test]
fn a_file_is_copied_as_it_is_at_every_depth() {
    let _alone = alone();
    let dir = Dir::new();
    for masked in [false, true] {
        let builder = Builder::new();
        let builder = if masked { builder.mask(Capability::SkipSuccess) } else { builder };
        let runtime = builder.build().expect("a ring");
        for depth in [1, 2, 3, 32, 64] {
            for (program, handles) in lowered(|c| copy(c, depth)) {
                for len in [0, 1, 4096, 4097, 300_000] {
                    let bytes = content(len);
                    let ended = run(&runtime, &program, |_| {}, given(handles, &dir, &bytes, len));
                    let blocks = len.div_ceil(BLOCK as usize) as u64;
                    assert_eq!(
                        (ended.text(), ended.session),
                        (String::new(), vec![blocks, 1]),
                        "{len} at {depth}"
                    );
                    assert!(
                        std::fs::read(dir.join("to")).expect("the file") == bytes,
                        "{len} bytes at {depth}"
                    );
                }
            }
        }
    }
}

#[test]
fn as_many_reads_are_in_flight_as_the_block_is_deep() {
    let _alone = alone();
    let dir = Dir::new();
    let len = 100 * BLOCK as usize;
    for (program, handles) in lowered(|c| copy(c, 32)) {
        let runtime = Runtime::new().expect("a ring");
        let faults = |injector: &Injector| injector.delay("read", 20, 100);
        let init = given(handles, &dir, &content(len), len);
        let (ended, most) = run_beside(&runtime, &program, faults, init, async |frame| {
            let mut most = 0;
            while !frame.is_finished() {
                most = most.max(runtime.handle().injector().held());
                yield_now().await;
            }
            most
        });
        assert_eq!((ended.text(), ended.session), (String::new(), vec![100, 1]));
        assert_eq!(most, 32, "reads that had begun, and none of them was known to be done");
        assert!(std::fs::read(dir.join("to")).expect("the file") == content(len));
    }
}

#[test]
fn nothing_is_written_before_the_first_turn_is_done_although_all_others_are() {
    let _alone = alone();
    let dir = Dir::new();
    let len = 8 * BLOCK as usize;
    for (program, handles) in lowered(|c| copy(c, 32)) {
        let runtime = Runtime::new().expect("a ring");
        // The first read of all is that of the first turn.
        let faults = |injector: &Injector| injector.delay("read", 200, 1);
        let init = given(handles, &dir, &content(len), len);
        let (ended, ()) = run_beside(&runtime, &program, faults, init, async |_| {
            let written = || std::fs::metadata(dir.join("to")).expect("the file").len();
            let start = Instant::now();
            while runtime.handle().injector().held() == 0 {
                assert!(start.elapsed() < PATIENCE);
                yield_now().await;
            }
            while runtime.handle().injector().held() > 0 {
                assert_eq!(written(), 0);
                yield_now().await;
            }
        });
        assert_eq!((ended.text(), ended.session), (String::new(), vec![8, 1]));
        assert!(std::fs::read(dir.join("to")).expect("the file") == content(len));
    }
}

#[test]
fn an_error_is_that_of_the_first_turn_that_fails_and_those_before_it_are_done() {
    let _alone = alone();
    let dir = Dir::new();
    for (program, handles) in lowered(|c| copy(c, 8)) {
        // There is less than was said: from the fourth turn on every read fails, long before the first is done.
        let runtime = Runtime::new().expect("a ring");
        let faults = |injector: &Injector| injector.delay("read", 50, 1);
        let bytes = content(3 * BLOCK as usize + 5);
        let ended = run(&runtime, &program, faults, given(handles, &dir, &bytes, 1 << 20));
        let error = ended.result.expect_err("the file ends");
        assert!(matches!(error.kind(), ErrorKind::Short { done: 5, want: BLOCK }), "{error}");
        assert_eq!(error.name(), "read_exact_at");
        assert!(std::fs::read(dir.join("to")).expect("the file") == bytes[..3 * BLOCK as usize]);
    }
}

#[test]
fn a_failure_in_order_leads_to_the_handler_of_the_block() {
    let _alone = alone();
    let dir = Dir::new();
    for (program, (handles, errno)) in lowered(|c| {
        let errno = c.reg();
        let mut handles = None;
        c.attempt(|c| handles = Some(copy(c, 4))).on_error(errno, |c| note(c, errno));
        (handles.expect("made above"), errno)
    }) {
        let _ = errno;
        let runtime = Runtime::new().expect("a ring");
        let faults = |injector: &Injector| injector.fail("write", libc::ENOSPC, 1);
        let len = 10 * BLOCK as usize;
        let ended = run(&runtime, &program, faults, given(handles, &dir, &content(len), len));
        assert_eq!((ended.text(), ended.session), (String::new(), vec![libc::ENOSPC as u64]));
    }
}

#[test]
fn turns_behind_the_one_that_leaves_count_as_never_begun() {
    let _alone = alone();
    let dir = Dir::new();
    let bytes = content(3 * BLOCK as usize);
    for (program, file) in lowered(|c| {
        let (file, sum) = (c.file(), c.reg());
        c.set(sum, 0);
        c.pipelined(
            16,
            |c, turn| {
                let block = c.buffer(BLOCK);
                // Even turns have no part in order, and odd ones behind the file fail.
                c.when((turn & 1).eq(0), |c| c.again());
                c.read_exact_at(file, block.all(), (turn - 1) / 2 * BLOCK);
                block
            },
            |c, turn, block| {
                c.when(turn.eq(3), |c| {
                    c.set(sum, sum + 1000);
                    c.again();
                });
                c.set(sum, sum + block.u8(1));
                c.when(turn.eq(5), |c| c.leave());
            },
        );
        note(c, sum);
        file
    }) {
        let runtime = Runtime::new().expect("a ring");
        let open = dir.file("from", &bytes);
        let ended = run(
            &runtime,
            &program,
            |injector| injector.delay("read", 20, 3),
            |frame| {
                frame.file(file, open);
            },
        );
        let sum = 1000 + u64::from(bytes[1]) + u64::from(bytes[2 * BLOCK as usize + 1]);
        assert_eq!((ended.text(), ended.session), (String::new(), vec![sum]));
        assert_eq!(runtime.metrics().strays, 0);
    }
}

#[test]
fn turns_have_files_of_their_own() {
    let _alone = alone();
    let dir = Dir::new();
    dir.file("one", &content(50));
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    for (program, ()) in lowered(|c| {
        let (sum, path) = (c.reg(), c.path(dir.join("one")));
        c.set(sum, 0);
        c.pipelined(
            5,
            |c, turn| {
                let (file, data, size, first) = (c.file(), c.buffer(8), c.reg(), c.reg());
                c.when(turn.ge(20), |c| c.leave());
                c.open(file, path, OpenHow::default());
                c.statx(file).size(size);
                c.read_exact_at(file, data.all(), turn);
                c.set(first, data.u8(0));
                (size, first)
            },
            |c, _, (size, first)| c.set(sum, sum + size + first),
        );
        note(c, sum);
    }) {
        let runtime = Runtime::new().expect("a ring");
        let ended = run(&runtime, &program, |_| {}, |_| {});
        let firsts: u64 = content(50)[..20].iter().map(|byte| u64::from(*byte)).sum();
        assert_eq!((ended.text(), ended.session), (String::new(), vec![20 * 50 + firsts]));
    }
    assert_eq!(descriptors(), before, "open descriptors");
}

#[test]
fn blocks_of_a_file_are_sent_in_order_with_the_reads_ahead() {
    let _alone = alone();
    let dir = Dir::new();
    let bytes = content(20 * BLOCK as usize);
    dir.file("from", &bytes);
    for (program, [sock]) in lowered(|c| {
        let (sock, file, path) = (c.socket(), c.file(), c.path(dir.join("from")));
        c.open(file, path, OpenHow::default());
        c.pipelined(
            6,
            |c, turn| {
                let block = c.buffer(BLOCK);
                c.when(turn.ge(20), |c| c.leave());
                c.read_exact_at(file, block.all(), turn * BLOCK);
                block
            },
            |c, _, block| {
                c.send_all(sock, block.all());
            },
        );
        [sock]
    }) {
        let faults = |injector: &Injector| {
            injector.shorten("send", 1000, 30);
            injector.shorten("read", 700, 30);
            injector.fill_queue(5);
        };
        let runtime = Runtime::new().expect("a ring");
        let (ended, received) = run_on(&runtime, &program, [sock], faults, async |[mut peer], _| {
            receive::<{ 20 * BLOCK as usize }>(&mut peer).await
        });
        assert_eq!(ended.text(), "");
        assert!(received[..] == bytes[..]);
        assert!(ended.counters.short >= 50, "{:?}", ended.counters);
    }
}

#[test]
fn cancelled_or_dropped_at_any_moment_it_leaves_nothing_behind() {
    let _alone = alone();
    let dir = Dir::new();
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    let len = 200 * BLOCK as usize;
    for (program, handles) in lowered(|c| copy(c, 16)) {
        for moment in 0..20 {
            let runtime = Runtime::new().expect("a ring");
            let faults = |injector: &Injector| injector.delay("read", 3, 100);
            let init = given(handles, &dir, &content(len), len);
            let (ended, ()) = run_beside(&runtime, &program, faults, init, async |frame| {
                for _ in 0..moment {
                    yield_now().await;
                }
                frame.cancel();
            });
            let error = ended.result.expect_err("it was cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{moment}: {error}");
            // What was written is the front of the file.
            let written = std::fs::read(dir.join("to")).expect("the file");
            assert!(content(len).starts_with(&written), "{moment}");
            let init = given(handles, &dir, &content(len), len);
            runtime.block_on(async {
                let spawner = program.start(1).expect("it starts");
                drop(spawner.spawn(Notes::new(), init).expect("there is room"));
                for _ in 0..moment {
                    yield_now().await;
                }
            });
            drop(runtime);
            let written = std::fs::read(dir.join("to")).expect("the file");
            assert!(content(len).starts_with(&written), "{moment}");
        }
    }
    assert_eq!(descriptors(), before, "open descriptors");
}

#[test]
fn explain_shows_one_turn_of_those_that_are_alike() {
    let (program, _) = chain(|c| copy(c, 32));
    let text = program.explain().to_string();
    assert!(text.contains("pipelined #3 { 32 turns at once: "), "{text}");
    assert_eq!(text.matches("read_exact_at").count(), 1, "{text}");
    assert!(text.contains("parallel (turn 1 of 32 of pipelined #3), single"), "{text}");
    assert!(
        text.contains("what follows waits for the turns before this one") || text.contains("then in order; "),
        "{text}"
    );
}
