//! Connections of agents, and what becomes of each request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use reqwest::Client;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::relay::{self, Body, Upload};
use super::request::{self, Wanted};
use super::token::{NoLeave, Tokens};
use super::upstream::{self, Upstream};
use super::words::{self, Trouble};
use super::{Limits, token};

/// Said to a connection too many: there is no request to answer yet.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\n\
    connection: close\r\ncontent-length: 72\r\n\r\n\
    bulkhead: too many connections of this project's agents; try again later";
/// How long to wait where the system has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// What all connections have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) upstream: Upstream,
    pub(super) client: Client,
    pub(super) limits: Limits,
    pub(super) tokens: Arc<Tokens>,
}

/// Takes connections until it is aborted; those that stand then end with their tokens.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(shared.limits.connections));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection for the model is not taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            // As much as fits: it waits for nobody.
            let _ = stream.try_write(FULL);
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            serve(stream, shared).await;
            drop(permit);
        });
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Small pieces of an answer are to be there at once.
    let _ = stream.set_nodelay(true);
    let limits = shared.limits;
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_buf_size(limits.head)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection for the model broke off");
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let begun = Instant::now();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let answer = match request::wanted(&method, request.uri()) {
            Wanted::Probe => return Response::new(words::whole(Vec::new())),
            wanted => match self.pass(request, wanted).await {
                Ok(answer) => answer,
                Err(trouble) => {
                    tracing::debug!(?trouble, "a request to the model comes to nothing");
                    words::answer(&trouble)
                }
            },
        };
        tracing::debug!(
            %method,
            path = crate::text::head(&path, 100),
            status = answer.status().as_u16(),
            ms = begun.elapsed().as_millis(),
            "a request to the model"
        );
        answer
    }

    async fn pass(
        &self,
        request: Request<Incoming>,
        wanted: Wanted,
    ) -> Result<Response<Body>, Trouble> {
        let token = request::token(request.headers());
        let mut leave = self.tokens.leave(token).map_err(|no| match no {
            NoLeave::Unknown => Trouble::Token,
            NoLeave::Busy(requests) => Trouble::Busy(requests),
        })?;
        if wanted != Wanted::Api {
            return Err(Trouble::Path);
        }
        let large = Trouble::Large(self.limits.body);
        if request::length(request.headers()).is_some_and(|length| length > self.limits.body) {
            return Err(large);
        }
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query();
        let path = path.map_or("/", |path| path.as_str());
        let (body, outcome) = Upload::new(body, self.limits.body);
        let sending = self
            .client
            .request(parts.method, self.upstream.address(path))
            .headers(request::onward(&parts.headers, self.upstream.header()))
            .body(reqwest::Body::wrap(body))
            .send();
        let answer = tokio::select! {
            sent = tokio::time::timeout(self.limits.answer, sending) => match sent {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) if outcome.is_large() => return Err(large),
                Ok(Err(_)) if outcome.is_broken() => return Err(Trouble::Broken),
                Ok(Err(error)) if error.is_timeout() && !error.is_connect() => {
                    return Err(Trouble::Late(self.limits.silence.as_secs()));
                }
                Ok(Err(error)) => return Err(Trouble::Unreachable(upstream::why(error))),
                Err(_) => return Err(Trouble::Late(self.limits.answer.as_secs())),
            },
            _ = leave.alive.changed() => return Err(Trouble::Gone),
        };
        let answer: Response<reqwest::Body> = answer.into();
        let (mut parts, body) = answer.into_parts();
        parts.headers = request::back(&parts.headers, self.upstream.key());
        let status = parts.status;
        if status.is_redirection() || status.is_informational() {
            return Err(Trouble::Moved(status.as_u16()));
        }
        let body = if status.is_success() {
            relay::download(body, leave)
        } else {
            let error = self.error(body, &mut leave).await?;
            if status == StatusCode::UNAUTHORIZED {
                tracing::warn!("the model's API refuses the key of this project");
                return Err(Trouble::Key(words::of_error(&error)));
            }
            words::whole(error)
        };
        // The connection to the agent has a version of its own.
        let mut answer = Response::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = parts.headers;
        Ok(answer)
    }

    /// The body of an error, without the key.
    async fn error(
        &self,
        body: reqwest::Body,
        leave: &mut token::Leave,
    ) -> Result<Vec<u8>, Trouble> {
        let read = Limited::new(body, self.limits.error).collect();
        let read = tokio::select! {
            read = read => read,
            _ = leave.alive.changed() => return Err(Trouble::Gone),
        };
        // What cannot be read whole could hold half a key at its end.
        let body = read.map(|body| body.to_bytes()).unwrap_or_default();
        Ok(request::redacted(&body, self.upstream.key()))
    }
}
