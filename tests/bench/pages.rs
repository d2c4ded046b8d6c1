//! A members' page at growing numbers of connections, beside nginx and a server on axum.

use std::fmt::Write;

use crate::Row;
use crate::load::{Load, Visitor, wrk};
use crate::processes::{Axum, Doorward, Nginx, Served};

/// What is asked at a number of connections: times nginx, times axum, and the 99th percentile times nginx's.
const ASKED: [(usize, f64, f64, f64); 3] =
    [(64, 0.8, 1.2, f64::INFINITY), (1_000, 0.85, 1.2, 1.5), (5_000, 0.85, 1.1, 1.5)];

/// The same page from three servers.
struct Peers {
    doorward: Served,
    nginx: Served,
    axum: Served,
}

/// What the three reached, in the same order.
struct Reached([Load; 3]);

/// `GET /secret` against its peers. Fills the table of rows, and returns that of all numbers.
pub fn measure(doorward: &Doorward, ada: &Visitor, rows: &mut Vec<Row>) -> String {
    let bytes = ada.get("/secret").split_once("\r\n\r\n").unwrap().1.len();
    let (nginx, axum) = (Nginx::start(bytes), Axum::start(bytes));
    let doorward = doorward.page("/secret", &ada.cookie);
    let peers = Peers { doorward, nginx: nginx.page(), axum: axum.page() };
    let mut curve = "| Connections | doorward, requests/s | 99% under | µs a request | nginx | 99% under | µs | ratio \
         | axum | 99% under | µs | ratio |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n".to_owned();
    for connections in [1, 16, 64, 256, 1_000, 5_000] {
        let seconds = if connections < 1_000 { 2 } else { 5 };
        let reached = peers.measure(connections, seconds, &[]);
        reached.write(&connections.to_string(), &mut curve);
        if let Some(asked) = ASKED.iter().find(|asked| asked.0 == connections) {
            reached.judge(*asked, rows);
        }
    }
    let alone = peers.measure(64, 2, &["Connection: close"]);
    alone.write("64, each for one request", &mut curve);
    curve
}

impl Peers {
    fn measure(&self, connections: usize, seconds: usize, headers: &[&str]) -> Reached {
        let three = [&self.doorward, &self.nginx, &self.axum];
        let load = |server: &&Served| wrk(server, connections, seconds, headers);
        // There and back: what drifts, drifts for all.
        let there = three.map(|server| load(&server));
        let mut back: Vec<Load> = three.iter().rev().map(load).collect();
        Reached(there.map(|there| Load::mean(&there, &back.pop().unwrap())))
    }
}

impl Reached {
    fn ratios(&self) -> (f64, f64) {
        let [doorward, nginx, axum] = self.0.each_ref().map(|load| load.per_second);
        (doorward / nginx, doorward / axum)
    }

    fn write(&self, name: &str, table: &mut String) {
        let (to_nginx, to_axum) = self.ratios();
        let [doorward, nginx, axum] = self.0.each_ref().map(|load| {
            format!("{:.0} | {:.1} ms | {:.1}", load.per_second, load.p99_ms, load.cpu_us)
        });
        let row = format!("{name} | {doorward} | {nginx} | {to_nginx:.2} | {axum} | {to_axum:.2}");
        writeln!(table, "| {row} |").unwrap();
    }

    fn judge(&self, asked: (usize, f64, f64, f64), rows: &mut Vec<Row>) {
        let ((connections, of_nginx, of_axum, p99), (to_nginx, to_axum)) = (asked, self.ratios());
        let [doorward, nginx, axum] = &self.0;
        rows.push(Row {
            what: format!("`GET /secret`, {connections} connections"),
            reached: format!(
                "{:.0}/s, {to_nginx:.2} × nginx, {to_axum:.2} × axum",
                doorward.per_second
            ),
            asked: format!("{of_nginx} × nginx, {of_axum} × axum"),
            peer: format!("{:.0}/s, {:.0}/s", nginx.per_second, axum.per_second),
            is_met: to_nginx >= of_nginx && to_axum >= of_axum,
        });
        if p99.is_finite() {
            rows.push(Row {
                what: "99% of these within".to_owned(),
                reached: format!(
                    "{:.1} ms, {:.2} × nginx",
                    doorward.p99_ms,
                    doorward.p99_ms / nginx.p99_ms
                ),
                asked: format!("{p99} × nginx"),
                peer: format!("{:.1} ms, {:.1} ms", nginx.p99_ms, axum.p99_ms),
                is_met: doorward.p99_ms <= p99 * nginx.p99_ms,
            });
        }
    }
}
