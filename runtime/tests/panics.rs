//! Wakers, destructors, buffers and panics that panic, or come back into the runtime, wherever it asks them for something.

mod common;

use std::cell::RefCell;
use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use chainring_runtime::buf::PoolOptions;
use chainring_runtime::op::read::read_at;
use chainring_runtime::op::recv_multi::recv_pooled;
use chainring_runtime::{Builder, Handle, Runtime, spawn, spawn_blocking, time};
use common::*;

struct Notes(AtomicBool);

impl Wake for Notes {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker panics");
    }
}

#[test]
fn one_of_two_who_wait_for_a_buffer_panics() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let pool = PoolOptions::new().buffer_size(64).ready(1).limit(1).build().unwrap();
        let (socket, mut peer) = tcp();
        peer.write_all(b"hello").unwrap();
        let only = recv_pooled(&socket, &pool, 0).await.unwrap();
        let (mut first, mut second) = (pin!(pool.available()), pin!(pool.available()));
        let (panics, notes) = (Waker::from(Arc::new(Panics)), Arc::new(Notes(AtomicBool::new(false))));
        assert!(first.as_mut().poll(&mut Context::from_waker(&panics)).is_pending());
        assert!(second.as_mut().poll(&mut Context::from_waker(&Waker::from(notes.clone()))).is_pending());
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(only))).unwrap_err();
        assert!(notes.0.load(Ordering::Relaxed), "the second was not woken");
    });
}

#[test]
fn a_waker_panics_when_it_is_dropped_with_its_receive() {
    let _alone = alone();
    struct Drops;
    impl Wake for Drops {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Drops {
        fn drop(&mut self) {
            panic!("a waker panics when it is dropped");
        }
    }
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (socket, _peer) = tcp();
        let mut receive = chainring_runtime::op::recv::recv(&socket, vec![0; 16], 0);
        let waker = Waker::from(Arc::new(Drops));
        let polled = std::pin::Pin::new(&mut receive).poll(&mut Context::from_waker(&waker));
        assert!(matches!(polled, Poll::Pending));
        drop(waker);
        turns(3).await;
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(receive)));
        settle().await;
    });
}

/// Panics with a value that panics when it is dropped.
/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("what is left behind panics");
    }
}

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn much_of_what_a_runtime_leaves_behind_panics_when_it_is_dropped() {
    let _alone = alone();
    static BEGUN: AtomicBool = AtomicBool::new(false);
    static END: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let held = END.lock().unwrap();
    let runtime = Builder::new().blocking_threads(1).build().unwrap();
    let (reading, _writing) = pipe();
    runtime.block_on(async {
        drop(spawn_blocking(|| {
            BEGUN.store(true, Ordering::Relaxed);
            drop(END.lock());
        }));
        while !BEGUN.load(Ordering::Relaxed) {
            time::sleep(Duration::from_millis(1)).await;
        }
        for _ in 0..3 {
            // A closure that has not begun, a timer, and an operation.
            let bomb = Bomb;
            drop(spawn_blocking(move || drop(bomb)));
            let waker = Waker::from(Arc::new(Bomb));
            let mut sleeping = Box::pin(time::sleep(Duration::from_secs(60)));
            assert!(sleeping.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            leak(sleeping);
            let mut receive = Box::pin(read_at(&reading, vec![0; 8], u64::MAX));
            assert!(receive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            leak(receive);
        }
    });
    drop(runtime);
    drop(held);
}

fn panic_twice() -> ! {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("the payload of a panic panics");
        }
    }
    std::panic::panic_any(Payload)
}

#[test]
fn a_panic_panics_when_it_is_dropped() {
    let _alone = alone();
    struct Waits;
    impl Wake for Waits {
        fn wake(self: Arc<Self>) {
            panic_twice();
        }
    }
    struct Output;
    impl Drop for Output {
        fn drop(&mut self) {
            panic_twice();
        }
    }
    let _watchdog = watchdog();
    let runtime = Builder::new().blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        // Out of a waker.
        let mut sleep = time::sleep(Duration::from_millis(1));
        let waker = Waker::from(Arc::new(Waits));
        assert!(std::pin::Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker)).is_pending());
        time::sleep(Duration::from_millis(5)).await;
        assert_eq!(Handle::current().metrics().caught_panics, 1);
        // Out of an output that nobody takes, and out of a future that ends.
        drop(spawn(async { Output }));
        let output = Output;
        let ended = spawn(std::future::poll_fn(move |_| {
            let _captured = &output;
            Poll::Ready(())
        }));
        ended.await.unwrap();
        // Out of a result on the only thread for blocking closures, which goes on.
        let (dropped, is_dropped) = std::sync::mpsc::channel::<()>();
        drop(spawn_blocking(move || {
            is_dropped.recv().unwrap_err();
            Output
        }));
        drop(dropped);
        spawn_blocking(|| ()).await.unwrap();
    });
}

/// A buffer that does something when it is asked for its bytes.
struct Asked(RefCell<Box<dyn FnMut()>>);

impl Asked {
    fn new(then: impl FnMut() + 'static) -> Self {
        Asked(RefCell::new(Box::new(then)))
    }
}

impl chainring_runtime::buf::IoBuf for Asked {
    fn as_bytes(&self) -> &[u8] {
        self.0.borrow_mut()();
        b"x"
    }
}

#[test]
fn a_buffer_panics_when_it_is_asked_again_after_the_queue_was_full() {
    let _watchdog = watchdog();
    run(&Builder::new(), async || {
        let (read, write) = pipe();
        let mut asked = 0;
        let buffer = Asked::new(move || {
            asked += 1;
            assert!(asked < 2, "asked twice");
        });
        Handle::current().injector().fill_queue(1);
        let (result, _) = chainring_runtime::op::write::write_at(&write, buffer, u64::MAX).await;
        assert_eq!(errno(&result), Some(libc::ECANCELED));
        assert_eq!(Handle::current().metrics().caught_panics, 1);
        let (result, _) = chainring_runtime::op::write::write_at(&write, "y", u64::MAX).await;
        result.unwrap();
        drop(read);
        settle().await;
    });
}

#[test]
fn a_buffer_drops_its_own_operation_and_starts_others_when_it_is_asked() {
    use chainring_runtime::op::nop::nop;
    use chainring_runtime::op::write::{Write as WriteOp, write_at};
    let _watchdog = watchdog();
    run(&Builder::new(), async || {
        let (_read, write) = pipe();
        let own: Rc<RefCell<Option<chainring_runtime::op::Op<WriteOp<Asked>>>>> = Rc::default();
        let (dropped, others) = (own.clone(), Rc::new(RefCell::new(Vec::new())));
        let started = others.clone();
        let buffer = Asked::new(move || {
            drop(dropped.try_borrow_mut().ok().and_then(|mut own| own.take()));
            for _ in 0..100 {
                let mut other = Box::pin(nop());
                let _ = poll_once(&mut other);
                started.borrow_mut().push(other);
            }
        });
        // The first of the others finds it full, and so does the write.
        Handle::current().injector().fill_queue(2);
        let mut write = write_at(&write, buffer, u64::MAX);
        assert!(poll_once(&mut write).is_pending());
        *own.borrow_mut() = Some(write);
        settle().await;
        assert!(own.borrow().is_none());
        let others = std::mem::take(&mut *others.borrow_mut());
        for other in others {
            other.await.unwrap();
        }
    });
}

#[test]
fn a_join_error_is_passed_on_as_any_error_is() {
    let _alone = alone();
    async fn fails() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        spawn(async { panic!("a task's own trouble") }).await?;
        Ok(())
    }
    let error = Runtime::new().expect("a ring").block_on(fails()).expect_err("the task panicked");
    assert_eq!(error.to_string(), "the task panicked: a task's own trouble");
}
