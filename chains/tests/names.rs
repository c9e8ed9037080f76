//! Files that are renamed and removed, and a step that does nothing.

mod common;

use chainring_chains::{Chain, Flow, OpenHow, Span, write};
use common::one::{Dir, Notes, lowered, mark, note, run};

/// A path beneath a directory whose place the frame computes: written by a call, with its NUL.
fn computed(c: &mut Chain<Notes>, path: &'static str) -> Span {
    let buf = c.buffer(path.len() as u32 + 1);
    c.call((write(buf.all()),), move |_, (bytes,)| {
        bytes[..path.len()].copy_from_slice(path.as_bytes());
        Flow::Next
    });
    buf.all()
}

#[test]
fn a_file_is_written_aside_and_takes_the_others_place() {
    let dir = Dir::new();
    for (program, directory) in lowered(|c| {
        let (directory, file) = (c.file(), c.file());
        let (old, new, text) = (c.path("aside"), computed(c, "real"), c.constant(b"the new text"));
        let flags = (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u64;
        let how = OpenHow { flags, mode: 0o600, ..OpenHow::default() };
        c.open(file, old, how).beneath(directory);
        c.write_all_at(file, text.all(), 0);
        c.fdatasync(file);
        c.rename(old, new).from_directory(directory).to_directory(directory);
        c.nop();
        mark(c, 1);
        directory
    }) {
        dir.file("real", b"the old text, which is longer");
        let open = std::fs::File::open(dir.path()).expect("the directory");
        let ended = run(&program, Notes::new(), |frame| {
            frame.file(directory, open);
        });
        assert_eq!((ended.text(), &ended.session[..]), (String::new(), &[1][..]), "{}", program.explain());
        assert_eq!(std::fs::read(dir.join("real")).expect("the file"), b"the new text");
        assert!(!dir.join("aside").exists());
    }
}

#[test]
fn names_are_removed_and_whole_paths_work_too() {
    let dir = Dir::new();
    let (from, to) = (dir.join("from"), dir.join("to"));
    for (program, directory) in lowered(|c| {
        let directory = c.file();
        let (from, to, name) = (c.path(&from), c.path(&to), computed(c, "to"));
        let empty = c.path("empty");
        c.rename(from, to);
        c.unlink(name).in_directory(directory);
        c.remove_dir(empty).in_directory(directory);
        directory
    }) {
        dir.file("from", b"x");
        std::fs::create_dir(dir.join("empty")).expect("a directory");
        let open = std::fs::File::open(dir.path()).expect("the directory");
        let ended = run(&program, Notes::new(), |frame| {
            frame.file(directory, open);
        });
        assert_eq!(ended.text(), "", "{}", program.explain());
        assert_eq!(std::fs::read_dir(dir.path()).expect("the directory").count(), 0);
    }
}

#[test]
fn what_is_not_there_fails_and_nothing_behind_it_runs() {
    let dir = Dir::new();
    let missing = dir.join("missing");
    for (name, errno) in
        [("unlink", "No such file"), ("remove_dir", "No such file"), ("rename", "No such file")]
    {
        for (program, ()) in lowered(|c| {
            let (path, other, errno) = (c.path(&missing), c.path(&missing), c.reg());
            let step = |c: &mut Chain<Notes>| match name {
                "unlink" => _ = c.unlink(path),
                "remove_dir" => _ = c.remove_dir(path),
                _ => _ = c.rename(path, other),
            };
            c.attempt(|c| {
                step(c);
                mark(c, 1);
            })
            .on_error(errno, |c| note(c, errno));
            step(c);
            mark(c, 2);
        }) {
            let ended = run(&program, Notes::new(), |_| {});
            assert!(ended.text().contains(&format!("({name}): {errno}")), "{}", ended.text());
            assert_eq!(ended.session, [libc::ENOENT as u64]);
        }
    }
}

#[test]
fn a_path_that_does_not_end_is_not_used() {
    for which in 0..3 {
        for (program, ()) in lowered(|c| {
            let (whole, cut) = (c.path("a"), c.buffer(4));
            c.call((write(cut.all()),), |_, (bytes,)| {
                bytes.fill(b'x');
                Flow::Next
            });
            match which {
                0 => _ = c.rename(cut.all(), whole),
                1 => _ = c.rename(whole, cut.all()),
                _ => _ = c.unlink(cut.all()),
            }
        }) {
            let ended = run(&program, Notes::new(), |_| {});
            assert!(ended.text().ends_with("does not fit into 0"), "{}", ended.text());
        }
    }
}

#[test]
fn paths_whose_length_is_not_known_are_refused() {
    let refused = |steps: fn(&mut Chain<()>)| {
        let mut c = Chain::<()>::new("test");
        steps(&mut c);
        c.build().expect_err("it is refused").to_string()
    };
    let says = "a path is a span of fixed place and length, and not empty";
    let renamed = refused(|c| {
        let (n, path, buf) = (c.param(), c.path("a"), c.constant(b"abc"));
        c.rename(path, buf.to(n));
    });
    assert_eq!(renamed, format!("chain test, step 1 (rename): {says}"));
    let removed = refused(|c| {
        let (n, buf) = (c.param(), c.constant(b"abc"));
        c.unlink(buf.part(n, 1));
    });
    assert_eq!(removed, format!("chain test, step 1 (unlink): {says}"));
    let unwritten = refused(|c| {
        let (path, buf) = (c.path("a"), c.buffer(4));
        c.rename(path, buf.all());
    });
    assert_eq!(unwritten, "chain test, step 1 (rename): buffer b0 is read before it is written");
}
