//! Takes connections, and bounds them: in number, in the size and the time of what they send. Who
//! is over a bound is cut off, and costs nobody else anything.
#![expect(clippy::disallowed_methods, reason = "the server has a thread of its own")]

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::{Shared, routes};

/// More connections than this are not kept: the oldest goes, since calls are short.
const CONNECTIONS_MAX: usize = 32;
/// A request's head and its body have so long each, and a connection may be silent for as long.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The most headers of a request.
const HEADERS_MAX: usize = 64;
/// Before it tries again where there is no room for another socket.
const PAUSE: Duration = Duration::from_millis(100);
/// When the node has ended, answers have so long to leave.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Starts the thread. It ends when the node has.
pub(super) fn start(listener: TcpListener, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let run = move || {
        runtime.block_on(serve(&listener, shared));
        // A search that is not done only reads, and nobody hears what it finds.
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name("admin".into()).spawn(run)
}

async fn serve(listener: &tokio::net::TcpListener, shared: Arc<Shared>) {
    let mut ended = shared.ended.subscribe();
    let router = routes::router(shared);
    let (mut connections, mut oldest) = (JoinSet::new(), VecDeque::<AbortHandle>::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    while connections.try_join_next().is_some() {}
                    oldest.retain(|connection| !connection.is_finished());
                    if oldest.len() >= CONNECTIONS_MAX && let Some(first) = oldest.pop_front() {
                        first.abort();
                    }
                    oldest.push_back(connections.spawn(talk(stream, from, router.clone())));
                }
                Err(_) => sleep(PAUSE).await,
            },
            _ = ended.wait_for(Option::is_some) => break,
        }
    }
    // Whoever waits for the end is told by now; connections without a call have nothing to say.
    let _ = timeout(LAST_WORDS, async { while connections.join_next().await.is_some() {} }).await;
}

async fn talk(stream: TcpStream, from: SocketAddr, router: Router) {
    let service = TowerToHyperService::new(router.layer(Extension(from)));
    let mut limits = http1::Builder::new();
    limits.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    limits.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    // One call each: who has nothing more to ask takes no place.
    limits.keep_alive(false);
    // Who breaks the protocol, or goes away, is nobody to talk to.
    let _ = limits.serve_connection(TokioIo::new(stream), service).await;
}
