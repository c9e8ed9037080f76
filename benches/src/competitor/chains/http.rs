//! Heads are found by a call, replies go through an outbox, and what comes next is received into a stream buffer.

use chainring::chains::{Chain, Flow, Lowering, Program, outbox, stream};

use crate::workload::{LARGEST_HEAD, REPLY, head};

pub(super) fn program(lowering: Lowering) -> Program<()> {
    let mut c = Chain::new("http-shaped");
    c.lowering(lowering);
    let (sock, input, reply) = (c.accepted(), c.stream(4 * LARGEST_HEAD as u32), c.outbox());
    // The buffer is filled at the end of the loop, so that the reply and the next receive are submitted together.
    c.fill(sock, input).or_finish();
    c.repeat(|c| {
        c.call((stream(input), outbox(reply)), |(), (mut input, reply)| {
            while let Some(len) = head(input.bytes()) {
                reply.copy(REPLY);
                input.consume(len);
            }
            if input.bytes().len() > LARGEST_HEAD { Flow::Finish } else { Flow::Next }
        });
        c.send_outbox(sock, reply);
        c.fill(sock, input).or_finish();
    });
    c.build().expect("the chain is right")
}
