//! Serving connections: a thread for each, and limits to what one client, or all together, may take.
//!
//! In: a listening socket and a function from request to response. Out: answers, each with a line in
//! the log. Requests are built as tests build them, so what passes in a test is what runs.

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

/// Address space for one thread's stack; only what is used of it takes memory.
const STACK_BYTES: usize = 512 * 1024;
/// How much of an answer is in memory at once; with less room, `io::copy` sends the head by itself.
const BUFFER_BYTES: usize = 16 * 1024;
/// What the kernel may hold for one slow reader, who would get megabytes by default.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// The pause after a connection could not be accepted or its thread not started.
const PAUSE: Duration = Duration::from_millis(100);

struct Server {
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    handle: Box<dyn Fn(&Request) -> Response + Send + Sync>,
    connections: Mutex<Connections>,
    /// Answers end their connection: there are too many, or the server stops.
    closing: AtomicBool,
}

/// A connection with a place among the others. Its thread gives the place back when it ends, even by
/// a panic.
struct ConnectionGuard(Arc<Server>, Arc<Connection>);

/// Answers requests with `handle` until `stop` becomes readable or its other end is closed.
///
/// Then new connections are refused, idle ones closed, and requests being answered get the
/// shutdown timeout to finish.
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
    // A client that leaves between poll and accept must not hold up the loop.
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
    /// Starts a thread for a connection, unless it is one too many.
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

    /// Whether there is room for one more, if need be by the end of another that does nothing.
    fn has_room(&self, newcomer: &Connection) -> bool {
        let (mut all, max) = (self.connections.lock(), self.limits.max_connections);
        let runs_short = all.len() >= max - max / 8;
        self.closing.store(runs_short, Relaxed);
        let takes_all = all.count_alike(newcomer) >= self.limits.max_connections_per_address;
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

    /// Lets requests finish, and ends every connection that has none.
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
        // Both keep their memory from request to request: threads that ask for it wait for each other.
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
            // Dropped as it is, the writer would try once more, and wait once more.
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

/// The answer to a request that no handler gets to see.
fn refusal(status: u16) -> Response {
    let reason = StatusCode::from_u16(status).unwrap_or_default();
    let mut response = Response::text(format!("{reason}\n")).with_status_code(status);
    headers::secure(&mut response, false);
    response
}

/// Answers 503, without ever waiting for the client.
fn turn_away(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    send(&mut BufWriter::new(stream), refusal(503), Framing::default())?;
    // The request may be here already, and closing before it is read would reset the connection.
    stream.read(&mut [0; 4096]).map(drop)
}

/// One line for a request. Its method and path stand in quotes, since anybody may have sent anything,
/// and its query is left out, since it may hold secrets.
fn log_request(received: &[u8], status: u16, started: Instant, sender: SocketAddr) {
    let (ms, ip) = (started.elapsed().as_millis(), sender.ip());
    let asked = || quoted(&String::from_utf8_lossy(method_and_path(received)));
    log::info!("{} {status} {ms} ms {ip}", asked());
}
