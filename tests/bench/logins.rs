//! Logins, which take a core each for a good part of a second, and pages beside them.

use std::fmt::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::load::{self, Visitor, get_times, log_in_for, wrk};
use crate::processes::Doorward;
use crate::{Row, at_most};

const COST: u32 = 12;

/// Logins a second if all cores did nothing but hash, for as many clients.
fn possible(clients: usize) -> f64 {
    let cores = thread::available_parallelism().unwrap().get();
    let begun = Instant::now();
    bcrypt::non_truncating_hash("plover quartz 81 lagoon", COST).unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
    let busy = cores.min(clients) as f64;
    busy / begun.elapsed().as_secs_f64()
}

fn share_row(what: &str, done: f64, possible: f64) -> Row {
    let share = done / possible;
    Row {
        what: what.to_owned(),
        reached: format!("{done:.1}/s, {share:.2} × bcrypt"),
        asked: "0.9 × cores ÷ one hash".to_owned(),
        peer: format!("{possible:.1}/s"),
        is_met: share >= 0.9,
    }
}

/// Clients that log in as fast as they can, and a page asked for beside them.
pub fn measure(doorward: &Doorward, visitor: &Visitor, rows: &mut Vec<Row>) -> String {
    let mut table = "| Clients logging in | logins/s | of what bcrypt allows | `GET /secret` beside, 99% under |\n\
         |---|---|---|---|\n".to_owned();
    for clients in [1, 8, 32, 128, 300] {
        let possible = possible(clients);
        let time = Duration::from_secs(if clients == 32 { 20 } else { 5 });
        let (done, times) = thread::scope(|scope| {
            let beside = scope.spawn(|| get_times(visitor, "/secret", time));
            (log_in_for(&doorward.address, clients, time), beside.join().unwrap())
        });
        let p99 = load::percentile(times, 0.99).as_secs_f64() * 1e3;
        let share = done / possible;
        writeln!(table, "| {clients} | {done:.1} | {share:.2} | {p99:.1} ms |").unwrap();
        if clients == 32 {
            rows.push(share_row("32 clients logging in", done, possible));
            rows.push(at_most("`GET /secret` meanwhile, 99% within", p99, 20.0, "ms"));
        }
        if clients == 300 {
            rows.push(at_most("`GET /secret` beside 300, 99% within", p99, 60.0, "ms"));
        }
    }
    beside_load(doorward, visitor, rows);
    beside_a_flood(doorward, rows);
    table
}

/// Logins while 64 connections load pages as fast as they can.
fn beside_load(doorward: &Doorward, visitor: &Visitor, rows: &mut Vec<Row>) {
    let (possible, page) = (possible(32), doorward.page("/secret", &visitor.cookie));
    let quiet = wrk(&page, 64, 2, &[]).per_second;
    let (done, load) = thread::scope(|scope| {
        let load = scope.spawn(|| wrk(&page, 64, 10, &[]));
        (log_in_for(&doorward.address, 32, Duration::from_secs(9)), load.join().unwrap())
    });
    rows.push(share_row("32 clients logging in beside 64 that load pages", done, possible));
    rows.push(Row {
        what: "pages for these".to_owned(),
        reached: format!(
            "{:.0}/s, {:.2} × without logins",
            load.per_second,
            load.per_second / quiet
        ),
        asked: String::new(),
        peer: format!("{quiet:.0}/s"),
        is_met: true,
    });
}

/// A login while another network keeps 50 of them in flight.
fn beside_a_flood(doorward: &Doorward, rows: &mut Vec<Row>) {
    let login = || {
        let begun = Instant::now();
        let answer = Visitor::stranger(&doorward.address).log_in("ada@example.org", "203.0.113.1");
        assert!(answer.contains(" 303 "), "{answer}");
        begun.elapsed()
    };
    let quiet = login();
    // One email may have ten logins at once.
    let emails: Vec<String> = (0..5).map(|n| format!("eve-{n}@example.org")).collect();
    for email in &emails {
        Visitor::register(doorward, email);
    }
    let begun = Instant::now();
    let worst = thread::scope(|scope| {
        for email in emails.iter().flat_map(|email| [email; 10]) {
            scope.spawn(move || {
                let visitor = Visitor::stranger(&doorward.address);
                while begun.elapsed() < Duration::from_secs(8) {
                    visitor.log_in(email, "198.51.100.1");
                }
            });
        }
        thread::sleep(Duration::from_secs(1));
        (0..4).map(|_| login()).max().unwrap()
    });
    let asked = (4 * quiet + Duration::from_secs(1)).as_secs_f64() * 1e3;
    let worst = worst.as_secs_f64() * 1e3;
    let mut row = at_most("a login beside 50 of one network", worst, asked.round(), "ms");
    row.peer = format!("quiet: {} ms", quiet.as_millis());
    rows.push(row);
}
