//! The same random operations in two directories, one by this crate and one by the standard library: equal results,
//! errno for errno, and equal trees, byte for byte.

mod attributes;
#[path = "../common/mod.rs"]
mod common;
mod ours;
mod outcome;
mod step;
mod theirs;

use std::io::SeekFrom;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::run;
use ours::ours;
use outcome::tree;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use step::{Act, Step, step};
use theirs::theirs;

/// Whether a step would read or copy a file to its end that is very long.
fn is_endless(dir: &Path, step: &Step) -> bool {
    let long =
        |path: &PathBuf| std::fs::metadata(dir.join(path)).is_ok_and(|metadata| metadata.len() > 1 << 24);
    match step {
        Step::Read(path) | Step::ReadToString(path) | Step::Copy(path, _) => long(path),
        Step::Open(path, _, acts) => {
            let grows = |act: &Act| matches!(act, Act::WriteAllAt(_, offset) | Act::WriteAllVectoredAt(_, offset) | Act::Seek(SeekFrom::Start(offset)) if *offset > 1 << 24);
            acts.iter().any(|act| matches!(act, Act::ReadToEnd)) && (long(path) || acts.iter().any(grows))
        }
        _ => false,
    }
}

#[test]
fn random_operations_come_to_the_same_as_with_the_standard_library() {
    let config = Config { cases: 1, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    run(async |temp| {
        for round in 0..120 {
            let steps = prop::collection::vec(step(), 40).new_tree(&mut runner).unwrap().current();
            // `..` leads out of the directory, but not out of the tree that is compared.
            let roots = ["ours", "theirs"].map(|name| temp.join(name).join(round.to_string()).join("p/q"));
            let dirs = roots.clone().map(|root| root.join("r"));
            for dir in &dirs {
                std::fs::create_dir_all(dir).unwrap();
                symlink("loop", dir.join("loop")).unwrap();
            }
            for (i, step) in steps.iter().enumerate() {
                if is_endless(&dirs[1], step) {
                    continue;
                }
                let (ours, theirs) = (ours(&dirs[0], step).await, theirs(&dirs[1], step));
                assert_eq!(ours, theirs, "round {round}, step {i}: {step:?}\nof {:?}", &steps[..=i]);
            }
            assert_eq!(tree(&roots[0]), tree(&roots[1]), "round {round}: {steps:#?}");
        }
    });
}
