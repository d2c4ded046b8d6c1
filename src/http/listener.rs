//! Serving connections: a thread for each, and limits to what one client, or all together, may take.
//!
//! In: a listening socket and a function from request to response. Out: answers, each with a line in
//! the log. Requests are built as tests build them, so what passes in a test is what runs.

use std::collections::HashMap;
use std::io::{self, BufWriter, ErrorKind, Read};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
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

use super::forwarded::{build_request, is_trusted};
use super::headers;
use super::read::{Incoming, method_and_path};
use super::write::{Framing, close, send};
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
/// Connections idle for less are not ended: a request may be on its way.
const GRACE: Duration = Duration::from_millis(250);

struct Server {
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    handle: Box<dyn Fn(&Request) -> Response + Send + Sync>,
    connections: Mutex<HashMap<Key, Arc<Connection>>>,
    /// Answers end their connection: there are too many, or the server stops.
    closing: AtomicBool,
}

/// What tells connections apart. The address is part of it so that counting need not look at them.
type Key = (RawFd, IpAddr);

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    /// `None` while a request is read or answered.
    idle_since: Mutex<Option<Instant>>,
}

/// A connection's place among the others. Its thread gives it back when it ends, even by a panic.
struct Place(Arc<Server>, Key);

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
            server.end_idlest();
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
        let alike = self.connections.lock().keys().filter(|key| key.1 == peer.ip()).count();
        let (open, max) = (self.connections.lock().len(), self.limits.max_connections);
        let runs_short = open >= max - max / 8;
        self.closing.store(runs_short, Relaxed);
        if runs_short {
            self.end_idlest();
        }
        let takes_all = alike >= self.limits.max_connections_per_address;
        if open >= max || (takes_all && !is_trusted(peer, &self.trusted_proxies)) {
            let _ = turn_away(stream);
            log_request(b"-", 503, Instant::now(), peer);
            return Ok(());
        }
        let idle_since = Mutex::new(Some(Instant::now()));
        let place = Place(self.clone(), (stream.as_raw_fd(), peer.ip()));
        let connection = Arc::new(Connection { stream, peer, idle_since });
        self.connections.lock().insert(place.1, connection.clone());
        thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            place.0.converse(&connection).inspect_err(|error| log::debug!("{peer}: {error}"))
        })?;
        Ok(())
    }

    /// Lets requests finish, and ends every connection that has none.
    fn finish(&self) {
        self.closing.store(true, Relaxed);
        let deadline = Instant::now() + self.limits.shutdown_timeout;
        while Instant::now() < deadline && !self.connections.lock().is_empty() {
            self.connections.lock().values().for_each(|connection| connection.end_if_idle());
            thread::sleep(PAUSE / 10);
        }
    }

    fn end_idlest(&self) {
        let all = self.connections.lock();
        let idle = all.values().filter_map(|one| one.idle_since.lock().map(|since| (since, one)));
        if let Some((_, idlest)) = idle.min_by_key(|(since, _)| *since) {
            idlest.end_if_idle();
        }
    }

    /// Answers the requests of one connection, one after the other.
    fn converse(&self, Connection { stream, peer, idle_since }: &Connection) -> io::Result<()> {
        stream.set_nodelay(true)?;
        set_socket_send_buffer_size(stream, SEND_BUFFER_BYTES)?;
        stream.set_write_timeout(Some(self.limits.write_timeout))?;
        // Both keep their memory from request to request: threads that ask for it wait for each other.
        let mut incoming = Incoming::new(stream, &self.limits);
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, stream);
        while incoming.wait() {
            *idle_since.lock() = None;
            let (started, mut framing, mut sender) = (Instant::now(), Framing::default(), *peer);
            let response = match incoming.request() {
                Ok((head, body)) => {
                    framing = head.framing;
                    let request = build_request(head, body, *peer, &self.trusted_proxies);
                    sender = *request.remote_addr();
                    (self.handle)(&request)
                }
                Err(Some(status)) => refusal(status),
                Err(None) => return Ok(()),
            };
            framing.keep_alive &= !self.closing.load(Relaxed);
            let status = response.status_code;
            let sent = send(&mut out, response, framing);
            log_request(&incoming.buffer, status, started, sender);
            sent?;
            if !framing.keep_alive {
                return close(stream);
            }
            *idle_since.lock() = Some(Instant::now());
        }
        Ok(())
    }
}

impl Connection {
    fn end_if_idle(&self) {
        if self.idle_since.lock().take_if(|since| since.elapsed() >= GRACE).is_some() {
            // Its thread wakes up and finds nothing more to read.
            let _ = self.stream.shutdown(Shutdown::Read);
        }
    }
}

impl Drop for Place {
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
fn turn_away(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    send(&mut BufWriter::new(&stream), refusal(503), Framing::default())?;
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
