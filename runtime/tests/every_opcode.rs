//! Every operation on the real kernel: it succeeds, it fails, it is dropped in flight, it is cancelled while the
//! kernel waits, and it completes after its future was dropped. Nothing stays behind: no operation in flight, no
//! descriptor, no buffer.

mod cases;
mod common;

use cases::{Case, World, cases};
use chainring_runtime::{Builder, Handle, op};
use common::{alone, descriptors, errno, poll_once, run, settle, turns};
use std::io::ErrorKind;

/// One scenario for every case, each in a world of its own.
fn each(scenario: impl AsyncFn(&Case, &World)) {
    run(&Builder::new(), async || {
        for case in cases() {
            if !case.is_offered().await {
                continue;
            }
            settle().await;
            let before = descriptors();
            let world = World::new();
            // Shown if the test fails.
            println!("{}", case.name);
            scenario(&case, &world).await;
            let pools = world.usage();
            assert_eq!(pools, 0, "{}: buffers of a pool are missing", case.name);
            drop(world);
            settle().await;
            assert_eq!(descriptors(), before, "{}: descriptors were left open", case.name);
        }
    });
}

#[test]
fn every_operation_has_its_case() {
    let all: Vec<_> = op::ALL.iter().map(|facts| facts.name.to_owned()).collect();
    let cases = cases();
    let plain = cases.iter().map(|case| case.name).filter(|name| !name.contains(' '));
    let (without, unknown) = differences(&all, &plain.map(str::to_owned).collect::<Vec<_>>());
    assert!(without.is_empty(), "{without:?} have no case of that name in tests/cases");
    assert!(unknown.is_empty(), "cases called {unknown:?}, once too often or of no operation in `op::ALL`");
}

/// What only the first list has, and what only the second: names count as often as they are there.
fn differences(ours: &[String], theirs: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut only, mut rest) = (Vec::new(), theirs.to_vec());
    for name in ours {
        match rest.iter().position(|other| other == name) {
            Some(at) => drop(rest.swap_remove(at)),
            None => only.push(name.clone()),
        }
    }
    (only, rest)
}

#[test]
fn every_operation_is_listed() {
    // It opens files.
    let _alone = alone();
    let mut written = Vec::new();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/op")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        // As its facts say it; not in an example.
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let names = code.filter_map(|line| line.split_once("name: \"")?.1.split_once('"'));
        written.extend(names.map(|(name, _)| name.to_owned()));
    }
    let listed: Vec<_> = op::ALL.iter().map(|facts| facts.name.to_owned()).collect();
    let (unwritten, unlisted) = differences(&listed, &written);
    assert!(unlisted.is_empty(), "the facts of {unlisted:?} are not in `op::ALL`");
    assert!(unwritten.is_empty(), "`op::ALL` has {unwritten:?} once more than the files");
}

#[test]
fn what_older_kernels_lack_can_be_masked() {
    let recent = op::ALL.iter().filter(|facts| facts.since > (6, 1));
    let unmasked: Vec<_> = recent.filter(|facts| facts.needs.is_none()).map(|facts| facts.name).collect();
    assert!(unmasked.is_empty(), "{unmasked:?} need a capability to be tested without");
}

#[test]
fn an_operation_succeeds_or_is_refused_with_the_release_it_needs() {
    run(&Builder::new(), async || {
        for case in cases() {
            let world = World::new();
            let result = (case.good)(&world).await;
            if let Err(error) = &result {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{}: {error}", case.name);
                assert!(error.to_string().contains(" needs Linux 6."), "{}: {error}", case.name);
                assert!(!case.is_offered().await);
            }
        }
    });
}

#[test]
fn an_operation_fails_with_the_error_of_its_system_call() {
    each(async |case, world| {
        let result = (case.bad)(world).await;
        assert_eq!(errno(&result), Some(case.errno), "{}: {result:?}", case.name);
    });
}

#[test]
fn an_operation_is_dropped_before_the_kernel_saw_it() {
    each(async |case, world| {
        let mut act = (case.good)(world);
        let _ = poll_once(&mut act);
        drop(act);
        settle().await;
    });
}

#[test]
fn an_operation_is_cancelled_while_the_kernel_waits() {
    each(async |case, world| {
        let Some(stuck) = case.stuck else { return };
        let mut act = stuck(world);
        for _ in 0..5 {
            assert!(poll_once(&mut act).is_pending(), "{}: does not wait", case.name);
            turns(2).await;
        }
        drop(act);
        // What a zero-copy send has put into the socket is the kernel's until the peer takes it, or goes.
        if !case.name.contains("_zc") {
            settle().await;
        }
    });
}

#[test]
fn an_operation_completes_after_its_future_was_dropped() {
    each(async |case, world| {
        let core = Handle::current();
        let name = case.name.split(' ').next().unwrap();
        core.injector().delay(name, 50, 1);
        let mut act = (case.good)(world);
        let mut polled = poll_once(&mut act);
        // The kernel completes it, and nobody hears of it yet.
        while polled.is_pending() && core.injector().held() == 0 {
            turns(1).await;
            polled = poll_once(&mut act);
        }
        drop(act);
        settle().await;
        case.happened(world);
        assert!(core.injector().is_spent() || polled.is_ready(), "{}", case.name);
        core.injector().clear();
    });
}

#[test]
fn a_future_is_dropped_when_its_operation_is_complete() {
    each(async |case, world| {
        let mut act = (case.good)(world);
        if poll_once(&mut act).is_pending() {
            for _ in 0..1000 {
                turns(1).await;
                if Handle::current().metrics().operations == 0 {
                    break;
                }
            }
        }
        drop(act);
        settle().await;
    });
}
