//! Files behind the traits of others: positions, and writes that nobody waits for.

mod common;

use chainring_fs::{self as fs, File, OpenOptions};
use chainring_runtime::{Handle, Runtime, spawn, yield_now};
use common::{Temp, alone, descriptors, errno, run, settle};

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

#[test]
fn a_file_behind_the_traits_of_futures_keeps_its_position() {
    use futures::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
    run(async |dir| {
        let options = OpenOptions::new().read(true).write(true).create(true);
        let mut file = options.open(dir.join("f")).await.unwrap().compat();
        file.write_all(&content(200_000)).await.unwrap();
        file.flush().await.unwrap();
        assert_eq!(file.seek(std::io::SeekFrom::Start(100)).await.unwrap(), 100);
        let mut some = [0; 50];
        file.read_exact(&mut some).await.unwrap();
        assert_eq!(some, content(200)[100..150]);
        assert_eq!(file.stream_position().await.unwrap(), 150);
        file.read_exact(&mut some).await.unwrap();
        file.write_all(b"here").await.unwrap();
        let mut rest = Vec::new();
        file.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), 200_000 - 204);
        Handle::current().injector().fail("write", libc::EIO, 1);
        let told = [file.write_all(b"lost").await, file.flush().await];
        assert_eq!(told.iter().filter(|result| errno(result) == Some(libc::EIO)).count(), 1);
        file.close().await.unwrap();
        assert_eq!(&fs::read(dir.join("f")).await.unwrap()[200..204], b"here");
    });
}

#[test]
fn a_file_behind_the_traits_of_tokio_keeps_its_position() {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
    run(async |dir| {
        let options = OpenOptions::new().read(true).write(true).create(true);
        let mut file = options.open(dir.join("f")).await.unwrap().compat();
        file.write_all(b"one\ntwo\nthree").await.unwrap();
        file.rewind().await.unwrap();
        let mut line = String::new();
        file.read_line(&mut line).await.unwrap();
        assert_eq!(line, "one\n");
        file.write_all(b"TWO").await.unwrap();
        file.flush().await.unwrap();
        let mut rest = String::new();
        file.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "\nthree");
        assert_eq!(file.stream_position().await.unwrap(), 13);
        file.shutdown().await.unwrap();
        assert_eq!(fs::read_to_string(dir.join("f")).await.unwrap(), "one\nTWO\nthree");
    });
}

#[test]
fn what_a_write_has_taken_is_written_although_the_adapter_is_dropped() {
    use futures::AsyncWriteExt;
    run(async |dir| {
        for short in [false, true] {
            let path = dir.join("f");
            let mut file = File::create(&path).await.unwrap().compat();
            file.write_all(&content(100_000)).await.unwrap();
            if short {
                // The rest of a short one is written too.
                file.flush().await.unwrap();
                Handle::current().injector().shorten("write", 1000, 1);
                file.write_all(&content(5000)).await.unwrap();
            }
            match short {
                true => drop(file.into_inner()),
                false => drop(file),
            }
            while Handle::current().metrics().tasks > 0 {
                yield_now().await;
            }
            settle().await;
            let expected = if short { [content(100_000), content(5000)].concat() } else { content(100_000) };
            assert!(std::fs::read(&path).unwrap() == expected, "short: {short}");
        }
    });
}

#[test]
fn an_adapter_with_a_write_under_way_can_outlive_its_runtime() {
    use futures::AsyncWriteExt;
    let _alone = alone();
    let temp = Temp::new();
    drop(Runtime::new().unwrap());
    let before = descriptors();
    let runtime = Runtime::new().unwrap();
    let file = runtime.block_on(async {
        let mut file = File::create(temp.path().join("f")).await.unwrap().compat();
        file.write_all(&content(1000)).await.unwrap();
        file
    });
    drop(runtime);
    drop(file);
    // Dropped by the end of the runtime itself.
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut file = File::create(temp.path().join("g")).await.unwrap().compat();
        drop(spawn(async move {
            file.write_all(&content(1000)).await.unwrap();
            std::future::pending::<()>().await
        }));
        yield_now().await;
    });
    drop(runtime);
    assert_eq!(descriptors(), before, "a file was left open");
}
