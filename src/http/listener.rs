//! Accepts connections, within limits for each network and for all together, and ends those whose time is
//! over.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rouille::{Request, Response};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{set_socket_send_buffer_size, set_tcp_nodelay};
use rustix::net::{SocketFlags, acceptfrom_with};

use super::connection::{Connection, Service};
use super::forwarded::is_trusted;
use super::workers::Workers;
use crate::config::Limits;
use crate::network::network;

/// The kernel's send buffer for one connection, which it doubles for its own needs. Its default is
/// megabytes, and thousands of slow readers could fill theirs.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// The pause after a failure to accept a connection, and between two looks at the deadlines.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers requests with `handle`, and those that break a rule or a limit with the page in `refusals` for
/// their status, until `stop` becomes readable or its other end is closed.
///
/// Then it refuses new connections, closes idle ones, and gives running requests the shutdown timeout
/// to finish. Returns when that is over, because it is also all that anything else may take at a stop.
///
/// # Errors
/// If the listener cannot be set up. Nothing that happens later ends the loop.
pub fn serve(
    listener: TcpListener,
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    stop: &UnixStream,
    refusals: BTreeMap<u16, String>,
    handle: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> io::Result<Instant> {
    // A client that disconnects between `poll` and `accept` must not block the loop.
    listener.set_nonblocking(true)?;
    // Accepted connections inherit these.
    set_tcp_nodelay(&listener, true)?;
    set_socket_send_buffer_size(&listener, SEND_BUFFER_BYTES)?;
    let (handle, is_closing) = (Box::new(handle), AtomicBool::new(false));
    let service = Service { limits, trusted_proxies, handle, refusals, is_closing };
    let workers = Workers::start(service)?;
    let (mut last_look, mut warned) = (Instant::now(), None::<Instant>);
    while wait_for_client(&listener, stop, &workers) {
        if last_look.elapsed() >= PAUSE {
            expire(&workers, false);
            last_look = Instant::now();
        }
        let admitted = accept(&listener).and_then(|(stream, peer)| admit(&workers, stream, peer));
        if let Some(error) = admitted.err().filter(|error| error.kind() != ErrorKind::WouldBlock) {
            if warned.is_none_or(|at| at.elapsed() > 100 * PAUSE) {
                log::warn!("cannot take connections: {error}");
                warned = Some(Instant::now());
            }
            workers.parking.table.lock().end_longest_waiting(1);
            thread::sleep(PAUSE);
        }
    }
    drop(listener);
    let end = finish(&workers);
    workers.end();
    Ok(end)
}

/// Waits for a new connection, and if there are others, until their deadlines must be looked at. Returns
/// whether the server goes on: not if it is to stop.
fn wait_for_client(listener: &TcpListener, stop: &UnixStream, workers: &Workers) -> bool {
    let mut ready = [PollFd::new(stop, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
    let is_empty = workers.parking.table.lock().len() == 0;
    let time = Timespec::try_from(PAUSE).ok().filter(|_| !is_empty);
    let _ = poll(&mut ready, time.as_ref());
    ready[0].revents().is_empty()
}

fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (stream, peer) = acceptfrom_with(listener, flags)?;
    let peer: SocketAddr = peer.ok_or(ErrorKind::NotConnected)?.try_into()?;
    Ok((stream.into(), SocketAddr::new(peer.ip().to_canonical(), peer.port())))
}

/// Parks a connection if a place is free; otherwise answers 503.
fn admit(workers: &Workers, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    let is_trusted = is_trusted(peer, &workers.service.trusted_proxies);
    let network = (!is_trusted).then(|| network(peer.ip()));
    let mut connection = Connection::new(stream, peer, &workers.service);
    if has_room(workers, network) {
        return workers.parking.admit(connection, network);
    }
    let _ = connection.turn_away(&workers.service);
    Ok(())
}

/// Whether one more connection fits. If connections run short, it ends some whose clients make the server
/// wait.
fn has_room(workers: &Workers, network: Option<IpAddr>) -> bool {
    let (mut all, limits) = (workers.parking.table.lock(), &workers.service.limits);
    let most = limits.max_connections - limits.max_connections / 8;
    let runs_short = all.len() >= most;
    // From a lower mark on, so that it still holds when some were ended.
    let is_closing = all.len() >= most - limits.max_connections / 64;
    workers.service.is_closing.store(is_closing, Relaxed);
    if network.is_some_and(|one| all.count(one) >= limits.max_connections_per_address) {
        return false;
    }
    if runs_short {
        // Some at once, because it takes long to look through thousands.
        all.end_longest_waiting(limits.max_connections / 128 + 1);
    }
    if all.len() >= limits.max_connections {
        all.end_one_of_the_largest_network(network);
    }
    all.len() < limits.max_connections
}

/// Ends the connections whose time is over.
fn expire(workers: &Workers, is_stopping: bool) {
    let late = workers.parking.table.lock().take_late(is_stopping);
    for (id, mut connection) in late {
        let goes_on = connection.expire(&workers.service);
        workers.parking.put_back(id, connection, goes_on);
    }
}

/// Waits for running requests to finish, and ends idle connections. Returns until when it would wait.
fn finish(workers: &Workers) -> Instant {
    workers.service.is_closing.store(true, Relaxed);
    let deadline = Instant::now() + workers.service.limits.shutdown_timeout;
    while workers.parking.table.lock().len() > 0 && Instant::now() < deadline {
        expire(workers, true);
        thread::sleep(PAUSE / 10);
    }
    deadline
}
