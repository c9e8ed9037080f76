//! Ways in which runtimes on io_uring have been seen to corrupt memory, leak descriptors or lose requests. Each test
//! is named after the event. (Uses that must not compile are documentation tests: of `buf`, `op::Operation`,
//! `op::raw` and `ring::Prepared`.)

mod common;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chainring_runtime::buf::{AlignedBuf, IoBuf, IoBufMut};
use chainring_runtime::op::accept::{accept, accept_multi};
use chainring_runtime::op::openat2::{OpenHow, openat2};
use chainring_runtime::op::pipe::pipe as make_pipe;
use chainring_runtime::op::read::read_at;
use chainring_runtime::op::recv::recv;
use chainring_runtime::op::send::send;
use chainring_runtime::op::send_zc::send_zc;
use chainring_runtime::op::socket::socket;
use chainring_runtime::{Builder, Handle, Runtime, yield_now};
use common::{Counted, Dir, alone, descriptors, own, poll_once, run, settle, tcp, turns};
use futures::StreamExt;

/// A buffer that remembers what it held when it was dropped, and keeps its memory, so that a write after that
/// shows.
struct Watched {
    memory: ManuallyDrop<AlignedBuf>,
    dropped: Rc<RefCell<Vec<Freed>>>,
}

/// Memory that counts as free, and the sum of what it held then.
type Freed = (ManuallyDrop<AlignedBuf>, u64);

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().step_by(61).fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

impl IoBuf for Watched {
    fn as_bytes(&self) -> &[u8] {
        &self.memory
    }
}

impl IoBufMut for Watched {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.memory.room() }
    }

    unsafe fn filled(&mut self, _: usize) {}
}

impl Drop for Watched {
    fn drop(&mut self) {
        let held = sum(&self.memory);
        // SAFETY: taken once, by this drop.
        let memory = unsafe { ManuallyDrop::take(&mut self.memory) };
        self.dropped.borrow_mut().push((ManuallyDrop::new(memory), held));
    }
}

#[test]
fn a_runtime_is_dropped_with_block_reads_in_flight() {
    let _alone = alone();
    const READS: usize = 16;
    const SIZE: usize = 4 << 20;
    let dir = Dir::new();
    let path = dir.join("large");
    std::fs::write(&path, vec![0xa5u8; READS * SIZE]).unwrap();
    let direct = std::fs::File::options().read(true).custom_flags(libc::O_DIRECT).open(&path);
    let file = own(direct.unwrap_or_else(|_| std::fs::File::open(&path).unwrap()));

    for _ in 0..3 {
        let dropped = Rc::new(RefCell::new(Vec::new()));
        let runtime = Runtime::new().unwrap();
        let reads: Vec<_> = runtime.block_on(async {
            let mut reads: Vec<_> = (0..READS)
                .map(|i| {
                    let memory = ManuallyDrop::new(AlignedBuf::new(SIZE).unwrap());
                    let buffer = Watched { memory, dropped: dropped.clone() };
                    read_at(&file, buffer, (i * SIZE) as u64)
                })
                .collect();
            reads.iter_mut().for_each(|read| drop(poll_once(read)));
            yield_now().await;
            reads
        });
        // Some futures are dropped before, some after the runtime.
        let mut reads = reads.into_iter();
        reads.by_ref().take(READS / 2).for_each(drop);
        drop(runtime);
        drop(reads);
        assert_eq!(dropped.borrow().len(), READS, "every buffer is freed");
        std::thread::sleep(Duration::from_millis(20));
        for (memory, held) in &mut *dropped.borrow_mut() {
            assert_eq!(sum(memory), *held, "the kernel wrote into memory that was free");
            // SAFETY: dropped once, at last.
            unsafe { ManuallyDrop::drop(memory) };
        }
    }
}

#[test]
fn a_runtime_is_dropped_while_a_peer_does_not_take_a_zero_copy_send() {
    let _alone = alone();
    let alive = Rc::new(Cell::new(0));
    let runtime = Runtime::new().unwrap();
    let (here, there) = tcp();
    runtime.block_on(async {
        let mut sending = send_zc(&here, Counted::new(64 << 20, &alive), libc::MSG_WAITALL);
        assert!(poll_once(&mut sending).is_pending());
        turns(5).await;
        drop(sending);
        turns(5).await;
    });
    assert_eq!(alive.get(), 1, "the kernel still has it");
    let begin = Instant::now();
    drop(runtime);
    assert!(begin.elapsed() < Duration::from_secs(3));
    assert_eq!(alive.get(), 0);
    drop((here, there));
}

#[test]
fn a_zero_copy_send_is_complete_only_when_its_buffer_is_free() {
    run(&Builder::new(), async || {
        let alive = Rc::new(Cell::new(0));
        let (here, mut there) = tcp();
        // More than the sockets hold together: the result comes long before the notification.
        let mut sending = send_zc(&here, Counted::new(8 << 20, &alive), 0);
        let mut polled = poll_once(&mut sending);
        for _ in 0..50 {
            turns(1).await;
            polled = poll_once(&mut sending);
        }
        if polled.is_pending() {
            assert_eq!(alive.get(), 1);
            let reading = std::thread::spawn(move || {
                there.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                let mut all = 0;
                let mut room = vec![0; 1 << 20];
                while let Ok(n @ 1..) = there.read(&mut room) {
                    all += n;
                }
                all
            });
            let (sent, buffer) = sending.await;
            drop(buffer);
            assert_eq!(sent.unwrap(), reading.join().unwrap());
        }
        assert_eq!(alive.get(), 0);
    });
}

#[test]
fn a_descriptor_arrives_for_a_future_that_is_gone() {
    run(&Builder::new(), async || {
        let core = Handle::current();
        let dir = Dir::new();
        dir.file("file", b"");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listener = own(listener);
        settle().await;
        let before = descriptors();

        let callers: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        let path = common::path(dir.join("file"));
        core.injector().delay("accept", 100, 1);
        core.injector().delay("openat2", 100, 1);
        core.injector().delay("socket", 100, 1);
        core.injector().delay("pipe", 100, 1);
        let mut accepting = accept(&listener);
        let mut opening = openat2(None, path, OpenHow::default());
        let mut making = socket(libc::AF_INET, libc::SOCK_STREAM, 0);
        let mut piping = make_pipe(0);
        assert!(poll_once(&mut accepting).is_pending());
        assert!(poll_once(&mut opening).is_pending());
        assert!(poll_once(&mut making).is_pending());
        assert!(poll_once(&mut piping).is_pending());
        // All of them are in the completion queue, and nobody has looked; of a pipe only where the ring makes it.
        while core.injector().held() < 3 + usize::from(core.capabilities().pipe()) {
            yield_now().await;
        }
        assert!(descriptors() >= before + 3 + 3);
        drop((accepting, opening, making, piping));
        core.injector().clear();

        // Accepted by a multishot, and not taken from its stream.
        let mut incoming = accept_multi(&listener);
        assert!(incoming.next().await.unwrap().is_ok());
        let more: Vec<_> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
        turns(20).await;
        drop(incoming);
        drop((callers, more));
        settle().await;
        assert_eq!(descriptors(), before);
    });
}

static LEAKED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

#[test]
fn a_future_is_leaked_while_its_receive_is_in_flight() {
    let _alone = alone();
    let alive = Rc::new(Cell::new(0));
    for (leaked, answered) in [(1, true), (2, false)] {
        let runtime = Runtime::new().unwrap();
        let (here, mut there) = tcp();
        runtime.block_on(async {
            let mut receiving = recv(&here, Counted::new(64, &alive), 0);
            assert!(poll_once(&mut receiving).is_pending());
            turns(2).await;
            // As good as forgotten, but a leak checker sees that it was meant.
            LEAKED.lock().unwrap().push(Box::leak(Box::new(receiving)) as *mut _ as usize);
            if answered {
                there.write_all(b"into a buffer that nobody can reach").unwrap();
            }
            turns(10).await;
        });
        drop(here);
        // Does not wait forever.
        drop(runtime);
        // The leaked future keeps its slot: the buffer is leaked with it, and not freed under the kernel.
        assert_eq!(alive.get(), leaked);
    }
}

#[test]
fn a_runtime_is_dropped_before_the_future_of_its_send() {
    // The future of one runtime is polled after that runtime is gone: it says so, and touches nothing.
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    let (here, there) = tcp();
    let mut sending = send(&here, vec![0u8; 64 << 20], libc::MSG_WAITALL);
    runtime.block_on(async {
        assert!(poll_once(&mut sending).is_pending());
        turns(3).await;
    });
    drop(runtime);
    let std::task::Poll::Ready((sent, buffer)) = poll_once(&mut sending) else { panic!("it is over") };
    // Cancelled with what it had sent by then.
    assert!(sent.is_err() || sent.unwrap() < buffer.len());
    drop(there);
}
