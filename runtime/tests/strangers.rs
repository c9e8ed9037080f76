//! What belongs to one runtime meets another, wakers and destructors misbehave, and names are used again.

mod common;

use std::cell::RefCell;
use std::future::Future;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use chainring_runtime::buf::PoolOptions;
use chainring_runtime::frame::{
    Frame, Frames, Interrupt, Layout, Len, Plan, Resume, Stop, Then, Transfer, Verb,
};
use chainring_runtime::op::recv_multi::{recv_multi, recv_pooled};
use chainring_runtime::{Builder, Handle, Runtime, spawn, spawn_blocking, time, yield_now};
use common::*;
use futures::StreamExt;
use futures::channel::oneshot;

/// Ends the process if a test hangs.
struct Watchdog(Arc<AtomicBool>);

fn watchdog() -> Watchdog {
    let done = Arc::new(AtomicBool::new(false));
    let (watched, name) = (done.clone(), thread::current().name().unwrap_or("a test").to_owned());
    thread::spawn(move || {
        let begin = Instant::now();
        while !watched.load(Ordering::Relaxed) {
            if begin.elapsed() > Duration::from_secs(20) {
                eprintln!("{name} hangs");
                std::process::abort();
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    Watchdog(done)
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_receive_names_the_pool_of_another_runtime() {
    let _alone = alone();
    let (here, elsewhere) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let small = || async { PoolOptions::new().buffer_size(64).ready(4).limit(4).build().unwrap() };
    let theirs = elsewhere.block_on(small());
    let ours = here.block_on(small());
    let (socket, mut peer) = tcp();
    peer.write_all(b"hello").unwrap();
    // Buffers of that number are the other kernel ring's: lent from here, it would write into them meanwhile.
    let refused = here.block_on(recv_pooled(&socket, &theirs, 0));
    assert!(refused.is_err(), "a buffer of a pool that another ring fills was lent: {refused:?}");
    let refused = here.block_on(recv_multi(&socket, &theirs, 0).next());
    assert!(refused.unwrap().is_err());
    assert_eq!((theirs.usage().lent, ours.usage().lent), (0, 0));
    assert_eq!(here.block_on(recv_pooled(&socket, &ours, 0)).unwrap()[..], *b"hello");
}

#[test]
fn a_core_falls_asleep_while_its_queue_has_no_place_for_the_bell() {
    let _alone = alone();
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (sender, woken) = oneshot::channel();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            sender.send(()).unwrap();
        });
        Handle::current().injector().fill_queue(1);
        woken.await.unwrap();
    });
}

#[test]
fn a_signal_comes_to_a_core_that_never_sleeps() {
    let _alone = alone();
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut signal = chainring_runtime::signal::signal(libc::SIGUSR2).unwrap();
        let busy = spawn(async {
            loop {
                yield_now().await;
            }
        });
        for _ in 0..3 {
            let raises = thread::spawn(|| {
                thread::sleep(Duration::from_millis(20));
                // SAFETY: no pointers; the signal has a handler.
                unsafe { libc::raise(libc::SIGUSR2) }
            });
            signal.recv().await;
            raises.join().unwrap();
        }
        busy.abort();
    });
}

#[test]
fn results_that_piled_up_are_taken_in_another_runtime() {
    let _alone = alone();
    let _watchdog = watchdog();
    const MESSAGES: usize = 300;
    let (here, elsewhere) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (peer, address) = (UdpSocket::bind("127.0.0.1:0").unwrap(), socket.local_addr().unwrap());
    let socket = own(socket);
    let mut stream = elsewhere.block_on(async {
        let pool = PoolOptions::new().buffer_size(64).ready(512).limit(1024).build().unwrap();
        let mut stream = recv_multi(&socket, &pool, 0);
        assert!(poll_once(&mut stream.next()).is_pending());
        for _ in 0..MESSAGES {
            peer.send_to(b"x", address).unwrap();
            yield_now().await;
        }
        turns(50).await;
        stream
    });
    drop(elsewhere);
    let taken = here.block_on(async {
        let mut taken = 0;
        while let Some(item) = stream.next().await {
            taken += usize::from(item.is_ok());
        }
        taken
    });
    assert_eq!(taken, MESSAGES);
}

#[test]
fn a_sleep_outlives_the_runtime_that_it_began_on() {
    let _alone = alone();
    let _watchdog = watchdog();
    let (here, elsewhere) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let begin = Instant::now();
    let mut sleep = None;
    elsewhere.block_on(async {
        let sleep = sleep.insert(time::sleep(Duration::from_millis(200)));
        assert!(poll_once(sleep).is_pending());
    });
    drop(elsewhere);
    here.block_on(sleep.unwrap());
    assert!(begin.elapsed() >= Duration::from_millis(200), "it ended after {:?}", begin.elapsed());
}

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

/// Notes how its frames' segments end, and parks those that are called.
#[derive(Clone, Default)]
struct Ends(Rc<RefCell<Vec<&'static str>>>);

impl Resume for Ends {
    fn advanced(&self, _: Frame<'_>, _: u16) {
        self.0.borrow_mut().push("advanced");
    }

    fn interrupted(&self, _: Frame<'_>, _: Interrupt) {
        self.0.borrow_mut().push("refused");
    }

    fn stopped(&self, _: Frame<'_>, stop: Stop) {
        self.0.borrow_mut().push(if stop.cancelling { "cancelled" } else { "stopped" });
    }

    fn unparked(&self, _: Frame<'_>) {
        self.0.borrow_mut().push("unparked");
    }
}

fn receive(len: Len, into: Option<u16>, then: Then) -> Plan {
    let transfer = Transfer::new(Verb::RecvExact, 0, 0, len);
    Plan { members: vec![transfer], into, then }
}

const LAYOUT: Layout = Layout { registers: 1, descriptors: 1, bytes: 64 };

#[test]
fn frames_get_the_number_of_others_that_were_cancelled() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let plans = [receive(Len::Fixed(5), None, Then::Resume)];
        let ((idle, _peer), (socket, mut peer)) = (tcp(), tcp());
        let old = Ends::default();
        let frames = Frames::new(LAYOUT, &plans, 1, old.clone()).unwrap();
        let mut frame = frames.allocate().unwrap();
        let first = frame.key();
        frame.put_descriptor(0, idle.try_into_owned().unwrap());
        frame.submit(0).unwrap();
        turns(2).await;
        frames.cancel(first);
        frames.retire();
        while old.0.borrow().is_empty() {
            yield_now().await;
        }
        assert_eq!(*old.0.borrow(), ["cancelled"]);
        drop(frames);

        let new = Ends::default();
        let frames = Frames::new(LAYOUT, &plans, 1, new.clone()).unwrap();
        let mut frame = frames.allocate().unwrap();
        assert_ne!(frame.key(), first, "a late cancellation would hit the next user");
        frame.put_descriptor(0, socket.try_into_owned().unwrap());
        frame.submit(0).unwrap();
        turns(10).await;
        peer.write_all(b"hello").unwrap();
        while new.0.borrow().is_empty() {
            yield_now().await;
        }
        assert_eq!(*new.0.borrow(), ["advanced"]);
    });
}

#[test]
fn a_count_goes_into_the_register_of_its_length_when_there_is_no_room_for_what_follows() {
    let _alone = alone();
    let runtime = Builder::new().submission_entries(1).build().unwrap();
    runtime.block_on(async {
        // The register says four, four are added, and takes the eight that came.
        let plans = [
            receive(Len::Register { index: 0, plus: 4, max: 64 }, Some(0), Then::Segment(1)),
            receive(Len::Fixed(1), None, Then::Resume),
        ];
        let ends = Ends::default();
        let frames = Frames::new(LAYOUT, &plans, 8, ends.clone()).unwrap();
        let mut peers = Vec::new();
        for _ in 0..8 {
            let (socket, peer) = tcp();
            let mut frame = frames.allocate().unwrap();
            frame.put_descriptor(0, socket.try_into_owned().unwrap());
            frame.registers().set(0, 4);
            frame.submit(0).unwrap();
            peers.push(peer);
        }
        turns(3).await;
        for peer in &mut peers {
            peer.write_all(b"12345678!").unwrap();
        }
        while ends.0.borrow().len() < 8 {
            yield_now().await;
        }
        assert_eq!(*ends.0.borrow(), ["advanced"; 8]);
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

#[test]
fn bytes_are_discarded_instead_of_received() {
    let _alone = alone();
    use chainring_runtime::op::message::Control;
    use chainring_runtime::op::{recv::recv, recvmsg::recvmsg};
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (socket, mut peer) = tcp();
        // The bytes of a buffer whose length is set without a write would be whatever was there.
        for pass in 0..2 {
            peer.write_all(b"hello").unwrap();
            let mut stale = vec![0xaau8; 16];
            stale.clear();
            let bytes = if pass == 0 {
                recv(&socket, stale, libc::MSG_TRUNC).await.1
            } else {
                recvmsg(&socket, vec![stale], Control::new(), libc::MSG_TRUNC).await.1.remove(0)
            };
            assert!(!bytes.contains(&0xaa), "never written, and said to be received: {bytes:?}");
        }
        // Of a datagram the length is told, which may be more than the buffer.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let socket = own(socket);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..2 {
            peer.send_to(b"hello", address).unwrap();
        }
        let (_, bytes) = recv(&socket, [0; 2], libc::MSG_TRUNC).await;
        assert_eq!(bytes, *b"he");
        let (received, bytes) = recvmsg(&socket, [[0; 2]], Control::new(), libc::MSG_TRUNC).await;
        assert_eq!(bytes, [*b"he"]);
        assert_ne!(received.unwrap().flags & libc::MSG_TRUNC, 0);
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
fn a_runtime_is_dropped_in_a_waker_a_frame_and_a_panic_of_another() {
    let _alone = alone();
    /// With something in flight.
    fn busy() -> (Runtime, TcpStream) {
        let (runtime, (socket, peer)) = (Runtime::new().unwrap(), tcp());
        runtime.block_on(async {
            let mut receive = Box::pin(chainring_runtime::op::recv::recv(&socket, vec![0; 64], 0));
            assert!(poll_once(&mut receive).is_pending());
            drop(spawn(receive));
            turns(3).await;
        });
        (runtime, peer)
    }
    thread_local! {
        static VICTIM: RefCell<Vec<Runtime>> = const { RefCell::new(Vec::new()) };
    }
    struct DropsAll;
    impl Wake for DropsAll {
        fn wake(self: Arc<Self>) {
            VICTIM.take();
        }
    }
    struct DropsInFrame;
    impl Resume for DropsInFrame {
        fn advanced(&self, _: Frame<'_>, _: u16) {}
        fn interrupted(&self, _: Frame<'_>, _: Interrupt) {}
        fn stopped(&self, _: Frame<'_>, _: Stop) {}
        fn unparked(&self, _: Frame<'_>) {
            VICTIM.take();
        }
    }
    let _watchdog = watchdog();
    let (one, two, three) = (busy(), busy(), busy());
    let runtime = Runtime::new().unwrap();
    let gone = || VICTIM.with_borrow(Vec::is_empty);
    VICTIM.with_borrow_mut(|victim| victim.push(one.0));
    runtime.block_on(async {
        let mut receive = Box::pin(chainring_runtime::op::nop::nop());
        let waker = Waker::from(Arc::new(DropsAll));
        assert!(receive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        while !gone() {
            yield_now().await;
        }
        receive.await.unwrap();

        VICTIM.with_borrow_mut(|victim| victim.push(two.0));
        let frames = Frames::new(LAYOUT, &[], 1, DropsInFrame).unwrap();
        frames.allocate().unwrap().park();
        while !gone() {
            yield_now().await;
        }
        let panics = spawn(async move {
            let _dropped = three.0;
            panic!("with a runtime in its hands");
        });
        assert!(panics.await.unwrap_err().is_panic());
        spawn(async {}).await.unwrap();
    });
}
