//! hyper on tokio, as a good engineer would serve files with it: small ones are remembered for a second, as the others do,
//! and whatever is read is read whole, with one visit to a blocking thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, LAST_MODIFIED};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};

use crate::competitor::{Around, Competitor, Part};
use crate::workload::FILES;

pub(in crate::competitor) static COMPETITOR: Competitor = Competitor {
    name: "hyper",
    about: "hyper on tokio, current_thread",
    parts: &[(&FILES, Part::ServeWith(serve))],
};

/// What is not larger is remembered, and for how long.
const SMALL: usize = 64 << 10;
const FRESH: Duration = Duration::from_secs(1);

struct Files {
    root: PathBuf,
    small: RefCell<HashMap<String, (Instant, Bytes)>>,
}

impl Files {
    async fn read(&self, path: &str) -> Option<Bytes> {
        if let Some((seen, bytes)) = self.small.borrow().get(path)
            && seen.elapsed() < FRESH
        {
            return Some(bytes.clone());
        }
        if path.split('/').any(|name| name == "..") {
            return None;
        }
        let bytes = Bytes::from(tokio::fs::read(self.root.join(path.trim_start_matches('/'))).await.ok()?);
        if bytes.len() <= SMALL {
            self.small.borrow_mut().insert(path.to_owned(), (Instant::now(), bytes.clone()));
        }
        Some(bytes)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let status = |status| {
            let mut response = Response::new(Full::default());
            *response.status_mut() = status;
            response
        };
        if request.method() != Method::GET {
            return status(StatusCode::METHOD_NOT_ALLOWED);
        }
        let Some(bytes) = self.read(request.uri().path()).await else { return status(StatusCode::NOT_FOUND) };
        let mut response = Response::new(Full::new(bytes));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(LAST_MODIFIED, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        response
    }
}

/// Serves until the process ends.
fn serve(listener: TcpListener, around: &Around) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let files = Rc::new(Files { root: around.dir.clone(), small: RefCell::default() });
    let runtime = Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let files = files.clone();
            spawn_local(async move {
                let service =
                    service_fn(|request| async { Ok::<_, Infallible>(files.answer(request).await) });
                // A connection that breaks off is its client's business.
                let _ = http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}
