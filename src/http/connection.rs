//! Connections: what each is doing, and which one is closed when there are too many.
//!
//! The server closes only connections whose client makes it wait: idle ones, those with an incomplete
//! request, and those that do not read their response. It never closes one whose client waits for the
//! server.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::network::network;

/// A connection that has waited for less than this is not chosen for its age: its request may be on
/// the way.
const GRACE: Duration = Duration::from_millis(250);

/// One client's connection.
pub struct Connection {
    pub stream: TcpStream,
    pub peer: SocketAddr,
    /// Whether it comes from a trusted proxy. Such a connection carries many visitors' requests.
    pub is_trusted: bool,
    phase: Mutex<Phase>,
}

/// What a connection is doing.
#[derive(Clone, Copy)]
pub enum Phase {
    /// No byte of the next request has arrived since this moment: the start of the connection, or the
    /// end of its last response.
    Idle(Instant),
    /// The first byte of a request arrived at this moment. Later bytes do not renew it; otherwise a
    /// client that sends one byte now and then would outlast all others.
    Receiving(Instant),
    /// The server has the whole request, and prepares the response.
    Answering,
    /// The server sends the response; the client last read some of it at this moment.
    Sending(Instant),
    /// Closed to make room. Its thread stops as soon as it notices.
    Ended,
}

impl Connection {
    /// A newly accepted connection.
    pub fn new(stream: TcpStream, peer: SocketAddr, is_trusted: bool) -> Connection {
        Connection { stream, peer, is_trusted, phase: Mutex::new(Phase::Idle(Instant::now())) }
    }

    /// Changes the phase, unless the connection was ended.
    pub fn enter(&self, phase: Phase) {
        let mut current = self.phase.lock();
        if !matches!(*current, Phase::Ended) {
            *current = phase;
        }
    }

    /// Whether it was ended to make room. Then the current response is its last.
    pub fn is_ended(&self) -> bool {
        matches!(*self.phase.lock(), Phase::Ended)
    }

    /// Since when the server waits for this client; `None` if the client waits for the server.
    fn waits_since(&self) -> Option<Instant> {
        match *self.phase.lock() {
            Phase::Idle(since) | Phase::Receiving(since) | Phase::Sending(since) => Some(since),
            Phase::Answering | Phase::Ended => None,
        }
    }

    /// Ends the connection if the server still waits for its client, and wakes its thread. A request
    /// that has fully arrived is still answered. Returns whether it was ended.
    fn end(&self) -> bool {
        let mut phase = self.phase.lock();
        let how = match *phase {
            Phase::Idle(_) | Phase::Receiving(_) => Shutdown::Read,
            Phase::Sending(_) => Shutdown::Both,
            Phase::Answering | Phase::Ended => return false,
        };
        *phase = Phase::Ended;
        let _ = self.stream.shutdown(how);
        true
    }

    /// Ends the connection if it has been idle for at least [`GRACE`].
    pub fn end_if_idle(&self) {
        let mut phase = self.phase.lock();
        if matches!(*phase, Phase::Idle(since) if since.elapsed() >= GRACE) {
            *phase = Phase::Ended;
            let _ = self.stream.shutdown(Shutdown::Read);
        }
    }
}

/// Identifies a connection. It contains the network, so that counting needs only the keys.
type Key = (RawFd, IpAddr);

/// All connections that the server has admitted.
#[derive(Default)]
pub struct Connections(HashMap<Key, Arc<Connection>>);

impl Connections {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.0.values().map(AsRef::as_ref)
    }

    /// How many come from the same network as this one.
    pub fn count_in_network_of(&self, connection: &Connection) -> usize {
        let network = network(connection.peer.ip());
        self.0.keys().filter(|key| key.1 == network).count()
    }

    pub fn insert(&mut self, connection: &Arc<Connection>) {
        self.0.insert(key(connection), Arc::clone(connection));
    }

    pub fn remove(&mut self, connection: &Connection) {
        self.0.remove(&key(connection));
    }

    /// Ends the connection whose client has made the server wait longest, if that is at least
    /// [`GRACE`].
    pub fn end_longest_waiting(&mut self) {
        let longest = self.waiting().min();
        if let Some((_, key)) = longest.filter(|(since, _)| since.elapsed() >= GRACE) {
            self.end(key);
        }
    }

    /// Ends a connection of the network that has the most, if that is more than the newcomer's network
    /// would have. So a few networks that keep reconnecting cannot keep others out. Connections of
    /// trusted proxies are not counted.
    pub fn end_one_of_the_largest_network(&mut self, newcomer: &Connection) {
        let mut sizes = HashMap::<IpAddr, usize>::new();
        for (key, _) in self.0.iter().filter(|(_, one)| !one.is_trusted) {
            *sizes.entry(key.1).or_default() += 1;
        }
        let size = |network: &IpAddr| sizes.get(network).copied().unwrap_or(0);
        let own = size(&network(newcomer.peer.ip())) + 1;
        let larger = self.waiting().filter(|(_, key)| size(&key.1) > own);
        if let Some((_, key)) = larger.max_by_key(|(since, key)| (size(&key.1), Reverse(*since))) {
            self.end(key);
        }
    }

    /// The connections whose client makes the server wait, each with the moment when that began.
    fn waiting(&self) -> impl Iterator<Item = (Instant, Key)> {
        self.0.iter().filter_map(|(key, one)| Some((one.waits_since()?, *key)))
    }

    /// Ends a connection and stops counting it at once. Its file descriptor stays open until its
    /// thread ends.
    fn end(&mut self, key: Key) {
        if self.0.get(&key).is_some_and(|connection| connection.end()) {
            self.0.remove(&key);
        }
    }
}

fn key(connection: &Connection) -> Key {
    (connection.stream.as_raw_fd(), network(connection.peer.ip()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A connection with that peer address.
    fn from(ip: &str, is_trusted: bool) -> Arc<Connection> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer = SocketAddr::new(ip.parse().unwrap(), 4711);
        Arc::new(Connection::new(stream, peer, is_trusted))
    }

    #[test]
    fn addresses_of_one_64_count_as_one_network_among_connections() {
        let mut all = Connections::default();
        for ip in ["2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:2::1", "192.0.2.1"] {
            all.insert(&from(ip, false));
        }
        assert_eq!(all.count_in_network_of(&from("2001:db8:0:1:ffff::", false)), 2);
        assert_eq!(all.count_in_network_of(&from("2001:db8:0:3::1", false)), 0);
        assert_eq!(all.count_in_network_of(&from("::ffff:192.0.2.1", false)), 1);
    }

    #[test]
    fn the_largest_network_makes_room_for_a_smaller_one_unless_it_is_a_trusted_proxy() {
        let left = |newcomer: &str, is_trusted: bool| {
            let mut all = Connections::default();
            for ip in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.1"] {
                all.insert(&from(ip, is_trusted));
            }
            all.end_one_of_the_largest_network(&from(newcomer, false));
            (all.len(), all.count_in_network_of(&from("192.0.2.1", false)))
        };
        assert_eq!(left("192.0.2.3", false), (3, 2));
        assert_eq!(left("192.0.2.2", false), (3, 2), "two are fewer than three");
        assert_eq!(left("192.0.2.1", false), (4, 3));
        assert_eq!(left("192.0.2.3", true), (4, 3));
    }
}
