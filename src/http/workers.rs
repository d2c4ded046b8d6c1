//! The threads that work on connections. Each waits for an event of any connection, moves that connection
//! on, and waits for the next event.
//!
//! A handler may block its worker for as long as it likes: on a password's hash or a slow query. A worker
//! that stays at one event is replaced, and goes to a reserve or ends after it. So there are always workers for the other
//! connections, and a handler needs to know nothing of all this.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, Thread};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use super::connection::Turn;
use super::parking::{Id, Parking};
use super::service::Service;

/// How many workers wait for events beside one for each core. With more, each event wakes another one,
/// although a busy one would have come to it sooner.
const SPARE: usize = 1;
/// The same while workers are held up. Queries alone never hold up so many.
const MOST_SPARE: usize = 10;
/// A worker that is at the same event when this has passed is replaced. It is less than a slow query
/// takes.
const HELD_UP: Duration = Duration::from_millis(1);
/// How many workers that were replaced are kept to replace others.
const RESERVE: usize = 10;
/// Address space for one thread's stack. Only the part in use takes memory.
const STACK_BYTES: usize = 512 * 1024;
/// The size of one read: nearly always more than a whole request.
const READ_BYTES: usize = 4096;
/// The pause after a failure to start a worker.
const PAUSE: Duration = Duration::from_secs(1);

/// In the events of [`Workers::orders`].
const ORDER: Id = Id::MAX;

/// The workers, and what they share.
pub struct Workers {
    pub service: Service,
    pub parking: Parking,
    /// Carries the ids of connections to the workers. Its end is the end of the workers.
    orders: (UnixStream, UnixStream),
    /// Where workers that were replaced wait for another seat, and how many do.
    reserve: Mutex<Receiver<Arc<Seat>>>,
    in_reserve: AtomicUsize,
    is_over: AtomicBool,
}

/// One worker, as the supervisor sees it.
#[derive(Default)]
struct Seat {
    /// Counts beginnings and ends of work, so it is odd while the worker is at an event.
    steps: AtomicUsize,
    is_replaced: AtomicBool,
}

impl Workers {
    /// Starts the workers, and a supervisor that replaces them, which is returned too.
    ///
    /// # Errors
    /// If the system has no room for them.
    pub fn start(service: Service) -> io::Result<(Arc<Workers>, Thread)> {
        let (orders, parking) = (UnixStream::pair()?, Parking::new()?);
        orders.0.set_nonblocking(true)?;
        orders.1.set_nonblocking(true)?;
        epoll::add(&parking.epoll, &orders.1, EventData::new_u64(ORDER), EventFlags::IN)?;
        let (to_reserve, reserve) = sync_channel(0);
        let workers = Arc::new(Workers {
            service,
            parking,
            orders,
            reserve: Mutex::new(reserve),
            in_reserve: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let supervised = Arc::clone(&workers);
        let builder = thread::Builder::new().name("supervisor".to_owned());
        let supervisor = builder.spawn(move || supervised.supervise(&to_reserve))?;
        Ok((workers, supervisor.thread().clone()))
    }

    /// Has a worker look at a connection, because its time is over. If too many such orders wait already,
    /// this one is lost.
    pub fn order(&self, id: Id) {
        let _ = (&self.orders.0).write(&id.to_ne_bytes());
    }

    /// Ends the workers, each when it is free.
    pub fn end(&self, supervisor: &Thread) {
        self.is_over.store(true, SeqCst);
        supervisor.unpark();
        let _ = self.orders.0.shutdown(Shutdown::Write);
    }

    /// Keeps as many workers as are wanted, those that are held up not counted.
    fn supervise(self: Arc<Self>, reserve: &SyncSender<Arc<Seat>>) {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut wanted = cores + SPARE;
        let mut seats: Vec<(Arc<Seat>, usize)> = Vec::new();
        while !self.is_over.load(SeqCst) {
            if let Err(error) = self.fill(&mut seats, wanted, reserve) {
                log::warn!("cannot start a thread: {error}");
                thread::sleep(PAUSE);
            }
            let is_busy = |(seat, _): &(Arc<Seat>, usize)| seat.steps.load(SeqCst) % 2 == 1;
            // While nobody works, nothing here runs.
            if seats.len() >= wanted && !seats.iter().any(is_busy) {
                thread::park();
            }
            thread::sleep(HELD_UP);
            let before = seats.len();
            seats.retain_mut(|(seat, steps_before)| {
                let steps = seat.steps.load(SeqCst);
                let is_held_up = steps % 2 == 1 && steps == *steps_before;
                *steps_before = steps;
                seat.is_replaced.store(is_held_up, SeqCst);
                !is_held_up
            });
            let held_up = before - seats.len();
            wanted = if held_up == 0 { wanted - 1 } else { wanted + held_up };
            wanted = wanted.clamp(cores + SPARE, cores + MOST_SPARE);
            for (surplus, _) in seats.drain(wanted.min(seats.len())..) {
                surplus.is_replaced.store(true, SeqCst);
            }
        }
    }

    /// Gives seats to workers of the reserve, and one at most to a new worker: a thousand a second are
    /// enough, also if thousands of requests wait for a database that pauses.
    fn fill(
        self: &Arc<Self>,
        seats: &mut Vec<(Arc<Seat>, usize)>,
        wanted: usize,
        reserve: &SyncSender<Arc<Seat>>,
    ) -> io::Result<()> {
        while seats.len() < wanted {
            let seat = Arc::<Seat>::default();
            seats.push((Arc::clone(&seat), 0));
            // The channel has no room, so this fails unless somebody waits at its other end.
            if let Err(TrySendError::Full(seat)) = reserve.try_send(seat) {
                let (workers, supervisor) = (Arc::clone(self), thread::current());
                let builder = thread::Builder::new().name("worker".to_owned());
                let work = move || workers.work(seat, &supervisor);
                let started = builder.stack_size(STACK_BYTES).spawn(work);
                return started.map(drop).inspect_err(|_| drop(seats.pop()));
            }
        }
        Ok(())
    }

    /// Works in one seat after the other, until the reserve is full or all is over.
    fn work(&self, mut seat: Arc<Seat>, supervisor: &Thread) {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            while !seat.is_replaced.load(SeqCst)
                && let Some((id, has_hung_up)) = self.next_event()
            {
                let Some(mut connection) = self.parking.take(id) else { continue };
                seat.steps.fetch_add(1, SeqCst);
                supervisor.unpark();
                let attend = || connection.attend(&self.service, &mut buffer, has_hung_up);
                // A panic in a handler ends its connection only.
                let turn = catch_unwind(AssertUnwindSafe(attend)).unwrap_or(Turn::End);
                self.parking.put_back(id, connection, turn);
                seat.steps.fetch_add(1, SeqCst);
            }
            let is_kept = self.in_reserve.fetch_add(1, SeqCst) < RESERVE;
            let next = is_kept.then(|| self.reserve.lock().recv().ok()).flatten();
            self.in_reserve.fetch_sub(1, SeqCst);
            let Some(next) = next else { return };
            seat = next;
        }
    }

    /// Waits for an event: of which connection, and whether its client will send nothing more. `None` if
    /// all is over.
    fn next_event(&self) -> Option<(Id, bool)> {
        // One at a time, because the next ones would have to wait for this one's handler.
        let mut events = Vec::with_capacity(1);
        loop {
            events.clear();
            match epoll::wait(&self.parking.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return None,
            }
            let Some(event) = events.first() else { continue };
            let (id, flags) = (event.data.u64(), event.flags);
            if id != ORDER {
                let ends = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
                return Some((id, flags.intersects(ends)));
            }
            let mut id = [0; size_of::<Id>()];
            match (&self.orders.1).read(&mut id) {
                Ok(0) => return None,
                Ok(_) => return Some((Id::from_ne_bytes(id), false)),
                // Another worker has it.
                Err(_) => {}
            }
        }
    }
}
