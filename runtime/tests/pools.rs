//! Pools of provided and registered buffers: what is received is what was sent, buffers come back, pools grow and
//! do not grow without need.

mod common;

use std::collections::HashSet;
use std::io::{ErrorKind, Write};
use std::net::{TcpStream, UdpSocket};
use std::thread::JoinHandle;

use chainring_runtime::buf::{BufferPool, FixedPool, PoolOptions};
use chainring_runtime::op::Multishot;
use chainring_runtime::op::message::Control;
use chainring_runtime::op::read_fixed::read_fixed_at;
use chainring_runtime::op::recv::recv;
use chainring_runtime::op::recv_multi::{RecvMulti, recv_bundles, recv_multi, recv_pooled};
use chainring_runtime::op::recvmsg::recvmsg;
use chainring_runtime::op::recvmsg_multi::{DATAGRAM_OVERHEAD, recvmsg_multi};
use chainring_runtime::op::send::send;
use chainring_runtime::op::send_zc::send_zc_fixed;
use chainring_runtime::op::sendmsg::sendmsg;
use chainring_runtime::op::write_fixed::write_fixed_at;
use chainring_runtime::{Builder, Descriptor, spawn};
use common::{Dir, errno, own, run, settle, tcp, turns};
use futures::StreamExt;

/// Byte `i` of what stream `seed` sends.
fn byte(seed: usize, i: usize) -> u8 {
    (i.wrapping_mul(31) ^ (i >> 8) ^ seed) as u8
}

/// Sends `len` bytes in uneven pieces, from a thread.
fn sender(mut there: TcpStream, seed: usize, len: usize) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut sent = 0;
        for piece in (0..).map(|i: usize| 1 + i * i * 37 % 5000) {
            let end = (sent + piece).min(len);
            let bytes: Vec<u8> = (sent..end).map(|i| byte(seed, i)).collect();
            there.write_all(&bytes).unwrap();
            sent = end;
            if sent == len {
                break;
            }
        }
    })
}

/// Receives a whole stream, starting the multishot again when it ends, and checks each byte.
async fn check(
    here: Descriptor,
    pool: BufferPool,
    seed: usize,
    start: fn(&Descriptor, &BufferPool, i32) -> Multishot<RecvMulti>,
) -> usize {
    let mut at = 0;
    loop {
        let mut stream = start(&here, &pool, 0);
        while let Some(item) = stream.next().await {
            match item {
                Ok(bytes) if bytes.is_empty() => return at,
                Ok(bytes) => {
                    for byte_here in bytes.iter() {
                        assert_eq!(*byte_here, byte(seed, at), "stream {seed}, byte {at}");
                        at += 1;
                    }
                    // Some are kept for a while.
                    if at % 3 == 0 {
                        turns(2).await;
                    }
                }
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS), "{error}");
                    drop(stream);
                    pool.available().await;
                    break;
                }
            }
        }
    }
}

async fn many_streams(
    options: PoolOptions,
    streams: usize,
    len: usize,
    start: fn(&Descriptor, &BufferPool, i32) -> Multishot<RecvMulti>,
) -> BufferPool {
    let pool = options.build().unwrap();
    let mut tasks = Vec::new();
    for seed in 0..streams {
        let (here, there) = tcp();
        tasks.push((spawn(check(here, pool.clone(), seed, start)), sender(there, seed, len)));
    }
    for (task, thread) in tasks {
        assert_eq!(task.await.unwrap(), len);
        thread.join().unwrap();
    }
    settle().await;
    assert_eq!(pool.usage().lent, 0);
    pool
}

#[test]
fn streams_share_a_pool() {
    run(&Builder::new(), async || {
        let options = PoolOptions::new().buffer_size(700).ready(16).limit(64);
        many_streams(options, 8, 300_000, recv_multi).await;
    });
}

#[test]
fn streams_share_a_pool_by_bundles() {
    run(&Builder::new(), async || {
        let options = PoolOptions::new().buffer_size(256).ready(64).limit(256);
        many_streams(options, 8, 300_000, recv_bundles).await;
    });
}

#[test]
fn a_pool_is_so_small_that_streams_wait_for_it() {
    run(&Builder::new(), async || {
        let options = PoolOptions::new().buffer_size(100).ready(1).limit(2);
        many_streams(options, 4, 20_000, recv_multi).await;
        let options = PoolOptions::new().buffer_size(100).ready(2).limit(2);
        many_streams(options, 4, 20_000, recv_bundles).await;
    });
}

#[test]
fn a_stream_fills_its_buffers_bit_by_bit() {
    run(&Builder::new(), async || {
        let options = PoolOptions::new().buffer_size(4096).ready(4).limit(32).incremental(true);
        let pool = many_streams(options, 1, 300_000, recv_multi).await;
        if !pool.is_incremental() {
            return;
        }
        // Small messages lie side by side in one buffer.
        let (here, mut there) = tcp();
        let mut stream = recv_multi(&here, &pool, 0);
        let mut kept = Vec::new();
        for i in 0..20u8 {
            there.write_all(&[i; 10]).unwrap();
            kept.push(stream.next().await.unwrap().unwrap());
        }
        assert!(kept.iter().zip(0..).all(|(bytes, i)| bytes[..] == [i; 10]));
        assert!(pool.usage().ready >= 3, "{:?}", pool.usage());
        let addresses: HashSet<usize> = kept.iter().map(|bytes| bytes.as_ptr() as usize / 4096).collect();
        assert!(addresses.len() <= 2, "twenty times ten bytes are in {} buffers", addresses.len());
        drop((kept, stream));
        settle().await;
        assert_eq!(pool.usage().lent, 0);
    });
}

#[test]
fn a_pool_grows_when_buffers_are_kept_and_not_before() {
    run(&Builder::new(), async || {
        let pool = PoolOptions::new().buffer_size(64).ready(4).limit(100).build().unwrap();
        assert_eq!(pool.usage().made, 4);
        let (here, mut there) = tcp();
        for _ in 0..100 {
            there.write_all(b"ping").unwrap();
            assert_eq!(&recv_pooled(&here, &pool, 0).await.unwrap()[..], b"ping");
        }
        assert!(pool.usage().made <= 5, "{:?}", pool.usage());

        let mut kept = Vec::new();
        for i in 0..96u8 {
            there.write_all(&[i]).unwrap();
            kept.push(recv_pooled(&here, &pool, 0).await.unwrap());
        }
        assert_eq!(pool.usage().made, 100);
        assert!(kept.iter().zip(0..).all(|(bytes, i)| bytes[..] == [i]));
        for _ in 0..4 {
            there.write_all(b"x").unwrap();
            kept.push(recv_pooled(&here, &pool, 0).await.unwrap());
        }
        // Now it is empty, and says so at once, although nothing has arrived.
        let empty = recv_pooled(&here, &pool, 0).await;
        assert_eq!(errno(&empty), Some(libc::ENOBUFS));
        let waiting = spawn({
            let pool = pool.clone();
            async move { pool.available().await }
        });
        turns(3).await;
        assert_eq!(pool.usage().ready, 0);
        drop(kept.pop());
        waiting.await.unwrap();
        assert_eq!(pool.usage().ready, 1);
        drop(kept);
        assert_eq!(pool.usage().lent, 0);
    });
}

#[test]
fn several_pools_of_different_sizes_serve_side_by_side() {
    run(&Builder::new(), async || {
        let pools: Vec<_> = [16, 100, 4096, 65_536]
            .map(|size| PoolOptions::new().buffer_size(size).ready(8).limit(64).build().unwrap())
            .into();
        for round in 0..20 {
            for pool in &pools {
                let (here, there) = tcp();
                let thread = sender(there, round, 3000);
                assert_eq!(check(here, pool.clone(), round, recv_multi).await, 3000);
                thread.join().unwrap();
            }
        }
        assert!(pools.iter().all(|pool| pool.usage().lent == 0));
    });
    run(&Builder::new(), async || {
        // Numbers are used again.
        for _ in 0..300 {
            drop(PoolOptions::new().buffer_size(16).ready(1).build().unwrap());
        }
    });
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    run(&Builder::new(), async || {
        for options in [
            PoolOptions::new().buffer_size(0),
            PoolOptions::new().buffer_size(u32::MAX),
            PoolOptions::new().ready(0),
            PoolOptions::new().ready(40_000),
            PoolOptions::new().limit(0),
        ] {
            assert_eq!(options.build().unwrap_err().kind(), ErrorKind::InvalidInput, "{options:?}");
        }
        assert_eq!(FixedPool::new(0, 1, 1).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(FixedPool::new(1, 0, 1).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_received_buffer_is_sent_on_as_it_is() {
    run(&Builder::new(), async || {
        let pool = BufferPool::new().unwrap();
        let ((here, mut there), (on, mut end)) = (tcp(), tcp());
        there.write_all(b"pass it on").unwrap();
        let bytes = recv_pooled(&here, &pool, 0).await.unwrap();
        let (sent, bytes) = send(&on, bytes, libc::MSG_WAITALL).await;
        assert_eq!(sent.unwrap(), 10);
        let mut at_the_end = [0; 10];
        std::io::Read::read_exact(&mut end, &mut at_the_end).unwrap();
        assert_eq!(&at_the_end, b"pass it on");
        // And is filled again, by an operation that knows nothing of pools.
        there.write_all(b"again").unwrap();
        let (received, bytes) = recv(&here, bytes, 0).await;
        assert_eq!((received.unwrap(), &bytes[..], bytes.capacity()), (5, &b"again"[..], 4096));
    });
}

#[test]
fn datagrams_come_with_their_senders() {
    run(&Builder::new(), async || {
        let size = (DATAGRAM_OVERHEAD + 100) as u32;
        let pool = PoolOptions::new().buffer_size(size).ready(8).limit(32).build().unwrap();
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = here.local_addr().unwrap();
        let here = own(here);
        let senders: Vec<_> = (0..4).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let mut incoming = recvmsg_multi(&here, &pool, 0);
        for (i, there) in (0..40u8).zip(senders.iter().cycle()) {
            // The last ones are too long.
            let message = vec![i; if i < 30 { usize::from(i) } else { 150 }];
            there.send_to(&message, address).unwrap();
            let came = match incoming.next().await {
                Some(came) => came.unwrap(),
                // The kernel ends a multishot at an empty datagram.
                None => {
                    assert_eq!(i, 1);
                    incoming = recvmsg_multi(&here, &pool, 0);
                    incoming.next().await.unwrap().unwrap()
                }
            };
            assert_eq!(came.from().unwrap().as_socket().unwrap(), there.local_addr().unwrap());
            assert_eq!(came[..], message[..message.len().min(100)]);
            assert_eq!(came.is_truncated(), i >= 30);
        }
        drop(incoming);
        settle().await;
        assert_eq!(pool.usage().lent, 0);
    });
}

#[test]
fn descriptors_travel_in_a_message_and_are_closed_if_nobody_takes_them() {
    run(&Builder::new(), async || {
        let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
        let (here, there) = (own(here), own(there));
        let dir = Dir::new();
        for taken in [true, false, true] {
            let file = dir.file("file", b"from afar");
            let control = Control::new().rights([file]);
            let (sent, _) = sendmsg(&there, ["look"], None, control, 0).await;
            assert_eq!(sent.unwrap(), 4);
            let (got, parts) = recvmsg(&here, [[0u8; 8]], Control::with_room(64), 0).await;
            let mut got = got.unwrap();
            assert_eq!((&parts[0][..4], got.flags & libc::MSG_CTRUNC), (&b"look"[..], 0));
            if taken {
                let file = got.control.take_descriptors().pop().unwrap();
                assert_eq!(std::io::read_to_string(std::fs::File::from(file)).unwrap(), "from afar");
            }
        }
        // And of a message whose future is gone.
        let control = Control::new().rights([dir.file("file", b"")]);
        sendmsg(&there, ["look"], None, control, 0).await.0.unwrap();
        let mut receiving = recvmsg(&here, [[0u8; 8]], Control::with_room(64), 0);
        assert!(common::poll_once(&mut receiving).is_pending());
        turns(2).await;
        drop(receiving);
        settle().await;
    });
}

#[test]
fn registered_buffers_are_lent_and_come_back() {
    run(&Builder::new(), async || {
        let pool = FixedPool::new(5000, 2, 5).unwrap();
        assert_eq!(pool.usage(), (2, 0));
        let mut all: Vec<_> = (0..5).map(|_| pool.get().unwrap()).collect();
        assert_eq!((pool.usage(), all[0].capacity()), ((5, 5), 8192));
        assert_eq!(pool.get().unwrap_err().kind(), ErrorKind::WouldBlock);
        let places: HashSet<usize> = all
            .iter_mut()
            .map(|buffer| {
                buffer.set_len(8192);
                buffer.as_ptr() as usize
            })
            .collect();
        assert_eq!(places.len(), 5);

        let file = Dir::new().file("file", b"");
        for (i, mut buffer) in all.into_iter().enumerate() {
            buffer.fill(i as u8);
            let (written, buffer) = write_fixed_at(&file, buffer, 8192 * i as u64).await;
            assert_eq!(written.unwrap(), 8192);
            drop(buffer);
        }
        assert_eq!(pool.usage(), (5, 0));
        for i in 0..5 {
            let (read, buffer) = read_fixed_at(&file, pool.get().unwrap(), 8192 * i as u64).await;
            assert_eq!(read.unwrap(), 8192);
            assert!(buffer.iter().all(|byte| *byte == i as u8));
        }
        // Two pools do not know each other's memory.
        let other = FixedPool::new(4096, 1, 1).unwrap();
        let (here, mut there) = tcp();
        let mut bytes = other.get().unwrap();
        bytes.set_len(3);
        bytes.copy_from_slice(b"zcf");
        assert_eq!(send_zc_fixed(&here, bytes, 0).await.0.unwrap(), 3);
        let mut came = [0; 3];
        std::io::Read::read_exact(&mut there, &mut came).unwrap();
        assert_eq!(&came, b"zcf");
        drop((pool, other));
        // Places in the ring's table are used again.
        for _ in 0..600 {
            drop(FixedPool::new(4096, 1, 1).unwrap());
        }
    });
}

#[test]
fn bytes_of_the_bytes_crate_are_buffers() {
    run(&Builder::new(), async || {
        let (here, mut there) = tcp();
        let (sent, _) = send(&here, bytes::Bytes::from_static(b"to you"), 0).await;
        assert_eq!(sent.unwrap(), 6);
        there.write_all(b"and to me").unwrap();
        let (received, buffer) = recv(&here, bytes::BytesMut::with_capacity(100), 0).await;
        assert_eq!((received.unwrap(), &buffer[..]), (9, &b"and to me"[..]));
    });
}
