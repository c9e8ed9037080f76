//! The tree in a file, as it is built and asked.

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{Temp, output, program};

fn lookup(arguments: &[&str]) -> (bool, String) {
    let Output { status, stdout, stderr } = Command::new(program("lookup")).args(arguments).output().unwrap();
    (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

fn built(dir: &Path, arguments: &[&str]) -> String {
    let tree = dir.join("tree").to_str().unwrap().to_owned();
    output(Command::new(program("lookup")).args(["build", &tree]).args(arguments));
    assert_eq!(fs::read_dir(dir).unwrap().count(), 1, "nothing is left beside it");
    tree
}

#[test]
fn every_key_is_found_in_trees_of_every_height() {
    let dir = Temp::new();
    // Nothing, one key, a leaf that is full, one more, and three levels: 255 * 255 and one more.
    for keys in ["0", "1", "254", "255", "256", "65026"] {
        let tree = built(dir.path(), &["--keys", keys, "--seed", "7"]);
        let words =
            output(Command::new(program("lookup")).args(["verify", &tree, "--keys", keys, "--seed", "7"]));
        assert!(words.starts_with(&format!("{keys} keys found")), "{words}");
    }
}

#[test]
fn reads_past_the_page_cache_find_the_same() {
    let dir = Temp::new();
    let tree = built(dir.path(), &["--keys", "3000"]);
    let (success, words) = lookup(&["verify", "--direct", "--depth", "1", &tree, "--keys", "3000"]);
    if words.contains("Invalid argument") {
        eprintln!("skipped: no O_DIRECT here");
        return;
    }
    assert!(success && words.starts_with("3000 keys found"), "{words}");
}

#[test]
fn a_tree_that_differs_from_the_map_is_noticed() {
    let dir = Temp::new();
    let tree = built(dir.path(), &["--keys", "1000", "--seed", "1"]);
    let (success, words) = lookup(&["verify", &tree, "--keys", "1000", "--seed", "2"]);
    assert!(!success && words.contains("in the tree"), "{words}");
    let (success, words) = lookup(&["verify", &tree, "--keys", "1001", "--seed", "1"]);
    assert!(!success && words.contains("the tree has 1000 keys, and not 1001"), "{words}");
}

#[test]
fn questions_are_answered_from_lines_that_were_given() {
    let dir = Temp::new();
    let lines: String = (0..1000).map(|n| format!("{} {n}\n", n * 10)).collect();
    let text = Temp::new();
    let text = text.path().join("lines");
    fs::write(&text, lines + "50 777\n18446744073709551615 1\n").unwrap();
    let tree = built(dir.path(), &["--from", text.to_str().unwrap()]);
    assert_eq!(
        lookup(&["get", &tree, "0", "9990", "50", "55"]),
        (true, "0 0\n9990 999\n50 777\n55 not found\n".into())
    );
    assert_eq!(lookup(&["range", &tree, "25", "50"]), (true, "30 3\n40 4\n50 777\n".into()));
    assert_eq!(
        lookup(&["range", &tree, "2540", "99999", "--limit", "2"]),
        (true, "2540 254\n2550 255\n".into())
    );
    assert_eq!(lookup(&["range", &tree, "9991", "99999"]), (true, String::new()));
    assert_eq!(lookup(&["range", &tree, "50", "40"]), (true, String::new()));
    let greatest = u64::MAX.to_string();
    assert_eq!(lookup(&["get", &tree, &greatest]), (true, format!("{greatest} 1\n")));
    assert_eq!(lookup(&["range", &tree, "9991", &greatest]), (true, format!("{greatest} 1\n")));

    let mut child = Command::new(program("lookup"))
        .args(["repl", &tree])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"get 10 11\n\nget\nrange 0 10\nrange 0 100 1").unwrap();
    let answers = child.wait_with_output().unwrap();
    let help = "get KEY..., range FROM TO [LIMIT]\n";
    let expected =
        format!("1001 keys; {help}10 1\n11 not found\nnot understood; there are: {help}0 0\n10 1\n0 0\n");
    assert_eq!(String::from_utf8_lossy(&answers.stdout), expected);
    assert!(answers.status.success());
}

#[test]
fn what_is_no_tree_and_what_is_damaged_is_refused_in_words() {
    let dir = Temp::new();
    let tree = built(dir.path(), &["--keys", "100000"]);
    let whole = fs::read(&tree).unwrap();
    let asked = |bytes: &[u8]| {
        fs::write(&tree, bytes).unwrap();
        let point = lookup(&["get", &tree, "7"]);
        let range = lookup(&["range", &tree, "0", "18446744073709551615"]);
        assert!(!range.0, "{}", range.1.len());
        (point, range)
    };
    for bytes in [&b""[..], b"text", &whole[8..]] {
        let (point, range) = asked(bytes);
        assert!(!point.0 && point.1.contains("is not a tree"), "{}", point.1);
        assert!(range.1.contains("is not a tree"), "{}", range.1);
    }
    let (point, range) = asked(&whole[..whole.len() - 4096]);
    assert!(!point.0 && point.1.contains("the tree is damaged"), "{}", point.1);
    assert!(range.1.contains("the tree is damaged"), "{}", range.1);
    // A leaf in the place of the topmost node; a node with more keys than can be; leaves that go round in a circle.
    let last = whole.len() - 4096;
    let mut damaged = whole.clone();
    damaged.copy_within(4096..8192, last);
    assert!(asked(&damaged).0.1.contains("the tree is damaged"));
    damaged.clone_from(&whole);
    damaged[last + 3] = 1;
    assert!(asked(&damaged).0.1.contains("the tree is damaged"));
    damaged.clone_from(&whole);
    damaged[3 * 4096 + 8] = 1;
    assert!(asked(&damaged).1.1.contains("its keys are not in order"));
    let (success, words) = lookup(&["get", "/nowhere", "1"]);
    assert!(!success && words.contains("/nowhere: No such file or directory"), "{words}");
}

#[test]
fn a_signal_ends_a_session_that_waits_for_a_question() {
    let dir = Temp::new();
    let tree = built(dir.path(), &["--keys", "10"]);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = Command::new(program("lookup"))
            .args(["repl", &tree])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Waiting for its end would close it, and so end the session.
        let _questions = child.stdin.take();
        let mut ready = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut ready)
            .unwrap();
        output(Command::new("kill").args([format!("-{signal}"), child.id().to_string()]));
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}
