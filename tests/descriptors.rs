//! Descriptors between the parts: what files and sockets give to each other.

use std::os::fd::OwnedFd;

use chainring::Descriptor;
use chainring::fs::{self, File};
use chainring::net::{UdpSocket, UnixDatagram, UnixStream};
use chainring::op::fsync::fsync;

#[chainring::test]
async fn files_and_sockets_travel_over_a_unix_socket() {
    let (one, other) = UnixStream::pair().unwrap();
    let path = std::env::temp_dir().join(format!("chainring-descriptors-{}", std::process::id()));
    fs::write(&path, "what was sent").await.0.unwrap();

    let file = File::open(&path).await.unwrap();
    one.send_with_descriptors("f", [file]).await.0.unwrap();
    let (received, _) = other.recv_with_descriptors(vec![0; 8], 1).await;
    let file = File::from(received.unwrap().1.remove(0));
    let (read, bytes) = file.read_at(Vec::with_capacity(32), 0).await;
    assert_eq!((read.unwrap(), &bytes[..]), (13, &b"what was sent"[..]));
    fs::remove_file(&path).await.unwrap();

    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    one.send_with_descriptors("s", [socket.descriptor().clone()]).await.0.unwrap();
    let (received, _) = other.recv_with_descriptors(vec![0; 8], 1).await;
    assert_eq!(UdpSocket::from(received.unwrap().1.remove(0)).local_addr().unwrap(), address);
    assert_eq!(socket.local_addr().unwrap(), address, "the sender still has its own");
}

#[chainring::test]
async fn a_descriptor_is_given_back_while_an_operation_uses_it() {
    let file = File::open("/dev/null").await.unwrap();
    let shared = file.descriptor().clone();
    let file = file.into_owned().unwrap_err();
    drop(shared);
    let fd: OwnedFd = file.into_owned().unwrap();
    let (one, other) = UnixDatagram::pair().unwrap();
    one.send_with_descriptors("x", [fd]).await.0.unwrap();
    other.readable().await.unwrap();
    let (received, _) = other.recv_with_descriptors(vec![0; 8], 1).await;
    assert_eq!(received.unwrap().1.len(), 1);
}

#[chainring::test]
async fn an_operation_without_a_method_takes_the_descriptor() {
    let path = std::env::temp_dir().join(format!("chainring-operation-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    let descriptor = Descriptor::new(file.into());
    fsync(&descriptor).await.unwrap();
    std::fs::remove_file(&path).unwrap();
}

#[chainring::test]
async fn a_log_is_written_to_a_file_that_was_opened_here() {
    let path = std::env::temp_dir().join(format!("chainring-log-{}", std::process::id()));
    let log = chainring::chains::Log::new("records");
    let open = log.open(File::create(&path).await.unwrap(), 0).unwrap();
    assert_eq!(open.commit("a record").await.unwrap(), 0);
    assert_eq!(fs::read(&path).await.unwrap(), b"a record");
    fs::remove_file(&path).await.unwrap();
}
