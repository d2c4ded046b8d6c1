//! A listener on a port of its own, and a client that speaks HTTP only as far as a test makes it.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use doorward::config::Limits;
use doorward::http::listener::serve;
use rouille::{Request, Response, ResponseBody};

/// How long a test waits for what must come. Ten times what anything here should take.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A timeout set short; far above the time of an exchange on loopback, far below [`PATIENCE`].
pub const SHORT: Duration = Duration::from_millis(300);

pub const HELLO: &str = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

/// A listener on a port of its own, with [`echo`] behind it. Stops when dropped.
pub struct Server {
    pub address: SocketAddr,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    pub fn start(limits: Limits, trusted_proxies: &[&str]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let trusted = trusted_proxies.iter().map(|network| network.parse().unwrap()).collect();
        let (stop, stopped) = UnixStream::pair().unwrap();
        let thread = thread::spawn(move || serve(listener, limits, trusted, &stopped, echo));
        Server { address, stop: Some(stop), thread: Some(thread) }
    }

    pub fn connect(&self) -> Client {
        Client::on(TcpStream::connect(self.address).unwrap())
    }

    /// Connects from another of the loopback addresses.
    pub fn connect_from(&self, ip: Ipv4Addr) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        Client::on(socket.into())
    }

    /// Sends one request on a connection of its own, and returns the first answer.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect();
        client.send(request);
        client.answer()
    }

    pub fn assert_still_answers(&self) {
        assert_eq!(self.ask(HELLO).status, 200, "the next request on another connection");
    }

    pub fn request_stop(&mut self) {
        self.stop = None;
    }

    pub fn join(&mut self) -> io::Result<()> {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.request_stop();
        if let Some(thread) = self.thread.take() {
            let result = thread.join().unwrap();
            if !thread::panicking() {
                result.unwrap();
            }
        }
    }
}

pub fn limits() -> Limits {
    let second = Duration::from_secs(1);
    Limits {
        max_connections: 1024,
        max_connections_per_address: 1024,
        max_head_bytes: 16 * 1024,
        max_headers: 100,
        max_body_bytes: 64 * 1024,
        head_timeout: 10 * second,
        body_timeout: 10 * second,
        idle_timeout: 15 * second,
        write_timeout: 10 * second,
        shutdown_timeout: 10 * second,
    }
}

pub fn start() -> Server {
    Server::start(limits(), &[])
}

/// Answers with what it saw; a few paths answer in a way of their own.
fn echo(request: &Request) -> Response {
    match request.url().as_str() {
        "/slow" => thread::sleep(SHORT),
        "/panic" => panic!("as the test asked"),
        "/no-content" => return Response::empty_204(),
        "/not-modified" => return Response::text("").with_status_code(304),
        "/endless" => {
            return Response {
                data: ResponseBody::from_reader(io::repeat(b'.')),
                ..Response::text("")
            };
        }
        "/mebibyte" => return sized(io::repeat(b'.').take(1 << 20), 1 << 20),
        "/short" => return sized(&b"only this"[..], 1000),
        "/unknown-length" => {
            let data = ResponseBody::from_reader(io::repeat(b'.').take(100_000));
            return Response { data, ..Response::text("") };
        }
        "/headers" => return meddle(),
        _ => {}
    }
    let mut seen = String::new();
    writeln!(seen, "{} {}", request.method(), request.raw_url()).unwrap();
    writeln!(seen, "from {} {}", request.remote_addr(), request.is_secure()).unwrap();
    for (name, value) in request.headers() {
        writeln!(seen, "{name}: {value}").unwrap();
    }
    let mut seen = seen.into_bytes();
    request.data().unwrap().read_to_end(&mut seen).unwrap();
    Response::from_data("text/plain", seen)
}

pub fn sized(data: impl Read + Send + 'static, bytes: usize) -> Response {
    Response { data: ResponseBody::from_reader_and_size(data, bytes), ..Response::text("") }
}

/// A handler that says what is not its to say, and lets a line break into a value.
fn meddle() -> Response {
    Response::text("five\n")
        .with_additional_header("Content-Length", "999")
        .with_additional_header("Transfer-Encoding", "chunked")
        .with_additional_header("Connection", "keep-alive")
        .with_additional_header("Date", "yesterday")
        .with_additional_header("X-Split", "a\r\nX-Injected: b\0")
        .with_additional_header("X-Accent", "é")
}

/// A connection that speaks HTTP only as far as a test makes it.
pub struct Client {
    pub reader: BufReader<TcpStream>,
}

#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Client {
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
        let status_line = self.line()?;
        let status = status_line.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
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

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).ok().filter(|bytes| *bytes > 0)?;
        let line = String::from_utf8(line).unwrap();
        Some(line.strip_suffix("\r\n").expect("lines end in CR LF").to_owned())
    }

    fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line().unwrap(), 16).unwrap();
        let mut bytes = vec![0; size];
        self.reader.read_exact(&mut bytes).unwrap();
        assert_eq!(self.line().unwrap(), "");
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
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
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

/// Tries until it works out; fails the test after [`PATIENCE`].
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "in time");
        thread::sleep(SHORT / 10);
    }
}
