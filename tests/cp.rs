//! The program that copies, beside diff(1), find(1) and the cp of coreutils.

mod common;

use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::{Temp, output, program};

/// Runs it, and gives whether all went well, and what it wrote.
fn cp(arguments: &[&Path]) -> (bool, String) {
    let Output { status, stdout, stderr } = Command::new(program("cp")).args(arguments).output().unwrap();
    (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

fn copied(arguments: &[&Path]) -> String {
    let (success, words) = cp(arguments);
    assert!(success, "{words}");
    words
}

fn flag(text: &str) -> &Path {
    Path::new(text)
}

fn noise(len: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (seed >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// What is in a tree and how: type, permissions, owner, size, names, time, where a link leads.
fn listing(root: &Path) -> String {
    let mut find = Command::new("find");
    let lines = output(find.current_dir(root).args([".", "-printf", "%P %y %m %U %G %s %n %T@ %l\n"]));
    let mut lines: Vec<_> = lines
        .lines()
        .map(|line| {
            // The size of a directory is its file system's business.
            if line.split(' ').nth(1) == Some("d") {
                line.split(' ')
                    .enumerate()
                    .filter(|(at, _)| *at != 5)
                    .map(|(_, word)| word)
                    .collect::<Vec<_>>()
                    .join(" ")
            } else {
                line.to_owned()
            }
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

fn assert_same(source: &Path, target: &Path) {
    output(Command::new("diff").args(["-r", "--no-dereference"]).args([source, target]));
    assert_eq!(listing(source), listing(target));
}

/// Directories, files of many lengths, links of both kinds, odd names and permissions.
fn tree(root: &Path, files: usize) {
    for directory in ["", "one", "one/two", "empty", "with space\nand line"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for number in 0..files {
        let len = [0, 1, 100, 4096, 5000, 70_000][number % 6];
        let directory = ["", "one", "one/two", "with space\nand line"][number % 4];
        let path = root.join(directory).join(format!("file{number}"));
        fs::write(&path, noise(len, number as u64)).unwrap();
        if number % 5 == 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode([0o755, 0o400, 0o4711, 0o600][number % 4]))
                .unwrap();
        }
    }
    fs::hard_link(root.join("file0"), root.join("one/another name")).unwrap();
    fs::hard_link(root.join("file0"), root.join("one/two/third name")).unwrap();
    symlink("file0", root.join("link")).unwrap();
    symlink("/nowhere/at all", root.join("one/dangling")).unwrap();
    symlink("..", root.join("one/up")).unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 987_654_321);
    for path in ["file1", "one/two"] {
        fs::File::open(root.join(path))
            .or_else(|_| fs::File::open(root.join("one/two")))
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o550)).unwrap();
}

#[test]
fn a_tree_is_copied_with_its_attributes_and_links() {
    let dir = Temp::new();
    let (source, target) = (dir.path().join("from"), dir.path().join("to"));
    tree(&source, 500);
    let words = copied(&[flag("--verify"), &source, &target]);
    assert!(words.contains("510 files, links and directories"), "{words}");
    assert_same(&source, &target);
    // Once more: into it now, beside what is there; and over itself.
    copied(&[&source, &target]);
    assert_same(&source, &target.join("from"));
    fs::remove_dir_all(target.join("from")).unwrap();
    let contents = source.join(".");
    copied(&[flag("--in-kernel"), flag("--quiet"), &contents, &target]);
    assert_same(&source, &target);
}

/// The pages of a file that are not on the disk yet (cachestat(2), Linux 6.5); `None` on kernels that do not tell.
fn unwritten(path: &Path) -> Option<u64> {
    const CACHESTAT: libc::c_long = 451;
    let file = fs::File::open(path).unwrap();
    // From the start to the end; cached, dirty, under write-back, evicted, recently evicted.
    let (range, mut pages) = ([0u64, 0], [0u64; 5]);
    // SAFETY: `struct cachestat_range` of two integers and `struct cachestat` of five, both of this frame.
    let result =
        unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), range.as_ptr(), pages.as_mut_ptr(), 0u32) };
    (result == 0).then(|| pages[1] + pages[2])
}

#[test]
fn copies_are_on_the_disk_if_that_is_to_be_waited_for() {
    let dir = Temp::new();
    let (source, target) = (dir.path().join("from"), dir.path().join("to"));
    tree(&source, 24);
    copied(&[flag("--sync"), &source, &target]);
    assert_same(&source, &target);
    for number in 0..24 {
        let directory = ["", "one", "one/two", "with space\nand line"][number % 4];
        let pages = unwritten(&target.join(directory).join(format!("file{number}")));
        assert!(pages.is_none_or(|pages| pages == 0), "file{number}: {pages:?}");
    }
    // One file, whose name is in a directory that is not copied.
    copied(&[flag("--sync"), flag("--verify"), &source.join("file4"), &target]);
}

#[test]
fn holes_stay_holes() {
    let dir = Temp::new();
    let (source, target) = (dir.path().join("sparse"), dir.path().join("copy"));
    let file = fs::File::create(&source).unwrap();
    file.set_len(2 << 30).unwrap();
    for (at, len) in [(0, 10), (1 << 20, 300_000), (1 << 30, 1 << 20), ((2 << 30) - (1 << 20), 4096)] {
        file.write_all_at(&noise(len, at), at).unwrap();
    }
    let allocated = fs::metadata(&source).unwrap().blocks();
    assert!(allocated * 512 < 4 << 20, "the file system keeps holes");
    for way in ["--reflink=never", "--in-kernel"] {
        copied(&[flag(way), &source, &target]);
        let copy = fs::metadata(&target).unwrap();
        assert_eq!(copy.len(), 2 << 30);
        assert!(copy.blocks() <= allocated + 64, "{way}: {} blocks of {allocated}", copy.blocks());
        let copy = fs::File::open(&target).unwrap();
        for (at, len) in [(0, 10), (1 << 20, 300_000), (1 << 30, 1 << 20), ((2 << 30) - (1 << 20), 4096)] {
            let mut found = vec![0; len + 8192];
            let end = copy.read_at(&mut found, at).unwrap();
            let mut expected = noise(len, at);
            expected.resize(end, 0);
            assert!(found[..end] == expected, "{way}: {len} bytes at {at}");
        }
        fs::remove_file(&target).unwrap();
    }
}

#[test]
fn a_file_of_nothing_but_a_hole_and_one_whose_end_is_a_hole_keep_their_length() {
    let dir = Temp::new();
    let source = dir.path().join("from");
    fs::create_dir(&source).unwrap();
    fs::File::create(source.join("hole")).unwrap().set_len(123_456_789).unwrap();
    let mut file = fs::File::create(source.join("end")).unwrap();
    file.write_all(b"data").unwrap();
    file.set_len(50_000_000).unwrap();
    copied(&[flag("--verify"), &source, &dir.path().join("to")]);
    assert_same(&source, &dir.path().join("to"));
    assert!(fs::metadata(dir.path().join("to/end")).unwrap().blocks() < 100);
}

#[test]
fn extended_attributes_go_along() {
    let dir = Temp::new();
    let (source, target) = (dir.path().join("from"), dir.path().join("to"));
    fs::write(&source, "x").unwrap();
    let value: Vec<u8> = noise(1000, 3);
    let set = {
        let (source, value) = (source.clone(), value.clone());
        chainring::Runtime::new()
            .unwrap()
            .block_on(async { chainring::fs::set_xattr(source, "user.mime_type", value).await.0 })
    };
    if set.is_err_and(|error| error.raw_os_error() == Some(libc::EOPNOTSUPP)) {
        eprintln!("skipped: the file system has no extended attributes");
        return;
    }
    copied(&[&source, &target]);
    let found =
        chainring::Runtime::new().unwrap().block_on(chainring::fs::get_xattr(target, "user.mime_type"));
    assert_eq!(found.unwrap(), Some(value));
}

#[test]
fn a_file_that_is_given_away_keeps_its_capabilities() {
    let dir = Temp::new();
    let (source, target) = (dir.path().join("from"), dir.path().join("to"));
    fs::write(&source, "x").unwrap();
    if std::os::unix::fs::chown(&source, Some(12345), Some(12345)).is_err() {
        eprintln!("skipped: only root gives files away");
        return;
    }
    // Version 2, permitted: CAP_NET_BIND_SERVICE.
    let value: Vec<u8> =
        [0x0200_0000_u32, 1 << 10, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    let runtime = chainring::Runtime::new().unwrap();
    let name = "security.capability";
    let set = runtime.block_on(async { chainring::fs::set_xattr(&source, name, value.clone()).await.0 });
    if let Err(error) = set {
        eprintln!("skipped: no capabilities are kept here: {error}");
        return;
    }
    copied(&[&source, &target]);
    let owner = fs::metadata(&target).unwrap();
    assert_eq!((owner.uid(), owner.gid()), (12345, 12345));
    let found = runtime.block_on(chainring::fs::get_xattr(target, name));
    assert_eq!(found.unwrap(), Some(value));
}

#[test]
fn names_of_a_file_that_was_not_copied_are_linked_to_nothing_else() {
    for files in ["1", "8"].into_iter().cycle().take(20) {
        let dir = Temp::new();
        let [first, second, target] = ["first", "second", "to"].map(|name| dir.path().join(name));
        fs::write(&first, "file").unwrap();
        fs::hard_link(&first, &second).unwrap();
        fs::create_dir(&target).unwrap();
        symlink("elsewhere", target.join("first")).unwrap();
        fs::write(target.join("second"), "old").unwrap();
        let (success, words) = cp(&[flag("--files"), flag(files), &first, &second, &target]);
        if success {
            // The other name was opened first, and this one linked to its copy, in place of what had the name.
            assert!(files != "1", "{words}");
            assert_eq!(fs::read(target.join("second")).unwrap(), b"file");
            assert!(!target.join("first").is_symlink(), "{words}");
            continue;
        }
        assert!(words.contains("first: a symbolic link is in its place"), "{words}");
        assert!(target.join("first").is_symlink(), "{words}");
        // The other name was met while the first one was being copied, or afterwards.
        let is_told = words.contains("second: is another name of a file that was not copied");
        let copy = target.join("second");
        assert!(!copy.is_symlink(), "{words}");
        assert_eq!(fs::read(copy).unwrap(), if is_told { &b"old"[..] } else { b"file" }, "{words}");
    }
}

#[test]
fn an_interrupted_copy_of_a_private_tree_stays_private() {
    let dir = Temp::new();
    let (source, target) = (dir.path().join("tree"), dir.path().join("copy"));
    fs::create_dir(&source).unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(source.join("large"), noise(8 << 20, 1)).unwrap();
    let mut child = Command::new(program("cp"))
        .args(["--depth", "1", "--block", "1", "--reflink", "never"])
        .args([&source, &target])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while fs::metadata(target.join("large")).map_or(0, |large| large.len()) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it has ended before it was interrupted");
    }
    output(Command::new("kill").args(["-INT".to_owned(), child.id().to_string()]));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn what_cannot_be_copied_is_told_and_the_rest_copied() {
    let dir = Temp::new();
    let (source, target) = (dir.path().join("from"), dir.path().join("to"));
    fs::create_dir(&source).unwrap();
    output(Command::new("mkfifo").arg(source.join("pipe")));
    let _socket = std::os::unix::net::UnixListener::bind(source.join("socket")).unwrap();
    fs::write(source.join("good"), "good").unwrap();
    fs::write(source.join("blocked"), "file").unwrap();
    fs::create_dir_all(target.join("from/blocked")).unwrap();
    symlink("elsewhere", target.join("from/good2")).unwrap();
    fs::write(source.join("good2"), "not through the link").unwrap();
    let missing = dir.path().join("missing");
    let (success, words) = cp(&[&source, &missing, &target]);
    assert!(!success);
    for told in [
        "pipe: is a named pipe, which is not copied",
        "socket: is a socket, which is not copied",
        "missing: No such file or directory",
        "good2: a symbolic link is in its place",
        "blocked: Is a directory",
        "5 not copied as they are",
    ] {
        assert!(words.contains(told), "{told}: {words}");
    }
    assert_eq!(fs::read(target.join("from/good")).unwrap(), b"good");
    assert!(!target.join("from/elsewhere").exists());
    let device = cp(&[flag("/dev/null"), &target]);
    assert!(!device.0 && device.1.contains("/dev/null: is a device, which is not copied"), "{}", device.1);
}

#[test]
fn what_would_destroy_its_source_is_refused() {
    let dir = Temp::new();
    let (source, other) = (dir.path().join("file"), dir.path().join("other"));
    fs::write(&source, "precious").unwrap();
    fs::hard_link(&source, &other).unwrap();
    for (arguments, told) in [
        (vec![&source, &source], "source and target are the same file"),
        (vec![&source, &other], "source and target are the same file"),
        (vec![&source, &other, &source], "is not a directory, but several files are to go there"),
    ] {
        let arguments: Vec<&Path> = arguments.into_iter().map(PathBuf::as_path).collect();
        let (success, words) = cp(&arguments);
        assert!(!success && words.contains(told), "{words}");
        assert_eq!(fs::read(&source).unwrap(), b"precious");
    }
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("inner")).unwrap();
    for target in [tree.join("inner"), tree.join("inner/new"), tree.clone()] {
        let (success, words) = cp(&[&tree, &target]);
        assert!(!success && words.contains("cannot be copied into itself"), "{words}");
    }
    fs::create_dir_all(tree.join("target")).unwrap();
    fs::write(tree.join("file"), "another").unwrap();
    let (success, words) = cp(&[&source, &tree.join("file"), &tree.join("target")]);
    assert!(!success && words.contains("another source is copied there"), "{words}");
}

#[test]
fn an_interrupted_copy_leaves_no_unfinished_file() {
    let dir = Temp::new();
    let (source, target) = (dir.path().join("large"), dir.path().join("copy"));
    fs::write(&source, noise(8 << 20, 1)).unwrap();
    for signal in ["INT", "TERM"] {
        // One small read at a time takes long enough to be interrupted.
        let mut child = Command::new(program("cp"))
            .args(["--depth", "1", "--block", "1", "--reflink", "never"])
            .args([&source, &target])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while fs::metadata(&target).map_or(0, |target| target.len()) == 0 {
            assert!(child.try_wait().unwrap().is_none(), "it has ended before it was interrupted");
        }
        output(Command::new("kill").args([format!("-{signal}"), child.id().to_string()]));
        let ended = child.wait_with_output().unwrap();
        let code = if signal == "INT" { 130 } else { 143 };
        assert_eq!(ended.status.code(), Some(code), "{}", String::from_utf8_lossy(&ended.stderr));
        assert!(String::from_utf8_lossy(&ended.stderr).contains("interrupted"));
        assert!(!target.exists());
    }
}
