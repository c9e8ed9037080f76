//! Frames received as they come, with one receive for each in place of two: whole ones go through an outbox, so that those
//! that came together are answered together.

use chainring::chains::{Chain, Lowering, Program};

use crate::workload::{HEAD, LARGEST_BODY};

pub(super) fn program(lowering: Lowering) -> Program<()> {
    let mut c = Chain::new("framed");
    c.lowering(lowering);
    let (sock, input, reply) = (c.accepted(), c.stream(2 * (HEAD + LARGEST_BODY) as u32), c.outbox());
    let len = c.reg();
    // The buffer is filled at the end of the loop, so that the reply and the next receive are submitted together.
    c.fill(sock, input).or_finish();
    c.repeat(|c| {
        c.repeat(|c| {
            c.when(input.len().lt(HEAD as u64), |c| c.leave());
            c.set(len, input.be32(0));
            c.ensure(len.le(LARGEST_BODY as u64), libc::EMSGSIZE);
            c.set(len, len + HEAD as u64);
            c.when(input.len().lt(len), |c| c.leave());
            c.append(reply, input.first(len));
            c.consume(input, len);
        });
        c.send_outbox(sock, reply);
        c.fill(sock, input).or_finish();
    });
    c.build().expect("the chain is right")
}
