//! What belongs to one runtime meets another, and cores that are asked for something at an awkward moment.

mod common;

use std::cell::RefCell;
use std::future::Future;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use chainring_runtime::buf::PoolOptions;
use chainring_runtime::frame::{Frame, Frames, Interrupt, Layout, Resume, Stop};
use chainring_runtime::op::connect::connect;
use chainring_runtime::op::files_update::{DirectFiles, files_update};
use chainring_runtime::op::fixed_fd_install::fixed_fd_install;
use chainring_runtime::op::recv_multi::{recv_multi, recv_pooled};
use chainring_runtime::op::socket::socket_direct;
use chainring_runtime::{Builder, Handle, Runtime, spawn, time, yield_now};
use common::*;
use futures::StreamExt;
use futures::channel::oneshot;

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
fn a_table_of_direct_files_names_the_places_of_another_runtime() {
    let _alone = alone();
    let ours = Builder::new().direct_descriptors(8).build().unwrap();
    let elsewhere = Runtime::new().unwrap();
    let theirs = elsewhere.block_on(async { DirectFiles::register(1024) });
    let Ok(theirs) = theirs else { return };
    ours.block_on(async {
        let direct = socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap().await.unwrap();
        let (file, _end) = pipe();
        for place in 0..1024 {
            // What is in these places is none of the table's.
            assert!(fixed_fd_install(&theirs, place).await.is_err(), "place {place} was taken");
            let replaced = files_update(&theirs, place, vec![Some(file.clone())]).await;
            assert!(replaced.is_err(), "place {place} was replaced");
        }
        // The socket is still the one that it was.
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let refused = connect(&direct, address.into()).await;
        assert_eq!(errno(&refused), Some(libc::ECONNREFUSED));
    });
    // Where it belongs it works.
    let (file, _end) = pipe();
    elsewhere.block_on(async {
        assert_eq!(files_update(&theirs, 7, vec![Some(file)]).await.unwrap(), 1);
    });
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

const LAYOUT: Layout = Layout { registers: 1, descriptors: 1, bytes: 64 };

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
