//! One connection: what it is doing, and how it goes on when its socket can be read or written.
//!
//! Nothing here waits for the client. Only a handler may take its time.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::forwarded::build_request;
use super::log_entry::LogEntry;
use super::read::{Head, Incoming, Received};
use super::service::Service;
use super::write::{Answer, Framing};
use crate::config::Limits;

/// How long a closing connection waits for its client to read the last response.
pub const LINGER: Duration = Duration::from_secs(2);

/// A connection that has been idle for less than this is not closed to make room, or for a stop: its
/// request may be on the way.
pub const GRACE: Duration = Duration::from_millis(250);

/// One client's connection. It owns no thread: whoever has it moves it on.
pub struct Connection {
    pub stream: TcpStream,
    peer: SocketAddr,
    pub incoming: Incoming,
    phase: Phase,
    /// Since when the server waits for this client. Bytes of a request do not renew it; otherwise a
    /// client that sends one byte now and then would outlast all others.
    pub since: Instant,
    /// When the client has made the server wait too long.
    deadline: Instant,
}

/// What the server waits for.
enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of a head.
    InHead,
    /// The rest of a body.
    InBody,
    /// The client to take more of its answer.
    Sending(Box<Outgoing>),
    /// The client to close, now that it has its last answer. A close with unread bytes sends a reset,
    /// which can destroy the response on its way. So the server ends its half of the connection first,
    /// and reads until the client has ended the other (RFC 9112 §9.6).
    Closing,
}

struct Outgoing {
    answer: Answer,
    keep_alive: bool,
    /// Logged when the answer is sent or given up.
    _entry: LogEntry,
}

/// How a connection is left after a worker's turn.
#[derive(Clone, Copy, PartialEq)]
pub enum Turn {
    /// Everything that has arrived is read: a later byte makes a new event.
    Wait,
    /// More may be there already, to read or to write, so an event must be asked for.
    Again,
    /// The connection is over.
    End,
}

impl Connection {
    /// A newly accepted connection, whose socket must not block.
    pub fn new(stream: TcpStream, peer: SocketAddr, service: &Service) -> Connection {
        let since = Instant::now();
        let deadline = since + service.limits.idle_timeout;
        let incoming = Incoming::default();
        Connection { stream, peer, incoming, phase: Phase::Idle, since, deadline }
    }

    /// Whether it waits for room to write, rather than for something to read.
    pub fn is_sending(&self) -> bool {
        matches!(self.phase, Phase::Sending(_))
    }

    /// Whether its client can be left without an answer when its time is over.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Closing)
    }

    /// When its time is over. A server that stops waits for no request that has not begun.
    pub fn deadline(&self, is_stopping: bool) -> Instant {
        if is_stopping && matches!(self.phase, Phase::Idle) {
            self.since + GRACE
        } else {
            self.deadline
        }
    }

    /// Goes on as far as possible without waiting, up to the end of one answer. `has_hung_up` says that
    /// the client will send nothing more.
    pub fn attend(&mut self, service: &Service, buffer: &mut [u8], has_hung_up: bool) -> Turn {
        let is_late = self.deadline <= Instant::now();
        let turn = match self.phase {
            Phase::InHead | Phase::InBody if is_late => self.answer(service, Err(408), false),
            Phase::Idle | Phase::InHead | Phase::InBody => self.read(service, buffer, has_hung_up),
            Phase::Sending(_) => self.send(service, false),
            // A client that never stops sending is seldom parked when deadlines are looked at.
            Phase::Closing if is_late => Ok(Turn::End),
            Phase::Closing => self.discard(buffer),
        };
        let turn = turn.inspect_err(|error| log::debug!("{}: {error}", self.peer));
        self.incoming.shrink();
        match turn {
            // A reader that has taken nothing until its deadline.
            Ok(Turn::Again) if self.is_sending() && self.deadline <= Instant::now() => Turn::End,
            turn => turn.unwrap_or(Turn::End),
        }
    }

    /// Reads until a request is complete, and answers it.
    fn read(
        &mut self,
        service: &Service,
        buffer: &mut [u8],
        has_hung_up: bool,
    ) -> io::Result<Turn> {
        let mut is_drained = false;
        loop {
            match self.incoming.next(&service.limits) {
                Ok(Received::Request(head, body)) => {
                    return self.answer(service, Ok((head, body)), is_drained);
                }
                Ok(received) => self.enter_part(&received, &service.limits)?,
                Err(status) => return self.answer(service, Err(status), is_drained),
            }
            if is_drained {
                return Ok(Turn::Wait);
            }
            match (&self.stream).read(buffer) {
                Ok(0) => return Ok(Turn::End),
                Ok(bytes) => {
                    self.incoming.push(&buffer[..bytes]);
                    // The end of the stream makes no event of its own if it was there before this one.
                    is_drained = bytes < buffer.len() && !has_hung_up;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => is_drained = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Notes how far the request has come, and invites the body of a client that waits for that.
    fn enter_part(&mut self, received: &Received, limits: &Limits) -> io::Result<()> {
        if !matches!(received, Received::Nothing) && matches!(self.phase, Phase::Idle) {
            self.enter(Phase::InHead, limits.head_timeout);
        }
        if let Received::PartOfBody { expects_continue } = *received
            && matches!(self.phase, Phase::InHead)
        {
            self.phase = Phase::InBody;
            self.deadline = Instant::now() + limits.body_timeout;
            if expects_continue {
                (&self.stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
        }
        Ok(())
    }

    /// Answers a request, or refuses it before any handler sees it. What follows a refused request is
    /// not read.
    fn answer(
        &mut self,
        service: &Service,
        request: Result<(Head, Vec<u8>), u16>,
        is_drained: bool,
    ) -> io::Result<Turn> {
        let (mut framing, mut entry) =
            (Framing::default(), LogEntry::new(self.started(), self.peer.ip()));
        let response = match request {
            Ok((head, body)) => {
                framing = head.framing;
                entry.name(|| format!("{} {}", head.method, head.path()));
                let request = build_request(head, body, self.peer, &service.trusted_proxies);
                entry.sender = request.remote_addr().ip();
                (service.handle)(&request)
            }
            Err(status) => {
                entry.name(|| self.incoming.method_and_path());
                self.incoming = Incoming::default();
                service.refusal(status)
            }
        };
        entry.status = response.status_code;
        framing.keep_alive &= !service.is_closing.load(Relaxed);
        let answer = Answer::new(response, framing)?;
        let outgoing = Outgoing { answer, keep_alive: framing.keep_alive, _entry: entry };
        self.enter(Phase::Sending(Box::new(outgoing)), service.limits.write_timeout);
        self.send(service, is_drained)
    }

    fn send(&mut self, service: &Service, is_drained: bool) -> io::Result<Turn> {
        let Phase::Sending(outgoing) = &mut self.phase else { return Ok(Turn::Again) };
        let bytes = outgoing.answer.send(&self.stream)?;
        let (is_sent, keep_alive) = (outgoing.answer.is_sent(), outgoing.keep_alive);
        if !is_sent {
            if bytes > 0 {
                self.since = Instant::now();
                self.deadline = self.since + service.limits.write_timeout;
            }
            return Ok(Turn::Again);
        }
        if keep_alive {
            self.enter(Phase::Idle, service.limits.idle_timeout);
        } else {
            self.stream.shutdown(Shutdown::Write)?;
            self.incoming = Incoming::default();
            self.enter(Phase::Closing, LINGER);
        }
        Ok(if is_drained && self.incoming.is_empty() { Turn::Wait } else { Turn::Again })
    }

    /// Reads what a client still sends after its last answer.
    fn discard(&mut self, buffer: &mut [u8]) -> io::Result<Turn> {
        match (&self.stream).read(buffer) {
            Ok(0) => Ok(Turn::End),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Turn::Wait),
            read => read.map(|_| Turn::Again),
        }
    }

    /// When the first byte of the current request arrived.
    fn started(&self) -> Instant {
        if self.is_idle() { Instant::now() } else { self.since }
    }

    fn enter(&mut self, phase: Phase, timeout: Duration) {
        (self.phase, self.since) = (phase, Instant::now());
        self.deadline = self.since + timeout;
    }

    /// Answers 503 to a connection that has no place, without waiting for its client.
    pub fn turn_away(&mut self, service: &Service) -> io::Result<()> {
        self.answer(service, Err(503), false)?;
        // To close with unread bytes would reset the connection, and the client could lose the response.
        (&self.stream).read(&mut [0; 4096]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::TcpListener;
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn a_client_that_never_stops_sending_after_its_last_answer_is_closed_in_time() {
        let service = Service {
            refusals: BTreeMap::default(),
            limits: crate::Config::new("").limits,
            trusted_proxies: Vec::new(),
            handle: Box::new(|_| rouille::Response::text("")),
            is_closing: AtomicBool::new(false),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let mut connection = Connection::new(stream, peer, &service);
        client.write_all(b"no request\r\n\r\n").unwrap();
        for (lasts, expected) in [(LINGER, Turn::Again), (Duration::ZERO, Turn::End)] {
            connection.enter(Phase::Closing, lasts);
            let turn = connection.attend(&service, &mut [0; 4], false);
            assert!(turn == expected, "after {lasts:?}");
        }
    }
}
