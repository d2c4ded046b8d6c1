//! The programs that are measured: doorward's binary on a database of its own, nginx, and a server on axum.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

use crate::load::Visitor;

/// doorward, serving.
pub struct Doorward {
    process: Child,
    command: Command,
    pub address: String,
    pub url: String,
    pub database: String,
    pub started_in: Duration,
}

/// nginx, serving one file, with as many workers as cores.
pub struct Nginx {
    process: Child,
    folder: PathBuf,
    pub url: String,
}

/// A server on axum that shows the same page: see `tests/bench/axum`.
pub struct Axum {
    process: Child,
    pub url: String,
    pub cookie: String,
}

/// Where wrk finds a page, and whose processor time counts.
pub struct Served {
    pub url: String,
    pub cookie: String,
    pub pid: u32,
}

/// The processor time that a process and its children have taken.
pub fn cpu_time(pid: u32) -> Duration {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let pids = children.split_whitespace().map(|child| child.parse().unwrap()).chain([pid]);
    let ticks: u32 = pids.map(ticks).sum();
    // Linux tells the time in hundredths of a second (USER_HZ).
    Duration::from_millis(10) * ticks
}

fn ticks(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u32>().unwrap()).sum()
}

/// Runs statements on a database.
pub fn admin(url: &str, sql: &str) {
    Client::connect(url, NoTls).unwrap().batch_execute(sql).unwrap();
}

/// An address of this machine that nobody listens on.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn wait_for(address: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    while !Visitor::is_served(address, "/", "") {
        assert!(Instant::now() < until, "nothing answers at {address}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Doorward {
    /// On a new database.
    pub fn start(settings: &[&str]) -> Doorward {
        let admin_url = std::env::var("DATABASE_URL").expect("DATABASE_URL: `make bench` sets it");
        let name = format!("bench_{}", free_address().rsplit(':').next().unwrap());
        admin(&admin_url, &format!("CREATE DATABASE {name}"));
        let mut url = url::Url::parse(&admin_url).unwrap();
        url.set_path(&name);
        Doorward::on(url.into(), settings)
    }

    /// One more on the same database.
    pub fn beside(other: &Doorward, settings: &[&str]) -> Doorward {
        Doorward::on(other.database.clone(), settings)
    }

    /// On that database, whose schema need not be there.
    pub fn on(database: String, settings: &[&str]) -> Doorward {
        let address = free_address();
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        command
            .args(["serve", "--listen", &address, "--max-connections", "14000"])
            // The load comes from this machine, so it stands in for a proxy with many visitors.
            .args(["--trusted-proxies", "127.0.0.1"])
            .args(settings)
            .env("DATABASE_URL", &database)
            .env("RUST_LOG", "warn")
            .stderr(Stdio::null());
        let process = command.spawn().unwrap();
        wait_for(&address);
        let started_in = begun.elapsed();
        let url = format!("http://{address}");
        Doorward { process, command, address, url, database, started_in }
    }

    /// Ends it without a warning, and starts another in its place.
    pub fn kill_and_restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = self.command.spawn().unwrap();
    }

    /// A page that a visitor sees.
    pub fn page(&self, path: &str, cookie: &str) -> Served {
        let url = format!("{}{path}", self.url);
        Served { url, cookie: cookie.to_owned(), pid: self.process.id() }
    }

    /// Resident memory, in millions of bytes.
    pub fn megabytes(&self) -> f64 {
        self.memory("VmRSS:")
    }

    /// The most that there ever was.
    pub fn peak_megabytes(&self) -> f64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kilobytes * 1024.0 / 1e6
    }
}

impl Drop for Doorward {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Nginx {
    /// Serves a file of that many bytes at `/page.html`, and something at `/`.
    pub fn start(bytes: usize) -> Nginx {
        let address = free_address();
        let folder = std::env::temp_dir().join(format!("doorward-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("page.html"), "x".repeat(bytes)).unwrap();
        fs::write(folder.join("index.html"), "x").unwrap();
        let root = folder.display();
        // The workers run as whoever owns the folder; root's temporary files are for everybody.
        let user =
            if fs::metadata("/proc/self").is_ok_and(|me| is_root(&me)) { "user root;" } else { "" };
        let config = format!(
            "daemon off; {user} worker_processes auto; pid {root}/pid; error_log {root}/error.log;
             worker_rlimit_nofile 16384; events {{ worker_connections 16384; }}
             http {{
               access_log off; default_type text/html; keepalive_requests 1000000000;
               client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
               fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
               server {{ listen {address} backlog=4096; root {root}; }}
             }}"
        );
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&folder).arg("-e").arg(folder.join("error.log"));
        let process =
            command.arg("-c").arg(folder.join("nginx.conf")).stderr(Stdio::null()).spawn();
        let process = process.expect("nginx, which `make bench` installs");
        wait_for(&address);
        Nginx { process, folder, url: format!("http://{address}") }
    }

    pub fn page(&self) -> Served {
        let url = format!("{}/page.html", self.url);
        Served { url, cookie: String::new(), pid: self.process.id() }
    }
}

impl Axum {
    /// Serves a page of that many bytes at `/secret`, to whoever has its cookie.
    pub fn start(bytes: usize) -> Axum {
        let address = free_address();
        let built = Path::new(env!("CARGO_BIN_EXE_doorward")).ancestors().nth(2).unwrap();
        let mut command = Command::new(built.join("peer/doorward-bench-axum"));
        let process = command.args([&address, &bytes.to_string()]).spawn();
        let process = process.expect("the server on axum, which `make bench` builds");
        wait_for(&address);
        let answer = Visitor::attempt(&address, "GET", "/enter", "", "").unwrap();
        let answer = answer.replace("set-cookie", "Set-Cookie");
        let cookie = Visitor::cookie(&answer).to_owned();
        Axum { process, url: format!("http://{address}"), cookie }
    }

    pub fn page(&self) -> Served {
        let url = format!("{}/secret", self.url);
        Served { url, cookie: self.cookie.clone(), pid: self.process.id() }
    }
}

impl Drop for Axum {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_root(me: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(me) == 0
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM lets the master end its workers.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
