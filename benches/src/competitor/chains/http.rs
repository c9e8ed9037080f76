//! Portable from end to end: heads are searched for, and answered through an outbox, where their bytes are met; what comes
//! next is received into a stream buffer.

use chainring::chains::{Chain, Lowering, Program};

use crate::workload::{HEAD_END, LARGEST_HEAD, REPLY};

pub(super) fn program(lowering: Lowering) -> Program<()> {
    let mut c = Chain::new("http-shaped");
    c.lowering(lowering);
    let (sock, input, reply, at) = (c.accepted(), c.stream(4 * LARGEST_HEAD as u32), c.outbox(), c.reg());
    let (end, answer) = (c.constant(HEAD_END), c.constant(REPLY));
    // The buffer is filled at the end of the loop, so that the reply and the next receive are submitted together.
    c.fill(sock, input).or_finish();
    c.repeat(|c| {
        c.repeat(|c| {
            c.set(at, input.bytes().find_bytes(end.all()));
            c.when(at.eq(input.len()), |c| c.leave());
            c.append(reply, answer.all());
            c.consume(input, at + HEAD_END.len() as u64);
            c.when(input.is_empty(), |c| c.leave());
        });
        c.when(input.len().gt(LARGEST_HEAD as u64), |c| c.finish());
        c.send_outbox(sock, reply);
        c.fill(sock, input).or_finish();
    });
    c.build().expect("the chain is right")
}
