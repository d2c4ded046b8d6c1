//! Where connections are while nobody works on them, and which one is closed when there are too many.
//!
//! The server closes only connections whose client makes it wait: idle ones, those with an incomplete
//! request, and those that do not read their response. These are exactly the parked ones. It never closes
//! one whose client waits for the server.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::mem;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::connection::{Connection, GRACE, Turn};

/// What a connection waits for at first: bytes, or their end. `ET`: an event for each arrival, and none
/// while nothing arrives.
const READING: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);
/// What a connection waits for with the rest of an answer. Bytes that arrive meanwhile make no event.
const WRITING: EventFlags = EventFlags::OUT.union(EventFlags::ET);

/// A parked connection that holds more bytes of an incomplete request than this is heavy. No request that a
/// page of ours leads to does so for long.
const FEW_BYTES: usize = 4096;
/// The most bytes that all heavy connections hold together. Otherwise thousands of bodies that never end would
/// fill a small machine.
const MAX_HEAVY_BYTES: usize = 16 * 1024 * 1024;

/// Identifies a connection. It is never used again, so an event that comes late finds nothing.
pub type Id = u64;

/// All connections that the server has admitted, and the epoll instance that watches their sockets.
pub struct Parking {
    pub epoll: OwnedFd,
    table: Mutex<Table>,
    pub emptied: Condvar,
}

#[derive(Default)]
pub struct Table {
    places: HashMap<Id, Place>,
    last_id: Id,
    /// The parked connections, by the time since when they wait.
    waiting: BTreeSet<(Instant, Id)>,
    /// Those of them that are heavy, and how many bytes these hold.
    heavy: BTreeSet<(Instant, Id)>,
    heavy_bytes: usize,
    /// How many connections each network has.
    networks: HashMap<IpAddr, usize>,
}

struct Place {
    /// `None` for a trusted proxy, which carries many visitors' requests and is not counted.
    network: Option<IpAddr>,
    state: State,
}

enum State {
    Parked(Connection),
    /// A worker has it. Whether there was another event since.
    Taken {
        again: bool,
    },
}

impl Parking {
    pub fn new() -> io::Result<Parking> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Parking { epoll, table: Mutex::default(), emptied: Condvar::new() })
    }

    pub fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }

    /// Parks a new connection.
    pub fn admit(&self, connection: Connection, network: Option<IpAddr>) -> io::Result<()> {
        let mut table = self.lock();
        table.last_id += 1;
        let id = table.last_id;
        epoll::add(&self.epoll, &connection.stream, EventData::new_u64(id), READING)?;
        table.insert(id, network, connection);
        Ok(())
    }

    /// Takes a parked connection, which is then the caller's alone until it is put back. `None` if it is
    /// gone, or if somebody else has it, who then learns that there was another event.
    pub fn take(&self, id: Id) -> Option<Connection> {
        let mut guard = self.lock();
        let table = &mut *guard;
        let state = &mut table.places.get_mut(&id)?.state;
        match mem::replace(state, State::Taken { again: false }) {
            State::Parked(connection) => {
                table.stop_waiting(id, &connection);
                Some(connection)
            }
            State::Taken { .. } => {
                *state = State::Taken { again: true };
                None
            }
        }
    }

    /// Parks a connection that was taken, or ends it.
    pub fn put_back(&self, id: Id, connection: Connection, turn: Turn) {
        let mut guard = self.lock();
        let table = &mut *guard;
        let Some(place) = table.places.get_mut(&id) else { return };
        let mut is_over = turn == Turn::End;
        if !is_over && (turn == Turn::Again || matches!(place.state, State::Taken { again: true }))
        {
            // Asking again makes an event if there is something to do already. This must happen before
            // the connection is parked: afterwards another worker may close it, and a new connection
            // may get its file descriptor.
            let interest = if connection.is_sending() { WRITING } else { READING | WRITING };
            let data = EventData::new_u64(id);
            is_over = epoll::modify(&self.epoll, &connection.stream, data, interest).is_err();
        }
        if is_over {
            table.remove(id);
            if table.places.is_empty() {
                self.emptied.notify_all();
            }
        } else {
            table.park(id, connection);
            table.limit_heavy();
        }
    }
}

impl Table {
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// How many connections a network has.
    pub fn count(&self, network: IpAddr) -> usize {
        self.networks.get(&network).copied().unwrap_or(0)
    }

    fn insert(&mut self, id: Id, network: Option<IpAddr>, connection: Connection) {
        if let Some(network) = network {
            *self.networks.entry(network).or_default() += 1;
        }
        self.places.insert(id, Place { network, state: State::Taken { again: false } });
        self.park(id, connection);
    }

    fn park(&mut self, id: Id, connection: Connection) {
        let Some(place) = self.places.get_mut(&id) else { return };
        let (key, bytes) = ((connection.since, id), connection.incoming.len());
        self.waiting.insert(key);
        if bytes > FEW_BYTES {
            self.heavy.insert(key);
            self.heavy_bytes += bytes;
        }
        place.state = State::Parked(connection);
    }

    fn stop_waiting(&mut self, id: Id, connection: &Connection) {
        let key = (connection.since, id);
        self.waiting.remove(&key);
        if self.heavy.remove(&key) {
            self.heavy_bytes -= connection.incoming.len();
        }
    }

    /// Ends heavy connections while they hold too much together: those whose clients have made the server wait
    /// longest, but not the last.
    fn limit_heavy(&mut self) {
        while self.heavy_bytes > MAX_HEAVY_BYTES
            && self.heavy.len() > 1
            && let Some((_, id)) = self.heavy.first().copied()
        {
            self.remove(id);
        }
    }

    /// Stops counting a connection. If it was parked, it is closed.
    fn remove(&mut self, id: Id) {
        let Some(place) = self.places.remove(&id) else { return };
        if let Some(network) = place.network
            && let Entry::Occupied(mut count) = self.networks.entry(network)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if let State::Parked(connection) = place.state {
            self.stop_waiting(id, &connection);
        }
    }

    /// Ends the connection whose client has made the server wait longest, if that is at least [`GRACE`].
    pub fn end_longest_waiting(&mut self) {
        if let Some((since, id)) = self.waiting.first().copied()
            && since.elapsed() >= GRACE
        {
            self.remove(id);
        }
    }

    /// Ends a connection of the network that has the most, if that is more than the newcomer's network
    /// would have. So a few networks that keep reconnecting cannot keep others out.
    pub fn end_one_of_the_largest_network(&mut self, newcomer: Option<IpAddr>) {
        let own = newcomer.map_or(0, |network| self.count(network)) + 1;
        let size = |id| self.places.get(id)?.network.map(|network| self.count(network));
        let sizes = self.waiting.iter().filter_map(|(since, id)| Some((size(id)?, since, *id)));
        let larger = sizes.filter(|(size, ..)| *size > own);
        if let Some((.., id)) = larger.max_by_key(|(size, since, _)| (*size, Reverse(*since))) {
            self.remove(id);
        }
    }

    /// Ends the connections whose time is over and that get no answer. Returns the others whose time is
    /// over, and the next deadline.
    pub fn expire(&mut self, is_stopping: bool) -> (Vec<Id>, Option<Instant>) {
        let (mut idle, mut late, mut next) = (Vec::new(), Vec::new(), None::<Instant>);
        let now = Instant::now();
        for (id, place) in &self.places {
            let State::Parked(connection) = &place.state else { continue };
            let deadline = connection.deadline(is_stopping);
            if deadline > now {
                next = Some(next.map_or(deadline, |next| next.min(deadline)));
            } else if connection.is_idle() {
                idle.push(*id);
            } else {
                late.push(*id);
            }
        }
        for id in idle {
            self.remove(id);
        }
        (late, next)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::atomic::AtomicBool;

    use rouille::Response;
    use rustix::event::Timespec;

    use super::*;
    use crate::http::service::Service;
    use crate::network::network;

    /// Parks a connection from an address, and returns its client.
    fn admit(parking: &Parking, ip: &str, is_trusted: bool) -> TcpStream {
        let service = Service {
            refusals: std::collections::BTreeMap::default(),
            limits: crate::Config::new("").limits,
            trusted_proxies: Vec::new(),
            handle: Box::new(|_| Response::text("")),
            is_closing: AtomicBool::new(false),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = listener.accept().unwrap().0;
        let ip: IpAddr = ip.parse().unwrap();
        let connection = Connection::new(stream, SocketAddr::new(ip, 4711), &service);
        parking.admit(connection, (!is_trusted).then(|| network(ip))).unwrap();
        client
    }

    fn count(parking: &Parking, ip: &str) -> usize {
        parking.lock().count(network(ip.parse().unwrap()))
    }

    fn has_event(parking: &Parking) -> bool {
        let (mut events, now) = ([EPOLL_NOTHING; 1], Timespec { tv_sec: 0, tv_nsec: 0 });
        epoll::wait(&parking.epoll, &mut events, Some(&now)).unwrap() == 1
    }

    const EPOLL_NOTHING: epoll::Event =
        epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };

    #[test]
    fn addresses_of_one_64_count_as_one_network_among_connections() {
        let parking = Parking::new().unwrap();
        for ip in ["2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:2::1", "192.0.2.1"] {
            admit(&parking, ip, false);
        }
        assert_eq!(count(&parking, "2001:db8:0:1:ffff::"), 2);
        assert_eq!(count(&parking, "2001:db8:0:3::1"), 0);
        assert_eq!(count(&parking, "::ffff:192.0.2.1"), 1);
    }

    #[test]
    fn the_largest_network_makes_room_for_a_smaller_one_unless_it_is_a_trusted_proxy() {
        let left = |newcomer: &str, is_trusted: bool| {
            let parking = Parking::new().unwrap();
            for ip in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.1"] {
                admit(&parking, ip, is_trusted);
            }
            let newcomer = network(newcomer.parse().unwrap());
            parking.lock().end_one_of_the_largest_network(Some(newcomer));
            let all = parking.lock().len();
            (all, count(&parking, "192.0.2.1"))
        };
        assert_eq!(left("192.0.2.3", false), (3, 2));
        assert_eq!(left("192.0.2.2", false), (3, 2), "two are fewer than three");
        assert_eq!(left("192.0.2.1", false), (4, 3));
        assert_eq!(left("192.0.2.3", true), (4, 0), "proxies are not counted");
    }

    #[test]
    fn a_connection_has_one_owner_and_an_event_that_comes_meanwhile_comes_again() {
        let parking = Parking::new().unwrap();
        let client = admit(&parking, "192.0.2.1", false);
        for another_event in [false, true] {
            let connection = parking.take(1).unwrap();
            if another_event {
                assert!(parking.take(1).is_none());
            }
            parking.put_back(1, connection, Turn::Wait);
            assert_eq!(has_event(&parking), another_event);
        }
        let connection = parking.take(1).unwrap();
        parking.put_back(1, connection, Turn::End);
        assert!(parking.take(1).is_none());
        assert_eq!(parking.lock().len(), 0);
        assert_eq!(count(&parking, "192.0.2.1"), 0);
        drop(client);
    }
}
