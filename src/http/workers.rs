//! The threads that work on connections. Each waits for an event of any connection, moves that connection
//! on, and waits for the next event.
//!
//! A handler may block its worker for as long as it likes: on a password's hash or a slow query. A worker
//! that stays at one event is replaced. After it, it waits in reserve for a while, then ends. So there are
//! always workers for the other connections, and a handler needs to know nothing of all this.

use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use super::connection::Service;
use super::parking::{Id, Parking};

/// How many workers wait for events beside one for each core. With more, each event wakes another one,
/// although a busy one would have come to it sooner.
const SPARE: usize = 1;
/// The same while workers are held up. Queries alone never hold up so many.
const MOST_SPARE: usize = 10;
/// A worker that is at the same event when this has passed is replaced. It is less than a slow query
/// takes.
const HELD_UP: Duration = Duration::from_millis(1);
/// How long a worker that was replaced is kept to replace others.
const RESERVE: Duration = Duration::from_secs(1);
/// Address space for one thread's stack. Only the part in use takes memory.
const STACK_BYTES: usize = 512 * 1024;
/// The size of one read: nearly always more than a whole request.
const READ_BYTES: usize = 4096;
/// The pause after a failure to start a worker.
const PAUSE: Duration = Duration::from_secs(1);

/// In the event that ends the workers.
const END: Id = 0;

/// What the workers share.
pub struct Workers {
    pub service: Service,
    pub parking: Parking,
    /// Workers that were replaced, and can replace others.
    reserve: Mutex<Vec<Worker>>,
    is_over: AtomicBool,
    /// Readable when all is over.
    end: OwnedFd,
}

/// A worker, as others see it. The supervisor drops this when it replaces the worker.
struct Worker {
    thread: Thread,
    /// Counts beginnings and ends of work, so it is odd while the worker is at an event.
    steps: Arc<AtomicUsize>,
    /// The steps at the supervisor's last look.
    last_steps: usize,
}

impl Worker {
    fn is_busy(&self) -> bool {
        self.steps.load(SeqCst) % 2 == 1
    }

    /// Whether the worker is at the same event as at the last look.
    fn is_held_up(&mut self) -> bool {
        let steps = self.steps.load(SeqCst);
        steps == mem::replace(&mut self.last_steps, steps) && self.is_busy()
    }
}

impl Workers {
    /// Starts the workers, and a supervisor that replaces them.
    ///
    /// # Errors
    /// If the system has no room for them.
    pub fn start(service: Service) -> io::Result<Arc<Workers>> {
        let (parking, end) = (Parking::new()?, eventfd(0, EventfdFlags::CLOEXEC)?);
        epoll::add(&parking.epoll, &end, EventData::new_u64(END), EventFlags::IN)?;
        let (reserve, is_over) = (Mutex::default(), AtomicBool::new(false));
        let workers = Arc::new(Workers { service, parking, reserve, is_over, end });
        let supervised = Arc::clone(&workers);
        let builder = thread::Builder::new().name("supervisor".to_owned());
        builder.spawn(move || supervised.supervise())?;
        Ok(workers)
    }

    /// Ends the workers, each when it is free.
    pub fn end(&self) {
        self.is_over.store(true, SeqCst);
        let _ = rustix::io::write(&self.end, &1_u64.to_ne_bytes());
    }

    /// Keeps as many workers as are wanted, those that are held up not counted.
    fn supervise(self: Arc<Self>) {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut wanted = cores + SPARE;
        let mut workers: Vec<Worker> = Vec::new();
        while !self.is_over.load(SeqCst) {
            let held_up = workers.extract_if(.., Worker::is_held_up).count();
            wanted = if held_up == 0 { wanted - 1 } else { wanted + held_up };
            wanted = wanted.clamp(cores + SPARE, cores + MOST_SPARE);
            workers.truncate(wanted);
            if let Err(error) = self.fill(&mut workers, wanted) {
                log::warn!("cannot start a thread: {error}");
                thread::sleep(PAUSE);
            }
            // While nobody works, nothing here runs.
            if workers.len() == wanted && !workers.iter().any(Worker::is_busy) {
                thread::park();
            }
            thread::sleep(HELD_UP);
        }
    }

    /// Adds workers from the reserve, and a new one at most: a thousand a second are enough, also if
    /// thousands of requests wait for a database that pauses.
    fn fill(self: &Arc<Self>, workers: &mut Vec<Worker>, wanted: usize) -> io::Result<()> {
        let mut reserve = self.reserve.lock();
        let kept = reserve.len().saturating_sub(wanted - workers.len());
        workers.extend(reserve.drain(kept..).inspect(|worker| worker.thread.unpark()));
        if workers.len() < wanted {
            let (all, supervisor) = (Arc::clone(self), thread::current());
            let steps = Arc::<AtomicUsize>::default();
            let own = Arc::clone(&steps);
            let builder = thread::Builder::new().name("worker".to_owned()).stack_size(STACK_BYTES);
            let started = builder.spawn(move || all.work(&own, &supervisor))?;
            let thread = started.thread().clone();
            workers.push(Worker { thread, steps, last_steps: 0 });
        }
        Ok(())
    }

    /// Takes one event after the other, until all is over or the worker is replaced for long.
    fn work(&self, steps: &Arc<AtomicUsize>, supervisor: &Thread) {
        let mut buffer = vec![0; READ_BYTES];
        while let Some((id, has_hung_up)) = self.next_event() {
            let taken = self.parking.table.lock().take(id);
            if let Some(mut connection) = taken {
                steps.fetch_add(1, SeqCst);
                supervisor.unpark();
                let attend = || connection.attend(&self.service, &mut buffer, has_hung_up);
                // A panic in a handler ends its connection only.
                let goes_on = catch_unwind(AssertUnwindSafe(attend)).unwrap_or(false);
                self.parking.put_back(id, connection, goes_on);
                steps.fetch_add(1, SeqCst);
            }
            let is_replaced = Arc::strong_count(steps) == 1;
            if is_replaced && !self.wait_in_reserve(steps) {
                return;
            }
        }
        // It ends, too.
        supervisor.unpark();
    }

    /// Waits until the worker replaces another. Returns whether it does: not if that takes too long.
    fn wait_in_reserve(&self, steps: &Arc<AtomicUsize>) -> bool {
        let (thread, own) = (thread::current(), Arc::clone(steps));
        self.reserve.lock().push(Worker { thread, steps: own, last_steps: 0 });
        thread::park_timeout(RESERVE);
        self.reserve.lock().extract_if(.., |it| Arc::ptr_eq(&it.steps, steps)).count() == 0
    }

    /// Waits for an event: of which connection, and whether its client will send nothing more. `None` if
    /// all is over.
    fn next_event(&self) -> Option<(Id, bool)> {
        // One at a time, because the next ones would have to wait for this one's handler.
        let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(END) }];
        while epoll::wait(&self.parking.epoll, &mut events, None) == Err(Errno::INTR) {}
        let [Event { flags, data }] = events;
        let ends = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        (data.u64() != END).then(|| (data.u64(), flags.intersects(ends)))
    }
}
