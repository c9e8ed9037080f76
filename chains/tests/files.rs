//! Steps on files that a frame is given: what is in them afterwards, and what registers say.

mod common;

use std::os::unix::fs::{FileExt, MetadataExt};

use chainring_chains::{Chain, File, Flow, Reg, reg, write};
use chainring_runtime::{Builder, Capability, Runtime};
use common::one::{Dir, Notes, alone, chain, lowered, note, run};

/// Runs a chain on a file that it is given, in both lowerings, and gives its notes, its error and the file's bytes.
fn on_file(before: &[u8], steps: impl Fn(&mut Chain<Notes>, File)) -> (Notes, String, Vec<u8>) {
    let _alone = alone();
    let dir = Dir::new();
    let mut number = 0;
    let [chosen, single] = lowered(|c| {
        let file = c.file();
        steps(c, file);
        file
    })
    .map(|(program, file)| {
        number += 1;
        let name = format!("file{number}");
        let open = dir.file(&name, before);
        let ended = run(&program, Notes::new(), |frame| {
            frame.file(file, open);
        });
        let text = ended.text();
        (ended.session, text, std::fs::read(dir.join(&name)).expect("the file"))
    });
    assert_eq!(chosen, single, "both lowerings do the same");
    chosen
}

#[test]
fn a_file_is_read_to_its_end() {
    let bytes: Vec<u8> = (0..100).collect();
    let (notes, text, _) = on_file(&bytes, |c, file| {
        let (at, len, data) = (c.reg(), c.reg(), c.buffer(32));
        c.set(at, 0);
        c.repeat(|c| {
            c.read_at(file, data.all(), at).into(len);
            note(c, len);
            c.when(len.eq(0), |c| c.leave());
            c.ensure(data.u8(0).eq(at), libc::EPROTO);
            c.ensure(data.u8(len - 1).eq(at + len - 1), libc::EPROTO);
            c.set(at, at + len);
        });
    });
    assert_eq!((notes, text), (vec![32, 32, 32, 4, 0], String::new()));
}

#[test]
fn the_end_of_a_file_finishes_what_says_so() {
    let (notes, text, _) = on_file(b"abc", |c, file| {
        let (at, len, data) = (c.reg(), c.reg(), c.buffer(2));
        c.set(at, 0);
        c.repeat(|c| {
            c.read_at(file, data.all(), at).into(len).or_finish();
            note(c, len);
            c.set(at, at + len);
            c.ensure(at.le(3), libc::EPROTO);
            c.when(len.eq(0), |c| c.ensure(len.eq(1), libc::ELOOP));
        });
    });
    assert_eq!((notes, text), (vec![2, 1], String::new()));
    let (notes, text, _) = on_file(b"abcd", |c, file| {
        let (at, data) = (c.reg(), c.buffer(2));
        c.set(at, 0);
        c.repeat(|c| {
            c.read_exact_at(file, data.all(), at).or_finish();
            note(c, at);
            c.set(at, at + 2);
        });
    });
    assert_eq!((notes, text), (vec![0, 2], String::new()));
}

#[test]
fn a_file_that_ends_within_an_exact_read_is_short() {
    let (notes, text, _) = on_file(b"abcde", |c, file| {
        let (errno, data) = (c.reg(), c.buffer(4));
        c.attempt(|c| {
            c.read_exact_at(file, data.all(), 2);
        })
        .on_error(errno, |c| note(c, errno));
        c.read_exact_at(file, data.all(), 1);
        c.read_exact_at(file, data.all(), 3);
    });
    assert_eq!(notes, [libc::ENODATA as u64]);
    assert_eq!(text, "chain test, step 5 (read_exact_at): the stream ended after 2 of 4 bytes");
}

#[test]
fn several_spans_are_written_behind_each_other() {
    let (notes, text, bytes) = on_file(b"", |c, file| {
        let (a, b, c3) = (c.buffer(2), c.buffer(2), c.buffer(4));
        let (len, written, text) = (c.reg(), c.reg(), c.constant(b"abcdefgh"));
        c.copy(a.all(), text.range(..2));
        c.copy(b.all(), text.range(2..4));
        c.copy(c3.all(), text.range(4..));
        c.set(len, 3);
        // Neighbours, as one.
        c.write_all_at(file, [a.all(), b.all(), c3.to(len)], 1).into(written);
        note(c, written);
        // Strangers, one after the other; the last of a length in a register, and a constant.
        c.write_all_at(file, [c3.to(len), a.all(), text.range(7..)], len + 7).into(written);
        note(c, written);
    });
    assert_eq!((notes, text.as_str()), (vec![7, 6], ""));
    assert_eq!(bytes, b"\0abcdefg\0\0efgabh");
}

#[test]
fn positions_lie_beyond_four_gigabytes() {
    const FAR: u64 = (5 << 30) + 7;
    let _alone = alone();
    let dir = Dir::new();
    for (program, (file, at)) in lowered(|c| {
        let (file, at, len) = (c.file(), c.param(), c.reg());
        let (text, data) = (c.constant(b"far away"), c.buffer(8));
        c.write_all_at(file, text.all(), at);
        c.write_all_at(file, [text.range(4..), text.range(..4)], at * 2);
        c.read_exact_at(file, data.all(), at);
        c.ensure(data.all().equals(text.all()), libc::EPROTO);
        c.read_at(file, data.all(), at * 2 + 4).into(len);
        c.ensure(data.to(4).equals(text.to(4)), libc::EPROTO);
        c.statx(file).size(at);
        note(c, len);
        note(c, at);
        (file, at)
    }) {
        let open = dir.file("sparse", b"");
        let keep = open.try_clone().expect("a second descriptor");
        let ended = run(&program, Notes::new(), |frame| {
            frame.file(file, open).set(at, FAR);
        });
        assert_eq!((ended.text(), &ended.session[..]), (String::new(), &[4, 2 * FAR + 8][..]));
        let mut bytes = [0; 8];
        keep.read_exact_at(&mut bytes, FAR * 2).expect("the file");
        assert_eq!(&bytes, b"awayfar ");
        assert!(keep.metadata().expect("the file").blocks() * 512 < 1 << 20, "the rest is a hole");
    }
}

#[test]
fn lengths_are_set_and_room_is_reserved() {
    let (notes, text, bytes) = on_file(b"abcdef", |c, file| {
        let (size, len) = (c.reg(), c.reg());
        c.set(len, 4000);
        c.fallocate(file, len + 96, len + 96);
        c.statx(file).size(size);
        note(c, size);
    });
    assert_eq!((notes, text, bytes.len()), (vec![8192], String::new(), 8192));
    if !truncates() {
        println!("skipped: the ring does not truncate (6.9)");
        return;
    }
    let (notes, text, bytes) = on_file(b"abcdef", |c, file| {
        let (size, len) = (c.reg(), c.reg());
        c.set(len, 2);
        c.ftruncate(file, len + 1);
        c.statx(file).size(size);
        note(c, size);
    });
    assert_eq!((notes, text.as_str(), &bytes[..]), (vec![3], "", &b"abc"[..]));
}

fn truncates() -> bool {
    Runtime::new().expect("a ring").handle().capabilities().ftruncate()
}

#[test]
fn a_program_does_not_start_where_the_ring_does_not_offer_what_a_step_does() {
    let _alone = alone();
    let programs = lowered(|c| {
        let (file, size, errno) = (c.file(), c.reg(), c.reg());
        c.statx(file).size(size);
        c.attempt(|c| {
            c.fsync(file);
            // Whether its turn would ever come is not asked.
            c.when(size.eq(7), |c| c.ftruncate(file, 3));
        })
        .on_error(errno, |_| {});
    });
    let without = Builder::new().mask(Capability::Ftruncate).build().expect("a ring");
    for (program, ()) in &programs {
        without.block_on(async {
            for _ in 0..2 {
                let refused = program.start(1).expect_err("the ring does not truncate");
                let text =
                    "the program cannot be started here: chain test, step 5 (ftruncate): it takes Linux 6.9";
                assert_eq!(refused.to_string(), text);
            }
        });
    }
    // What they cannot do has no part in what others do.
    without.block_on(async {
        let (program, ()) = chain::<(), _>(|c| c.sleep(1));
        let spawner = program.start(1).expect("it starts");
        spawner.spawn((), |_| {}).expect("there is room").await.result.expect("it sleeps");
    });
}

#[test]
fn statx_says_what_the_system_says() {
    let _alone = alone();
    let dir = Dir::new();
    let open = dir.file("file", b"hello world");
    let expected = open.metadata().expect("the file");
    let (program, file) = chain(|c| {
        let file = c.file();
        let [size, mode, inode, modified, behind] = [(); 5].map(|()| c.reg());
        c.statx(file).size(size).mode(mode).inode(inode).modified(modified).modified_nanoseconds(behind);
        [size, mode, inode, modified, behind].into_iter().for_each(|reg| note(c, reg));
        file
    });
    let ended = run(&program, Notes::new(), |frame| {
        frame.file(file, open);
    });
    assert_eq!(ended.text(), "");
    let (modified, behind) = (expected.mtime() as u64, expected.mtime_nsec() as u64);
    let expected = [expected.len(), expected.mode().into(), expected.ino(), modified, behind];
    assert_eq!(ended.session, expected);
}

#[test]
fn what_does_not_sever_ends_its_segment() {
    type Add = fn(&mut Chain<Notes>, File, Reg);
    let steps: [(&str, Add); 5] = [
        ("fsync", |c, file, _| c.fsync(file)),
        ("fdatasync", |c, file, _| c.fdatasync(file)),
        ("statx", |c, file, _| {
            c.statx(file);
        }),
        ("fallocate", |c, file, at| c.fallocate(file, at, at)),
        ("ftruncate", |c, file, at| c.ftruncate(file, at)),
    ];
    for (name, step) in steps {
        let (program, ()) = chain(|c| {
            let (file, text, at) = (c.file(), c.constant(b"abcd"), c.param());
            c.write_all_at(file, text.all(), at);
            step(c, file, at);
            c.write_all_at(file, text.all(), at);
        });
        let explain = program.explain().to_string();
        assert_eq!(program.explain().segments(), 2, "{name}: {explain}");
        assert!(explain.contains("segment 0: linked, 2 SQEs"), "{name}: {explain}");
        let why = "    ends because a failure of its last step would not keep the next from running";
        let line =
            explain.lines().position(|line| line == why).unwrap_or_else(|| panic!("{name}: {explain}"));
        let last = explain.lines().nth(line - 1).expect("a member");
        assert!(last.trim_start().starts_with(name) && !last.contains("skip"), "{name}: {explain}");
    }
}

#[test]
fn a_call_sees_what_was_read() {
    let (notes, text, bytes) = on_file(b"abcd", |c, file| {
        let (len, data) = (c.reg(), c.buffer(8));
        c.read_at(file, data.all(), 0).into(len);
        c.call((write(data.to(len)), reg(len)), |notes, (bytes, len)| {
            notes.push(bytes.len() as u64);
            bytes.make_ascii_uppercase();
            *len -= 1;
            Flow::Next
        });
        c.write_all_at(file, data.to(len), 4);
    });
    assert_eq!((notes, text.as_str(), &bytes[..]), (vec![4], "", &b"abcdABC"[..]));
}
