//! Writing one response to a socket.

use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;
use httpdate::HttpDate;
use rouille::Response;

/// How much of a response is in memory at once.
const BUFFER_BYTES: usize = 16 * 1024;
/// Headers about the connection and not the page: no handler's business.
const OWN_HEADERS: [&str; 5] =
    ["connection", "content-length", "date", "transfer-encoding", "upgrade"];
/// How long a client may take to read its last answer.
const LINGER: Duration = Duration::from_secs(2);

/// What request and connection ask of an answer, whatever the handler made.
#[derive(Clone, Copy, Default)]
pub struct Framing {
    /// `HEAD`: no body.
    pub head_only: bool,
    /// HTTP/1.0: no chunks.
    pub is_1_0: bool,
    /// Nothing will follow on this connection.
    pub close: bool,
}

/// The answer to a request that no handler gets to see.
pub fn refusal(status: u16) -> Response {
    let policy = "default-src 'none'; frame-ancestors 'none'";
    Response::text(format!("{}\n", StatusCode::from_u16(status).unwrap_or_default()))
        .with_status_code(status)
        .with_additional_header("X-Content-Type-Options", "nosniff")
        .with_additional_header("Cache-Control", "no-store")
        .with_additional_header("Content-Security-Policy", policy)
}

/// What answers to one connection are collected in. It is kept from answer to answer, because
/// thousands of threads that each ask for that much memory wait for each other.
pub fn writer(stream: &TcpStream) -> BufWriter<&TcpStream> {
    BufWriter::with_capacity(BUFFER_BYTES, stream)
}

/// Writes a response; a small one takes one system call, a large one little memory.
///
/// # Errors
/// If the client takes nothing until the write timeout or is gone, or if the body cannot be read
/// or is shorter than announced. The connection is closed then.
pub fn send(
    out: &mut BufWriter<&TcpStream>,
    response: Response,
    framing: Framing,
) -> io::Result<()> {
    let sent = write_response(out, response, framing).and_then(|()| out.flush());
    // Dropped as it is, the writer would try once more, and wait once more.
    sent.inspect_err(|_| drop(out.get_ref().shutdown(Shutdown::Both)))
}

fn write_response(out: &mut impl Write, response: Response, framing: Framing) -> io::Result<()> {
    write_fields(out, &response)?;
    let has_none = matches!(response.status_code, 204 | 304);
    let (mut body, length) = response.data.into_reader_and_size();
    match length {
        Some(length) if !has_none => write!(out, "Content-Length: {length}\r\n")?,
        None if !has_none && !framing.is_1_0 => write!(out, "Transfer-Encoding: chunked\r\n")?,
        _ => {}
    }
    write!(out, "{}\r\n", if framing.close { "Connection: close\r\n" } else { "" })?;
    match length {
        _ if has_none || framing.head_only => Ok(()),
        Some(length) => {
            let copied = io::copy(&mut body.take(length as u64), out)?;
            if copied == length as u64 { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
        }
        None if framing.is_1_0 => io::copy(&mut body, out).map(drop),
        None => write_chunks(out, body),
    }
}

/// Status line and headers. A line break in a value would begin a header of its own, hence blanks.
fn write_fields(out: &mut impl Write, response: &Response) -> io::Result<()> {
    let status = StatusCode::from_u16(response.status_code).map_err(io::Error::other)?;
    let date = HttpDate::from(SystemTime::now());
    write!(out, "HTTP/1.1 {status}\r\nDate: {date}\r\n")?;
    for (name, value) in &response.headers {
        if OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            continue;
        }
        // Piece by piece: this runs for a dozen headers of every page.
        out.write_all(name.as_bytes())?;
        out.write_all(b": ")?;
        if value.bytes().any(|byte| byte.is_ascii_control()) {
            out.write_all(value.replace(char::is_control, " ").as_bytes())?;
        } else {
            out.write_all(value.as_bytes())?;
        }
        out.write_all(b"\r\n")?;
    }
    Ok(())
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

/// Answers 503, without ever waiting for the client.
pub fn turn_away(mut stream: &TcpStream) {
    let framing = Framing { close: true, ..Framing::default() };
    let _ = stream
        .set_nonblocking(true)
        .and_then(|()| send(&mut writer(stream), refusal(503), framing))
        // The request may be here already: see above.
        .and_then(|()| stream.read(&mut [0; 4096]));
}
