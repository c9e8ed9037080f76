//! Files on a bad day: writes and reads that come short, syncs that fail, and members that cannot be prepared.

mod common;

use chainring_chains::{Exit, File, Init, OpenHow, Program};
use chainring_runtime::Runtime;
use chainring_runtime::injector::Injector;
use common::one::{Dir, Ended, Notes, alone, lowered, mark, note};
use common::{descriptors, soon};

/// Runs a frame to its end on a core with these faults.
fn run(
    program: &Program<Notes>,
    faults: impl FnOnce(&Injector),
    init: impl FnOnce(&mut Init<'_, '_>),
) -> Ended<Notes> {
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        faults(runtime.handle().injector());
        let handle = spawner.spawn(Notes::new(), init).expect("there is room");
        let Exit { session, result, .. } = soon("the frame to end", handle).await;
        Ended { session, result, counters: spawner.counters() }
    })
}

/// Gives a new file to the frame.
fn given(file: File, dir: &Dir, bytes: &[u8]) -> impl FnOnce(&mut Init<'_, '_>) {
    let open = dir.file("given", bytes);
    move |frame| {
        frame.file(file, open);
    }
}

#[test]
fn short_writes_and_reads_go_on_where_they_stopped() {
    let _alone = alone();
    let dir = Dir::new();
    let text: Vec<u8> = (0..200).collect();
    for (program, file) in lowered(|c| {
        let (file, n, from) = (c.file(), c.reg(), c.constant(&text));
        let data = c.buffer(100);
        c.set(n, 60);
        // A computation that moves over the first write is not done again when that is taken up.
        c.write_all_at(file, from.part(n, 100), 1000);
        c.set(n, n + 1);
        c.write_all_at(file, [from.range(7..20), from.range(..7)], 1100);
        c.read_exact_at(file, data.all(), 1000);
        c.ensure(data.all().equals(from.range(60..160)), libc::EPROTO);
        note(c, n);
        file
    }) {
        let faults = |injector: &Injector| {
            injector.shorten("write", 3, 5);
            injector.shorten("read", 41, 2);
        };
        let ended = run(&program, faults, given(file, &dir, b""));
        assert_eq!((ended.text(), &ended.session[..]), (String::new(), &[61][..]));
        assert_eq!(ended.counters.short, 7, "{:?}", ended.counters);
        let bytes = std::fs::read(dir.join("given")).expect("the file");
        assert!(bytes[1000..] == [&text[60..160], &text[7..20], &text[..7]].concat());
    }
}

#[test]
fn a_sync_that_fails_leads_to_its_handler_and_nothing_behind_it_runs() {
    let _alone = alone();
    let dir = Dir::new();
    for name in ["fsync", "fdatasync"] {
        for (program, file) in lowered(|c| {
            let (file, errno, text) = (c.file(), c.reg(), c.constant(b"abcdefgh"));
            c.attempt(|c| {
                c.write_all_at(file, text.to(4), 0);
                if name == "fsync" {
                    c.fsync(file);
                } else {
                    c.fdatasync(file);
                }
                c.write_all_at(file, text.range(4..), 4);
                mark(c, 1);
            })
            .on_error(errno, |c| note(c, errno));
            file
        }) {
            let faults = |injector: &Injector| injector.fail("fsync", libc::EIO, 1);
            let ended = run(&program, faults, given(file, &dir, b""));
            assert_eq!((ended.text(), ended.session), (String::new(), vec![libc::EIO as u64]), "{name}");
            assert_eq!(std::fs::read(dir.join("given")).expect("the file"), b"abcd", "{name}");
        }
    }
}

#[test]
fn what_cannot_be_prepared_is_done_one_by_one_and_closes_nothing_else() {
    let _alone = alone();
    let dir = Dir::new();
    dir.file("other", b"other");
    drop(Runtime::new().expect("a ring"));
    // Not the close: one that fails counts as made, and this one would not have been.
    for refused in ["write", "openat2", "read"] {
        for (program, file) in lowered(|c| {
            let (file, data, first) = (c.file(), c.buffer(5), c.reg());
            let (path, text) = (c.path(dir.join("other")), c.constant(b"text"));
            c.write_all_at(file, text.all(), 0);
            c.close_file(file);
            c.open(file, path, OpenHow::default());
            c.read_exact_at(file, data.all(), 0);
            c.set(first, data.u8(0));
            note(c, first);
            file
        }) {
            let before = descriptors();
            let faults = |injector: &Injector| injector.refuse(refused, 1);
            let ended = run(&program, faults, given(file, &dir, b""));
            let text = ended.text();
            // By itself it can be prepared, or it is the one that is to blame.
            if text.is_empty() {
                assert_eq!(ended.session, [u64::from(b'o')], "{refused}");
            } else {
                assert!(text.ends_with("Invalid argument (os error 22)"), "{refused}: {text}");
            }
            assert_eq!(descriptors(), before, "{refused}: open descriptors");
        }
    }
}
