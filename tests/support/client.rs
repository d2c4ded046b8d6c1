//! A client that speaks HTTP only as far as a test makes it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::PATIENCE;

/// A time that is short for a person; far above that of an exchange on loopback, far below [`PATIENCE`].
pub const SHORT: Duration = Duration::from_millis(300);

/// A connection to a server.
pub struct Client {
    pub reader: BufReader<TcpStream>,
}

/// An answer as it came over the wire.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Client {
    /// Connects to a server on this machine.
    pub fn connect(port: u16) -> Client {
        Client::on(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    pub fn on(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Sends what the server will take; it may have closed already.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream().write_all(bytes.as_ref());
    }

    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET").expect("an answer")
    }

    /// Reads one answer; `None` if the connection ends instead.
    pub fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let mut answer = Answer::head(&mut self.reader)?;
        let status = answer.status;
        if method == "HEAD" || status == 100 {
            return Some(answer);
        }
        if let Some(length) = answer.header("Content-Length") {
            answer.body = vec![0; length.parse().unwrap()];
            self.reader.read_exact(&mut answer.body).unwrap();
        } else if answer.header("Transfer-Encoding") == Some("chunked") {
            while let Some(bytes) = self.chunk() {
                answer.body.extend(bytes);
            }
        } else if answer.header("Connection") == Some("close") && ![204, 304].contains(&status) {
            self.reader.read_to_end(&mut answer.body).unwrap();
        }
        Some(answer)
    }

    fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&line(&mut self.reader).unwrap(), 16).unwrap();
        let mut bytes = vec![0; size];
        self.reader.read_exact(&mut bytes).unwrap();
        assert_eq!(line(&mut self.reader).unwrap(), "");
        (size > 0).then_some(bytes)
    }

    /// Whether the server ends the connection, by a close or a reset, within [`PATIENCE`].
    pub fn is_closed(&mut self) -> bool {
        match self.reader.read(&mut [0]) {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    pub fn is_open(&mut self) -> bool {
        self.stream().set_read_timeout(Some(SHORT)).unwrap();
        let result = self.reader.read(&mut [0]);
        self.stream().set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

impl Answer {
    /// What `curl -i` printed: a head as it came, and a body that is decoded.
    pub fn parse(text: &str) -> Answer {
        let mut text = text.as_bytes();
        let head = Answer::head(&mut text).expect("an answer");
        Answer { body: text.to_owned(), ..head }
    }

    /// Reads up to the body; `None` if there is no more.
    fn head(reader: &mut impl BufRead) -> Option<Answer> {
        let status_line = line(reader)?;
        let status = status_line.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let mut headers = Vec::new();
        while let Some(line) = line(reader).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_owned(), value.to_owned()));
        }
        Some(Answer { status, headers, body: Vec::new() })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} comes twice");
        value
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub fn closes(&self) -> bool {
        self.header("Connection") == Some("close")
    }
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok().filter(|bytes| *bytes > 0)?;
    let line = String::from_utf8(line).unwrap();
    Some(line.strip_suffix("\r\n").expect("lines end in CR LF").to_owned())
}

/// Asks a server on this machine, on a connection of its own.
pub fn fetch(port: u16, method: &str, path: &str, cookie: &str, body: &str) -> Answer {
    let mut client = Client::connect(port);
    let length = body.len();
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {cookie}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    client.answer_to(method).expect("an answer")
}
