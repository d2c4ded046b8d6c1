//! What the process needs from the operating system: a listening socket, the signal to stop, the link to
//! systemd, and enough open files.

use std::env;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixDatagram, UnixStream};

use listenfd::ListenFd;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::config::Limits;
use crate::error::StartError;

/// Open files other than connections: database, log, members' files.
const OTHER_FILES: u64 = 64;

/// How many connections the system queues until they are accepted. The standard library's 128 are too
/// few for a burst.
const BACKLOG: i32 = 4096;

/// Listens on `address`, or on the socket that systemd passes to the service. systemd keeps that socket
/// open across a restart, so no connection is lost.
///
/// # Errors
/// [`StartError::Setting`] if the address is in use or is not this machine's, or if systemd passed
/// something other than a TCP socket.
pub fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listen = || -> io::Result<TcpListener> {
        let socket = match ListenFd::from_env().take_tcp_listener(0)? {
            Some(inherited) => inherited,
            None => TcpListener::bind(address)?,
        };
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(socket)
    };
    listen().map_err(|error| StartError::Setting("DOORWARD_LISTEN", cannot_listen(address, &error)))
}

/// Why the server cannot listen on an address, and what to do about it.
pub fn cannot_listen(address: SocketAddr, error: &io::Error) -> String {
    let other = address.port().checked_add(1).unwrap_or(8080);
    format!(
        "{address}: {error}; write an address of this machine, or 0.0.0.0 for all, and a free port \
         above 1023, such as {other}"
    )
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

/// Whether systemd started this process and waits for [`notify_ready`] (`Type=notify`).
pub fn is_service() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some()
}

/// Tells systemd that the start has succeeded, if systemd waits for that.
///
/// # Errors
/// If systemd's socket cannot be written to.
pub fn notify_ready() -> io::Result<()> {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    UnixDatagram::unbound()?.send_to(b"READY=1", path).map(drop)
}

/// Raises the limit of open files as far as the system allows, and returns it.
///
/// # Errors
/// What is wrong and what to do about it, if the limit is too low for the settings.
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
