//! A pool's buffers, and receives that take them, when nobody is there for them any more.

mod common;

use std::io::Write;
use std::net::Shutdown;

use chainring_runtime::buf::PoolOptions;
use chainring_runtime::op::recv_multi::{recv_bundles, recv_multi, recv_pooled};
use chainring_runtime::{Builder, Runtime};
use common::{alone, poll_once, run, settle, tcp, turns};
use futures::StreamExt;

#[test]
fn a_receive_from_a_pool_is_cancelled() {
    run(&Builder::new(), async || {
        let pool = PoolOptions::new().buffer_size(64).ready(4).limit(4).build().unwrap();
        let all = pool.usage();
        for round in 0..50 {
            let (here, mut there) = tcp();
            let mut receiving = recv_pooled(&here, &pool, 0);
            assert!(poll_once(&mut receiving).is_pending());
            // Cancelled before, while and after the bytes come.
            turns(round % 3).await;
            there.write_all(b"bytes").unwrap();
            turns(round % 2).await;
            drop(receiving);
            settle().await;
            assert_eq!((pool.usage(), pool.usage().lent), (all, 0), "round {round}");
        }
        // And the buffers are good for something.
        let (here, mut there) = tcp();
        there.write_all(b"bytes").unwrap();
        assert_eq!(&recv_pooled(&here, &pool, 0).await.unwrap()[..], b"bytes");
    });
}

#[test]
fn a_multishot_receive_is_dropped_with_buffers_that_nobody_took() {
    run(&Builder::new(), async || {
        let pool = PoolOptions::new().buffer_size(64).ready(8).limit(8).build().unwrap();
        for round in 0..50 {
            let (here, mut there) = tcp();
            let mut stream =
                if round % 2 == 0 { recv_multi(&here, &pool, 0) } else { recv_bundles(&here, &pool, 0) };
            there.write_all(&[1; 200]).unwrap();
            let first = stream.next().await.unwrap().unwrap();
            there.write_all(&[1; 150]).unwrap();
            turns(round % 4).await;
            // Taken buffers outlive the stream, and go home once.
            let second = stream.next().await.unwrap().unwrap();
            drop(stream);
            drop(first);
            settle().await;
            assert_eq!(pool.usage().lent, 1);
            assert!(second.iter().all(|byte| *byte == 1));
            drop(second);
            assert_eq!((pool.usage().lent, pool.usage().ready), (0, 8), "round {round}");
        }
    });
}

#[test]
fn a_buffer_of_a_pool_outlives_its_runtime() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    let (kept, pool) = runtime.block_on(async {
        let pool = PoolOptions::new().buffer_size(4096).ready(2).build().unwrap();
        let (here, mut there) = tcp();
        there.write_all(b"still here").unwrap();
        there.shutdown(Shutdown::Both).unwrap();
        (recv_pooled(&here, &pool, 0).await.unwrap(), pool)
    });
    drop(runtime);
    assert_eq!(&kept[..], b"still here");
    drop(pool);
    assert_eq!(&kept[..], b"still here");
}
