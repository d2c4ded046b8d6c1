//! Writes responses, framed as RFC 9112 says, without waiting for the client. A file of any size takes no
//! more memory than a page.

use std::io::{self, ErrorKind, Read, Write};
use std::time::SystemTime;

use http::StatusCode;
use httpdate::HttpDate;
use rouille::Response;

/// Headers that describe the connection. This file writes them, and drops those of a handler.
const CONNECTION_HEADERS: [&str; 5] =
    ["connection", "content-length", "date", "transfer-encoding", "upgrade"];
/// How much of a response is in memory at once. Head and page are sent together.
const BUFFER_BYTES: usize = 16 * 1024;
/// How many buffers one call of [`Answer::send`] sends at most, so that a fast reader of a large file
/// takes turns with others.
const BUFFERS_A_TURN: usize = 64;

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

/// A response on its way to the client.
pub struct Answer {
    /// The next bytes to send, of which `sent` are sent already.
    buffer: Vec<u8>,
    sent: usize,
    /// The part of the body that is not in the buffer yet. `None` if there is no more.
    body: Option<Body>,
}

struct Body {
    reader: Box<dyn Read + Send>,
    length: Length,
}

/// Where a body ends.
enum Length {
    /// After that many more bytes.
    Known(u64),
    /// After an empty chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

impl Answer {
    /// # Errors
    /// If the beginning of the body cannot be read, or the body is shorter than announced.
    pub fn new(response: Response, framing: Framing) -> io::Result<Answer> {
        let has_body = !matches!(response.status_code, 204 | 304);
        let status = StatusCode::from_u16(response.status_code).map_err(io::Error::other)?;
        let (reader, bytes) = response.data.into_reader_and_size();
        let length = match bytes {
            Some(bytes) => Length::Known(bytes as u64),
            None if framing.is_1_0 => Length::UntilClose,
            None => Length::Chunked,
        };
        let mut head = Vec::with_capacity(1024 + bytes.unwrap_or(0).min(BUFFER_BYTES));
        write!(head, "HTTP/1.1 {status}\r\nDate: {}\r\n", HttpDate::from(SystemTime::now()))?;
        for (name, value) in &response.headers {
            if CONNECTION_HEADERS.iter().all(|own| !name.eq_ignore_ascii_case(own)) {
                write_field(&mut head, name, value);
            }
        }
        match length {
            Length::Known(bytes) if has_body => write!(head, "Content-Length: {bytes}\r\n")?,
            Length::Chunked if has_body => head.extend(b"Transfer-Encoding: chunked\r\n"),
            _ => {}
        }
        head.extend(if framing.keep_alive { &b"\r\n"[..] } else { b"Connection: close\r\n\r\n" });
        let body = (has_body && !framing.head_only).then_some(Body { reader, length });
        let mut answer = Answer { buffer: head, sent: 0, body };
        answer.refill()?;
        Ok(answer)
    }

    /// Sends what the client's side takes now. Returns the number of bytes.
    ///
    /// # Errors
    /// If the client is gone, or the body cannot be read or is shorter than announced. The connection is
    /// then unusable.
    pub fn send(&mut self, mut out: impl Write) -> io::Result<usize> {
        let mut bytes = 0;
        for _ in 0..BUFFERS_A_TURN {
            while self.sent < self.buffer.len() {
                match out.write(&self.buffer[self.sent..]) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(taken) => (self.sent, bytes) = (self.sent + taken, bytes + taken),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(bytes),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            if self.body.is_none() {
                break;
            }
            self.buffer.clear();
            self.sent = 0;
            self.refill()?;
        }
        Ok(bytes)
    }

    /// Whether everything is sent.
    pub fn is_sent(&self) -> bool {
        self.sent == self.buffer.len() && self.body.is_none()
    }

    /// Adds the next part of the body to the buffer.
    fn refill(&mut self) -> io::Result<()> {
        let Some(Body { reader, length }) = &mut self.body else { return Ok(()) };
        let room = BUFFER_BYTES.saturating_sub(self.buffer.len()) as u64;
        if room == 0 {
            return Ok(());
        }
        let mut read = |bytes, buffer| reader.take(bytes).read_to_end(buffer);
        let is_over = match length {
            Length::Known(left) => {
                let wanted = room.min(*left);
                let bytes = read(wanted, &mut self.buffer)? as u64;
                if bytes < wanted {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                *left -= bytes;
                *left == 0
            }
            Length::Chunked => {
                let mut chunk = Vec::new();
                let bytes = read(room, &mut chunk)?;
                write!(self.buffer, "{bytes:x}\r\n")?;
                self.buffer.extend(chunk);
                self.buffer.extend(b"\r\n");
                bytes == 0
            }
            Length::UntilClose => read(room, &mut self.buffer)? == 0,
        };
        if is_over {
            self.body = None;
        }
        Ok(())
    }
}

/// Writes a header. Control characters become blanks, because a line break would start another header.
fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    let is_odd = value.bytes().any(|byte| byte.is_ascii_control());
    let clean = if is_odd { value.replace(char::is_control, " ") } else { String::new() };
    let value = if is_odd { &clean } else { value };
    // `write!` would be slower than everything else in this file.
    for piece in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(piece.as_bytes());
    }
}
