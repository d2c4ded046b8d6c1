//! A pool of threads with a fair queue, called a line.
//!
//! Each job has a key, such as a network. The keys take turns, and in each turn one job of the key runs.
//! However many jobs of one key are waiting, the next job of another key waits for at most one of them.

use std::collections::VecDeque;
use std::hash::Hash;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::{Condvar, Mutex};

use crate::error::{Error, StartError};

/// How long a caller waits for a job to begin, and for its result. Both times start with the call.
#[derive(Clone, Copy)]
pub(crate) struct Timeouts {
    /// A job that has not begun within this time is never run.
    pub begin: Duration,
    /// The caller waits no longer than this for the result. A job that has begun still runs to its end.
    pub finish: Duration,
}

/// A pool of threads, and the jobs that wait for them. The threads end when this is dropped.
pub(crate) struct Line<K> {
    /// The name of its jobs in errors, such as "query".
    name: &'static str,
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    queue: Mutex<Queue<K>>,
    changed: Condvar,
}

struct Queue<K> {
    /// The waiting jobs of each key, the oldest first. The key whose turn is longest ago is the least
    /// recently used one, and has the next turn.
    jobs: LruCache<K, VecDeque<Job>>,
    is_closed: bool,
}

struct Job {
    deadline: Instant,
    work: Box<dyn FnOnce() + Send>,
}

impl<K: Eq + Hash + Send + 'static> Line<K> {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`StartError::System`] if a thread cannot be started.
    pub fn new(name: &'static str, threads: usize) -> Result<Line<K>, StartError> {
        let queue = Queue { jobs: LruCache::unbounded(), is_closed: false };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), changed: Condvar::new() });
        for _ in 0..threads {
            let shared = Arc::clone(&shared);
            let work = move || {
                while let Some(job) = shared.next() {
                    (job.work)();
                }
            };
            let started = thread::Builder::new().name(name.to_owned()).spawn(work);
            started.map_err(|error| StartError::System("threads", error))?;
        }
        Ok(Line { name, shared })
    }

    /// Runs `work` on one of the threads when it is the key's turn, and waits for its result.
    ///
    /// # Errors
    /// [`Error::Busy`] if one of the timeouts is over; [`Error::System`] if `work` panics.
    pub fn run<T: Send + 'static>(
        &self,
        key: K,
        timeouts: Timeouts,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (begin, has_begun) = channel();
        let (finish, result) = channel();
        let work = Box::new(move || {
            // The caller may have stopped waiting.
            let _ = begin.send(());
            // A panic must not end the thread, because it would not be replaced.
            let _ = finish.send(catch_unwind(AssertUnwindSafe(work)));
        });
        let called = Instant::now();
        self.shared.push(key, Job { deadline: called + timeouts.begin, work });
        // A job that is too late is dropped, and its channels close.
        let busy = |_| Error::Busy(self.name);
        has_begun.recv_timeout(timeouts.begin).map_err(busy)?;
        let left = timeouts.finish.saturating_sub(called.elapsed());
        let result = result.recv_timeout(left).map_err(busy)?;
        result.map_err(|_| Error::System(format!("a {} panicked", self.name)))
    }
}

impl<K> Drop for Line<K> {
    fn drop(&mut self) {
        self.shared.queue.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl<K: Eq + Hash> Shared<K> {
    fn push(&self, key: K, job: Job) {
        let mut queue = self.queue.lock();
        // Not `get_or_insert_mut`, after which the key would have the last turn.
        if let Some(jobs) = queue.jobs.peek_mut(&key) {
            // If all threads are stuck, nobody calls `next`, so late jobs are dropped here.
            let now = Instant::now();
            jobs.retain(|job| job.deadline > now);
            jobs.push_back(job);
        } else {
            queue.jobs.put(key, VecDeque::from([job]));
        }
        self.changed.notify_one();
    }

    /// Waits for a job whose turn it is. `None` when the line is closed.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        while !queue.is_closed {
            if let Some(job) = queue.pop() {
                return Some(job);
            }
            self.changed.wait(&mut queue);
        }
        None
    }
}

impl<K: Eq + Hash> Queue<K> {
    /// The next job in turn that is not too late. Jobs that are too late are dropped, and do not use up
    /// their key's turn.
    fn pop(&mut self) -> Option<Job> {
        while let Some((key, mut jobs)) = self.jobs.pop_lru() {
            let now = Instant::now();
            let job = iter::from_fn(|| jobs.pop_front()).find(|job| now < job.deadline);
            if !jobs.is_empty() {
                self.jobs.put(key, jobs);
            }
            if job.is_some() {
                return job;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Sender;

    use super::*;

    const LONG: Timeouts =
        Timeouts { begin: Duration::from_mins(1), finish: Duration::from_mins(1) };

    /// A line of one thread, which is busy until the sender is dropped.
    fn held_line() -> (Line<u8>, Sender<()>) {
        let line = Line::new("job", 1).unwrap();
        let (hold, release) = channel::<()>();
        let work = Box::new(move || release.recv().map_or((), |()| ()));
        line.shared.push(0, Job { deadline: Instant::now() + LONG.begin, work });
        while !line.shared.queue.lock().jobs.is_empty() {
            thread::yield_now();
        }
        (line, hold)
    }

    #[test]
    fn turns_go_round_between_keys_and_not_between_jobs() {
        let (line, hold) = held_line();
        let (done, order) = channel();
        for key in [1, 1, 1, 1, 2, 3, 3] {
            let done = done.clone();
            let work = Box::new(move || done.send(key).unwrap());
            line.shared.push(key, Job { deadline: Instant::now() + LONG.begin, work });
        }
        drop((hold, done));
        assert_eq!(order.iter().collect::<Vec<_>>(), [1, 2, 3, 1, 3, 1, 1]);
    }

    #[test]
    fn a_job_that_is_late_never_begins_and_costs_its_key_no_turn() {
        let (line, hold) = held_line();
        let (done, order) = channel();
        for (key, timeout) in [(1, Duration::ZERO), (1, LONG.begin), (2, LONG.begin)] {
            let done = done.clone();
            let work = Box::new(move || done.send((key, timeout)).unwrap());
            line.shared.push(key, Job { deadline: Instant::now() + timeout, work });
        }
        let late = Timeouts { begin: Duration::ZERO, finish: LONG.finish };
        drop((hold, done));
        assert!(matches!(line.run(1, late, || ()), Err(Error::Busy("job"))));
        assert_eq!(order.iter().collect::<Vec<_>>(), [(1, LONG.begin), (2, LONG.begin)]);
    }

    #[test]
    fn a_job_that_panics_is_an_error_and_its_thread_goes_on() {
        let line = Line::new("job", 1).unwrap();
        for _ in 0..3 {
            assert!(matches!(line.run(1, LONG, || panic!("on purpose")), Err(Error::System(_))));
        }
        assert_eq!(line.run(1, LONG, || 7).unwrap(), 7);
    }

    #[test]
    fn late_jobs_do_not_pile_up_while_no_thread_comes_back() {
        let (line, hold) = held_line();
        let at_once = Timeouts { begin: Duration::ZERO, finish: Duration::ZERO };
        for _ in 0..100 {
            assert!(line.run(1, at_once, || ()).is_err());
        }
        assert_eq!(line.shared.queue.lock().jobs.peek(&1).unwrap().len(), 1);
        drop(hold);
    }

    #[test]
    fn nobody_waits_for_the_end_of_another_job_after_the_time_to_begin() {
        let (line, hold) = held_line();
        let short = Timeouts { begin: Duration::from_millis(10), finish: LONG.finish };
        assert!(matches!(line.run(1, short, || ()), Err(Error::Busy("job"))));
        drop(hold);
    }

    #[test]
    fn nobody_waits_for_a_result_longer_than_allowed() {
        let line = Line::new("job", 1).unwrap();
        let (hold, release) = channel::<()>();
        let short = Timeouts { begin: LONG.begin, finish: Duration::from_millis(10) };
        let stuck = line.run(1, short, move || release.recv().is_ok());
        assert!(matches!(stuck, Err(Error::Busy("job"))));
        drop(hold);
        assert_eq!(line.run(1, LONG, || 7).unwrap(), 7, "the thread comes back");
    }
}
