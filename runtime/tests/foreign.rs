//! Foreign operations are asked for at each ring, whatever release their facts name, and are refused by their own names.

mod common;

use std::io::{self, ErrorKind};

use chainring_runtime::op::nop::nop;
use chainring_runtime::op::raw::{Entry, RawOperation, raw};
use chainring_runtime::op::{ALL, Completion, Facts, Returns, Severs};
use chainring_runtime::{Builder, Capability};
use common::run;

/// An operation without arguments. Nothing but a nop and what is refused may be submitted with such an entry.
macro_rules! foreign {
    ($type:ident, $name:literal, $opcode:literal, $since:expr, $needs:expr) => {
        struct $type;

        // SAFETY: the entry points to no memory, and the opcode completes once.
        unsafe impl RawOperation for $type {
            type Output = io::Result<()>;
            const FACTS: Facts = Facts {
                name: $name,
                opcode: $opcode,
                since: $since,
                needs: $needs,
                returns: Returns::Unit,
                severs: Severs::Always,
                multishot: false,
            };

            fn entry(&mut self) -> Entry {
                Entry::default()
            }

            fn complete(self, completion: Completion) -> Self::Output {
                completion.unit()
            }
        }
    };
}

foreign!(Nothing, "nothing", 0, (5, 1), None);
foreign!(Unheard, "unheard", 200, (6, 1), None);
foreign!(Unknown, "unknown", 200, (9, 3), None);
foreign!(Wakes, "wakes", 52, (6, 8), Some(Capability::Futex));

fn text(result: io::Result<()>) -> String {
    let error = result.expect_err("it is not offered");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    error.to_string()
}

#[test]
fn a_foreign_operation_that_the_kernel_lacks_is_unsupported_however_old_it_is_said_to_be() {
    run(&Builder::new(), async || {
        for _ in 0..2 {
            let unheard = text(raw(Unheard).await);
            assert_eq!(unheard, "unheard (io_uring opcode 200) needs Linux 6.1 or later");
            let unknown = text(raw(Unknown).await);
            assert_eq!(unknown, "unknown (io_uring opcode 200) needs Linux 9.3 or later");
        }
        raw(Nothing).await.expect("every kernel does nothing");
        nop().await.expect("and by its other name");
    });
}

#[test]
fn a_foreign_operation_that_is_masked_is_not_called_by_the_name_of_another() {
    assert!(ALL.iter().any(|facts| facts.opcode == Wakes::FACTS.opcode));
    run(&Builder::new().mask(Capability::Futex), async || {
        assert_eq!(text(raw(Wakes).await), "wakes (io_uring opcode 52) needs Linux 6.8 or later");
    });
}
