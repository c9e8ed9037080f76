//! Futures of operations where nobody expects them: leaked, kept beyond their runtime, polled in another one, with
//! buffers that panic or come back into the runtime. The slot owns what the kernel may touch, whatever becomes of the
//! future.

mod common;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use chainring_runtime::buf::IoBuf;
use chainring_runtime::op::Op;
use chainring_runtime::op::accept::accept;
use chainring_runtime::op::nop::{Nop, nop};
use chainring_runtime::op::recv::{Recv, recv};
use chainring_runtime::op::send::send;
use chainring_runtime::time::timeout;
use chainring_runtime::{Builder, Descriptor, Handle, Runtime, spawn, yield_now};
use common::{Counted, alone, descriptors, errno, leak, own, poll_once, settle, tcp, turns};

/// Drops the runtime, which must not take long.
fn end(runtime: Runtime) {
    let start = Instant::now();
    drop(runtime);
    assert!(start.elapsed() < Duration::from_secs(1), "the runtime took {:?} to end", start.elapsed());
}

/// A receive in flight on a socket that stays silent, with its peer.
fn waiting(runtime: &Runtime, alive: &Rc<Cell<usize>>) -> (Op<Recv<Counted>>, std::net::TcpStream) {
    let (socket, peer) = tcp();
    let mut receive = recv(&socket, Counted::new(64, alive), 0);
    runtime.block_on(async {
        assert!(poll_once(&mut receive).is_pending());
        turns(2).await;
    });
    (receive, peer)
}

#[test]
fn a_future_kept_beyond_its_runtime_has_its_result_and_gives_the_buffer_back() {
    let _alone = alone();
    let (before, alive) = (descriptors(), Rc::default());
    let runtime = Runtime::new().expect("a ring");
    let (mut polled, peer) = waiting(&runtime, &alive);
    let (dropped, other_peer) = waiting(&runtime, &alive);
    end(runtime);
    assert_eq!(alive.get(), 2, "the buffers belong to futures that are still there");
    let Poll::Ready((result, buffer)) = poll_once(&mut polled) else {
        panic!("the runtime has waited for it")
    };
    assert_eq!(errno(&result), Some(libc::ECANCELED));
    drop(buffer);
    drop(dropped);
    assert_eq!(alive.get(), 0);
    // Completed: another poll is a mistake, and is told.
    assert!(catch_unwind(AssertUnwindSafe(|| poll_once(&mut polled))).is_err());
    drop((polled, peer, other_peer));
    // The bell of the core stays, for the next one.
    assert!(descriptors() <= before + 1, "open descriptors: {} before, {} now", before, descriptors());
}

#[test]
fn a_waker_ends_the_runtime_while_the_operation_that_has_kept_it_is_polled() {
    thread_local! {
        static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    }
    struct Ends;
    impl Wake for Ends {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Ends {
        fn drop(&mut self) {
            drop(RUNTIME.take());
        }
    }
    let (_alone, alive) = (alone(), Rc::default());
    let runtime = Runtime::new().expect("a ring");
    let (socket, _peer) = tcp();
    let mut receive = recv(&socket, Counted::new(64, &alive), 0);
    let ends = Waker::from(Arc::new(Ends));
    runtime.block_on(async {
        assert!(Pin::new(&mut receive).poll(&mut Context::from_waker(&ends)).is_pending());
        turns(2).await;
    });
    drop(ends);
    RUNTIME.set(Some(runtime));
    // Another waker takes the place of the one that was kept, whose end is the runtime's.
    let Poll::Ready((result, buffer)) = poll_once(&mut receive) else {
        panic!("the runtime has waited for it")
    };
    assert!(RUNTIME.take().is_none());
    assert_eq!(errno(&result), Some(libc::ECANCELED));
    drop(buffer);
    assert_eq!(alive.get(), 0);
}

#[test]
fn a_future_goes_on_in_another_runtime_of_the_thread_once_its_own_has_ended() {
    let _alone = alone();
    let alive = Rc::default();
    let runtime = Runtime::new().expect("a ring");
    let (receive, _peer) = waiting(&runtime, &alive);
    let unsubmitted = nop();
    end(runtime);
    let other = Runtime::new().expect("a ring");
    other.block_on(async {
        let (result, _) = receive.await;
        assert_eq!(errno(&result), Some(libc::ECANCELED));
        unsubmitted.await.expect("it belongs to whoever polls it first");
    });
    assert_eq!(alive.get(), 0);
}

#[test]
fn a_future_that_was_leaked_does_not_hold_up_the_end() {
    let _alone = alone();
    let alive = Rc::default();
    let runtime = Runtime::new().expect("a ring");
    for _ in 0..100 {
        let (receive, peer) = waiting(&runtime, &alive);
        leak(receive);
        drop(peer);
    }
    let (receive, _peer) = waiting(&runtime, &alive);
    leak(receive);
    // A task that leaks what it waits for.
    let listener = own(std::net::TcpListener::bind("127.0.0.1:0").expect("bind"));
    runtime.block_on(async {
        spawn(async move {
            let mut accepting = Box::pin(accept(&listener));
            assert!(poll_once(&mut accepting).is_pending());
            leak(accepting);
        })
        .await
        .expect("no panic");
    });
    end(runtime);
    assert_eq!(alive.get(), 101, "what was leaked is leaked, and nothing was freed under it");
}

#[test]
fn a_descriptor_is_closed_wherever_it_is_dropped() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    let before = descriptors();
    let open = || Descriptor::new(std::fs::File::open("/dev/null").expect("a device").into());
    // Outside of any runtime, before and after one; inside, while it ends.
    drop(open());
    assert_eq!(descriptors(), before);
    let kept = open();
    runtime.block_on(async {
        drop(open());
        drop(spawn({
            let held = open();
            async move {
                let _held = held;
                std::future::pending::<()>().await;
            }
        }));
        yield_now().await;
    });
    drop(open());
    end(runtime);
    drop(kept);
    thread_local! {
        static LATE: RefCell<Option<Descriptor>> = const { RefCell::new(None) };
    }
    std::thread::spawn(move || {
        LATE.with(|late| {
            late.replace(Some(Descriptor::new(std::fs::File::open("/dev/null").expect("a device").into())))
        });
    })
    .join()
    .expect("no panic, not even when the thread's own values are dropped");
    // That of the ring is gone too.
    assert!(descriptors() < before, "open descriptors: {} before, {} now", before, descriptors());
}

/// Bytes that panic when they are asked for, from the second time on.
struct Moody(Cell<u32>, Rc<Cell<usize>>);

impl IoBuf for Moody {
    fn as_bytes(&self) -> &[u8] {
        let calm = self.0.get().checked_sub(1).expect("no bytes today");
        self.0.set(calm);
        b"bytes"
    }
}

impl Drop for Moody {
    fn drop(&mut self) {
        self.1.set(self.1.get() + 1);
    }
}

#[test]
fn a_buffer_that_panics_when_it_is_asked_for_its_bytes_costs_nothing_but_itself() {
    let _alone = alone();
    let dropped = Rc::new(Cell::new(0));
    Runtime::new().expect("a ring").block_on(async {
        let (socket, _peer) = tcp();
        for _ in 0..100 {
            let mut sending = send(&socket, Moody(Cell::new(0), dropped.clone()), 0);
            assert!(catch_unwind(AssertUnwindSafe(|| poll_once(&mut sending))).is_err());
        }
        assert_eq!(dropped.get(), 100);
        assert_eq!(Handle::current().metrics().operations, 0);
        nop().await.expect("the ring works");
    });
}

#[test]
fn a_buffer_that_panics_when_its_turn_comes_ends_its_operation_and_keeps_its_slot() {
    let _alone = alone();
    let dropped = Rc::new(Cell::new(0));
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let (socket, mut peer) = tcp();
        let mut sending = send(&socket, Moody(Cell::new(1), dropped.clone()), 0);
        // The queue is full: the operation is put off, and asked for its bytes again.
        Handle::current().injector().fill_queue(1);
        assert!(poll_once(&mut sending).is_pending());
        let mut detached = send(&socket, Moody(Cell::new(0), dropped.clone()), 0);
        assert!(poll_once(&mut detached).is_pending(), "behind the other, not asked yet");
        drop(detached);
        // Others would be given its slot, if it were free.
        let mut others: Vec<Op<Recv<Vec<u8>>>> = (0..8).map(|_| recv(&socket, vec![0; 32], 0)).collect();
        let mut nops: Vec<Op<Nop>> = (0..8).map(|_| nop()).collect();
        turns(2).await;
        others.iter_mut().for_each(|other| assert!(poll_once(other).is_pending()));
        nops.iter_mut().for_each(|nop| assert!(poll_once(nop).is_pending()));
        turns(4).await;
        let ended = timeout(Duration::from_secs(10), sending).await.expect("nobody tells the future");
        assert_eq!(errno(&ended.0), Some(libc::ECANCELED));
        drop(ended);
        for nop in nops {
            nop.await.expect("done");
        }
        peer.write_all(b"x").expect("send");
        drop(peer);
        for other in others {
            other.await.0.expect("received");
        }
        drop(socket);
        settle().await;
    });
    assert_eq!(dropped.get(), 2, "both buffers are dropped, once each");
    assert_eq!((runtime.metrics().operations, runtime.metrics().strays), (0, 0));
}

/// Comes back into the runtime when it is dropped, and when it is asked for its bytes.
struct Busybody(Rc<Cell<usize>>);

impl Busybody {
    fn meddle(&self) {
        self.0.set(self.0.get() + 1);
        let Some(core) = Handle::try_current() else { return };
        let count = self.0.clone();
        drop(core.spawn(async move { count.set(count.get() + usize::from(nop().await.is_ok())) }));
        // Started and dropped on the spot: more slots, and a cancellation.
        for _ in 0..100 {
            let _ = poll_once(&mut nop());
        }
        drop(Descriptor::new(std::fs::File::open("/dev/null").expect("a device").into()));
    }
}

impl IoBuf for Busybody {
    fn as_bytes(&self) -> &[u8] {
        self.meddle();
        b"bytes"
    }
}

impl Drop for Busybody {
    fn drop(&mut self) {
        self.meddle();
    }
}

#[test]
fn buffers_that_come_back_into_the_runtime_find_nothing_borrowed() {
    let _alone = alone();
    let meddled = Rc::new(Cell::new(0));
    for builder in [Builder::new(), Builder::new().submission_entries(2)] {
        let runtime = builder.build().expect("a ring");
        runtime.block_on(async {
            let (socket, _peer) = tcp();
            let (result, buffer) = send(&socket, Busybody(meddled.clone()), 0).await;
            assert_eq!(result.expect("sent"), 5);
            drop(buffer);
            // Dropped by the last completion, and by the future that has not taken it.
            let mut detached = send(&socket, Busybody(meddled.clone()), 0);
            assert!(poll_once(&mut detached).is_pending());
            drop(detached);
            let mut done = send(&socket, Busybody(meddled.clone()), 0);
            assert!(poll_once(&mut done).is_pending());
            turns(3).await;
            drop(done);
            settle().await;
        });
        // And by the runtime's end.
        let (socket, _peer) = tcp();
        let mut last = send(&socket, Busybody(meddled.clone()), 0);
        runtime.block_on(poll_fn(|cx| {
            assert!(Pin::new(&mut last).poll(cx).is_pending());
            Poll::Ready(())
        }));
        drop(last);
        end(runtime);
    }
    assert!(meddled.get() >= 2 * 8, "asked and dropped: {}", meddled.get());
}
