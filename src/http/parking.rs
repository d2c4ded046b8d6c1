//! Where connections are while nobody works on them, and which one is closed when there are too many.
//!
//! The server closes only connections whose client makes it wait: idle ones, those with an incomplete
//! request, and those that do not read their response. These are exactly the parked ones. It never closes
//! one whose client waits for the server.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

use parking_lot::Mutex;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::connection::{Connection, GRACE};

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

/// Identifies a connection, from 1. It is never used again, so an event that comes late finds nothing.
pub type Id = u64;

/// All connections that the server has admitted, and the epoll instance that watches their sockets.
pub struct Parking {
    pub epoll: OwnedFd,
    pub table: Mutex<Table>,
}

#[derive(Default)]
pub struct Table {
    places: HashMap<Id, Place>,
    last_id: Id,
    heavy_bytes: usize,
    /// How many connections each network has.
    networks: HashMap<IpAddr, usize>,
}

struct Place {
    /// `None` for a trusted proxy, which carries many visitors' requests and is not counted.
    network: Option<IpAddr>,
    /// `None` while a worker has it.
    parked: Option<Connection>,
    /// Whether there was an event while a worker had it.
    has_event: bool,
}

impl Parking {
    pub fn new() -> io::Result<Parking> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Parking { epoll, table: Mutex::default() })
    }

    /// Parks a new connection.
    pub fn admit(&self, connection: Connection, network: Option<IpAddr>) -> io::Result<()> {
        let mut table = self.table.lock();
        table.last_id += 1;
        let id = table.last_id;
        epoll::add(&self.epoll, &connection.stream, EventData::new_u64(id), READING)?;
        if let Some(network) = network {
            *table.networks.entry(network).or_default() += 1;
        }
        table.places.insert(id, Place { network, parked: Some(connection), has_event: false });
        Ok(())
    }

    /// Parks a connection that was taken, or ends it.
    pub fn put_back(&self, id: Id, connection: Connection, goes_on: bool) {
        let mut table = self.table.lock();
        let Some(place) = table.places.get_mut(&id) else { return };
        if !goes_on {
            table.remove(id);
            return;
        }
        if connection.has_more || place.has_event {
            // Asking again makes an event if there is something to do already. This must happen before
            // the connection is parked: afterwards another worker may close it, and a new connection
            // may get its file descriptor.
            let interest = if connection.is_sending() { WRITING } else { READING | WRITING };
            let data = EventData::new_u64(id);
            // This cannot fail for a socket that is watched; if it did, the deadline would end it.
            let _ = epoll::modify(&self.epoll, &connection.stream, data, interest);
        }
        let heavy_bytes = heavy_bytes(&connection);
        place.parked = Some(connection);
        table.heavy_bytes += heavy_bytes;
        table.limit_heavy();
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

    /// Takes a parked connection, which is then the caller's alone until it is put back. `None` if it is
    /// gone, or if somebody else has it, who then learns that there was another event.
    pub fn take(&mut self, id: Id) -> Option<Connection> {
        let place = self.places.get_mut(&id)?;
        let connection = place.parked.take();
        place.has_event = connection.is_none();
        self.heavy_bytes -= connection.as_ref().map_or(0, heavy_bytes);
        connection
    }

    /// Stops counting a connection. If it is parked, it is closed.
    fn remove(&mut self, id: Id) {
        drop(self.take(id));
        let Some(Place { network: Some(network), .. }) = self.places.remove(&id) else { return };
        let left = self.count(network) - 1;
        if left > 0 {
            self.networks.insert(network, left);
        } else {
            self.networks.remove(&network);
        }
    }

    fn parked(&self) -> impl Iterator<Item = (Id, Option<IpAddr>, &Connection)> {
        let places = self.places.iter();
        places.filter_map(|(id, place)| Some((*id, place.network, place.parked.as_ref()?)))
    }

    /// Ends heavy connections while they hold too much together: those whose clients have made the server wait
    /// longest.
    fn limit_heavy(&mut self) {
        while self.heavy_bytes > MAX_HEAVY_BYTES {
            let heavy = self.parked().filter(|(.., connection)| heavy_bytes(connection) > 0);
            let oldest = heavy.min_by_key(|(.., connection)| connection.since);
            let Some((id, ..)) = oldest else { return };
            self.remove(id);
        }
    }

    /// Ends so many of the connections whose clients have made the server wait longest, each at least for
    /// [`GRACE`].
    pub fn end_longest_waiting(&mut self, most: usize) {
        let now = Instant::now();
        let waiting = self.parked().map(|(id, _, connection)| (connection.since, id));
        let mut waiting: Vec<_> = waiting.filter(|(since, _)| now - *since >= GRACE).collect();
        if waiting.len() > most {
            waiting.select_nth_unstable(most);
        }
        for (_, id) in waiting.into_iter().take(most) {
            self.remove(id);
        }
    }

    /// Ends a connection of the network that has the most, if that is more than the newcomer's network
    /// would have. So a few networks that keep reconnecting cannot keep others out.
    pub fn end_one_of_the_largest_network(&mut self, newcomer: Option<IpAddr>) {
        let own = newcomer.map_or(0, |network| self.count(network)) + 1;
        let sizes = self.parked().map(|(id, network, connection)| {
            (network.map_or(0, |network| self.count(network)), Reverse(connection.since), id)
        });
        if let Some((.., id)) = sizes.filter(|(size, ..)| *size > own).max() {
            self.remove(id);
        }
    }

    /// Takes the connections whose time is over.
    pub fn take_late(&mut self, is_stopping: bool) -> Vec<(Id, Connection)> {
        let now = Instant::now();
        let late = self.parked().filter(|(.., one)| one.deadline(is_stopping) <= now);
        let late: Vec<Id> = late.map(|(id, ..)| id).collect();
        late.into_iter().filter_map(|id| Some((id, self.take(id)?))).collect()
    }
}

/// How much a connection counts among the heavy ones.
fn heavy_bytes(connection: &Connection) -> usize {
    let bytes = connection.incoming.len();
    if bytes > FEW_BYTES { bytes } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use rustix::event::Timespec;

    use super::*;
    use crate::http::tests::service;
    use crate::network::network;

    /// Parks a connection from an address, and returns its client.
    fn admit(parking: &Parking, ip: &str, is_trusted: bool) -> TcpStream {
        let service = service();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = listener.accept().unwrap().0;
        let ip: IpAddr = ip.parse().unwrap();
        let connection = Connection::new(stream, SocketAddr::new(ip, 4711), &service);
        parking.admit(connection, (!is_trusted).then(|| network(ip))).unwrap();
        client
    }

    fn count(parking: &Parking, ip: &str) -> usize {
        parking.table.lock().count(network(ip.parse().unwrap()))
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
            parking.table.lock().end_one_of_the_largest_network(Some(newcomer));
            let all = parking.table.lock().len();
            (all, count(&parking, "192.0.2.1"))
        };
        assert_eq!(left("192.0.2.3", false), (3, 2));
        assert_eq!(left("192.0.2.2", false), (3, 2), "two are fewer than three");
        assert_eq!(left("192.0.2.1", false), (4, 3));
        assert_eq!(left("192.0.2.3", true), (4, 0), "proxies are not counted");
    }

    #[test]
    fn who_makes_the_server_wait_longest_makes_room_and_nobody_who_came_just_now() {
        let parking = Parking::new().unwrap();
        let _clients = [1, 2, 3, 4].map(|n| admit(&parking, &format!("192.0.2.{n}"), false));
        let mut table = parking.table.lock();
        for (id, seconds) in [(1, 20), (2, 10), (3, 30)] {
            let connection = table.places.get_mut(&id).unwrap().parked.as_mut().unwrap();
            connection.since -= std::time::Duration::from_secs(seconds);
        }
        for left in [[2, 4].as_slice(), &[4], &[4]] {
            table.end_longest_waiting(2);
            let mut ids: Vec<_> = table.places.keys().copied().collect();
            ids.sort_unstable();
            assert_eq!(ids, left);
        }
    }

    #[test]
    fn a_connection_has_one_owner_and_an_event_that_comes_meanwhile_comes_again() {
        let parking = Parking::new().unwrap();
        let client = admit(&parking, "192.0.2.1", false);
        for another_event in [false, true] {
            let connection = parking.table.lock().take(1).unwrap();
            if another_event {
                assert!(parking.table.lock().take(1).is_none());
            }
            parking.put_back(1, connection, true);
            assert_eq!(has_event(&parking), another_event);
        }
        let connection = parking.table.lock().take(1).unwrap();
        parking.put_back(1, connection, false);
        assert!(parking.table.lock().take(1).is_none());
        assert_eq!(parking.table.lock().len(), 0);
        assert_eq!(count(&parking, "192.0.2.1"), 0);
        drop(client);
    }
}
