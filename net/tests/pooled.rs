//! Receiving on a pool: memory only while there are bytes.

mod common;

use std::net::Shutdown;
use std::time::Duration;

use chainring_net::TcpStream;
use chainring_runtime::buf::PoolOptions;
use chainring_runtime::spawn;
use chainring_runtime::time::{sleep, timeout};
use common::{Random, errno, pattern, poll_once, run, settle, tcp_pair};
use futures::StreamExt;

#[test]
fn silent_streams_hold_no_buffer() {
    run(async || {
        let pool = PoolOptions::new().buffer_size(1024).ready(4).limit(4).build().unwrap();
        let mut pairs = Vec::new();
        for _ in 0..32 {
            pairs.push(tcp_pair().await);
        }
        // Eight times as many receives as there are buffers.
        let mut reads: Vec<_> = pairs.iter().map(|(here, _)| here.read_pooled(&pool)).collect();
        for read in &mut reads {
            assert!(poll_once(read).is_pending());
        }
        sleep(Duration::from_millis(5)).await;
        assert_eq!(pool.usage().lent, 0);
        for (i, (read, (_, there))) in reads.into_iter().zip(&pairs).enumerate() {
            there.write_all(vec![i as u8; 100]).await.0.unwrap();
            let bytes = read.await.unwrap();
            assert_eq!(&bytes[..], vec![i as u8; 100]);
        }
        settle().await;
        assert_eq!(pool.usage().lent, 0);
    });
}

#[test]
fn an_exhausted_pool_says_so_and_waits_for_a_buffer() {
    run(async || {
        let pool = PoolOptions::new().buffer_size(16).ready(1).limit(1).build().unwrap();
        let (here, there) = tcp_pair().await;
        there.write_all(pattern(32)).await.0.unwrap();
        let first = here.read_pooled(&pool).await.unwrap();
        assert_eq!(errno(&here.read_pooled(&pool).await), Some(libc::ENOBUFS));
        let waits = timeout(Duration::from_millis(5), pool.available()).await;
        assert!(waits.is_err(), "there is no buffer");
        assert_eq!(&first[..], &pattern(32)[..16]);
        drop(first);
        pool.available().await;
        assert_eq!(&here.read_pooled(&pool).await.unwrap()[..], &pattern(32)[16..]);
    });
}

#[test]
fn one_submission_receives_all_of_a_stream() {
    run(async || {
        let pool = PoolOptions::new().buffer_size(4096).ready(16).limit(64).build().unwrap();
        let (here, there) = tcp_pair().await;
        let sent = pattern(1 << 20);
        let copy = sent.clone();
        let writer = spawn(async move {
            there.write_all(copy).await.0.unwrap();
            there.shutdown(Shutdown::Write).await.unwrap();
            there
        });
        assert!(receive_all(&here, &pool).await == sent);
        drop(writer.await.unwrap());
        settle().await;
        assert_eq!(pool.usage().lent, 0);
    });
}

async fn receive_all(stream: &TcpStream, pool: &chainring_runtime::buf::BufferPool) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mut buffers = stream.read_multi(pool);
        while let Some(received) = buffers.next().await {
            match received {
                Ok(bytes) if bytes.is_empty() => return all,
                Ok(bytes) => all.extend_from_slice(&bytes),
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS)),
            }
        }
        // No buffer was left, and the stream ended: go on where it did.
        pool.available().await;
    }
}

#[test]
fn a_received_buffer_is_sent_on_as_it_is() {
    run(async || {
        let pool = PoolOptions::new().buffer_size(512).ready(8).build().unwrap();
        let (here, there) = tcp_pair().await;
        let proxy = spawn(async move {
            loop {
                let bytes = here.read_pooled(&pool).await.unwrap();
                if bytes.is_empty() {
                    return pool.usage().lent;
                }
                here.write_all(bytes).await.0.unwrap();
            }
        });
        for len in [1, 511, 512, 4000] {
            there.write_all(pattern(len)).await.0.unwrap();
            let (result, bytes) = there.read_exact(Vec::with_capacity(len)).await;
            result.unwrap();
            assert_eq!(bytes[..len], pattern(len));
        }
        there.shutdown(Shutdown::Write).await.unwrap();
        assert_eq!(proxy.await.unwrap(), 0);
    });
}

#[test]
fn a_stream_that_is_stopped_and_started_at_any_time_loses_nothing() {
    for (ready, limit, buffer_size, incremental) in
        [(2, 4, 1000, false), (8, 8, 100, false), (16, 64, 4096, false), (4, 8, 4096, true)]
    {
        let options = PoolOptions::new().ready(ready).limit(limit).buffer_size(buffer_size);
        run(async || {
            let (here, there) = tcp_pair().await;
            let data = pattern(2 << 20);
            let writer = spawn({
                let data = data.clone();
                async move { there.write_all(data).await.0.unwrap() }
            });
            let pool = options.incremental(incremental).build().unwrap();
            let (mut random, mut received, mut held) = (Random(7), Vec::new(), Vec::new());
            'all: while received.len() < data.len() {
                if random.below(4) == 0 {
                    let (result, bytes) = here.read(Vec::with_capacity(random.below(3000) + 1)).await;
                    result.unwrap();
                    received.extend_from_slice(&bytes);
                    continue;
                }
                let mut stream = here.read_multi(&pool);
                for left in (0..random.below(20)).rev().chain(std::iter::repeat(0)) {
                    if left == 0 {
                        stream.stop();
                    }
                    match stream.next().await {
                        None => continue 'all,
                        Some(Ok(bytes)) => {
                            received.extend_from_slice(&bytes);
                            held.push(bytes);
                        }
                        Some(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                            held.clear();
                            pool.available().await;
                        }
                        Some(Err(error)) => assert_eq!(error.raw_os_error(), Some(libc::ECANCELED)),
                    }
                    if random.below(5) == 0 {
                        held.clear();
                    }
                }
            }
            assert!(received == data, "{options:?}");
            writer.await.unwrap();
        });
    }
}
