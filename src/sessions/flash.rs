//! Flash messages, and the sessions of strangers (visitors who are not logged in), which exist only to
//! carry such messages. Both are in memory alone, because a restart then loses nothing but messages.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

use super::IdHash;
use crate::network::network;

/// How long a stranger's session, with its message, is kept.
const LIFETIME: Duration = Duration::from_mins(10);

/// The most strangers' sessions at once; together they take a few megabytes. Anybody can create one,
/// so a new one then replaces the oldest.
const MAX_STRANGERS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The most strangers' sessions of one network. A flood from one network replaces only its own.
const MAX_OF_ONE_NETWORK: usize = 500;

/// A message that the visitor's next page shows once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flash {
    /// Something went well; shown in a `role="status"` box.
    Notice(String),
    /// Something needs attention; shown in a `role="alert"` box.
    Alert(String),
}

/// The messages of visitors who are not logged in, by session.
pub(super) struct Strangers {
    /// From the newest session to the oldest: no access other than the insertion changes this order.
    sessions: LruCache<IdHash, Stranger>,
    /// The sessions of each network, the oldest first.
    networks: HashMap<IpAddr, VecDeque<IdHash>>,
}

struct Stranger {
    network: IpAddr,
    begun: Instant,
    messages: Vec<Flash>,
}

impl Strangers {
    pub(super) fn new() -> Strangers {
        Strangers { sessions: LruCache::new(MAX_STRANGERS), networks: HashMap::new() }
    }

    /// Begins a session with a message in it.
    pub(super) fn begin(&mut self, session: IdHash, ip: IpAddr, flash: Flash) {
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
        let stranger = Stranger { network, begun: Instant::now(), messages: vec![flash] };
        self.sessions.put(session, stranger);
        self.networks.entry(network).or_default().push_back(session);
    }

    /// The messages that wait in a session. `None` if it has expired or does not exist.
    pub(super) fn messages(&mut self, session: &IdHash) -> Option<&mut Vec<Flash>> {
        let stranger = self.sessions.peek_mut(session)?;
        (stranger.begun.elapsed() < LIFETIME).then_some(&mut stranger.messages)
    }

    pub(super) fn end(&mut self, session: &IdHash) {
        let Some(Stranger { network, .. }) = self.sessions.pop(session) else { return };
        if let Entry::Occupied(mut of_network) = self.networks.entry(network) {
            of_network.get_mut().retain(|other| other != session);
            if of_network.get().is_empty() {
                of_network.remove();
            }
        }
    }

    pub(super) fn sweep(&mut self) {
        while let Some((session, stranger)) = self.sessions.peek_lru()
            && stranger.begun.elapsed() >= LIFETIME
        {
            let session = *session;
            self.end(&session);
        }
    }
}
