//! The listener over real sockets. Whatever one connection does, the next request on another is answered.

mod alone;
mod connections;
mod framing;
mod packets;
mod responses;
mod room;
mod sender;
mod size;
mod slow_readers;
mod sockets;
mod stress;
mod threads;
mod time;

fn get(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

fn post(headers: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\nbody!")
}
