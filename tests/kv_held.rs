//! The log of the kv example on a disk that takes its time, or fails: needs the feature `injector`.

mod common;
#[allow(dead_code, unused_imports)]
#[path = "../examples/kv/engine/mod.rs"]
mod engine;
#[allow(dead_code, unused_imports)]
#[path = "../examples/kv/log/mod.rs"]
mod log;
#[allow(dead_code, unused_imports)]
#[path = "../examples/kv/protocol/mod.rs"]
mod protocol;
#[allow(dead_code, unused_imports)]
#[path = "../examples/kv/serve/mod.rs"]
mod serve;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chainring::Handle;
use chainring::net::TcpListener;
use chainring::time::sleep;
use common::resp::request;
use serve::core::{Core, Counters, Shared};

/// Runs `test` beside a server with a log, once for each way to serve.
fn beside(name: &str, test: impl AsyncFn(SocketAddr, Rc<Core>) + Sync) {
    for chained in [true, false] {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kv-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let shared = Arc::new(Shared {
            memory: engine::Memory::new(1 << 30),
            limits: protocol::Limits::default(),
            started: Instant::now(),
            port: 0,
            connections: 100,
            folder: Some(log::Folder::open(&dir, 1).unwrap()),
            compact_from: u64::MAX,
            next_client: Default::default(),
            cores: [Counters::default()].into(),
        });
        let ended = chainring::cores(NonZeroUsize::MIN).run(async |handle| {
            let core = Core::enter(shared.clone(), handle).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = listener.local_addr().unwrap();
            let served = core.clone();
            drop(chainring::spawn(async move {
                match chained {
                    true => serve::chained::serve(listener, served).await.unwrap(),
                    false => serve::awaited::serve(listener, served).await.unwrap(),
                }
            }));
            test(address, core).await;
            Core::leave();
        });
        ended.unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

fn client(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_nonblocking(true).unwrap();
    client
}

fn say(client: &mut TcpStream, words: &str) {
    client.write_all(&request(&words.split(' ').collect::<Vec<_>>())).unwrap();
}

/// What has come, if anything has.
fn heard(client: &mut TcpStream) -> Option<String> {
    let mut bytes = [0; 4096];
    match client.read(&mut bytes) {
        Ok(len) => Some(String::from_utf8_lossy(&bytes[..len]).into_owned()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

async fn hear(client: &mut TcpStream) -> String {
    let begin = Instant::now();
    loop {
        if let Some(text) = heard(client) {
            return text;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "no reply");
        sleep(Duration::from_millis(1)).await;
    }
}

/// What the disk is asked by a log's first batch, and by a later one: that one may be a single write that is durable.
const BATCHES: [(&str, bool); 2] = [("fsync", false), ("write", true)];

/// Begins a log, unless its first batch is to come.
async fn begin(client: &mut TcpStream, later: bool) {
    if later {
        say(client, "SET key old");
        assert_eq!(hear(client).await, "+OK\r\n");
    }
}

#[test]
fn no_reply_leaves_while_the_disk_is_not_done() {
    for (operation, later) in BATCHES {
        held(operation, later);
    }
}

fn held(operation: &str, later: bool) {
    beside("held", async |address, _core| {
        let handle = Handle::current();
        let (mut writer, mut reader, mut other) = (client(address), client(address), client(address));
        begin(&mut writer, later).await;
        handle.injector().delay(operation, 5000, 1);
        say(&mut writer, "SET key new");
        // Each turn looks at the ring, so it is not to sleep here.
        let begin = Instant::now();
        while handle.injector().held() == 0 {
            assert!(begin.elapsed() < Duration::from_secs(20), "nothing is held");
            chainring::yield_now().await;
        }
        // Neither to who has changed it, nor to who would see the change, nor to who changes something else.
        say(&mut reader, "GET key");
        say(&mut other, "INCR other");
        let mut looks = 0;
        while handle.injector().held() == 1 {
            assert_eq!((heard(&mut writer), heard(&mut reader), heard(&mut other)), (None, None, None));
            chainring::yield_now().await;
            looks += 1;
        }
        assert!(looks > 100, "it was held for {looks} turns only");
        assert_eq!(hear(&mut writer).await, "+OK\r\n");
        assert_eq!(hear(&mut reader).await, "$3\r\nnew\r\n");
        assert_eq!(hear(&mut other).await, ":1\r\n");
    });
}

#[test]
fn a_sync_that_fails_is_an_error_and_the_store_is_only_read() {
    for (operation, later) in BATCHES {
        failed(operation, later);
    }
}

fn failed(operation: &str, later: bool) {
    beside("eio", async |address, core| {
        let mut writer = client(address);
        begin(&mut writer, later).await;
        Handle::current().injector().fail(operation, libc::EIO, 1);
        say(&mut writer, "SET key new");
        assert!(hear(&mut writer).await.starts_with("-MISCONF "));
        assert_eq!(hear(&mut writer).await, "", "the connection goes on");
        assert!(core.store.borrow().read_only.is_some());
        let mut next = client(address);
        for command in ["SET key newer", "DEL key", "LPUSH list x", "FLUSHALL"] {
            say(&mut next, command);
            assert!(hear(&mut next).await.starts_with("-MISCONF "), "{command}");
        }
        say(&mut next, "EXISTS key list");
        assert_eq!(hear(&mut next).await, ":1\r\n");
    });
}
