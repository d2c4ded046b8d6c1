//! A way to a real PostgreSQL that can be made slow, or be stopped without being closed: what a frozen
//! server and a bad network look like from here.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Forwards connections from a port on this machine to the Unix socket of a server.
pub struct Stall {
    url: String,
    way: Arc<Way>,
}

#[derive(Default)]
struct Way {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_frozen: bool,
    delay: Duration,
}

impl Stall {
    /// In front of the database of that URL.
    pub fn before(url: &str) -> Stall {
        let url = url::Url::parse(url).unwrap();
        let value = |key| url.query_pairs().find(|(name, _)| name == key).unwrap().1.into_owned();
        let socket = format!("{}/.s.PGSQL.5432", value("host"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = Arc::new(Way::default());
        let shared = Arc::clone(&way);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, way) = (client.unwrap(), Arc::clone(&shared));
                let Ok(server) = UnixStream::connect(&socket) else { return };
                thread::spawn(move || way.forward(client, server));
            }
        });
        let url =
            format!("postgres://{}@127.0.0.1:{port}{}?sslmode=disable", value("user"), url.path());
        Stall { url, way }
    }

    /// Where the database is, by this way.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets nothing through, and closes nothing, until told otherwise.
    pub fn freeze(&self, is_frozen: bool) {
        self.way.state.lock().is_frozen = is_frozen;
        self.way.changed.notify_all();
    }

    /// Holds up each answer of the server for that long.
    pub fn delay(&self, delay: Duration) {
        self.way.state.lock().delay = delay;
    }
}

impl Way {
    fn forward(self: Arc<Self>, client: TcpStream, server: UnixStream) {
        let (mut from_client, mut to_server) =
            (client.try_clone().unwrap(), server.try_clone().unwrap());
        let way = Arc::clone(&self);
        thread::spawn(move || {
            way.copy(&mut from_client, &mut to_server, |_| Duration::ZERO);
            let _ = to_server.shutdown(Shutdown::Write);
        });
        let (mut from_server, mut to_client) = (server, client);
        self.copy(&mut from_server, &mut to_client, |state| state.delay);
        let _ = to_client.shutdown(Shutdown::Both);
    }

    fn copy(&self, from: &mut impl Read, to: &mut impl Write, delay: impl Fn(&State) -> Duration) {
        let mut bytes = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            thread::sleep(delay(&self.state.lock()));
            let mut state = self.state.lock();
            while state.is_frozen {
                self.changed.wait(&mut state);
            }
            drop(state);
            if to.write_all(&bytes[..count]).is_err() {
                return;
            }
        }
    }
}
