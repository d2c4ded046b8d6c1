//! Reading one request off a socket, within the limits of size and time.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::head::Head;
use crate::config::Limits;

/// How much one read asks for: nearly always more than the whole request.
const READ_BYTES: usize = 4096;

/// The receiving side of one connection.
pub struct Incoming<'a> {
    stream: &'a TcpStream,
    limits: &'a Limits,
    timeout: Duration,
    /// The request at hand, even if it was refused, and whatever came after it.
    pub buffer: Vec<u8>,
    /// How much of the buffer is that request.
    done: usize,
}

impl<'a> Incoming<'a> {
    /// The receiving side of `stream`, of which nothing has been read yet.
    pub fn new(stream: &'a TcpStream, limits: &'a Limits) -> Self {
        Incoming { stream, limits, timeout: Duration::ZERO, buffer: Vec::new(), done: 0 }
    }

    /// Waits for the first byte of the next request; `false` if the connection ends or stays idle.
    pub fn wait(&mut self) -> bool {
        self.buffer.drain(..self.done);
        self.buffer.shrink_to(READ_BYTES);
        self.done = 0;
        !self.buffer.is_empty() || matches!(self.read(self.limits.idle_timeout), Ok(1..))
    }

    /// Reads the request whose first byte is there; `None` if the client goes away meanwhile.
    ///
    /// # Errors
    /// The status to refuse the request with, as it breaks a rule or a limit.
    pub fn request(&mut self) -> Result<Option<(Head, Vec<u8>)>, u16> {
        let deadline = Instant::now() + self.limits.head_timeout;
        let head = loop {
            match Head::parse(&self.buffer, self.limits)? {
                Some(head) => break head,
                None if self.read_before(deadline)? => {}
                None => return Ok(None),
            }
        };
        let deadline = Instant::now() + self.limits.body_timeout;
        self.done = head.bytes + head.body_bytes;
        if head.expects_continue && self.buffer.len() < self.done {
            // If this fails, so does the read that follows.
            let _ = { self.stream }.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        while self.buffer.len() < self.done {
            if !self.read_before(deadline)? {
                return Ok(None);
            }
        }
        let body = self.buffer[head.bytes..self.done].to_vec();
        Ok(Some((head, body)))
    }

    /// Reads on; `false` if the client is gone, 408 if the deadline is.
    fn read_before(&mut self, deadline: Instant) -> Result<bool, u16> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.read(left) {
            _ if left.is_zero() => Err(408),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(408),
            Err(error) => Ok(error.kind() == ErrorKind::Interrupted),
            Ok(bytes) => Ok(bytes > 0),
        }
    }

    fn read(&mut self, timeout: Duration) -> io::Result<usize> {
        // Setting a timeout is a system call; a request that arrives whole needs no new one.
        if self.timeout != timeout {
            self.stream.set_read_timeout(Some(timeout))?;
            self.timeout = timeout;
        }
        let filled = self.buffer.len();
        self.buffer.resize(filled + READ_BYTES, 0);
        let result = { self.stream }.read(&mut self.buffer[filled..]);
        self.buffer.truncate(filled + result.as_ref().unwrap_or(&0));
        result
    }
}
