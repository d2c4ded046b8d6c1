//! Writes responses to a socket, framed as RFC 9112 says. A file of any size takes no more memory than
//! a page.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;
use httpdate::HttpDate;
use rouille::Response;
use rustix::io::Errno;
use rustix::net::{SendFlags, send as send_now};

use super::connection::{Connection, Phase};

/// Headers that describe the connection. This file writes them, and drops those of a handler.
const CONNECTION_HEADERS: [&str; 5] =
    ["connection", "content-length", "date", "transfer-encoding", "upgrade"];
/// How long a closing connection waits for its client to read the last response.
const LINGER: Duration = Duration::from_secs(2);

/// How the request wants its response framed. Unreadable requests use the default.
#[derive(Clone, Copy, Default)]
pub struct Framing {
    /// The response has no body, because the method is HEAD.
    pub head_only: bool,
    /// The client speaks HTTP/1.0, so the response must not be chunked.
    pub is_1_0: bool,
    /// The connection stays open for further requests.
    pub keep_alive: bool,
}

/// A waiting write checks at this interval whether the client has read anything.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The sending side of one connection. A write fails if the client reads nothing for the whole write
/// timeout.
pub struct Outgoing<'a> {
    connection: &'a Connection,
    write_timeout: Duration,
}

impl<'a> Outgoing<'a> {
    /// # Errors
    /// If the connection is gone.
    pub fn new(connection: &'a Connection, write_timeout: Duration) -> io::Result<Outgoing<'a>> {
        connection.stream.set_write_timeout(Some(write_timeout.min(POLL_INTERVAL)))?;
        Ok(Outgoing { connection, write_timeout })
    }

    fn may_wait(&self, last_progress: Instant) -> bool {
        last_progress.elapsed() < self.write_timeout && !self.connection.is_ended()
    }
}

impl Write for Outgoing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let last_progress = Instant::now();
        self.connection.enter(Phase::Sending(last_progress));
        loop {
            match (&self.connection.stream).write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            // Linux wakes a writer only when a third of the buffer is free, which can take minutes with
            // a slow reader. A new attempt succeeds as soon as the client has read a byte.
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match send_now(&self.connection.stream, bytes, flags) {
                Err(Errno::WOULDBLOCK) if self.may_wait(last_progress) => {}
                done => return Ok(done?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a response. A small one takes one system call; a large one is never in memory as a whole.
///
/// # Errors
/// If the client is gone or reads nothing for the whole write timeout, or if the body cannot be read
/// or is shorter than announced. The connection is then unusable.
pub fn send(out: &mut impl Write, response: Response, framing: Framing) -> io::Result<()> {
    write_response(out, response, framing)?;
    out.flush()
}

fn write_response(out: &mut impl Write, response: Response, framing: Framing) -> io::Result<()> {
    let status = StatusCode::from_u16(response.status_code).map_err(io::Error::other)?;
    write!(out, "HTTP/1.1 {status}\r\nDate: {}\r\n", HttpDate::from(SystemTime::now()))?;
    for (name, value) in &response.headers {
        if CONNECTION_HEADERS.iter().all(|own| !name.eq_ignore_ascii_case(own)) {
            write_field(out, name, value)?;
        }
    }
    let has_body = !matches!(response.status_code, 204 | 304);
    let (mut body, length) = response.data.into_reader_and_size();
    match length {
        Some(length) if has_body => write!(out, "Content-Length: {length}\r\n")?,
        None if has_body && !framing.is_1_0 => write!(out, "Transfer-Encoding: chunked\r\n")?,
        _ => {}
    }
    out.write_all(if framing.keep_alive { b"\r\n" } else { b"Connection: close\r\n\r\n" })?;
    match length.map(|length| length as u64) {
        _ if framing.head_only || !has_body => Ok(()),
        Some(length) => match io::copy(&mut body.take(length), out)? {
            copied if copied < length => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        },
        None if framing.is_1_0 => io::copy(&mut body, out).map(drop),
        None => write_chunks(out, body),
    }
}

/// Writes a header. Control characters become blanks, because a line break would start another header.
fn write_field(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    let is_odd = value.bytes().any(|byte| byte.is_ascii_control());
    let clean = if is_odd { value.replace(char::is_control, " ") } else { String::new() };
    let value = if is_odd { &clean } else { value };
    // `write!` would be slower than everything else in this file.
    [name, ": ", value, "\r\n"].iter().try_for_each(|piece| out.write_all(piece.as_bytes()))
}

fn write_chunks(out: &mut impl Write, mut body: impl Read) -> io::Result<()> {
    let mut chunk = [0; 4096];
    loop {
        let bytes = body.read(&mut chunk)?;
        write!(out, "{bytes:x}\r\n")?;
        out.write_all(&chunk[..bytes])?;
        out.write_all(b"\r\n")?;
        if bytes == 0 {
            return Ok(());
        }
    }
}

/// Closes a connection so that its last response arrives. A close with unread bytes sends a reset,
/// which can destroy the response on its way. So this ends the sending half first, and reads until the
/// client has closed (RFC 9112 §9.6).
pub fn close(mut stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER))?;
    let deadline = Instant::now() + LINGER;
    while stream.read(&mut [0; 4096])? > 0 && Instant::now() < deadline {}
    Ok(())
}
