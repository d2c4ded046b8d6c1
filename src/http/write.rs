//! Writing one response to a socket.
//!
//! In: what a handler made, and what the request asks of its answer. Out: bytes, as RFC 9112 frames
//! them; a file of any size takes no more memory than a page.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;
use httpdate::HttpDate;
use rouille::Response;
use rustix::io::Errno;
use rustix::net::{SendFlags, send as send_now};

use super::connection::{Connection, Phase};

/// Headers about the connection and not the page: no handler's business.
const OWN_HEADERS: [&str; 5] =
    ["connection", "content-length", "date", "transfer-encoding", "upgrade"];
/// How long a client may take to read its last answer.
const LINGER: Duration = Duration::from_secs(2);

/// What a request asks of its answer, whatever the handler made. What is no request gets the default.
#[derive(Clone, Copy, Default)]
pub struct Framing {
    /// No body, only what stands before it.
    pub head_only: bool,
    /// HTTP/1.0: no chunks.
    pub is_1_0: bool,
    /// More may follow on this connection.
    pub keep_alive: bool,
}

/// How long one write waits before it looks whether the client took anything in the meantime.
const GLANCE: Duration = Duration::from_millis(250);

/// The sending side of one connection, which is given up once the client takes nothing for the whole
/// of the write timeout.
pub struct Outgoing<'a> {
    connection: &'a Connection,
    write_timeout: Duration,
}

impl<'a> Outgoing<'a> {
    /// # Errors
    /// If the connection is gone.
    pub fn new(connection: &'a Connection, write_timeout: Duration) -> io::Result<Outgoing<'a>> {
        connection.stream.set_write_timeout(Some(write_timeout.min(GLANCE)))?;
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
            // Linux wakes a writer when a third of its buffer is free, which can take a slow reader
            // minutes. Whoever asks again gets room for every byte that was taken.
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

/// Writes a response; a small one takes one system call, a large one little memory.
///
/// # Errors
/// If the client takes nothing until the write timeout or is gone, or if the body cannot be read
/// or is shorter than announced. The connection cannot be used any more then.
pub fn send(out: &mut impl Write, response: Response, framing: Framing) -> io::Result<()> {
    write_response(out, response, framing)?;
    out.flush()
}

fn write_response(out: &mut impl Write, response: Response, framing: Framing) -> io::Result<()> {
    let status = StatusCode::from_u16(response.status_code).map_err(io::Error::other)?;
    write!(out, "HTTP/1.1 {status}\r\nDate: {}\r\n", HttpDate::from(SystemTime::now()))?;
    for (name, value) in &response.headers {
        if OWN_HEADERS.iter().all(|own| !name.eq_ignore_ascii_case(own)) {
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

/// A line break in a value would begin a header of its own, hence blanks.
fn write_field(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    let is_odd = value.bytes().any(|byte| byte.is_ascii_control());
    let clean = if is_odd { value.replace(char::is_control, " ") } else { String::new() };
    let value = if is_odd { &clean } else { value };
    // Piece by piece: formatting would take longer than all else here.
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

/// Closes a connection so that its last answer arrives: a close while there are bytes unread is a
/// reset, which can overtake it. So end this half first, and wait for the other (RFC 9112 §9.6).
pub fn close(mut stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER))?;
    let deadline = Instant::now() + LINGER;
    while stream.read(&mut [0; 4096])? > 0 && Instant::now() < deadline {}
    Ok(())
}
