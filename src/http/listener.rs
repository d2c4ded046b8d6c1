//! Serves connections, each on a thread of its own, with limits for each network and for all together.
//!
//! The listener builds requests with the same function as the tests, so tests and server treat them
//! alike.

use std::io::{self, BufWriter, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use http::StatusCode;
use ipnet::IpNet;
use parking_lot::Mutex;
use rouille::{Request, Response};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::set_socket_send_buffer_size;

use super::connection::{Connection, Connections, Phase};
use super::forwarded::{build_request, is_trusted};
use super::headers;
use super::read::{Incoming, method_and_path};
use super::write::{Framing, Outgoing, close, send};
use crate::config::Limits;
use crate::events::quoted;

/// Address space for one thread's stack. Only the part in use takes memory.
const STACK_BYTES: usize = 512 * 1024;
/// How much of a response is in memory at once. With a smaller buffer, `io::copy` would send the head
/// in a packet of its own.
const BUFFER_BYTES: usize = 16 * 1024;
/// The kernel's send buffer for one connection. Its default is megabytes, which slow readers could
/// fill.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// The pause after a failure to accept a connection or to start its thread.
const PAUSE: Duration = Duration::from_millis(100);

struct Server {
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    handle: Box<dyn Fn(&Request) -> Response + Send + Sync>,
    connections: Mutex<Connections>,
    /// Whether each response closes its connection: connections run short, or the server stops.
    closing: AtomicBool,
}

/// An admitted connection. Dropping the guard removes it from the list, even if its thread panics.
struct ConnectionGuard(Arc<Server>, Arc<Connection>);

/// Answers requests with `handle` until `stop` becomes readable or its other end is closed.
///
/// Then it refuses new connections, closes idle ones, and gives running requests the shutdown timeout
/// to finish.
///
/// # Errors
/// If the listener cannot be set up. Nothing that happens later ends the loop.
pub fn serve(
    listener: TcpListener,
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    stop: &UnixStream,
    handle: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> io::Result<()> {
    // A client that disconnects between `poll` and `accept` must not block the loop.
    listener.set_nonblocking(true)?;
    let server = Arc::new(Server {
        limits,
        trusted_proxies,
        handle: Box::new(handle),
        connections: Mutex::default(),
        closing: AtomicBool::new(false),
    });
    let mut warned: Option<Instant> = None;
    loop {
        let mut ready = [PollFd::new(stop, PollFlags::IN), PollFd::new(&listener, PollFlags::IN)];
        let _ = poll(&mut ready, None);
        if !ready[0].revents().is_empty() {
            break;
        }
        let admitted = listener.accept().and_then(|(stream, peer)| server.admit(stream, peer));
        if let Some(error) = admitted.err().filter(|error| error.kind() != ErrorKind::WouldBlock) {
            if warned.is_none_or(|at| at.elapsed() > 100 * PAUSE) {
                log::warn!("cannot take connections: {error}");
                warned = Some(Instant::now());
            }
            server.connections.lock().end_longest_waiting();
            thread::sleep(PAUSE);
        }
    }
    drop(listener);
    server.finish();
    Ok(())
}

impl Server {
    /// Starts a thread for a connection if a place is free; otherwise answers 503.
    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let is_trusted = is_trusted(peer, &self.trusted_proxies);
        let connection = Arc::new(Connection::new(stream, peer, is_trusted));
        if !self.has_room(&connection) {
            let _ = turn_away(&connection.stream);
            log_request(b"-", 503, Instant::now(), connection.peer);
            return Ok(());
        }
        self.connections.lock().insert(&connection);
        let guard = ConnectionGuard(self.clone(), connection);
        let serve = move || {
            let served = guard.0.serve_connection(&guard.1);
            let _ = served.inspect_err(|error| log::debug!("{}: {error}", guard.1.peer));
        };
        thread::Builder::new().stack_size(STACK_BYTES).spawn(serve).map(drop)
    }

    /// Whether one more connection fits. If connections run short, it ends one whose client makes the
    /// server wait.
    fn has_room(&self, newcomer: &Connection) -> bool {
        let (mut all, max) = (self.connections.lock(), self.limits.max_connections);
        let runs_short = all.len() >= max - max / 8;
        self.closing.store(runs_short, Relaxed);
        let takes_all =
            all.count_in_network_of(newcomer) >= self.limits.max_connections_per_address;
        if takes_all && !newcomer.is_trusted {
            return false;
        }
        if runs_short {
            all.end_longest_waiting();
        }
        if all.len() >= max {
            all.end_one_of_the_largest_network(newcomer);
        }
        all.len() < max
    }

    /// Waits for running requests to finish, and ends idle connections.
    fn finish(&self) {
        self.closing.store(true, Relaxed);
        let deadline = Instant::now() + self.limits.shutdown_timeout;
        while Instant::now() < deadline && self.connections.lock().len() > 0 {
            self.connections.lock().iter().for_each(Connection::end_if_idle);
            thread::sleep(PAUSE / 10);
        }
    }

    /// Answers the requests of one connection, one after the other.
    fn serve_connection(&self, connection: &Connection) -> io::Result<()> {
        let stream = &connection.stream;
        stream.set_nodelay(true)?;
        set_socket_send_buffer_size(stream, SEND_BUFFER_BYTES)?;
        // Both buffers are kept from request to request, because threads that allocate wait for each
        // other.
        let mut incoming = Incoming::new(stream, &self.limits);
        let outgoing = Outgoing::new(connection, self.limits.write_timeout)?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, outgoing);
        while incoming.wait() {
            let (started, mut framing, mut sender) =
                (Instant::now(), Framing::default(), connection.peer);
            connection.enter(Phase::Receiving(started));
            let response = match incoming.request() {
                Ok((head, body)) => {
                    connection.enter(Phase::Answering);
                    framing = head.framing;
                    let request = build_request(head, body, connection.peer, &self.trusted_proxies);
                    sender = *request.remote_addr();
                    (self.handle)(&request)
                }
                Err(Some(status)) => refusal(status),
                Err(None) => return Ok(()),
            };
            framing.keep_alive &= !self.closing.load(Relaxed) && !connection.is_ended();
            let status = response.status_code;
            let sent = send(&mut out, response, framing);
            // On drop, the writer would send the rest and wait again. A closed socket prevents that.
            let sent = sent.inspect_err(|_| drop(stream.shutdown(Shutdown::Both)));
            log_request(&incoming.buffer, status, started, sender);
            sent?;
            if !framing.keep_alive {
                return close(stream);
            }
            connection.enter(Phase::Idle(Instant::now()));
        }
        Ok(())
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.connections.lock().remove(&self.1);
    }
}

/// The response to a request that is refused before any handler sees it.
fn refusal(status: u16) -> Response {
    let reason = StatusCode::from_u16(status).unwrap_or_default();
    let mut response = Response::text(format!("{reason}\n")).with_status_code(status);
    headers::secure(&mut response, false);
    response
}

/// Answers 503 without waiting for the client.
fn turn_away(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    send(&mut BufWriter::new(stream), refusal(503), Framing::default())?;
    // To close with unread bytes would reset the connection, and the client could lose the response.
    stream.read(&mut [0; 4096]).map(drop)
}

/// Logs one line for a request. Method and path are quoted, because they can contain anything. The
/// query is left out, because it may contain secrets.
fn log_request(received: &[u8], status: u16, started: Instant, sender: SocketAddr) {
    let (ms, ip) = (started.elapsed().as_millis(), sender.ip());
    let asked = || quoted(&String::from_utf8_lossy(method_and_path(received)));
    log::info!("{} {status} {ms} ms {ip}", asked());
}
