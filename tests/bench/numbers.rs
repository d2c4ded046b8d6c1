//! `make bench`: what doorward reaches, beside a peer measured in the same run.
//!
//! nginx serves a static file of the secret page's size, a server on axum renders the same page; one raw
//! bcrypt hash, times the cores, is the most logins there can be. Machines differ and are noisy, so read
//! the ratios.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "this is a measurement")]

mod crashes;
mod load;
mod logins;
mod lookups;
mod pages;
mod processes;

use std::thread;
use std::time::{Duration, Instant};

use load::{Visitor, wrk};
use processes::Doorward;

/// One row of the table: what was asked and reached, and whether that is enough.
struct Row {
    what: String,
    reached: String,
    asked: String,
    peer: String,
    is_met: bool,
}

fn main() {
    // Ten thousand connections have two ends, and the programs that are started have this limit too.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
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
    let curve = pages::measure(&doorward, &ada, &mut rows);
    // Ada's page lists each of the logins that are measured.
    let bob = Visitor::register(&doorward, "bob@example.org");
    let logins = logins::measure(&doorward, &bob, &mut rows);
    idle_connections(&doorward, &mut rows);
    busy_connections(&doorward, &bob, &mut rows);
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

fn at_most(what: &str, reached: f64, asked: f64, unit: &str) -> Row {
    Row {
        what: what.to_owned(),
        reached: format!("{reached:.1} {unit}"),
        asked: format!("at most {asked} {unit}"),
        peer: String::new(),
        is_met: reached <= asked,
    }
}

/// The same for a time and a number of milliseconds.
fn within(what: &str, time: Duration, asked: f64) -> Row {
    at_most(what, time.as_secs_f64() * 1e3, asked, "ms")
}

/// From the start of the process to its first answer, with the schema in place.
fn start_up(doorward: &Doorward) -> Row {
    let mut times: Vec<_> = (0..5).map(|_| Doorward::beside(doorward, &[]).started_in).collect();
    times.sort();
    within("start to first answer", times[2], 100.0)
}

fn idle_connections(doorward: &Doorward, rows: &mut Vec<Row>) {
    for (connections, what, asked) in [
        (1_000, "memory, 1,000 idle connections", 14.0),
        (10_000, "memory, 10,000 idle connections", 24.0),
    ] {
        let beside = Doorward::beside(doorward, &[]);
        let held: Vec<_> = (0..connections).map(|_| Visitor::stranger(&beside.address)).collect();
        for visitor in &held {
            visitor.get("/healthz");
        }
        rows.push(at_most(what, beside.megabytes(), asked, "MB"));
    }
}

/// The most memory that 5,000 connections took which loaded pages as fast as they could.
fn busy_connections(doorward: &Doorward, bob: &Visitor, rows: &mut Vec<Row>) {
    let beside = Doorward::beside(doorward, &[]);
    wrk(&beside.page("/secret", &bob.cookie), 5_000, 5, &[]);
    let peak = beside.peak_megabytes();
    rows.push(at_most("memory, peak under 5,000 busy connections", peak, 40.0, "MB"));
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
        what: "registrations or logins lost in both".to_owned(),
        reached: format!("{} of {}", crashes.lost, crashes.acknowledged),
        asked: "0".to_owned(),
        peer: String::new(),
        is_met: crashes.lost == 0,
    });
}
