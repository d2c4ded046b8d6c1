//! `kill -9` under load: how soon doorward serves again, and whether anything it said was untrue.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

use crate::load::{Visitor, registration};
use crate::processes::Doorward;

/// Clients that register, and as many that read.
const CLIENTS: usize = 4;

/// Before the kill, and after service is back.
const TIME: Duration = Duration::from_secs(2);

/// What came of it.
pub struct Outcome {
    /// From the start of doorward's new process.
    pub doorward_back: Duration,
    /// From the moment when PostgreSQL takes connections again.
    pub postgres_back: Duration,
    /// Registrations that were answered with a login.
    pub acknowledged: usize,
    /// Of these, those whose cookie opens nothing afterwards.
    pub lost: usize,
}

/// Kills first the one, then the other.
pub fn kill_both() -> Outcome {
    let cluster = Cluster::start();
    // The cost is low so that the database has something to do.
    let mut doorward = Doorward::on(cluster.url(), &["--bcrypt-cost", "10"]);
    let address = doorward.address.clone();
    let load = Load::default();
    let [doorward_back, postgres_back] = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| load.register(&address));
            scope.spawn(|| load.read(&address));
        }
        let times = [
            load.until_back(&address, || doorward.kill_and_restart()),
            load.until_back(&address, || cluster.kill_and_restart()),
        ];
        load.is_over.store(true, Relaxed);
        times
    });
    let cookies = load.cookies.into_inner().unwrap();
    let lost = cookies.iter().filter(|cookie| !is_member(&address, cookie)).count();
    Outcome { doorward_back, postgres_back, acknowledged: cookies.len(), lost }
}

fn is_member(address: &str, cookie: &str) -> bool {
    Visitor::is_served(address, "/secret", &format!("Cookie: {cookie}\r\n"))
}

/// Clients that go on whatever happens.
#[derive(Default)]
struct Load {
    /// Of everybody who was told to be registered.
    cookies: Mutex<Vec<String>>,
    tries: AtomicU32,
    is_over: AtomicBool,
}

impl Load {
    fn register(&self, address: &str) {
        while !self.is_over.load(Relaxed) {
            let n = self.tries.fetch_add(1, Relaxed);
            let from = format!("X-Forwarded-For: 198.{}.{}.{}\r\n", n >> 16, n >> 8 & 255, n & 255);
            let form = registration(&format!("{n}@example.org"));
            let answer = Visitor::attempt(address, "POST", "/register", &from, &form);
            let is_done = |answer: &String| answer.contains("Location: /secret");
            if let Some(answer) = answer.filter(is_done) {
                self.cookies.lock().unwrap().push(Visitor::cookie(&answer).to_owned());
            }
        }
    }

    fn read(&self, address: &str) {
        while !self.is_over.load(Relaxed) {
            let latest = self.cookies.lock().unwrap().last().cloned();
            is_member(address, &latest.unwrap_or_default());
        }
    }

    /// How long it takes after a kill and a restart until the database answers, through doorward, and
    /// the first member is served.
    fn until_back(&self, address: &str, kill_and_restart: impl FnOnce()) -> Duration {
        thread::sleep(TIME);
        let member = self.cookies.lock().unwrap()[0].clone();
        assert!(is_member(address, &member));
        kill_and_restart();
        let begun = Instant::now();
        while !Visitor::is_served(address, "/healthz", "") || !is_member(address, &member) {
            assert!(begun.elapsed() < Duration::from_mins(1), "nobody is served any more");
        }
        let time = begun.elapsed();
        thread::sleep(TIME);
        time
    }
}

/// A PostgreSQL that keeps what it promises, unlike the one that tests use up.
struct Cluster(PathBuf);

impl Cluster {
    fn start() -> Cluster {
        // The script keeps one cluster for each place that it lies in, and its lock for ever: so
        // this place is always the same.
        let folder = std::env::temp_dir().join("doorward-bench-cluster");
        fs::create_dir_all(folder.join("sql")).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/cluster");
        fs::copy(script, folder.join("sql/cluster")).unwrap();
        let cluster = Cluster(folder);
        cluster.restart();
        cluster
    }

    /// Stays the same when the server has another socket.
    fn url(&self) -> String {
        format!("postgresql:///doorward?host={}&user=doorward", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    fn restart(&self) {
        self.run("start");
        let url = self.run("url");
        let socket = url.split(['=', '&']).nth(1).expect("host=FOLDER&…");
        let _ = fs::remove_file(self.socket());
        symlink(socket, self.socket()).unwrap();
    }

    fn kill_and_restart(&self) {
        let mut client = Client::connect(&self.url(), NoTls).unwrap();
        let row = client.query_one("SELECT pg_read_file('postmaster.pid')", &[]).unwrap();
        let pid = row.get::<_, &str>(0).lines().next().unwrap();
        assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
        self.restart();
    }

    fn run(&self, what: &str) -> String {
        let output = Command::new(self.0.join("sql/cluster")).arg(what).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run("remove");
        let _ = fs::remove_dir_all(&self.0);
    }
}
