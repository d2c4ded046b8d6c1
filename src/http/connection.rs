//! One connection: what it is doing, and how it goes on when its socket can be read or written.
//!
//! Nothing here waits for the client. Only a handler may take its time.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rouille::{Request, Response};

use super::forwarded::build_request;
use super::headers;
use super::log_entry::LogEntry;
use super::read::Head;
use super::write::{Answer, Framing};
use crate::config::Limits;

/// How long a closing connection waits for its client to read the last response.
const LINGER: Duration = Duration::from_secs(2);

/// A connection that has been idle for less than this is not closed to make room, or for a stop: its
/// request may be on the way.
pub const GRACE: Duration = Duration::from_millis(250);

/// How many buffers of an answer are sent at most before others have their turn.
const BUFFERS_A_TURN: usize = 64;

/// What all connections share.
pub struct Service {
    pub limits: Limits,
    pub trusted_proxies: Vec<IpNet>,
    pub handle: Box<dyn Fn(&Request) -> Response + Send + Sync>,
    /// The page for each status with which requests are refused before any handler sees them.
    pub refusals: BTreeMap<u16, String>,
    /// Whether each response closes its connection: connections run short, or the server stops.
    pub is_closing: AtomicBool,
}

impl Service {
    /// The response to a request that is refused.
    pub fn refusal(&self, status: u16) -> Response {
        let page = self.refusals.get(&status).map_or_else(Default::default, String::as_str);
        let mut response =
            Response::from_data("text/html; charset=utf-8", page).with_status_code(status);
        headers::secure(&mut response, false);
        response
    }
}

/// One client's connection. It owns no thread: whoever has it moves it on.
pub struct Connection {
    pub stream: TcpStream,
    peer: SocketAddr,
    /// What has been received and not yet answered.
    pub incoming: Vec<u8>,
    phase: Phase,
    /// Since when the server waits for this client. Bytes of a request do not renew it; otherwise a
    /// client that sends one byte now and then would outlast all others.
    pub since: Instant,
    /// When the client has made the server wait too long.
    deadline: Instant,
    /// Whether more may be there already, to read or to write. If not, a later byte makes a new event.
    pub has_more: bool,
}

/// What the server waits for.
enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a request of so many bytes.
    Body(usize),
    /// The client to take more of its answer.
    Sending(Box<Answer>),
    /// The client to close, now that it has its last answer. A close with unread bytes sends a reset,
    /// which can destroy the response on its way. So the server ends its half of the connection first,
    /// and reads until the client has ended the other (RFC 9112 §9.6).
    Closing,
}

impl Connection {
    /// A newly accepted connection, whose socket must not block.
    pub fn new(stream: TcpStream, peer: SocketAddr, service: &Service) -> Connection {
        let since = Instant::now();
        let deadline = since + service.limits.idle_timeout;
        let (incoming, phase) = (Vec::new(), Phase::Idle);
        Connection { stream, peer, incoming, phase, since, deadline, has_more: false }
    }

    /// Whether it waits for room to write, rather than for something to read.
    pub fn is_sending(&self) -> bool {
        matches!(self.phase, Phase::Sending(_))
    }

    /// When its time is over. A server that stops waits for no request that has not begun.
    pub fn deadline(&self, is_stopping: bool) -> Instant {
        let is_stopped = is_stopping && matches!(self.phase, Phase::Idle);
        if is_stopped { self.since + GRACE } else { self.deadline }
    }

    /// Ends a connection whose time is over. A client that has sent part of a request gets an answer.
    /// Returns whether the connection goes on.
    pub fn expire(&mut self, service: &Service) -> bool {
        match self.phase {
            Phase::Idle | Phase::Closing => false,
            Phase::Head | Phase::Body(_) => self.answer(service, Err(408)).is_ok(),
            // The room that a slow reader makes can be too small for an event.
            Phase::Sending(_) => self.send(service, 1).is_ok() && self.deadline > Instant::now(),
        }
    }

    /// Goes on as far as possible without waiting, up to the end of one answer. `has_hung_up` says that
    /// the client will send nothing more. Returns whether the connection goes on.
    pub fn attend(&mut self, service: &Service, buffer: &mut [u8], has_hung_up: bool) -> bool {
        self.has_more = true;
        let outcome = match self.phase {
            Phase::Sending(_) => self.send(service, BUFFERS_A_TURN),
            // A client that never stops sending is seldom parked when deadlines are looked at.
            Phase::Closing if self.deadline <= Instant::now() => return false,
            Phase::Closing => self.read_some(buffer, has_hung_up).map(drop),
            _ => self.read(service, buffer, has_hung_up),
        };
        self.incoming.shrink_to_fit();
        outcome.inspect_err(|error| log::debug!("{}: {error}", self.peer)).is_ok()
    }

    /// Reads until a request is complete, and answers it.
    fn read(&mut self, service: &Service, buffer: &mut [u8], has_hung_up: bool) -> io::Result<()> {
        let limits = &service.limits;
        loop {
            if matches!(self.phase, Phase::Idle) && !self.incoming.is_empty() {
                self.enter(Phase::Head, limits.head_timeout);
            }
            let parsed = match self.phase {
                Phase::Body(bytes) if self.incoming.len() < bytes => None,
                _ => Head::parse(&self.incoming, limits).transpose(),
            };
            match parsed {
                Some(Ok(head)) if self.incoming.len() < head.body.end => {
                    self.phase = Phase::Body(head.body.end);
                    self.deadline = Instant::now() + limits.body_timeout;
                    if head.expects_continue {
                        (&self.stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                    }
                }
                Some(request) => return self.answer(service, request),
                None => {}
            }
            if !self.has_more {
                return Ok(());
            }
            let bytes = self.read_some(buffer, has_hung_up)?;
            self.incoming.extend_from_slice(&buffer[..bytes]);
        }
    }

    /// Reads what has arrived, a buffer full at most. Returns the number of bytes.
    fn read_some(&mut self, buffer: &mut [u8], has_hung_up: bool) -> io::Result<usize> {
        let read = (&self.stream).read(buffer);
        // The end of the stream makes no event of its own if it was there before this one.
        let is_full = |bytes: &usize| has_hung_up || *bytes == buffer.len();
        self.has_more = read.as_ref().is_ok_and(is_full);
        match read {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            read => read,
        }
    }

    /// Answers a request, or refuses it before any handler sees it. What follows a refused request is
    /// not read.
    fn answer(&mut self, service: &Service, request: Result<Head, u16>) -> io::Result<()> {
        let mut entry = LogEntry::new(&self.incoming, self.since, self.peer.ip());
        let (mut framing, response) = match request {
            Ok(head) => {
                let (framing, rest) = (head.framing, self.incoming.split_off(head.body.end));
                let body = mem::replace(&mut self.incoming, rest).split_off(head.body.start);
                let request = build_request(head, body, self.peer, &service.trusted_proxies);
                entry.sender = request.remote_addr().ip();
                (framing, (service.handle)(&request))
            }
            Err(status) => {
                self.incoming = Vec::new();
                (Framing::default(), service.refusal(status))
            }
        };
        entry.status = response.status_code;
        framing.keep_alive &= !service.is_closing.load(Relaxed);
        let answer = Answer::new(response, framing, entry)?;
        self.enter(Phase::Sending(Box::new(answer)), service.limits.write_timeout);
        self.send(service, BUFFERS_A_TURN)
    }

    fn send(&mut self, service: &Service, buffers: usize) -> io::Result<()> {
        let Phase::Sending(answer) = &mut self.phase else { return Ok(()) };
        let bytes = answer.send(&self.stream, buffers)?;
        let (is_sent, keep_alive) = (answer.is_sent(), answer.keep_alive);
        if !is_sent {
            if bytes > 0 {
                self.since = Instant::now();
                self.deadline = self.since + service.limits.write_timeout;
            }
            self.has_more = true;
        } else if keep_alive {
            self.enter(Phase::Idle, service.limits.idle_timeout);
            self.has_more |= !self.incoming.is_empty();
        } else {
            self.stream.shutdown(Shutdown::Write)?;
            self.incoming = Vec::new();
            self.enter(Phase::Closing, LINGER);
        }
        Ok(())
    }

    fn enter(&mut self, phase: Phase, timeout: Duration) {
        (self.phase, self.since) = (phase, Instant::now());
        self.deadline = self.since + timeout;
    }

    /// Answers 503 to a connection that has no place, without waiting for its client.
    pub fn turn_away(&mut self, service: &Service) -> io::Result<()> {
        self.answer(service, Err(503))?;
        // To close with unread bytes would reset the connection, and the client could lose the response.
        (&self.stream).read(&mut [0; 4096]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::http::tests::service;

    #[test]
    fn a_client_that_never_stops_sending_after_its_last_answer_is_closed_in_time() {
        let service = service();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let mut connection = Connection::new(stream, peer, &service);
        client.write_all(b"no request\r\n\r\n").unwrap();
        for (lasts, goes_on) in [(LINGER, true), (Duration::ZERO, false)] {
            connection.enter(Phase::Closing, lasts);
            let went_on = connection.attend(&service, &mut [0; 4], false);
            assert!(went_on == goes_on, "after {lasts:?}");
        }
    }
}
