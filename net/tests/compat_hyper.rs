//! What hyper asks of a runtime: streams, an executor and a timer.

mod common;

use std::convert::Infallible;
use std::time::Duration;

use chainring_net::UnixStream;
use chainring_net::compat::{Compat, Executor, Timer};
use chainring_runtime::{Handle, spawn, time, yield_now};
use common::{poll_once, run, settle};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::rt::Timer as _;
use hyper::service::service_fn;
use hyper::{Request, Response};

async fn shout(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Ok(Response::new(Full::new(body.to_ascii_uppercase().into())))
}

#[test]
fn http_2_streams_run_on_the_executor() {
    run(async || {
        let (here, there) = UnixStream::pair().unwrap();
        let server = spawn(async move {
            let mut http = hyper::server::conn::http2::Builder::new(Executor);
            http.timer(Timer).keep_alive_interval(Duration::from_secs(5));
            http.serve_connection(Compat::new(here), service_fn(shout)).await
        });
        let mut http = hyper::client::conn::http2::Builder::new(Executor);
        let (sender, connection) = http.timer(Timer).handshake(Compat::new(there)).await.unwrap();
        let connection = spawn(connection);
        let requests = (0..10).map(|i| {
            let mut sender = sender.clone();
            async move {
                let body = Full::new(Bytes::from(format!("request {i} {}", "x".repeat(i * 10_000))));
                let response = sender.send_request(Request::new(body)).await.unwrap();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body.len(), 10 + i * 10_000);
                assert!(body.starts_with(format!("REQUEST {i}").as_bytes()));
            }
        });
        futures::future::join_all(requests).await;
        drop(sender);
        connection.await.unwrap().unwrap();
        server.await.unwrap().unwrap();
    });
}

#[test]
fn the_timer_fires_moves_and_is_given_up() {
    run(async || {
        time::hold();
        // The limit of the test has its timer from now on.
        yield_now().await;
        let timers = Handle::current().metrics().timers;
        // By the clock that is held, like the limit of the test itself.
        let step = Duration::from_millis(100);
        let begin = time::now();
        let mut sleep = Timer.sleep(10 * step);
        assert!(poll_once(&mut sleep).is_pending());
        time::advance(9 * step).await;
        // Moved back, which its keeper learns later; then forward, which it learns at once.
        Timer.reset(&mut sleep, begin + 100 * step);
        time::advance(80 * step).await;
        assert!(poll_once(&mut sleep).is_pending());
        Timer.reset(&mut sleep, begin + 90 * step);
        let waiter = spawn(async move {
            sleep.as_mut().await;
            assert!(Timer.now() >= begin + 90 * step);
            // Once more, after it has passed.
            Timer.reset(&mut sleep, begin + 95 * step);
            assert!(poll_once(&mut sleep).is_pending());
            sleep.await;
            Timer.now()
        });
        time::advance(2 * step).await;
        time::advance(10 * step).await;
        assert!(waiter.await.unwrap() >= begin + 95 * step);
        let mut dropped = Timer.sleep(step);
        assert!(poll_once(&mut dropped).is_pending());
        drop(dropped);
        time::advance(Duration::ZERO).await;
        settle().await;
        assert_eq!(Handle::current().metrics().timers, timers, "a keeper stayed");
        time::release();
    });
}

#[test]
fn a_silent_client_is_given_up_by_the_header_deadline() {
    run(async || {
        let (here, there) = UnixStream::pair().unwrap();
        there.write_all("GET / HTTP/1.1\r\n").await.0.unwrap();
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(Timer).header_read_timeout(Duration::from_millis(30));
        let error = http.serve_connection(Compat::new(here), service_fn(shout)).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
    });
}
