//! A read into a pooled buffer and the close behind it, while there is no buffer: the read comes again, and the file must be
//! open then.

mod common;

use std::io::Write;
use std::time::Duration;

use chainring_chains::{Chain, File, Flow, Lowering, Reg, Socket, read};
use chainring_runtime::Runtime;
use common::one::{Dir, Notes, chain};
use common::{pair, soon, watchdog};

/// Given a socket, receives into the only buffer that there is and holds it until a second byte has come; without one, reads a
/// file into it, closes that, and notes what it has read.
fn either(c: &mut Chain<Notes>) -> (Socket, Reg, File) {
    c.pool_limit(1);
    let (sock, holds, file) = (c.socket(), c.param(), c.file());
    let (data, byte, n) = (c.pooled(8), c.buffer(1), c.reg());
    c.when(holds.eq(1), |c| {
        c.recv_exact(sock, data.to(1));
        c.recv_exact(sock, byte.all());
        c.send_all(sock, data.to(1));
    })
    .otherwise(|c| {
        c.read_at(file, data.all(), 0).into(n);
        c.close_file(file);
        c.call((read(data.to(n)),), |notes, (bytes,)| {
            notes.extend(bytes.iter().map(|byte| u64::from(*byte)));
            Flow::Next
        });
    });
    (sock, holds, file)
}

#[test]
fn a_read_that_waited_for_a_buffer_finds_its_file_open() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    for lowering in [Lowering::Chosen, Lowering::Single] {
        let (program, (sock, holds, file)) = chain(|c| {
            c.lowering(lowering);
            either(c)
        });
        let runtime = Runtime::new().expect("a ring");
        runtime.block_on(async {
            let spawner = program.start(2).expect("it starts");
            let (near, mut far) = pair();
            let holder = spawner.spawn(Notes::new(), |frame| {
                frame.socket(sock, near).set(holds, 1);
            });
            let holder = holder.expect("there is room");
            let segments = |count| {
                let spawner = &spawner;
                async move {
                    while spawner.counters().segments < count {
                        chainring_runtime::yield_now().await;
                    }
                }
            };
            far.write_all(b"a").expect("send");
            soon("the buffer to be held", segments(1)).await;
            let open = dir.file("given", b"bcd");
            let parked = spawner.counters().parked;
            let reader = spawner.spawn(Notes::new(), |frame| {
                frame.file(file, open);
            });
            let reader = reader.expect("there is room");
            // Once to start, once for the buffer.
            soon("the reader to wait", async {
                while spawner.counters().parked < parked + 2 {
                    chainring_runtime::yield_now().await;
                }
            })
            .await;
            far.write_all(b"e").expect("send");
            let mut exit = soon("the reader to end", reader).await;
            let text = exit.result.err().map(|error| error.to_string());
            assert_eq!((text, exit.session), (None, b"bcd".map(u64::from).to_vec()), "{lowering:?}");
            assert!(exit.sockets.take_file(file).is_none(), "it is closed");
            soon("the holder to end", holder).await.result.expect("it succeeds");
        });
    }
}
