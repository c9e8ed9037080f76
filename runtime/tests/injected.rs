//! Faults of the ring itself: a full submission queue, an overflowing completion queue, an enter that fails, short and
//! late completions. Nothing is lost, and nothing happens twice.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::rc::Rc;

use chainring_runtime::op::nop::nop;
use chainring_runtime::op::poll::poll_multi;
use chainring_runtime::op::read::read_at;
use chainring_runtime::op::recv::recv;
use chainring_runtime::op::send::send;
use chainring_runtime::op::write::write_at;
use chainring_runtime::{Builder, Handle, spawn, yield_now};
use common::{Dir, errno, poll_once, run, settle, tcp, turns};
use futures::StreamExt;
use futures::future::join_all;

/// Echoes numbered messages over many sockets, and checks that each arrives once and in order.
async fn traffic(sockets: usize, messages: u32, meanwhile: impl Fn(u32)) {
    let mut tasks = Vec::new();
    let mut threads = Vec::new();
    for _ in 0..sockets {
        let (here, mut there) = tcp();
        tasks.push(spawn(async move {
            loop {
                let (received, buffer) = recv(&here, vec![0; 4], libc::MSG_WAITALL).await;
                if received.unwrap() == 0 {
                    return;
                }
                let (sent, _) = send(&here, buffer, libc::MSG_WAITALL).await;
                assert_eq!(sent.unwrap(), 4);
            }
        }));
        threads.push(std::thread::spawn(move || {
            for i in 0..messages {
                there.write_all(&i.to_ne_bytes()).unwrap();
                let mut back = [0; 4];
                there.read_exact(&mut back).unwrap();
                assert_eq!(u32::from_ne_bytes(back), i);
            }
            there.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(there.read(&mut [0; 4]).unwrap(), 0, "more came back than was sent");
        }));
    }
    let mut turn = 0;
    while !threads.iter().all(std::thread::JoinHandle::is_finished) {
        meanwhile(turn);
        turn += 1;
        yield_now().await;
    }
    for (task, thread) in tasks.into_iter().zip(threads) {
        task.await.unwrap();
        thread.join().unwrap();
    }
}

/// Runs many counted operations, some of which are dropped on the way: each ends once.
async fn counted(faults: impl Fn()) {
    let file = Dir::new().file("file", &[7; 4096]);
    let done = Rc::new(RefCell::new(vec![0; 400]));
    faults();
    let mut all = Vec::new();
    for i in 0..400usize {
        let (file, done) = (file.clone(), done.clone());
        all.push(spawn(async move {
            let (read, buffer) = read_at(&file, vec![0; 8], i as u64).await;
            assert_eq!((read.unwrap(), &buffer[..]), (8, &[7; 8][..]));
            done.borrow_mut()[i] += 1;
        }));
    }
    for i in 0..100 {
        let mut one = read_at(&file, vec![0; 8], i);
        assert!(poll_once(&mut one).is_pending());
    }
    for task in all {
        task.await.unwrap();
    }
    settle().await;
    assert!(done.borrow().iter().all(|times| *times == 1));
    assert_eq!(Handle::current().metrics().strays, 0);
}

#[test]
fn the_submission_queue_is_full() {
    for entries in [1, 2, 8] {
        run(&Builder::new().submission_entries(entries), async || {
            counted(|| ()).await;
            assert!(Handle::current().metrics().flushes > 0);
            traffic(8, 50, |_| ()).await;
        });
    }
    run(&Builder::new(), async || {
        counted(|| Handle::current().injector().fill_queue(1000)).await;
        traffic(8, 50, |turn| {
            if turn % 10 == 0 {
                Handle::current().injector().fill_queue(7);
            }
        })
        .await;
    });
}

#[test]
fn the_completion_queue_overflows() {
    run(&Builder::new().submission_entries(2).completion_entries(4), async || {
        counted(|| ()).await;
        // All in one go: far more completions than there is room for.
        let results = join_all((0..1000).map(|_| nop())).await;
        assert!(results.iter().all(Result::is_ok));
        let metrics = Handle::current().metrics();
        assert!(metrics.overflows > 0, "{metrics:?}");
        assert_eq!((metrics.lost, metrics.strays, metrics.operations), (0, 0, 0));
        traffic(8, 50, |_| ()).await;
    });
    run(&Builder::new().submission_entries(64).completion_entries(4), async || {
        // Waiting receives fill at once, while the core looks away.
        let pairs: Vec<_> = (0..400).map(|_| tcp()).collect();
        let all = join_all(pairs.iter().map(|(here, _)| recv(here, vec![0; 8], 0)));
        let mut all = std::pin::pin!(all);
        assert!(futures::poll!(&mut all).is_pending());
        turns(20).await;
        for (i, (_, there)) in pairs.iter().enumerate() {
            (&mut &*there).write_all(&(i as u64).to_ne_bytes()).unwrap();
        }
        for (i, (received, buffer)) in all.await.into_iter().enumerate() {
            assert_eq!((received.unwrap(), buffer), (8, (i as u64).to_ne_bytes().to_vec()));
        }
        let metrics = Handle::current().metrics();
        assert_eq!((metrics.lost, metrics.strays), (0, 0));
    });
}

#[test]
fn a_multishot_meets_a_completion_queue_that_is_full() {
    run(&Builder::new().submission_entries(2).completion_entries(4), async || {
        let (read, write) = std::io::pipe().unwrap();
        let (read, mut write) = (common::own(read), write);
        let mut events = 0;
        let mut stream = poll_multi(&read, libc::POLLIN as u32);
        for _ in 0..50 {
            write.write_all(b"x").unwrap();
            let nops = join_all((0..20).map(|_| nop()));
            assert!(nops.await.iter().all(Result::is_ok));
            loop {
                match stream.next().await {
                    Some(event) => {
                        assert_ne!(event.unwrap() & libc::POLLIN as u32, 0);
                        events += 1;
                        break;
                    }
                    None => stream = poll_multi(&read, libc::POLLIN as u32),
                }
            }
        }
        assert_eq!(events, 50);
    });
}

#[test]
fn an_enter_fails() {
    for errno in [libc::EBUSY, libc::EINTR, libc::ENOMEM, libc::EAGAIN] {
        run(&Builder::new().submission_entries(8), async || {
            counted(|| Handle::current().injector().fail_enter(errno, 200)).await;
            traffic(8, 50, |turn| {
                if turn % 5 == 0 {
                    Handle::current().injector().fail_enter(errno, 3);
                }
            })
            .await;
            Handle::current().injector().clear();
        });
    }
}

#[test]
fn an_enter_fails_for_another_reason() {
    let _alone = common::alone();
    let caught = std::panic::catch_unwind(|| {
        let runtime = chainring_runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            Handle::current().injector().fail_enter(libc::EBADFD, 1);
            nop().await
        })
    });
    let panic = caught.unwrap_err().downcast::<String>().unwrap();
    assert!(panic.contains("io_uring_enter failed"), "{panic}");
}

#[test]
fn an_operation_is_failed_shortened_and_delayed() {
    run(&Builder::new(), async || {
        let core = Handle::current();
        let file = Dir::new().file("file", b"0123456789");

        core.injector().fail("read", libc::EIO, 2);
        for expected in [Some(libc::EIO), Some(libc::EIO), None] {
            let (read, buffer) = read_at(&file, vec![0; 10], 0).await;
            assert_eq!(errno(&read), expected);
            assert!(expected.is_none() || buffer == [0; 10], "nothing of it has happened");
        }
        core.injector().shorten("write", 3, 1);
        let (written, _) = write_at(&file, "abcdef", 0).await;
        assert_eq!(written.unwrap(), 3);
        let (_, buffer) = read_at(&file, vec![0; 10], 0).await;
        assert_eq!(buffer, b"abc3456789");

        core.injector().delay("nop", 20, 1);
        let order = Rc::new(RefCell::new(Vec::new()));
        let late = spawn({
            let order = order.clone();
            async move {
                nop().await.unwrap();
                order.borrow_mut().push("late");
            }
        });
        for _ in 0..5 {
            turns(1).await;
            let (read, _) = read_at(&file, vec![0; 1], 0).await;
            read.unwrap();
            order.borrow_mut().push("read");
        }
        late.await.unwrap();
        assert_eq!(*order.borrow(), ["read", "read", "read", "read", "read", "late"]);
        assert!(core.injector().is_spent());
    });
}

#[test]
fn a_waker_is_called_once_for_each_late_completion() {
    run(&Builder::new(), async || {
        let wakes = Rc::new(Cell::new(0));
        Handle::current().injector().delay("nop", 3, 100);
        for _ in 0..100 {
            let before = Handle::current().metrics().wakes;
            nop().await.unwrap();
            wakes.set(wakes.get() + Handle::current().metrics().wakes - before);
        }
        assert_eq!(wakes.get(), 100);
    });
}
