//! nginx and Caddy, the real ones, with the files of deploy/, and what a visitor and the site behind
//! them see.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rouille::Response;

use super::browser::Browser;
use super::client::Answer;
use super::deploy::file;
use super::programs::{Folder, Running, free_port, run};
use super::server::Server;
use super::site::{PASSWORD, Site, config, handler, register};

pub const MEMBERS: &str = "members.example.org";
pub const WIKI: &str = "wiki.example.org";

/// Where the proxy is, seen from the server.
pub const PROXY: &str = "127.0.0.1/32";

/// What makes openssl write a key and its certificate.
pub const SELF_SIGNED: [&str; 11] = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
    "-subj",
    "/CN=members.example.org",
];

/// Everything behind the proxy: the server, and the site that it keeps the door of.
pub struct Behind {
    pub site: Arc<Site>,
    pub doorward: Option<Server>,
    pub wiki: Server,
    /// How many requests got through to the wiki.
    pub let_in: Arc<AtomicUsize>,
}

impl Behind {
    pub fn new() -> Behind {
        Behind::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut doorward::Config)) -> Behind {
        let site = Arc::new(Site::with(|config| {
            change(config);
            config.public_url = Some(format!("https://{MEMBERS}").parse().unwrap());
            config.trusted_proxies = vec![PROXY.parse().unwrap()];
        }));
        let doorward = Some(serve(&site));
        let let_in = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&let_in);
        // It answers with the head of the request, as far as it reached it.
        let wiki = Server::start(config("").limits, &[], move |request| {
            count.fetch_add(1, Ordering::Relaxed);
            let headers = request.headers().map(|(name, value)| format!("{name}: {value}\n"));
            let headers: String = headers.collect();
            Response::text(format!("{} {}\n{headers}", request.method(), request.raw_url()))
        });
        Behind { site, doorward, wiki, let_in }
    }

    /// A configuration in which only ports are other than in deploy/.
    pub fn fit(&self, text: &str) -> String {
        let doorward = self.doorward.as_ref().unwrap().port;
        text.replace("127.0.0.1:8080", &format!("127.0.0.1:{doorward}"))
            .replace("127.0.0.1:3000", &format!("127.0.0.1:{}", self.wiki.port))
    }
}

pub fn serve(site: &Arc<Site>) -> Server {
    let (limits, site) = (config("").limits, Arc::clone(site));
    Server::start(limits, &[PROXY], move |request| site.app.handle(request))
}

/// Puts the snippet of deploy/ and `sites` into the folder of an nginx, and starts it.
pub fn nginx(folder: &Folder, sites: &[&str]) -> (Running, u16) {
    let port = free_port();
    folder.write("snippets/doorward.conf", &file("nginx/snippets/doorward.conf"));
    let (key, certificate) = (folder.path("key.pem"), folder.path("certificate.pem"));
    run(Command::new("openssl").args(SELF_SIGNED).args(["-keyout", &key, "-out", &certificate]));
    for (number, site) in sites.iter().enumerate() {
        let site: String = site
            .lines()
            .map(|line| match line.trim().split(' ').next() {
                Some("ssl_certificate") => format!("ssl_certificate {certificate};\n"),
                Some("ssl_certificate_key") => format!("ssl_certificate_key {key};\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let site = site.replace("listen 443", &format!("listen 127.0.0.1:{port}"));
        folder.write(&format!("conf.d/{number}.conf"), &site);
    }
    let mut command = nginx_in(folder, "");
    (Running::start(&mut command, &folder.path("log")).listening(port), port)
}

/// Writes the main file of an nginx with its home below `folder`, where it finds `conf.d/*.conf` as
/// Debian's does; the path.
pub fn nginx_conf(folder: &Folder, home: &str) -> String {
    let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};", folder.path(kind)));
    let main = format!(
        "daemon off; master_process off; pid {}; error_log stderr warn;
         events {{}}
         http {{ access_log off; {} include conf.d/*.conf; }}",
        folder.path("pid"),
        places.join(" ")
    );
    folder.write(format!("{home}/nginx.conf").trim_start_matches('/'), &main)
}

/// What runs it, once it was found to be right.
pub fn nginx_in(folder: &Folder, home: &str) -> Command {
    let main = nginx_conf(folder, home);
    let command = || {
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p", &folder.path(home), "-c", &main]);
        command
    };
    let verdict = run(command().arg("-t"));
    assert!(!verdict.contains("[warn]"), "{verdict}");
    command()
}

/// Starts an nginx with both sites of deploy/.
pub fn nginx_as_deployed(folder: &Folder, behind: &Behind) -> (Running, u16) {
    let site = |name: &str| behind.fit(&file(&format!("nginx/conf.d/{name}.conf")));
    nginx(folder, &[&site("members"), &site("wiki")])
}

/// Starts a Caddy with the Caddyfile of deploy/, certificates of its own making and no other change.
pub fn caddy(folder: &Folder, behind: &Behind) -> (Running, u16) {
    let port = free_port();
    let file = behind.fit(&file("caddy/Caddyfile"));
    let options = format!(
        "{{\n\tadmin off\n\tlocal_certs\n\tskip_install_trust\n\tdefault_bind 127.0.0.1\n\
         \thttp_port {}\n\thttps_port {port}\n}}\n",
        free_port()
    );
    let file = folder.write("Caddyfile", &(options + &file));
    let command = |what: &str| {
        let mut command = Command::new("caddy");
        let home = folder.0.to_str().unwrap();
        command.args([what, "--config", &file, "--adapter", "caddyfile"]);
        command.env("HOME", home).env("XDG_DATA_HOME", home).env("XDG_CONFIG_HOME", home);
        command
    };
    run(&mut command("validate"));
    (Running::start(&mut command("run"), &folder.path("log")).listening(port), port)
}

/// A visitor by curl, with a jar of cookies that knows of `Secure`, paths and hosts.
pub struct Visitor {
    pub jar: Folder,
    pub port: u16,
    pub options: Vec<String>,
}

impl Visitor {
    pub fn new(port: u16) -> Visitor {
        Visitor { jar: Folder::new(), port, options: Vec::new() }
    }

    pub fn ask(&self, host: &str, path: &str, options: &[&str]) -> Answer {
        let (port, jar) = (self.port, self.jar.path("jar"));
        let text = run(Command::new("curl")
            .args(["-q", "-sSik", "--http1.1", "--path-as-is", "-b", &jar, "-c", &jar])
            .args(["--resolve", &format!("{MEMBERS}:{port}:127.0.0.1")])
            .args(["--resolve", &format!("{WIKI}:{port}:127.0.0.1")])
            .args(&self.options)
            .args(options)
            .arg(format!("https://{host}:{port}{path}")));
        let text = text.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n");
        Answer::parse(text)
    }

    /// The session id in the jar.
    pub fn id(&self) -> String {
        let jar = std::fs::read_to_string(self.jar.path("jar")).unwrap();
        let id = jar.split_whitespace().last().unwrap();
        assert_eq!(id.len(), 64, "{jar}");
        id.to_owned()
    }

    pub fn log_in(&self, host: &str, email: &str, next: &str) -> Answer {
        let fields = [("email", email), ("password", PASSWORD), ("next", next)];
        let fields = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask(host, "/login", &["-d", &fields, "-HX-Forwarded-For: 198.51.100.9"])
    }
}

/// The path and query that a redirect leads to, on `host`.
pub fn target<'a>(answer: &'a Answer, host: &str, port: u16) -> &'a str {
    assert_eq!(answer.status, 303, "{answer:?}");
    let location = answer.header("Location").expect("a Location");
    location.strip_prefix(&format!("https://{host}:{port}")).unwrap_or(location)
}

/// What the wiki saw under a name, however it is written.
pub fn seen<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let lines = answer.text().lines().filter_map(|line| line.split_once(": "));
    let alike = |known: &str| known.replace('_', "-").eq_ignore_ascii_case(name);
    lines.filter(|(known, _)| alike(known)).map(|(_, value)| value).collect()
}

/// A proxy with the files of deploy/, and what is behind it; Ada is registered.
pub struct Door {
    _proxy: Running,
    _folder: Folder,
    pub port: u16,
    _behind: Behind,
}

impl Door {
    /// One by nginx and one by Caddy.
    pub fn both() -> [Door; 2] {
        [Door::of(nginx_as_deployed), Door::of(caddy)]
    }

    pub fn of(proxy: fn(&Folder, &Behind) -> (Running, u16)) -> Door {
        let (folder, behind) = (Folder::new(), Behind::new());
        register(&mut Browser::new(&handler(&behind.site.app)), "Ada", "ada@example.org");
        let (proxy, port) = proxy(&folder, &behind);
        Door { _proxy: proxy, _folder: folder, port, _behind: behind }
    }

    pub fn ada(&self) -> Visitor {
        let ada = Visitor::new(self.port);
        assert_eq!(ada.log_in(WIKI, "ada@example.org", "/").status, 303);
        ada
    }
}
