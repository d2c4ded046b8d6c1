//! The sessions of strangers (visitors who are not logged in), which exist only to carry something.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

use super::IdHash;
use super::carried::Carried;
use crate::network::network;

/// The most strangers' sessions at once; together they take a few megabytes. Anybody can create one,
/// so a new one then replaces the oldest.
const MAX_STRANGERS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The most strangers' sessions of one network. A flood from one network replaces only its own.
const MAX_OF_ONE_NETWORK: usize = 500;

/// The sessions of visitors who are not logged in.
pub(super) struct Strangers {
    /// From the newest session to the oldest. Only insertion sets this order, because reads use `peek`.
    sessions: LruCache<IdHash, Stranger>,
    /// The sessions of each network, the oldest first.
    networks: HashMap<IpAddr, VecDeque<IdHash>>,
}

struct Stranger {
    network: IpAddr,
    until: Instant,
    carried: Carried,
}

impl Strangers {
    pub(super) fn new() -> Strangers {
        Strangers { sessions: LruCache::new(MAX_STRANGERS), networks: HashMap::new() }
    }

    /// Begins a session that lasts for that time.
    pub fn begin(&mut self, session: IdHash, ip: IpAddr, carried: Carried, lasts: Duration) {
        let network = network(ip);
        let of_network = self.networks.get(&network);
        let oldest = match of_network.filter(|all| all.len() >= MAX_OF_ONE_NETWORK) {
            Some(of_network) => of_network.front().copied(),
            None if self.sessions.len() >= MAX_STRANGERS.get() => {
                self.sessions.peek_lru().map(|(session, _)| *session)
            }
            None => None,
        };
        if let Some(oldest) = oldest {
            self.end(&oldest);
        }
        let stranger = Stranger { network, until: Instant::now() + lasts, carried };
        self.sessions.put(session, stranger);
        self.networks.entry(network).or_default().push_back(session);
    }

    /// What a session carries. `None` if it has expired or does not exist.
    pub fn carried(&mut self, session: &IdHash) -> Option<&mut Carried> {
        let stranger = self.sessions.peek_mut(session)?;
        (Instant::now() < stranger.until).then_some(&mut stranger.carried)
    }

    /// Ends a session, and returns what it carried.
    pub fn end(&mut self, session: &IdHash) -> Option<Carried> {
        let Stranger { network, carried, .. } = self.sessions.pop(session)?;
        if let Entry::Occupied(mut of_network) = self.networks.entry(network) {
            of_network.get_mut().retain(|other| other != session);
            if of_network.get().is_empty() {
                of_network.remove();
            }
        }
        Some(carried)
    }

    pub fn sweep(&mut self) {
        let now = Instant::now();
        let expired = self.sessions.iter().filter(|(_, stranger)| stranger.until <= now);
        for session in expired.map(|(session, _)| *session).collect::<Vec<_>>() {
            self.end(&session);
        }
    }
}
