//! What a core keeps for things that threads share, and messages that say that there is something.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chainring_runtime::{Handle, Post, Runtime, cores, yield_now};

/// Counts its drops.
struct Value(Rc<Cell<u32>>);

impl Drop for Value {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_core_keeps_one_value_for_a_thing_until_either_is_gone() {
    let drops = Rc::new(Cell::new(0));
    let make = || Value(drops.clone());
    let runtime = Runtime::new().expect("a ring");
    let core = runtime.handle();
    let (one, other) = (Arc::new(1_u8), Arc::new(2_u8));
    let first = core.core_local(&one, make);
    assert!(Rc::ptr_eq(&first, &core.core_local(&one, || panic!("it is there"))));
    assert!(!Rc::ptr_eq(&first, &core.core_local(&other, make)));
    drop((first, one));
    assert_eq!(drops.get(), 0);
    // Whatever is gone is found when something is added.
    let third = Arc::new(3_u8);
    let kept = core.core_local(&third, make);
    assert_eq!(drops.get(), 1);
    drop(runtime);
    assert_eq!(drops.get(), 2, "that of `other`");
    drop(kept);
    assert_eq!(drops.get(), 3);
}

#[test]
fn a_value_may_be_made_with_the_help_of_others() {
    let runtime = Runtime::new().expect("a ring");
    let (one, other) = (Arc::new(1_u8), Arc::new(2_u8));
    let value = runtime.handle().core_local(&one, || {
        let other = runtime.handle().core_local(&other, || 20_u32);
        let own = runtime.handle().core_local(&one, || 7_u32);
        *other + *own
    });
    assert_eq!(*value, 7, "the one that was made on the way stays");
}

#[test]
fn the_end_of_a_value_may_look_for_another_one() {
    struct Asks(chainring_runtime::Handle, Arc<u8>, Rc<Cell<u32>>);

    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.core_local(&self.1, || Rc::new(()));
            self.2.set(self.2.get() + 1);
        }
    }

    let ended = Rc::new(Cell::new(0));
    let runtime = Runtime::new().expect("a ring");
    let things: Vec<Arc<u8>> = (0..5).map(Arc::new).collect();
    for thing in &things {
        let core = runtime.handle();
        runtime.handle().core_local(thing, || Asks(core.clone(), things[0].clone(), ended.clone()));
    }
    drop(runtime);
    assert_eq!(ended.get(), 5);
}

/// Counts its arrivals, on whichever core.
#[derive(Default)]
struct Bell {
    arrived: [AtomicU32; 2],
}

impl Post for Bell {
    fn arrive(self: Arc<Self>, core: &Handle) {
        let index = core.in_group().expect("it is one of a group").index();
        self.arrived[index].fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn messages_arrive_once_each_on_the_core_that_they_were_sent_to() {
    const EACH: u32 = 1000;
    let bell = Arc::new(Bell::default());
    let ran = cores(NonZeroUsize::new(2).expect("two")).run(|core| {
        let bell = bell.clone();
        async move {
            let (own, other) = (core.index(), core.core(1 - core.index()));
            for _ in 0..EACH {
                other.post(bell.clone()).map_err(drop).expect("it is there");
                if own == 0 {
                    yield_now().await;
                }
            }
            while bell.arrived[own].load(Ordering::Relaxed) < EACH {
                chainring_runtime::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
    });
    ran.expect("two cores");
    assert_eq!(bell.arrived.each_ref().map(|n| n.load(Ordering::Relaxed)), [EACH, EACH]);
}

#[test]
fn a_message_to_a_core_that_has_ended_comes_back() {
    let bell = Arc::new(Bell::default());
    let handles = cores(NonZeroUsize::new(2).expect("two")).run(|core| async move { core });
    let core = handles.expect("two cores").remove(0);
    assert!(core.post(bell.clone()).is_err());
    assert_eq!(Arc::strong_count(&bell), 1, "nobody keeps it");
    assert!(Runtime::new().expect("a ring").handle().in_group().is_none());
}
