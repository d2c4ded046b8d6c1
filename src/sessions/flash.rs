//! Flash messages, and the sessions of strangers that exist only to carry them. They live in memory
//! alone: a restart loses no more than a message.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

use super::IdHash;
use crate::network::network;

/// How long a stranger's message waits to be shown.
const LIFETIME: Duration = Duration::from_mins(10);

/// Strangers with a message at once. They are cheap to make, so a flood of them must end somewhere;
/// at this many they take a few megabytes, and each newcomer takes the place of the oldest.
const MAX_STRANGERS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// Strangers of one network among them. A flood from it pushes out its own alone.
const MAX_OF_ONE_NETWORK: usize = 500;

/// A message for the next page that its visitor sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flash {
    /// Something went well; shown in a `role="status"` box.
    Notice(String),
    /// Something needs attention; shown in a `role="alert"` box.
    Alert(String),
}

/// The messages of visitors who are not logged in, by session.
pub(super) struct Strangers {
    /// The one used last is always the newest: nothing but a new session is ever put first.
    sessions: LruCache<IdHash, Stranger>,
    /// Each network's sessions, the oldest first.
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

    /// Begins a session with its first message.
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

    /// The messages that wait in a session. `None` if it expired or never was.
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
