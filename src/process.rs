//! What the process asks of the system before it serves.
//!
//! In: an address and the listener's limits. Out: a listening socket, another that tells when to
//! stop, and room for enough open files.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;

use listenfd::ListenFd;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::config::Limits;

/// Open files beside those of the connections: database, log, members' files.
const OTHER_FILES: u64 = 64;

/// Connections that the system keeps until they are accepted; std asks for 128, which a burst fills.
const BACKLOG: i32 = 4096;

/// Listens on `address`, or on the socket that systemd holds for this service: that one stays open
/// across a restart, so no connection is lost.
///
/// # Errors
/// If the address is taken or is not this machine's, or if systemd passed anything but a TCP socket.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = match ListenFd::from_env().take_tcp_listener(0)? {
        Some(listener) => listener,
        None => TcpListener::bind(address)?,
    };
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// A socket that becomes readable when SIGTERM or SIGINT asks the process to stop.
///
/// # Errors
/// If the system has no room for the socket or the signal handlers.
pub fn stop_signal() -> io::Result<UnixStream> {
    let (stop, signalled) = UnixStream::pair()?;
    pipe::register(SIGTERM, signalled.try_clone()?)?;
    pipe::register(SIGINT, signalled)?;
    Ok(stop)
}

/// Raises the limit of open files as far as the system allows. What it is then.
///
/// # Errors
/// What is wrong and what to do about it, if that is too low.
pub fn raise_open_files_limit(limits: &Limits) -> Result<u64, String> {
    let wanted = limits.max_connections as u64 + OTHER_FILES;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) if files < wanted => Err(format!(
            "at most {files} open files, too few for {} connections: allow {wanted}",
            limits.max_connections
        )),
        Ok(files) => Ok(files),
        Err(error) => Err(format!("cannot raise the limit of open files: {error}")),
    }
}
