//! Connections of agents, and what becomes of each request.

use std::collections::VecDeque;
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
use tokio::sync::{oneshot, watch};

use super::Limits;
use super::relay::{self, Body, Upload};
use super::request::{self, Wanted};
use super::upstream::{self, Upstream};
use super::words::{self, Trouble};
use crate::tokens::{Leave, NoLeave, Place, Tokens};

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
    // Oldest first. Whose end is dropped is closed.
    let mut strangers: VecDeque<oneshot::Sender<()>> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection for the model is not taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        strangers.retain(|stranger| !stranger.is_closed());
        if strangers.len() >= shared.limits.strangers {
            // An agent shows its token at once: who has had the most time is the least likely to be one.
            strangers.pop_front();
        }
        let (stays, unwanted) = oneshot::channel();
        strangers.push_back(stays);
        tokio::spawn(serve(stream, Arc::clone(&shared), unwanted));
    }
}

/// What is known of a connection.
struct Caller {
    shared: Arc<Shared>,
    place: Place,
    /// It has shown an agent's token.
    known: watch::Sender<bool>,
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, unwanted: oneshot::Receiver<()>) {
    // Small pieces of an answer are to be there at once.
    let _ = stream.set_nodelay(true);
    let limits = shared.limits;
    let (known, mut is_known) = watch::channel(false);
    let caller = Arc::new(Caller {
        shared,
        place: Place::default(),
        known,
    });
    let service = service_fn(move |request| {
        let caller = Arc::clone(&caller);
        async move { Ok::<_, Infallible>(caller.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_buf_size(limits.head)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let strange = async {
        tokio::select! {
            () = tokio::time::sleep(limits.first) => true,
            _ = unwanted => true,
            known = is_known.wait_for(|known| *known) => known.is_err(),
        }
    };
    let ended = tokio::select! {
        ended = &mut connection => ended,
        strange = strange => {
            if strange {
                tracing::debug!("a connection for the model has shown no agent's token; it is closed");
                return;
            }
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection for the model broke off");
    }
}

impl Caller {
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
        let leave = self.shared.tokens.leave(token, &self.place);
        let leave = leave.map_err(|no| match no {
            NoLeave::Unknown => Trouble::Token,
            NoLeave::Busy(requests) => Trouble::Busy(requests),
            NoLeave::Crowded(connections) => Trouble::Crowded(connections),
        });
        if matches!(leave, Ok(_) | Err(Trouble::Busy(_))) {
            self.known.send_replace(true);
        }
        self.shared.pass(request, wanted, leave?).await
    }
}

impl Shared {
    async fn pass(
        &self,
        request: Request<Incoming>,
        wanted: Wanted,
        mut leave: Leave,
    ) -> Result<Response<Body>, Trouble> {
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
    async fn error(&self, body: reqwest::Body, leave: &mut Leave) -> Result<Vec<u8>, Trouble> {
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
