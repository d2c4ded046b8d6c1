//! `make bench`: what doorward reaches, beside a peer measured in the same run.
//!
//! nginx serves a static file of the secret page's size; one raw bcrypt hash, times the cores, is
//! the most logins there can be. Machines differ and are noisy, so read the ratios.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "this is a measurement")]

mod crashes;
mod load;
mod lookups;
mod processes;

use std::fmt::Write;
use std::thread;
use std::time::{Duration, Instant};

use load::{Load, Visitor, get_times, log_in_for, wrk};
use processes::{Doorward, Nginx};

const COST: u32 = 12;

/// One row of the table: what was asked and reached, and whether that is enough.
struct Row {
    what: &'static str,
    reached: String,
    asked: String,
    peer: String,
    is_met: bool,
}

fn main() {
    let cores = thread::available_parallelism().unwrap().get();
    let begun = Instant::now();
    let mut rows = Vec::new();
    let doorward = Doorward::start(&[]);
    rows.push(start_up(&doorward));
    rows.push(at_most("memory, idle", doorward.megabytes(), 12.0, "MB"));
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_doorward")).unwrap().len();
    #[expect(clippy::cast_precision_loss, reason = "far from 2^52")]
    rows.push(at_most("binary, stripped", size as f64 / 1e6, 6.5, "MB"));

    let ada = Visitor::register(&doorward, "ada@example.org");
    let page = ada.get("/secret");
    let nginx = Nginx::start(page.len());
    let curve = pages(&doorward, &nginx, &ada, &mut rows);
    let logins = logins(&doorward, &ada, cores, &mut rows);
    drop(nginx);
    rows.push(idle_connections(&doorward));
    drop(doorward);
    sessions(100_000, &mut rows);
    crashes(&mut rows);
    // `make bench SESSIONS=1000000` fills the map further, which takes a minute more.
    let most = std::env::var("SESSIONS").ok().and_then(|number| number.parse().ok());
    let lookups = lookups::table(most.unwrap_or(100_000));

    println!("\n{cores} cores; measured in {} s\n", begun.elapsed().as_secs());
    println!("| What | Reached | Asked | Peer, same run | |\n|---|---|---|---|---|");
    for row in &rows {
        let mark = if row.is_met { "✓" } else { "✗" };
        println!("| {} | {} | {} | {} | {mark} |", row.what, row.reached, row.asked, row.peer);
    }
    println!("\n{curve}\n{logins}\n{lookups}");
}

fn at_most(what: &'static str, reached: f64, asked: f64, unit: &str) -> Row {
    Row {
        what,
        reached: format!("{reached:.1} {unit}"),
        asked: format!("at most {asked} {unit}"),
        peer: String::new(),
        is_met: reached <= asked,
    }
}

/// The same for a time and a number of milliseconds.
fn within(what: &'static str, time: Duration, asked: f64) -> Row {
    at_most(what, time.as_secs_f64() * 1e3, asked, "ms")
}

/// From the start of the process to its first answer, with the schema in place.
fn start_up(doorward: &Doorward) -> Row {
    let mut times: Vec<_> = (0..5).map(|_| Doorward::beside(doorward, &[]).started_in).collect();
    times.sort();
    within("start to first answer", times[2], 100.0)
}

/// `GET /secret` against nginx, in turn, at growing numbers of connections.
fn pages(doorward: &Doorward, nginx: &Nginx, ada: &Visitor, rows: &mut Vec<Row>) -> String {
    let mut curve = "| Connections | doorward, requests/s | 99% under | nginx, requests/s | 99% under | ratio |\n\
         |---|---|---|---|---|---|\n".to_owned();
    for connections in [1, 16, 64, 256, 1_000] {
        let ours = || wrk(&format!("{}/secret", doorward.url), connections, Some(&ada.cookie));
        let theirs = || wrk(&format!("{}/page.html", nginx.url), connections, None);
        // Theirs, ours, ours, theirs: what drifts, drifts for both.
        let [a, b, c, d] = [theirs(), ours(), ours(), theirs()];
        let (peer, reached) = (Load::mean(&a, &d), Load::mean(&b, &c));
        let ratio = reached.per_second / peer.per_second;
        let _ = writeln!(
            curve,
            "| {connections} | {:.0} | {:.1} ms | {:.0} | {:.1} ms | {ratio:.2} |",
            reached.per_second, reached.p99_ms, peer.per_second, peer.p99_ms
        );
        let asked = match connections {
            64 => 0.65,
            1_000 => 0.55,
            _ => continue,
        };
        rows.push(Row {
            what: if connections == 64 {
                "`GET /secret`, 64 connections"
            } else {
                "`GET /secret`, 1,000 connections"
            },
            reached: format!("{:.0}/s, {ratio:.2} × nginx", reached.per_second),
            asked: format!("{asked} × nginx"),
            peer: format!("{:.0}/s", peer.per_second),
            is_met: ratio >= asked,
        });
        if connections == 1_000 {
            let mut row = at_most("99% of these within", reached.p99_ms, 25.0, "ms");
            row.peer = format!("{:.1} ms", peer.p99_ms);
            rows.push(row);
        }
    }
    curve
}

/// Clients that log in as fast as they can, and a page asked for beside them.
fn logins(doorward: &Doorward, ada: &Visitor, cores: usize, rows: &mut Vec<Row>) -> String {
    let mut table = "| Clients logging in | logins/s | of what bcrypt allows | `GET /secret` beside, 99% under |\n\
         |---|---|---|---|\n".to_owned();
    for clients in [1, 8, 32, 128] {
        let seconds = if clients == 32 { 20 } else { 5 };
        let begun = Instant::now();
        bcrypt::non_truncating_hash("plover quartz 81 lagoon", COST).unwrap();
        let hash = begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
        let possible = cores.min(clients) as f64 / hash;
        let time = Duration::from_secs(seconds);
        let (done, times) = thread::scope(|scope| {
            let beside = scope.spawn(|| get_times(ada, "/secret", time));
            (log_in_for(&doorward.address, clients, time), beside.join().unwrap())
        });
        let p99 = load::percentile(times, 0.99).as_secs_f64() * 1e3;
        let share = done / possible;
        let _ = writeln!(table, "| {clients} | {done:.1} | {share:.2} | {p99:.1} ms |");
        if clients == 32 {
            rows.push(Row {
                what: "32 clients logging in",
                reached: format!("{done:.1}/s, {share:.2} × bcrypt"),
                asked: "0.9 × cores ÷ one hash".to_owned(),
                peer: format!("{possible:.1}/s"),
                is_met: share >= 0.9,
            });
            rows.push(at_most("`GET /secret` meanwhile, 99% within", p99, 20.0, "ms"));
        }
    }
    table
}

fn idle_connections(doorward: &Doorward) -> Row {
    let beside = Doorward::beside(doorward, &[]);
    let held: Vec<_> = (0..1_000).map(|_| Visitor::stranger(&beside.address)).collect();
    for visitor in &held {
        visitor.get("/healthz");
    }
    at_most("memory, 1,000 idle connections", beside.megabytes(), 48.0, "MB")
}

/// The map with sessions in it, found in the table as after a restart.
fn sessions(sessions: u32, rows: &mut Vec<Row>) {
    let doorward = Doorward::start(&[]);
    let ada = Visitor::register(&doorward, "ada@example.org");
    lookups::store(&doorward.database, sessions);
    let before = doorward.megabytes();
    thread::scope(|scope| {
        for part in 0..8 {
            let address = &ada.address;
            scope.spawn(move || {
                let mut visitor = Visitor::stranger(address);
                for n in (1..=sessions).filter(|n| n % 8 == part) {
                    visitor.cookie = format!("doorward={n:064x}");
                    assert!(visitor.get("/auth").contains("ok"));
                }
            });
        }
    });
    let after = doorward.megabytes();
    rows.push(at_most("memory, 100,000 sessions in the map", after, 60.0, "MB"));
    let each = (after - before) * 1e6 / f64::from(sessions);
    rows.push(at_most("one of them", each, 400.0, "bytes"));
}

/// `kill -9` of doorward and of PostgreSQL while people register and read.
fn crashes(rows: &mut Vec<Row>) {
    let crashes = crashes::kill_both();
    rows.push(within("`kill -9` of doorward: serves again in", crashes.doorward_back, 2_000.0));
    let back = crashes.postgres_back;
    rows.push(within("`kill -9` of PostgreSQL: when it is up, in", back, 2_000.0));
    rows.push(Row {
        what: "registrations or logins lost in both",
        reached: format!("{} of {}", crashes.lost, crashes.acknowledged),
        asked: "0".to_owned(),
        peer: String::new(),
        is_met: crashes.lost == 0,
    });
}
