//! Operations of several linked entries whose buffer panics, comes back into the runtime, or is let go of, whenever it is
//! asked for its bytes: the list ends, and what it owns is dropped once.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use chainring_runtime::op::ListOp;
use chainring_runtime::op::nop::nop;
use chainring_runtime::op::write_sync::{WriteSync, write_sync};
use chainring_runtime::{Builder, Handle, yield_now};
use common::{Dir, poll_once, run, settle, watchdog};

/// A buffer that is told each time that it is asked for its bytes, and counts those alive.
struct Asked {
    then: RefCell<Box<dyn FnMut(u32)>>,
    asked: Cell<u32>,
    alive: Rc<Cell<i32>>,
}

impl Asked {
    fn new(alive: &Rc<Cell<i32>>, then: impl FnMut(u32) + 'static) -> Self {
        alive.set(alive.get() + 1);
        Asked { then: RefCell::new(Box::new(then)), asked: Cell::new(0), alive: alive.clone() }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
    }
}

impl chainring_runtime::buf::IoBuf for Asked {
    fn as_bytes(&self) -> &[u8] {
        self.asked.set(self.asked.get() + 1);
        self.then.borrow_mut()(self.asked.get());
        b"bytes"
    }
}

/// The first question comes when the operation is made, the second when it is submitted, and so on.
fn panics_at(question: u32) -> impl FnMut(u32) {
    move |asked| assert!(asked != question, "asked once too often")
}

#[test]
fn a_buffer_panics_as_its_list_is_submitted() {
    let _watchdog = watchdog();
    run(&Builder::new(), async || {
        let dir = Dir::new();
        let (file, alive) = (dir.file("f", b""), Rc::default());
        for _ in 0..3 {
            let writing = write_sync(&file, Asked::new(&alive, panics_at(2)), 0, 0);
            let mut writing = writing.unwrap_or_else(|_| panic!("a list fits"));
            let polled = std::panic::AssertUnwindSafe(|| poll_once(&mut writing).is_pending());
            std::panic::catch_unwind(polled).unwrap_err();
            assert_eq!(alive.get(), 0, "the list still has the buffer");
            assert_eq!(Handle::current().metrics().operations, 0);
        }
        let (written, _) = write_sync(&file, "after", 0, 0).unwrap_or_else(|_| panic!("a list fits")).await;
        assert!(written.is_whole(5));
    });
}

#[test]
fn a_buffer_panics_as_its_list_is_submitted_that_was_put_off() {
    let _watchdog = watchdog();
    run(&Builder::new(), async || {
        let dir = Dir::new();
        let (file, alive) = (dir.file("f", b""), Rc::default());
        let put_off = |then: fn(u32)| {
            Handle::current().injector().fill_queue(1);
            let writing = write_sync(&file, Asked::new(&alive, then), 0, 0);
            writing.unwrap_or_else(|_| panic!("a list fits"))
        };
        let panics: fn(u32) = |asked| assert!(asked < 3, "asked once too often");
        let (result, buffer) = put_off(panics).await;
        assert_eq!((result.written, result.synced), (-libc::ECANCELED, -libc::ECANCELED));
        assert_eq!(Handle::current().metrics().caught_panics, 1);
        drop(buffer);
        assert_eq!(alive.get(), 0);

        let mut nobody_waits = put_off(panics);
        assert!(poll_once(&mut nobody_waits).is_pending());
        drop(nobody_waits);
        settle().await;
        assert_eq!((alive.get(), Handle::current().metrics().caught_panics), (0, 2));
        let (written, _) = write_sync(&file, "after", 0, 0).unwrap_or_else(|_| panic!("a list fits")).await;
        assert!(written.is_whole(5));
    });
}

#[test]
fn a_buffer_drops_its_own_list_and_starts_others_when_it_is_asked() {
    let _watchdog = watchdog();
    run(&Builder::new(), async || {
        let dir = Dir::new();
        let (file, alive) = (dir.file("f", b""), Rc::default());
        let own: Rc<RefCell<Option<ListOp<WriteSync<Asked>>>>> = Rc::default();
        let (dropped, others) = (own.clone(), Rc::new(RefCell::new(Vec::new())));
        let (started, into) = (others.clone(), file.clone());
        let buffer = Asked::new(&alive, move |asked| {
            if asked == 1 {
                return;
            }
            drop(dropped.try_borrow_mut().ok().and_then(|mut own| own.take()));
            for _ in 0..100 {
                let mut other = Box::pin(nop());
                let _ = poll_once(&mut other);
                let mut list = write_sync(&into, "other", 0, 100).unwrap_or_else(|_| panic!("a list fits"));
                let _ = poll_once(&mut list);
                started.borrow_mut().push((other, list));
            }
        });
        // The write finds it full, and so does the first of the others.
        Handle::current().injector().fill_queue(2);
        let mut writing = write_sync(&file, buffer, 0, 0).unwrap_or_else(|_| panic!("a list fits"));
        assert!(poll_once(&mut writing).is_pending());
        *own.borrow_mut() = Some(writing);
        settle().await;
        assert!(own.borrow().is_none());
        let others = std::mem::take(&mut *others.borrow_mut());
        assert!(!others.is_empty());
        for (other, list) in others {
            other.await.unwrap();
            assert!(list.await.0.is_whole(5));
        }
        settle().await;
        assert_eq!(alive.get(), 0);
    });
}

#[test]
fn a_list_that_is_let_go_of_keeps_its_buffer_until_it_has_completed() {
    let _watchdog = watchdog();
    run(&Builder::new(), async || {
        let dir = Dir::new();
        let (file, alive) = (dir.file("f", b""), Rc::default());
        for turns in 0..4 {
            let writing = write_sync(&file, Asked::new(&alive, |_| {}), 0, 0);
            let mut writing = writing.unwrap_or_else(|_| panic!("a list fits"));
            assert!(poll_once(&mut writing).is_pending());
            for _ in 0..turns {
                yield_now().await;
            }
            drop(writing);
            let in_flight = Handle::current().metrics().operations;
            assert_eq!(alive.get() as u64, in_flight, "after {turns} turns");
            settle().await;
            assert_eq!(alive.get(), 0);
        }
    });
}
