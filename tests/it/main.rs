//! The whole application, tested from outside: through simulated requests, and through sockets
//! where sockets are the subject, on a real PostgreSQL.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod asvs;
mod browser;
mod cluster;
mod commands;
mod cross_origin;
mod deploy;
mod door;
mod emails;
mod fail2ban;
mod failures;
mod fairness;
mod files;
mod forms;
mod framing;
mod guide;
mod house;
mod listener;
mod log;
mod makefile;
mod next;
mod outage;
mod packages;
mod pages;
mod password_change;
mod programs;
mod proxies;
mod sessions;
mod settings;
mod site;
mod slow_database;
mod sockets;
mod stall;
mod start;
mod throttle;
mod tls;
mod wire;
mod written_log;
