use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::{Method, Request};

use crate::server::{Answer, Server, Service, body, whole};

/// An HTTP collector of JSON Lines. It ends when dropped.
#[derive(Debug)]
pub struct Collector {
    server: Server,
}

/// Is told every line, without its line break.
type OnLine = Arc<Mutex<dyn FnMut(&[u8]) + Send>>;

#[derive(Clone)]
struct Front(OnLine);

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Front").finish_non_exhaustive()
    }
}

impl Service for Front {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        if request.method() != Method::POST {
            return whole(200, &[], "");
        }
        let Ok(body) = body(request.into_body()).await else {
            return whole(400, &[], "the body broke off");
        };
        let mut on_line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = body.split(|byte| *byte == b'\n');
        lines.filter(|line| !line.is_empty()).for_each(&mut *on_line);
        whole(204, &[], "")
    }
}

impl Collector {
    /// Starts on a free port of loopback, on a thread named `collector`. A POST to any path tells
    /// `on_line` every line of its body, and is answered with 204 once all are told; everything else
    /// is answered with 200.
    ///
    /// # Errors
    /// If there is no free port, or no thread to be had.
    pub fn start(on_line: impl FnMut(&[u8]) + Send + 'static) -> io::Result<Self> {
        let server = Server::start("collector", Front(Arc::new(Mutex::new(on_line))))?;
        Ok(Self { server })
    }

    /// Where to post: `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        self.server.url()
    }
}
