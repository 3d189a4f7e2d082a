//! An HTTP/1.1 server on loopback whose single connections can be cut.
//!
//! Promises: the port is open when [`Server::start`] returns; [`Server::stop`] or a drop closes the listener and cuts every connection,
//! WebSockets included; the same address can be started again, so that a test can take the service away and bring it back.
//! Does not: TLS, HTTP/2, or listening anywhere but where it is told.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Which connection a request came over. Stands in the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Counts connections of this server from 0.
    pub id: u64,
    /// The other end.
    pub peer: SocketAddr,
}

/// A response that is never sent: the connection is closed in its place.
///
/// For a client this is a request whose response was lost on the way; what the request did has been done.
#[derive(Debug, Clone, Copy)]
pub struct DropConnection;

impl IntoResponse for DropConnection {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

/// Closes when the server stops; in the extensions of every request, for what outlives its request.
#[derive(Debug, Clone)]
pub(crate) struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Returns when the server is stopped or gone.
    pub(crate) async fn wait(&mut self) {
        // An error means that the server is gone, which is the same.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    stopping: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens on `listen` (port 0: the kernel picks) and serves `router`.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(listen: SocketAddr, router: Router) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let stopping = watch::Sender::new(false);
        let accepting = tokio::spawn(accept(listener, router, Stopping(stopping.subscribe())));
        Ok(Self {
            addr,
            stopping,
            accepting,
        })
    }

    /// As [`Server::start`] on a port of 127.0.0.1 that the kernel picks.
    ///
    /// # Errors
    /// No port could be bound.
    pub async fn start_anywhere(router: Router) -> io::Result<Self> {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0)), router).await
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://HOST:PORT`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Closes the listener and cuts every connection; returns when the port is free again.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        // It ends by itself after the word above; its result carries nothing.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, router: Router, stopping: Stopping) {
    let ids = Arc::new(AtomicU64::new(0));
    let mut connections = JoinSet::new();
    let mut stop = stopping.clone();
    loop {
        tokio::select! {
            () = stop.wait() => break,
            Some(_) = connections.join_next() => {} // ended ones are let go
            accepted = listener.accept() => {
                // Out of descriptors, or a peer that left at once: both pass.
                let Ok((stream, peer)) = accepted else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let connection = Connection { id: ids.fetch_add(1, Ordering::Relaxed), peer };
                connections.spawn(serve(stream, connection, router.clone(), stopping.clone()));
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, connection: Connection, router: Router, stopping: Stopping) {
    // Small frames must not wait for each other; if it fails they merely do.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection);
        request.extensions_mut().insert(stopping.clone());
        let answer = router.call(request);
        async move {
            let response: Result<Response, Infallible> = answer.await;
            match response {
                Ok(response) if response.extensions().get::<DropConnection>().is_none() => {
                    Ok(response)
                }
                // hyper answers an error of the service by closing the connection.
                _ => Err(io::Error::other("this connection is cut on request")),
            }
        }
    });
    // Every error here is the client's leaving, or our own cut.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}
