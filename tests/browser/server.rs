//! The server that the browser visits: the library, on a port and a database of its own.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use doorward::http::listener;
use doorward::{App, Config};
use rouille::Response;

use crate::site::{Database, config};

/// A running server. It stops with the value.
pub struct Server {
    pub app: Arc<App>,
    pub url: String,
    pub database: Database,
    /// The page that was sent last, as it was sent.
    page: Arc<Mutex<String>>,
    stop: Option<(UnixStream, JoinHandle<()>)>,
}

impl Server {
    pub fn new() -> Server {
        Server::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Server {
        let database = Database::new();
        let mut config = config(&database.url());
        change(&mut config);
        let refusals = doorward::refusal_pages(&config);
        let (limits, app) = (config.limits.clone(), Arc::new(App::new(config).unwrap()));
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let (stop, stopped) = UnixStream::pair().unwrap();
        let page = Arc::new(Mutex::new(String::new()));
        let (served, kept) = (Arc::clone(&app), Arc::clone(&page));
        let thread = thread::spawn(move || {
            listener::serve(socket, limits, Vec::new(), &stopped, refusals, move |request| {
                keep(served.handle(request), &kept)
            })
            .unwrap();
        });
        Server { app, url, database, page, stop: Some((stop, thread)) }
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The page that was sent last.
    pub fn page(&self) -> String {
        self.page.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.stop.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }
}

/// Keeps a page on its way out.
fn keep(response: Response, page: &Mutex<String>) -> Response {
    let is_type = |(name, value): &(_, std::borrow::Cow<str>)| {
        let name: &std::borrow::Cow<str> = name;
        name == "Content-Type" && value.starts_with("text/html")
    };
    if !response.headers.iter().any(is_type) {
        return response;
    }
    let (mut body, _) = response.data.into_reader_and_size();
    let mut html = String::new();
    std::io::Read::read_to_string(&mut body, &mut html).unwrap();
    page.lock().unwrap().clone_from(&html);
    Response { data: rouille::ResponseBody::from_string(html), ..response }
}
