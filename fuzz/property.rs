//! What holds for any bytes that a client of the kv example may send. Used by the fuzz target and by a test.

use crate::engine::table::{Keys, find};
use crate::engine::{Call, Journal, Memory, Place, Store, run};
use crate::protocol::{Limits, Parser, Proto, Replies};

/// Memory that the server has.
const MEMORY: usize = 8 << 20;
/// What a parser takes beside its limit: small arguments and lines are kept in any case.
const BESIDE: usize = 1 << 20;

/// The commands in some bytes that come in pieces, and why they end, if the protocol is broken.
fn parsed(bytes: &[u8], pieces: &[usize]) -> (Vec<Vec<Vec<u8>>>, Option<String>) {
    let limits = Limits { command: 4 << 20, ..Limits::default() };
    let (mut parser, mut commands, mut rest) = (Parser::new(limits), Vec::new(), bytes);
    for piece in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (mut now, later) = rest.split_at((*piece).clamp(1, rest.len()));
        rest = later;
        loop {
            match parser.parse(&mut now, MEMORY) {
                Ok(Some(command)) => commands.push(command.args_from(0).map(<[u8]>::to_vec).collect()),
                Ok(None) => break,
                Err(violation) => return (commands, Some(violation.to_string())),
            }
        }
        assert!(now.is_empty(), "bytes are left without a command");
        assert!(parser.held() <= MEMORY + BESIDE, "{} bytes are held", parser.held());
    }
    (commands, None)
}

/// Checks that the pieces in which bytes come make no difference, and that the commands in them get one reply each and
/// keep the store within its memory.
pub(crate) fn holds(bytes: &[u8], pieces: &[usize]) {
    let whole = parsed(bytes, &[bytes.len().max(1)]);
    assert_eq!(parsed(bytes, pieces), whole, "in pieces of {pieces:?}");
    let mut store = Store::new(Place { index: 0, count: 1 }, Memory::new(MEMORY), Journal::wanted());
    let (mut parser, mut rest) = (Parser::new(Limits::default()), bytes);
    store.tell(1_700_000_000_000);
    while let Ok(Some(mut command)) = parser.parse(&mut rest, MEMORY) {
        let Some(spec) = find(command.arg(0)).filter(|spec| spec.takes(command.len())) else { continue };
        if spec.keys == Keys::None {
            continue;
        }
        let mut replies = Replies::default();
        run(spec, Call { store: &mut store, command: &mut command, proto: Proto::Resp2, out: &mut replies });
        assert!(!replies.is_empty(), "no reply to {}", spec.text);
        assert!(store.memory.used() <= 2 * MEMORY + BESIDE);
        store.journal.take();
    }
}
