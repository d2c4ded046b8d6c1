//! Load: wrk for pages, our own clients for logins and for times beside them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::processes::{Doorward, Served, cpu_time};

pub const PASSWORD: &str = "plover quartz 81 lagoon";

/// What wrk measured, and the processor time that the server took for it.
pub struct Load {
    pub per_second: f64,
    pub p99_ms: f64,
    pub cpu_us: f64,
}

/// A client with a connection that it keeps.
pub struct Visitor {
    pub address: String,
    pub cookie: String,
    connection: Mutex<BufReader<TcpStream>>,
}

impl Load {
    pub fn mean(a: &Load, b: &Load) -> Load {
        Load {
            per_second: f64::midpoint(a.per_second, b.per_second),
            p99_ms: f64::midpoint(a.p99_ms, b.p99_ms),
            cpu_us: f64::midpoint(a.cpu_us, b.cpu_us),
        }
    }
}

/// Runs wrk with two threads, for as many seconds.
pub fn wrk(server: &Served, connections: usize, seconds: usize, headers: &[&str]) -> Load {
    let (threads, connections) = (connections.min(2).to_string(), connections.to_string());
    let mut command = Command::new("wrk");
    command.args(["--latency", "-d", &seconds.to_string(), "-t", &threads, "-c", &connections]);
    if !server.cookie.is_empty() {
        command.arg("-H").arg(format!("Cookie: {}", server.cookie));
    }
    for header in headers {
        command.args(["-H", header]);
    }
    let before = cpu_time(server.pid);
    let output = command.arg(&server.url).output().expect("wrk, which `make bench` installs");
    let cpu = cpu_time(server.pid).saturating_sub(before);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("Non-2xx"), "{}: {text}", server.url);
    let after =
        |sign: &str| text.lines().find_map(|line| line.trim().strip_prefix(sign)).expect(sign);
    let requests = text.lines().find_map(|line| line.split_once(" requests in ")).unwrap().0;
    Load {
        per_second: after("Requests/sec:").trim().parse().unwrap(),
        p99_ms: milliseconds(after("99%").trim()),
        cpu_us: cpu.as_secs_f64() * 1e6 / requests.trim().parse::<f64>().unwrap(),
    }
}

fn milliseconds(text: &str) -> f64 {
    let number = text.trim_end_matches(char::is_alphabetic);
    let unit = match text.trim_start_matches(number) {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        other => panic!("wrk speaks of {other:?}"),
    };
    number.parse::<f64>().unwrap() * unit
}

/// Logs in again and again, each client from a network of its own; logins a second.
pub fn log_in_for(address: &str, clients: usize, time: Duration) -> f64 {
    let begun = Instant::now();
    let done: usize = thread::scope(|scope| {
        let client = |n: usize| {
            let visitor = Visitor::stranger(address);
            let mut done = 0;
            while begun.elapsed() < time {
                let answer =
                    visitor.log_in("ada@example.org", &format!("198.51.{}.{}", n / 250, n % 250));
                // Who waits too long in line is told to come back, and counts for nothing.
                assert!(answer.contains(" 303 ") || answer.contains(" 503 "), "{answer}");
                done += usize::from(answer.contains(" 303 "));
            }
            done
        };
        let all: Vec<_> = (0..clients).map(|n| scope.spawn(move || client(n))).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    #[expect(clippy::cast_precision_loss, reason = "far from 2^52")]
    let done = done as f64;
    done / begun.elapsed().as_secs_f64()
}

/// How long a page takes, asked for every 5 ms.
pub fn get_times(visitor: &Visitor, path: &str, time: Duration) -> Vec<Duration> {
    let visitor = Visitor { cookie: visitor.cookie.clone(), ..Visitor::stranger(&visitor.address) };
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let asked = Instant::now();
        assert!(visitor.get(path).starts_with("HTTP/1.1 200"));
        times.push(asked.elapsed());
        thread::sleep(Duration::from_millis(5));
    }
    times
}

pub fn percentile(mut times: Vec<Duration>, share: f64) -> Duration {
    times.sort();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index"
    )]
    let index = (times.len() as f64 * share) as usize;
    times[index.min(times.len() - 1)]
}

/// What somebody fills in to register.
pub fn registration(email: &str) -> String {
    let (email, password) = (email.replace('@', "%40"), PASSWORD.replace(' ', "+"));
    format!(
        "first_name=Ada&last_name=Lovelace&email={email}&password={password}&confirm={password}"
    )
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    )
}

impl Visitor {
    pub fn stranger(address: &str) -> Visitor {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let connection = Mutex::new(BufReader::new(stream));
        Visitor { address: address.to_owned(), cookie: String::new(), connection }
    }

    pub fn register(doorward: &Doorward, email: &str) -> Visitor {
        let mut visitor = Visitor::stranger(&doorward.address);
        let answer = visitor.ask("POST", "/register", "", &registration(email));
        Visitor::cookie(&answer).clone_into(&mut visitor.cookie);
        visitor.get("/secret");
        visitor
    }

    /// The whole answer to a request.
    pub fn get(&self, path: &str) -> String {
        self.ask("GET", path, "", "")
    }

    /// Logs in, from that address.
    pub fn log_in(&self, email: &str, from: &str) -> String {
        let (email, password) = (email.replace('@', "%40"), PASSWORD.replace(' ', "+"));
        let body = format!("email={email}&password={password}");
        self.ask("POST", "/login", &format!("X-Forwarded-For: {from}\r\n"), &body)
    }

    /// The answer of whoever listens there, if anybody does.
    pub fn attempt(
        address: &str,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Option<String> {
        let mut stream = TcpStream::connect(address).ok()?;
        let headers = format!("Connection: close\r\n{headers}");
        stream.write_all(request(method, path, &headers, body).as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Whether somebody listens there and shows a page.
    pub fn is_served(address: &str, path: &str, headers: &str) -> bool {
        let answer = Visitor::attempt(address, "GET", path, headers, "");
        answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// The cookie that an answer sets.
    pub fn cookie(answer: &str) -> &str {
        let cookie = answer.split("Set-Cookie: ").nth(1).unwrap_or_else(|| panic!("{answer}"));
        cookie.split(';').next().unwrap()
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let mut connection = self.connection.lock().unwrap();
        let headers = format!("Cookie: {}\r\n{headers}", self.cookie);
        let request = request(method, path, &headers, body);
        connection.get_mut().write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        while !answer.ends_with("\r\n\r\n") {
            assert_ne!(connection.read_line(&mut answer).unwrap(), 0, "the connection ended");
        }
        let length = answer.split("Content-Length: ").nth(1).expect("a Content-Length");
        let length = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        connection.read_exact(&mut body).unwrap();
        answer + str::from_utf8(&body).unwrap()
    }
}
