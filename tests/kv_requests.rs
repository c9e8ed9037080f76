//! Any bytes to the parser and the engine of the kv example: what the fuzz target `requests` checks, for a moment.

#[allow(dead_code, unused_imports)]
#[path = "../examples/kv/engine/mod.rs"]
mod engine;
#[path = "../fuzz/property.rs"]
mod property;
#[allow(dead_code, unused_imports)]
#[path = "../examples/kv/protocol/mod.rs"]
mod protocol;

use proptest::prelude::*;

/// Something like requests.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let word = proptest::sample::select(vec![
        "SET",
        "GET",
        "APPEND",
        "LPUSH",
        "LRANGE",
        "LPOP",
        "MSET",
        "SCAN",
        "KEYS",
        "EXPIRE",
        "INCRBY",
        "PX",
        "KEEPTTL",
        "MATCH",
        "COUNT",
        "0",
        "-1",
        "9223372036854775807",
        "1000",
        "key",
        "[a-",
        "*",
        "\\",
        "",
    ]);
    let request = proptest::collection::vec(word, 1..6).prop_map(|words| {
        let args = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
        format!("*{}\r\n{}", words.len(), args.collect::<String>()).into_bytes()
    });
    prop_oneof![
        6 => request,
        1 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => proptest::sample::select(vec![
            "\r\n", "*0\r\n", "*-1\r\n", "*3\r\n", "$-1\r\n", "$20000\r\n", "$536870912\r\n", "*1048576\r\n", "GET 'k\"\r\n",
            "SET k \"\\x00\\r\\n\"\r\n", "*2\r\n$6\r\nSTRLEN\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => (any::<u8>(), 0..40_000_usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pieces_in_which_bytes_come_make_no_difference(
        bytes in proptest::collection::vec(piece(), 1..12),
        pieces in proptest::collection::vec(1..300_usize, 1..5),
        changed in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
    ) {
        let mut bytes = bytes.concat();
        if let Some((index, byte)) = changed && !bytes.is_empty() {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        property::holds(&bytes, &pieces);
    }
}

/// The seeds of the fuzz target, and what becomes of each when it ends early or one of its bytes is another.
#[test]
fn what_fuzzing_begins_with_holds_however_it_is_cut_or_changed() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/requests");
    let mut count = 0;
    for entry in std::fs::read_dir(seeds).unwrap() {
        let input = std::fs::read(entry.unwrap().path()).unwrap();
        let [first, bytes @ ..] = &input[..] else { panic!("an empty seed") };
        let pieces = [usize::from(first >> 4) + 1, usize::from(first & 15) + 1];
        property::holds(bytes, &pieces);
        for at in 0..bytes.len().min(300) {
            property::holds(&bytes[..at], &pieces);
            let mut changed = bytes.to_vec();
            for byte in [b'\r', b'\n', b'*', b'-', b'9', 0, 0xff] {
                changed[at] = byte;
                property::holds(&changed, &pieces);
            }
        }
        count += 1;
    }
    assert!(count >= 15, "{count} seeds");
}
