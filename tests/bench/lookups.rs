//! The session map as it fills: how long it takes to find a session in it.

use std::fmt::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use doorward::Config;
use doorward::database::Database;
use doorward::sessions::{IdHash, SessionId, Sessions};

use crate::load::Visitor;
use crate::processes::{Doorward, admin};

/// Sessions that are looked up, spread over the map.
const SAMPLE: u32 = 1_000;

/// For how long: what is known is asked for again after a second, of which finding the sample took some.
const TIME: Duration = Duration::from_millis(300);

/// Stores that many sessions of the one user there is; their ids are the numbers from 1.
pub fn store(database: &str, sessions: u32) {
    admin(
        database,
        &format!(
            "INSERT INTO sessions (id_hash, uid, expires_at, remembered, user_agent, ip)
             SELECT sha256(lpad(to_hex(n), 64, '0')::bytea), uid, now() + INTERVAL '1 day', true,
                 '', '::1'
             FROM users, generate_series(1, {sessions}) n"
        ),
    );
}

/// A table of times, up to `most` sessions in the map.
pub fn table(most: u32) -> String {
    let doorward = Doorward::start(&[]);
    Visitor::register(&doorward, "ada@example.org");
    store(&doorward.database, most);
    let database = Arc::new(Database::connect(&doorward.database).unwrap());
    let sessions = Sessions::new(database, &Config::new(&doorward.database));
    let mut table =
        "| Sessions in the map | lookups/s, one thread | one lookup |\n|---|---|---|\n".to_owned();
    let mut filled = 0;
    for size in [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|size| *size <= most) {
        thread::scope(|scope| {
            for part in 0..8 {
                let numbers = (filled + 1..=size).filter(move |n| n % 8 == part);
                scope.spawn(|| numbers.for_each(|n| look_up(&sessions, &hash(n))));
            }
        });
        filled = size;
        let sample: Vec<_> = (1..=SAMPLE).map(|n| hash(n * (size / SAMPLE))).collect();
        let look_up_all = || {
            for id in &sample {
                look_up(&sessions, id);
            }
        };
        look_up_all();
        let (begun, mut lookups) = (Instant::now(), 0);
        while begun.elapsed() < TIME {
            look_up_all();
            lookups += SAMPLE;
        }
        let each = begun.elapsed() / lookups;
        let per_second = f64::from(lookups) / begun.elapsed().as_secs_f64();
        let _ = writeln!(table, "| {size} | {per_second:.0} | {} ns |", each.as_nanos());
    }
    table
}

fn hash(n: u32) -> IdHash {
    SessionId::parse(&format!("{n:064x}")).unwrap().hash()
}

fn look_up(sessions: &Sessions, id: &IdHash) {
    assert!(sessions.find(id).unwrap().is_some());
}
