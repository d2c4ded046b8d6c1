//! The threads that work on connections. Each waits for an event of any connection, moves that connection
//! on, and waits for the next event.
//!
//! A handler may block its worker for as long as it likes: on a password's hash or a slow query. A worker
//! that stays at one event is replaced, and ends after it. So there are always workers for the other
//! connections, and a handler needs to know nothing of all this.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
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
/// A worker that is at the same event when this has passed is replaced. It is less than a slow query
/// takes.
const HELD_UP: Duration = Duration::from_millis(1);
/// The same while the reserve is empty, so that thousands of requests for a database that pauses do not
/// start thousands of threads.
const HELD_UP_BY_MANY: Duration = Duration::from_millis(2);
/// How many workers that were replaced are kept to replace others.
const RESERVE: usize = 8;
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
        let wanted = SPARE + thread::available_parallelism().map_or(1, usize::from);
        let mut seats: Vec<(Arc<Seat>, usize)> = Vec::new();
        while !self.is_over.load(SeqCst) {
            while seats.len() < wanted {
                match self.seat_worker(reserve) {
                    Ok(seat) => seats.push((seat, 0)),
                    Err(error) => {
                        log::warn!("cannot start a thread: {error}");
                        thread::sleep(PAUSE);
                        break;
                    }
                }
            }
            // While nobody works, nothing here runs.
            if seats.iter().all(|(seat, _)| seat.steps.load(SeqCst) % 2 == 0) {
                thread::park();
            }
            let has_reserve = self.in_reserve.load(SeqCst) > 0;
            thread::sleep(if has_reserve { HELD_UP } else { HELD_UP_BY_MANY });
            seats.retain_mut(|(seat, steps_before)| {
                let steps = seat.steps.load(SeqCst);
                let is_held_up = steps % 2 == 1 && steps == *steps_before;
                *steps_before = steps;
                seat.is_replaced.store(is_held_up, SeqCst);
                !is_held_up
            });
        }
    }

    /// Gives a new seat to a worker from the reserve, or to a new one.
    fn seat_worker(self: &Arc<Self>, reserve: &SyncSender<Arc<Seat>>) -> io::Result<Arc<Seat>> {
        let seat = Arc::<Seat>::default();
        // The channel has no room, so this fails unless somebody waits at its other end.
        if reserve.try_send(Arc::clone(&seat)).is_err() {
            let (workers, own) = (Arc::clone(self), Arc::clone(&seat));
            let supervisor = thread::current();
            let builder = thread::Builder::new().name("worker".to_owned()).stack_size(STACK_BYTES);
            builder.spawn(move || workers.work(own, &supervisor))?;
        }
        Ok(seat)
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
