//! The attributes, as a user writes them.
#![cfg(feature = "macros")]

use std::time::Duration;

use chainring::time;

#[chainring::test]
async fn a_test_runs_on_a_runtime() {
    assert_eq!(chainring::spawn(async { 5 }).await.unwrap(), 5);
}

#[chainring::test(clock = "held")]
async fn a_test_may_hold_the_clock() -> Result<(), chainring::JoinError> {
    let nap = chainring::spawn(time::sleep(Duration::from_secs(3600)));
    time::advance(Duration::from_secs(3600)).await;
    nap.await
}

#[chainring::test]
#[should_panic(expected = "as it should")]
async fn attributes_of_the_function_are_kept() {
    panic!("as it should");
}

mod one_core {
    #[chainring::main]
    pub(super) async fn main() -> Result<(), String> {
        chainring::yield_now().await;
        Err("one".to_owned())
    }
}

mod many_cores {
    use std::sync::atomic::{AtomicUsize, Ordering};

    pub(super) static RAN: AtomicUsize = AtomicUsize::new(0);
    const CORES: usize = 2;

    #[chainring::main(cores = CORES + 1)]
    pub(super) async fn main(core: chainring::CoreHandle) -> Result<(), usize> {
        RAN.fetch_add(1, Ordering::SeqCst);
        if core.index() == 1 { Err(core.index()) } else { Ok(()) }
    }
}

mod without_argument {
    #[chainring::main(cores = 2, crate = ::chainring)]
    pub(super) async fn main() {
        chainring::yield_now().await;
    }
}

#[test]
fn main_gives_its_result_on_one_core_and_the_first_error_on_many() {
    assert_eq!(one_core::main(), Err("one".to_owned()));
    assert_eq!(many_cores::main(), Err(1));
    assert_eq!(many_cores::RAN.load(std::sync::atomic::Ordering::SeqCst), 3);
    without_argument::main();
}
