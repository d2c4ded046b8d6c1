//! The whole application, tested from outside: through simulated requests, and through sockets
//! where sockets are the subject, on a real PostgreSQL.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../support/mod.rs"]
mod support;

mod account;
mod asvs;
mod cluster;
mod commands;
mod cross_origin;
mod deploy;
mod emails;
mod fail2ban;
mod failures;
mod fairness;
mod files;
mod forms;
mod guide;
mod house;
mod journeys;
mod links;
mod listener;
mod log;
mod mail;
mod mail_server;
mod makefile;
mod next;
mod outage;
mod packages;
mod pages;
mod password_change;
mod proxies;
mod second_factor;
mod second_factor_guesses;
mod second_factor_required;
mod second_factor_set_up;
mod sessions;
mod settings;
mod slow_database;
mod start;
mod throttle;
mod tls;
mod written_log;
