//! A server in this process, on a port of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use doorward::config::Limits;
use doorward::http::listener::serve;
use doorward::refusal_pages;
use rouille::{Request, Response};

use super::client::{Answer, Client};
use super::site::config;

pub const HELLO: &str = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

/// A listener on a port of its own. Stops when dropped.
pub struct Server {
    pub port: u16,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<io::Result<Instant>>>,
}

impl Server {
    pub fn start(
        limits: Limits,
        trusted_proxies: &[&str],
        handle: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let trusted = trusted_proxies.iter().map(|network| network.parse().unwrap()).collect();
        let (stop, stopped) = UnixStream::pair().unwrap();
        let refusals = refusal_pages(&config(""));
        let thread =
            thread::spawn(move || serve(listener, limits, trusted, &stopped, refusals, handle));
        Server { port, stop: Some(stop), thread: Some(thread) }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.port)
    }

    /// Connects from another of the loopback addresses.
    pub fn connect_from(&self, ip: Ipv4Addr) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], self.port)).into()).unwrap();
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

    pub fn join(&mut self) -> io::Result<Instant> {
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
