use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;

use bytes::Bytes;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use trailsift_core::StoreError;

/// The chunks of an object as they come.
pub(crate) type Chunks = futures::stream::BoxStream<'static, Result<Frame<Bytes>, StoreError>>;

/// A body that is there at once, or comes in chunks.
pub(crate) type AnswerBody = Either<Full<Bytes>, StreamBody<Chunks>>;

/// What is answered to one request.
pub(crate) type Answer = Response<AnswerBody>;

/// Answers requests: of all connections, on one thread.
pub(crate) trait Service: Clone + Send + 'static {
    /// Answers one. Dropped if the client goes away first.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Answer> + Send;
}

/// An HTTP/1.1 server on loopback, on a thread of its own. It ends when dropped, and with it every
/// connection.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    /// Closed to end the server.
    running: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves on a free port, on a thread of this name.
    ///
    /// # Errors
    /// If there is no free port, or no thread to be had.
    pub(crate) fn start(name: &str, service: impl Service) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (running, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async move {
                if let Ok(listener) = TcpListener::from_std(listener) {
                    accept(listener, service, ended).await;
                }
            });
        })?;
        Ok(Self { address, running: Some(running), thread: Some(thread) })
    }

    /// Where it listens: `http://127.0.0.1:port`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, its clients have noticed.
            thread.join().unwrap_or_default();
        }
    }
}

async fn accept(
    listener: TcpListener,
    service: impl Service,
    mut ended: oneshot::Receiver<Infallible>,
) {
    let mut connections = JoinSet::new();
    loop {
        // Cancel safety: accepting and joining take nothing before they are ready.
        tokio::select! {
            biased;
            _ = &mut ended => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, service.clone()));
                }
                // Out of descriptors: those that are open go on, and one of them ends some time.
                Err(_) => tokio::task::yield_now().await,
            },
        }
    }
}

async fn serve(stream: TcpStream, service: impl Service) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let answer = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
    // A client that breaks off, or a body that was told to: either way the connection is over.
    connection.await.unwrap_or_default();
}

/// The whole body of a request.
///
/// # Errors
/// If the client breaks off.
pub(crate) async fn body(body: Incoming) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
    use http_body_util::BodyExt as _;
    Ok(body.collect().await?.to_bytes())
}

/// An answer whose body is there.
pub(crate) fn whole(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    let built = answer.body(Either::Left(Full::new(body.into())));
    // Only a header that HTTP cannot write gets here: text of a request that the client made up.
    built.unwrap_or_else(|_| {
        let mut answer = Response::new(Either::Left(Full::default()));
        *answer.status_mut() = hyper::StatusCode::BAD_REQUEST;
        answer
    })
}
