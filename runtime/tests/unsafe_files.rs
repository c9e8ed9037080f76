//! The crate's page names the files that have `unsafe`: those and no others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The files below `folder` with `unsafe` outside of comments, named as on the page.
fn found(source: &Path, folder: &Path, files: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found(source, &path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).expect("a source is text");
            let code = text.lines().filter_map(|line| line.split("//").next());
            let says = |line: &str| {
                ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait"]
                    .iter()
                    .any(|word| line.contains(word))
            };
            if code.into_iter().any(says) {
                let name = path.strip_prefix(source).expect("below the sources").with_extension("");
                files.insert(name.to_str().expect("an ordinary name").to_owned());
            }
        }
    }
}

/// The names between backticks in the list of the page, `a/{b,c}` being two.
fn named(page: &str) -> BTreeSet<String> {
    let list = page.split("//! # Unsafe code").nth(1).expect("the page has the section");
    let list = list.lines().filter(|line| line.starts_with("//! - ") || line.starts_with("//!   "));
    let list = list.collect::<Vec<_>>().join(" ");
    let mut names = BTreeSet::new();
    for name in list.split('`').skip(1).step_by(2) {
        match name.split_once('{') {
            None => drop(names.insert(name.to_owned())),
            Some((folder, files)) => {
                names.extend(files.trim_end_matches('}').split(',').map(|file| format!("{folder}{file}")));
            }
        }
    }
    names
}

#[test]
fn the_page_names_the_files_with_unsafe_code() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeSet::new();
    found(&source, &source, &mut files);
    let page = fs::read_to_string(source.join("lib.rs")).expect("the page is there");
    assert_eq!(named(&page), files);
}
