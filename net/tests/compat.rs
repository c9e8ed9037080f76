//! The adapter: the traits of the futures crates over streams that own their buffers.

mod common;

use std::time::Duration;

use chainring_net::UnixStream;
use chainring_net::compat::Compat;
use chainring_runtime::buf::PoolOptions;
use chainring_runtime::spawn;
use chainring_runtime::time::{sleep, timeout};
use common::{Random, errno, pattern, run, settle, tcp_pair};
use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, copy};
use futures::{StreamExt, join};

#[test]
fn bytes_pass_both_ways_at_once() {
    run(async || {
        let (here, there) = tcp_pair().await;
        let echo = spawn(async move {
            let (mut reads, mut writes) = Compat::new(here).split();
            let copied = copy(&mut reads, &mut writes).await.unwrap();
            writes.close().await.unwrap();
            copied
        });
        let sent = pattern(1 << 20);
        let (mut reads, mut writes) = Compat::new(there).split();
        let sending = async {
            writes.write_all(&sent).await.unwrap();
            writes.close().await.unwrap();
        };
        let mut received = Vec::new();
        let ((), read) = join!(sending, reads.read_to_end(&mut received));
        read.unwrap();
        assert!(received == sent);
        assert_eq!(echo.await.unwrap(), 1 << 20);
    });
}

#[test]
fn lines_are_read_from_what_was_received() {
    run(async || {
        let (here, there) = UnixStream::pair().unwrap();
        there.write_all("one\ntwo\nthr").await.0.unwrap();
        let mut lines = Compat::new(here).lines();
        assert_eq!(lines.next().await.unwrap().unwrap(), "one");
        assert_eq!(lines.next().await.unwrap().unwrap(), "two");
        there.write_all("ee").await.0.unwrap();
        drop(there);
        assert_eq!(lines.next().await.unwrap().unwrap(), "three");
        assert!(lines.next().await.is_none());
    });
}

#[test]
fn a_read_that_is_given_up_loses_nothing() {
    run(async || {
        let (here, there) = tcp_pair().await;
        let mut here = Compat::new(here);
        let mut buffer = [0; 8];
        for _ in 0..3 {
            assert!(timeout(Duration::from_millis(2), here.read(&mut buffer)).await.is_err());
        }
        there.write_all("bytes").await.0.unwrap();
        sleep(Duration::from_millis(2)).await;
        // The receive of the first read has them.
        assert_eq!(here.read(&mut buffer[..2]).await.unwrap(), 2);
        assert_eq!(here.read(&mut buffer[2..]).await.unwrap(), 3);
        assert_eq!(&buffer[..5], b"bytes");
        assert_eq!(here.read(&mut []).await.unwrap(), 0);
    });
}

#[test]
fn what_a_write_has_taken_goes_out_although_the_adapter_is_dropped() {
    run(async || {
        let (here, there) = tcp_pair().await;
        there.set_send_buffer_size(8 << 10).unwrap();
        let mut there = Compat::new(there);
        let mut sent = 0;
        // Until the socket is full and a send hangs.
        while let Ok(written) = timeout(Duration::from_millis(20), there.write(&[7; 60_000])).await {
            sent += written.unwrap();
        }
        drop(there);
        let mut all = Vec::new();
        Compat::new(here).read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), sent);
    });
}

#[test]
fn an_error_of_a_write_shows_at_the_next() {
    run(async || {
        let (here, there) = UnixStream::pair().unwrap();
        let mut here = Compat::new(here);
        drop(there);
        settle().await;
        // Taken, and found undeliverable afterwards.
        assert_eq!(here.write(b"x").await.unwrap(), 1);
        assert_eq!(errno(&here.flush().await), Some(libc::EPIPE));
        here.flush().await.unwrap();
        assert_eq!(here.read(&mut [0; 4]).await.unwrap(), 0);
        here.close().await.unwrap();
    });
}

#[test]
fn a_pooled_adapter_holds_no_memory_while_it_waits_and_survives_a_shortage() {
    run(async || {
        let pool = PoolOptions::new().buffer_size(64).ready(1).limit(1).build().unwrap();
        let (here, there) = tcp_pair().await;
        let mut here = Compat::pooled(here, &pool);
        let mut buffer = [0; 100];
        assert!(timeout(Duration::from_millis(2), here.read(&mut buffer)).await.is_err());
        assert_eq!(pool.usage().lent, 0);
        there.write_all(pattern(200)).await.0.unwrap();
        here.read_exact(&mut buffer[..10]).await.unwrap();
        assert_eq!(pool.usage().lent, 1);
        // Somebody else wants the only buffer, and waits for it.
        let (other, peer) = tcp_pair().await;
        let mut other = Compat::pooled(other, &pool);
        peer.write_all("mine").await.0.unwrap();
        let waiting = spawn(async move {
            let mut buffer = [0; 4];
            other.read_exact(&mut buffer).await.unwrap();
            buffer
        });
        sleep(Duration::from_millis(2)).await;
        assert!(!waiting.is_finished());
        here.read_exact(&mut buffer[..54]).await.unwrap();
        assert_eq!(&waiting.await.unwrap(), b"mine");
        let mut rest = vec![0; 136];
        here.read_exact(&mut rest).await.unwrap();
        assert_eq!(rest, pattern(200)[64..]);
    });
}

#[test]
fn an_adapter_that_is_given_up_on_at_any_time_loses_and_doubles_nothing() {
    run(async || {
        for seed in 0..16 {
            let (here, there) = UnixStream::pair().unwrap();
            let data = pattern(300_000);
            let writer = spawn({
                let data = data.clone();
                async move {
                    let (mut random, mut here) = (Random(seed), Compat::new(here));
                    let mut rest = &data[..];
                    while !rest.is_empty() {
                        let some = &rest[..rest.len().min(random.below(100_000) + 1)];
                        let patience = Duration::from_secs(if random.below(3) == 0 { 0 } else { 5 });
                        if let Ok(written) = timeout(patience, here.write(some)).await {
                            rest = &rest[written.unwrap()..];
                        }
                        if random.below(4) == 0 {
                            let _ = timeout(Duration::ZERO, here.flush()).await;
                        }
                    }
                    // Closed, after a first attempt that is given up, or just dropped.
                    if seed % 4 < 2 {
                        let _ = timeout(Duration::ZERO, here.close()).await;
                        here.close().await.unwrap();
                    }
                }
            });
            let pool = PoolOptions::new().ready(2).limit(2).buffer_size(700).build().unwrap();
            let mut there = if seed % 2 == 0 { Compat::new(there) } else { Compat::pooled(there, &pool) };
            let (mut random, mut received, mut some) = (Random(seed + 1000), Vec::new(), vec![0; 9000]);
            loop {
                let room = random.below(some.len()) + 1;
                let patience = Duration::from_secs(if random.below(3) == 0 { 0 } else { 5 });
                match timeout(patience, there.read(&mut some[..room])).await.map(Result::unwrap) {
                    Ok(0) => break,
                    Ok(n) => received.extend_from_slice(&some[..n]),
                    Err(_) => {}
                }
            }
            writer.await.unwrap();
            assert!(received == data, "seed {seed}: {} of {} bytes", received.len(), data.len());
        }
    });
}
