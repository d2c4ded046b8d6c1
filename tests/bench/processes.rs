//! The programs that are measured: doorward's binary on a database of its own, and nginx.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
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
            .args(["serve", "--listen", &address, "--max-connections", "2000"])
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

    /// Resident memory, in millions of bytes.
    pub fn megabytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
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
             events {{ worker_connections 4096; }}
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
