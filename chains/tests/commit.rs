//! Group commit: one write and one sync for many records, and an acknowledgement only of what is on the disk.

mod common;
#[path = "commit/shared.rs"]
mod shared;

use std::io::{Read, Write};
use std::net::TcpStream as Client;
use std::time::Duration;

use chainring_chains::{Chain, ChainHandle, ErrorKind, Init, Log, OpenLog, Program, Socket, Spawner};
use chainring_runtime::Runtime;
use common::one::{Dir, chain};
use common::{pair, soon, watchdog};
use shared::{HEAD, Record, committer, record, until, whole};

/// Takes records, and says where in the log each of them is once it is there.
fn keeper(log: &Log) -> (Program<()>, Socket) {
    chain(|c: &mut Chain<()>| {
        let (sock, len, at) = (c.accepted(), c.reg(), c.reg());
        let (head, body, answer) = (c.buffer(HEAD as u32), c.buffer(1024), c.buffer(8));
        c.repeat(|c| {
            c.recv_exact(sock, head.all()).or_finish();
            c.set(len, head.be32(0));
            c.recv_exact(sock, body.to(len));
            c.commit(log, [head.all(), body.to(len)]).into(at);
            c.store(answer, 0, chainring_chains::Order::Be64, at);
            c.send_all(sock, answer.all());
        });
        sock
    })
}

fn connected(spawner: &Spawner<()>, sock: Socket) -> (ChainHandle<()>, Client) {
    let (near, far) = pair();
    let init = |frame: &mut Init<'_, '_>| {
        frame.socket(sock, near);
    };
    (spawner.spawn((), init).expect("there is room"), far)
}

fn position(client: &mut Client) -> u64 {
    let mut answer = [0; 8];
    client.read_exact(&mut answer).expect("an answer");
    u64::from_be_bytes(answer)
}

/// Whether an answer has come.
fn is_answered(client: &Client) -> bool {
    client.set_nonblocking(true).expect("nonblocking");
    let answered = client.peek(&mut [0]).is_ok();
    client.set_nonblocking(false).expect("blocking");
    answered
}

#[test]
fn a_log_is_not_opened_with_a_file_that_its_records_cannot_go_to() {
    let dir = Dir::new();
    drop(dir.file("log", b"before"));
    let log = Log::new("refused");
    Runtime::new().expect("a ring").block_on(async {
        let mut options = std::fs::OpenOptions::new();
        let reading = options.read(true).open(dir.join("log")).expect("the file");
        let error = log.open(reading, 6).expect_err("it cannot be written to");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("open for writing"), "{error}");
        let appending = options.append(true).open(dir.join("log")).expect("the file");
        let error = log.open(appending, 0).expect_err("positions would not hold");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("O_APPEND"), "{error}");
        // Nothing is left of either, and the next one may be a descriptor.
        let file = std::os::fd::OwnedFd::from(dir.file("log", b"before"));
        let open = log.open(file, 6).expect("it opens");
        assert_eq!(open.commit("behind").await.expect("it is written"), 6);
    });
}

#[test]
fn sixty_four_connections_share_a_log_and_its_syncs() {
    const CONNECTIONS: u32 = 64;
    let turns = common::scaled(20, 1000) as u32;
    let _watchdog = watchdog(Duration::from_secs(300));
    let dir = Dir::new();
    let log = Log::new("shared");
    let (program, sock) = keeper(&log);
    let runtime = Runtime::new().expect("a ring");
    let open = runtime.block_on(async { log.open(dir.file("log", b""), 0).expect("it opens") });
    let spawner = runtime.block_on(async { program.start(CONNECTIONS).expect("it starts") });
    let mut clients = Vec::new();
    runtime.block_on(async {
        for _ in 0..CONNECTIONS {
            let (handle, client) = connected(&spawner, sock);
            drop(handle);
            clients.push(client);
        }
    });
    let acknowledged = common::run_beside(&runtime, move || {
        let mut acknowledged = Vec::new();
        for turn in 0..turns {
            for (i, client) in clients.iter_mut().enumerate() {
                let record = Record { of: i as u32, number: turn, body: vec![turn as u8; 1 + i * 7 % 300] };
                client.write_all(&record.bytes()).expect("send");
            }
            for (i, client) in clients.iter_mut().enumerate() {
                acknowledged.push((position(client), i as u32, turn));
            }
        }
        acknowledged
    });
    let bytes = std::fs::read(dir.join("log")).expect("the log");
    let (found, end) = whole(&bytes);
    assert_eq!((found.len() as u32, end), (CONNECTIONS * turns, bytes.len()));
    for of in 0..CONNECTIONS {
        let numbers: Vec<u32> = found.iter().filter(|(_, r)| r.of == of).map(|(_, r)| r.number).collect();
        assert!(numbers == (0..turns).collect::<Vec<_>>(), "in the order of the connection: {numbers:?}");
    }
    let mut known: Vec<_> = found.iter().map(|(at, r)| (*at as u64, r.of, r.number)).collect();
    let mut acknowledged = acknowledged;
    known.sort_unstable();
    acknowledged.sort_unstable();
    assert!(known == acknowledged, "each was told where its record is");
    // A sync for each batch, and hardly more batches than turns.
    let (syncs, records) = (open.batches(), u64::from(CONNECTIONS * turns));
    assert!(syncs < records / 2, "{syncs} syncs for {records} records");
    assert_eq!(open.durable(), bytes.len() as u64);
}

#[test]
fn nothing_is_acknowledged_while_the_disk_is_not_done() {
    const CONNECTIONS: usize = 8;
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let log = Log::new("held");
    let (program, sock) = keeper(&log);
    Runtime::new().expect("a ring").block_on(async {
        let injector = chainring_runtime::Handle::current();
        let injector = injector.injector();
        let open = log.open(dir.file("log", b""), 0).expect("it opens");
        let spawner = program.start(CONNECTIONS as u32).expect("it starts");
        let mut peers: Vec<_> = (0..CONNECTIONS).map(|_| connected(&spawner, sock)).collect();
        injector.delay("fsync", 500, 1);
        for (i, (_, client)) in peers.iter_mut().enumerate() {
            client.write_all(&record(i as u32, 0, b"first")).expect("send");
        }
        until("the sync is held", || injector.held() == 1).await;
        let mut looks = 0;
        while injector.held() == 1 {
            looks += 1;
            assert_eq!(open.durable(), 0);
            assert!(peers.iter().all(|(_, client)| !is_answered(client)), "before the disk was done");
            chainring_runtime::yield_now().await;
        }
        assert!(looks > 100, "looked {looks} times only");
        // Those that were not in the first batch are in the second.
        until("all are answered", || peers.iter().all(|(_, client)| is_answered(client))).await;
        assert!(open.batches() <= 2, "{} batches", open.batches());
    });
}

#[test]
fn a_log_cut_at_any_byte_is_read_back_to_its_last_whole_record() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let log = Log::new("cut");
    let runtime = Runtime::new().expect("a ring");
    let mut ends = vec![0];
    runtime.block_on(async {
        let open = log.open(dir.file("log", b""), 0).expect("it opens");
        for i in 0..20 {
            let record = record(0, i, &vec![i as u8; i as usize * 3]);
            let at = open.commit(&record).await.expect("nothing fails");
            assert_eq!(at, ends[i as usize]);
            ends.push(at + record.len() as u64);
        }
    });
    let bytes = std::fs::read(dir.join("log")).expect("the log");
    assert_eq!(bytes.len() as u64, ends[20]);
    for cut in 0..=bytes.len() {
        let last = ends.iter().rposition(|end| *end <= cut as u64).expect("0 is one");
        let (found, end) = whole(&bytes[..cut]);
        assert_eq!((found.len(), end as u64), (last, ends[last]), "cut at {cut}");
    }
    // Opened again behind the last whole record, it goes on there.
    let cut = ends[13] as usize + 5;
    let (_, end) = whole(&bytes[..cut]);
    runtime.block_on(async {
        let open = log.open(dir.file("again", &bytes[..cut]), end as u64).expect("it opens");
        assert_eq!(open.commit(record(0, 99, b"after")).await.expect("nothing fails"), end as u64);
    });
    let (found, _) = whole(&std::fs::read(dir.join("again")).expect("the log"));
    let numbers: Vec<u32> = found.iter().map(|(_, record)| record.number).collect();
    assert_eq!(numbers, (0..13).chain([99]).collect::<Vec<_>>());
}

#[test]
fn a_frame_that_is_cancelled_while_it_waits_ends_at_once() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let log = Log::new("cancelled");
    let (program, [count, len]) = committer(&log);
    Runtime::new().expect("a ring").block_on(async {
        let core = chainring_runtime::Handle::current();
        let open = log.open(dir.file("log", b""), 0).expect("it opens");
        let spawner = program.start(2).expect("it starts");
        let spawn = || {
            let init = |frame: &mut Init<'_, '_>| {
                frame.set(count, 1).set(len, 8);
            };
            spawner.spawn((), init).expect("there is room")
        };
        core.injector().delay("fsync", 500, 1);
        let (one, other) = (spawn(), spawn());
        until("the sync is held", || core.injector().held() == 1).await;
        one.cancel();
        let error = soon("the frame", one).await.result.expect_err("it was cancelled");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { done: 0 }), "{error}");
        assert_eq!(core.injector().held(), 1, "it has not waited for the disk");
        soon("its neighbour", other).await.result.expect("it is not concerned");
        assert_eq!(open.durable(), 16);
    });
    assert_eq!(std::fs::read(dir.join("log")).expect("the log"), b"filled!!filled!!");
}

#[test]
fn those_for_whom_a_batch_is_full_are_in_the_next_ones_in_order() {
    const FRAMES: u64 = 10;
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let log = Log::with_batch("full", 100);
    let (program, [count, len]) = committer(&log);
    Runtime::new().expect("a ring").block_on(async {
        let core = chainring_runtime::Handle::current();
        let open = log.open(dir.file("log", b""), 0).expect("it opens");
        let spawner = program.start(16).expect("it starts");
        let spawn = |count_is, len_is| {
            let init = move |frame: &mut Init<'_, '_>| {
                frame.set(count, count_is).set(len, len_is);
            };
            spawner.spawn((), init).expect("there is room")
        };
        core.injector().delay("fsync", 100, 1);
        let handles: Vec<_> = (0..FRAMES).map(|_| spawn(3, 40)).collect();
        let tasks: Vec<_> = (0..4).map(|i| chainring_runtime::spawn(open.commit(vec![i; 60]))).collect();
        until("the sync is held", || core.injector().held() == 1).await;
        // Two that wait in the line, and are withdrawn.
        let cancelled = spawn(1, 100);
        let mut withdrawn = open.commit([b'x'; 100]);
        assert!(futures::poll!(&mut withdrawn).is_pending());
        chainring_runtime::yield_now().await;
        cancelled.cancel();
        soon("the frame", cancelled).await.result.expect_err("it was cancelled");
        drop(withdrawn);
        let too_long = spawn(1, 101);
        let error = soon("the frame", too_long).await.result.expect_err("too long");
        assert!(matches!(error.kind(), ErrorKind::Bounds { len: 101, max: 100 }), "{error}");
        let error = open.commit([0; 101]).await.expect_err("too long");
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
        for handle in handles {
            soon("a frame", handle).await.result.expect("nothing fails");
        }
        let mut last = None;
        for task in tasks {
            let at = soon("a task", task).await.expect("it ends").expect("nothing fails");
            assert!(Some(at) > last, "tasks are let in as they came");
            last = Some(at);
        }
        assert_eq!(open.durable(), FRAMES * 3 * 40 + 4 * 60);
        assert!(open.batches() >= (FRAMES * 3).div_ceil(2), "no batch is longer");
    });
    let bytes = std::fs::read(dir.join("log")).expect("the log");
    assert!(!bytes.contains(&b'x'), "what was withdrawn is not there");
}

#[test]
fn tasks_and_chains_share_one_log() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let log = Log::new("both");
    let (program, [count, len]) = committer(&log);
    Runtime::new().expect("a ring").block_on(async {
        let open = log.open(dir.file("log", b""), 0).expect("it opens");
        let spawner = program.start(1).expect("it starts");
        let init = |frame: &mut Init<'_, '_>| {
            frame.set(count, 50).set(len, 8);
        };
        let frame = spawner.spawn((), init).expect("there is room");
        let here = log.here().expect("it is open");
        let tasks = futures::future::join_all((0..3).map(|_| async {
            for _ in 0..50 {
                here.commit("the task").await.expect("nothing fails");
            }
        }));
        let (exit, _) = futures::join!(soon("the frame", frame), soon("the tasks", tasks));
        exit.result.expect("nothing fails");
        assert!(open.batches() < 200, "{} batches of 200 records", open.batches());
    });
    let bytes = std::fs::read(dir.join("log")).expect("the log");
    let (frames, tasks): (Vec<&[u8]>, Vec<_>) = bytes.chunks(8).partition(|record| record == b"filled!!");
    assert_eq!((frames.len(), tasks.len()), (50, 150));
    assert!(tasks.iter().all(|record| record == b"the task"));
}

#[test]
fn a_log_is_opened_once_and_closed_when_nobody_uses_it_any_more() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let log = Log::new("opened");
    let (program, [count, len]) = committer(&log);
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let error = program.start(1).expect_err("it is not open");
        assert_eq!(
            error.to_string(),
            "the program cannot be started here: the log opened is not open on this core"
        );
        assert!(log.here().is_none());
        let open: OpenLog = log.open(dir.file("log", b""), 0).expect("it opens");
        let twice = log.open(dir.file("other", b""), 0).expect_err("it is open");
        assert_eq!(twice.kind(), std::io::ErrorKind::AlreadyExists);
        let far = Log::new("far").open(dir.file("far", b""), u64::MAX).expect_err("too far");
        assert_eq!(far.raw_os_error(), Some(libc::EFBIG));
        let spawner = program.start(1).expect("it starts");
        drop(open);
        // The program holds it.
        let init = |frame: &mut Init<'_, '_>| {
            frame.set(count, 1).set(len, 8);
        };
        let frame = spawner.spawn((), init).expect("there is room");
        soon("the frame", frame).await.result.expect("nothing fails");
        let mut last = log.here().expect("it is open").commit("the last");
        assert!(futures::poll!(&mut last).is_pending());
        drop((spawner, last));
        until("nobody uses it", || log.here().is_none()).await;
        let mut again = None;
        until("the last is written", || {
            again = log.open(dir.file("again", b""), 0).ok();
            again.is_some()
        })
        .await;
        let again = again.expect("it opens again");
        again.commit("again").await.expect("nothing fails");
    });
    assert_eq!(std::fs::read(dir.join("log")).expect("the log"), b"filled!!the last");
    assert_eq!(std::fs::read(dir.join("again")).expect("the log"), b"again");
}

#[test]
fn a_log_is_opened_again_only_when_all_that_was_committed_is_written() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let log = Log::with_batch("again", 8);
    Runtime::new().expect("a ring").block_on(async {
        let core = chainring_runtime::Handle::current();
        let open = log.open(dir.file("log", b""), 0).expect("it opens");
        core.injector().delay("fsync", 100, 1);
        let mut first = open.commit("inflight");
        assert!(futures::poll!(&mut first).is_pending());
        until("the sync is held", || core.injector().held() == 1).await;
        let mut second = open.commit("filled!!");
        assert!(futures::poll!(&mut second).is_pending());
        drop((first, second, open));
        assert!(log.here().is_none(), "nobody uses it");
        let path = dir.join("log");
        let mut again = None;
        until("both are written", || {
            let file = std::fs::OpenOptions::new().write(true).open(&path).expect("the log");
            match log.open(file, 8) {
                Ok(open) => again = Some(open),
                Err(busy) => assert_eq!(busy.kind(), std::io::ErrorKind::ResourceBusy),
            }
            again.is_some()
        })
        .await;
        assert_eq!(std::fs::read(&path).expect("the log"), b"inflightfilled!!");
        let again = again.expect("it is open");
        assert_eq!(again.commit("replaced").await.expect("nothing fails"), 8);
        // At once, if nothing is on its way.
        again.commit("").await.expect("nothing fails");
        drop(again);
        drop(log.open(dir.file("other", b""), 0).expect("it opens"));
    });
    assert_eq!(std::fs::read(dir.join("log")).expect("the log"), b"inflightreplaced");
}

#[test]
fn a_record_that_never_fits_is_refused_and_the_report_names_the_log() {
    let log = Log::with_batch("small", 64);
    let mut c = Chain::<()>::new("test");
    let (text, n) = (c.constant(&[0; 65]), c.param());
    c.set(n, n + 1);
    c.commit(&log, text.all());
    let error = c.build().expect_err("it is refused");
    let text = "chain test, step 2 (commit): a record of 65 bytes, and the log takes 64 at most";
    assert_eq!(error.to_string(), text);
    let (program, _) = chain(|c: &mut Chain<()>| {
        let (text, at) = (c.constant(&[0; 64]), c.reg());
        c.commit(&log, text.all()).into(at);
        c.ensure(at.lt(1 << 30), libc::EFBIG);
    });
    let text = program.explain().to_string();
    assert!(text.contains("commit to small <- k0[0..64], position -> r0 #1"), "{text}");
}
