//! nginx and Caddy, the real ones, with the files of deploy/: in front of the server, and as a door in
//! front of another site.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rouille::Response;

use crate::browser::Browser;
use crate::deploy::{block, file};
use crate::programs::{Answer, Folder, Running, Server, free_port, run};
use crate::site::{PASSWORD, Site, handler, register};

const MEMBERS: &str = "members.example.org";
const WIKI: &str = "wiki.example.org";

/// Everything behind the proxy: the server, and the site that it keeps the door of.
struct Behind {
    site: Arc<Site>,
    doorward: Option<Server>,
    wiki: Server,
    /// How many requests got through to the wiki.
    let_in: Arc<AtomicUsize>,
}

impl Behind {
    fn new() -> Behind {
        Behind::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut doorward::Config)) -> Behind {
        let site = Arc::new(Site::with(|config| {
            change(config);
            config.public_url = Some(format!("https://{MEMBERS}").parse().unwrap());
            config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        }));
        let doorward = Some(serve(&site));
        let let_in = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&let_in);
        // It answers with the head of the request, as far as it reached it.
        let wiki = Server::start(&crate::site::config(""), move |request| {
            count.fetch_add(1, Ordering::Relaxed);
            let headers = request.headers().map(|(name, value)| format!("{name}: {value}\n"));
            let headers: String = headers.collect();
            Response::text(format!("{} {}\n{headers}", request.method(), request.raw_url()))
        });
        Behind { site, doorward, wiki, let_in }
    }

    /// A configuration in which only ports are other than in deploy/.
    fn fit(&self, text: &str) -> String {
        let doorward = self.doorward.as_ref().unwrap().port;
        text.replace("127.0.0.1:8080", &format!("127.0.0.1:{doorward}"))
            .replace("127.0.0.1:3000", &format!("127.0.0.1:{}", self.wiki.port))
    }
}

fn serve(site: &Arc<Site>) -> Server {
    let (config, site) = (config_of(site), Arc::clone(site));
    Server::start(&config, move |request| site.app.handle(request))
}

fn config_of(site: &Site) -> doorward::Config {
    let mut config = crate::site::config(&site.url);
    config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    config
}

/// Puts the snippet of deploy/ and `sites` into the folder of an nginx, and starts it.
fn nginx(folder: &Folder, sites: &[&str]) -> (Running, u16) {
    let port = free_port();
    folder.write("snippets/doorward.conf", &file("nginx/snippets/doorward.conf"));
    let key = folder.path("key.pem");
    let certificate = folder.path("certificate.pem");
    let subject = ["-subj", "/CN=members.example.org", "-days", "2", "-nodes"];
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    let request = Command::new("openssl")
        .args(["req", "-x509", "-keyout", &key, "-out", &certificate])
        .args(new.iter().chain(&subject))
        .output();
    assert!(request.expect("openssl").status.success());
    for (number, site) in sites.iter().enumerate() {
        let site: String = site
            .lines()
            .map(|line| match line.trim().split(' ').next() {
                Some("ssl_certificate") => format!("ssl_certificate {certificate};\n"),
                Some("ssl_certificate_key") => format!("ssl_certificate_key {key};\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let site = site
            .replace("listen 443", &format!("listen 127.0.0.1:{port}"))
            .replace("listen 80", &format!("listen unix:{}", folder.path("plain")));
        folder.write(&format!("conf.d/{number}.conf"), &site);
    }
    let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};", folder.path(kind)));
    let main = format!(
        "load_module /usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so;
         daemon off; master_process off; pid {}; error_log stderr warn;
         events {{}}
         http {{ access_log off; {} include conf.d/*.conf; }}",
        folder.path("pid"),
        places.join(" ")
    );
    let main = folder.write("nginx.conf", &main);
    let command = || {
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p", folder.0.to_str().unwrap(), "-c", &main]);
        command
    };
    let verdict = run(command().arg("-t"));
    assert!(!verdict.contains("[warn]"), "{verdict}");
    (Running::start(&mut command(), &folder.path("log")).listening(port), port)
}

/// Starts an nginx with both sites of deploy/.
fn nginx_as_deployed(folder: &Folder, behind: &Behind) -> (Running, u16) {
    let site = |name: &str| behind.fit(&file(&format!("nginx/conf.d/{name}.conf")));
    nginx(folder, &[&site("members"), &site("wiki")])
}

/// Starts a Caddy with the Caddyfile of deploy/, certificates of its own making and no other change.
fn caddy(folder: &Folder, behind: &Behind) -> (Running, u16) {
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
struct Visitor {
    jar: Folder,
    port: u16,
    options: Vec<String>,
}

impl Visitor {
    fn new(port: u16) -> Visitor {
        Visitor { jar: Folder::new(), port, options: Vec::new() }
    }

    fn ask(&self, host: &str, path: &str, options: &[&str]) -> Answer {
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
    fn id(&self) -> String {
        let jar = std::fs::read_to_string(self.jar.path("jar")).unwrap();
        let id = jar.split_whitespace().last().unwrap();
        assert_eq!(id.len(), 64, "{jar}");
        id.to_owned()
    }

    fn log_in(&self, host: &str, email: &str, next: &str) -> Answer {
        let fields = [("email", email), ("password", PASSWORD), ("next", next)];
        let fields = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask(host, "/login", &["-d", &fields, "-HX-Forwarded-For: 198.51.100.9"])
    }
}

/// The path and query that a redirect leads to, on `host`.
fn target<'a>(answer: &'a Answer, host: &str, port: u16) -> &'a str {
    assert_eq!(answer.status, 303, "{}\n{}", answer.head, answer.body);
    let location = answer.header("Location").expect("a Location");
    location.strip_prefix(&format!("https://{host}:{port}")).unwrap_or(location)
}

/// What the wiki saw under a name, however it is written.
fn seen<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let lines = answer.body.lines().filter_map(|line| line.split_once(": "));
    let alike = |known: &str| known.replace('_', "-").eq_ignore_ascii_case(name);
    lines.filter(|(known, _)| alike(known)).map(|(_, value)| value).collect()
}

const FORGED: [&str; 12] = [
    "-HRemote-User: root@example.org",
    "-HRemote-User: root@example.org",
    "-HREMOTE-USER: root@example.org",
    "-HRemote_User: root@example.org",
    "-HRemote-Name: Root",
    "-HRemote_Name: Root",
    "-HRemote-Email: root@example.org",
    "-Hremote_email: root@example.org",
    "-HX-Forwarded-For: 198.51.100.9",
    "-HX-Forwarded-Proto: http",
    "-HX-Forwarded-Host: elsewhere.example.org",
    "-HConnection: Remote-User, Remote-Email, Remote-Name",
];

/// The way of a stranger to a page behind the door, and what the page gets to know.
fn a_door_that_holds(mut behind: Behind, port: u16) {
    let app = handler(&behind.site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    register(&mut Browser::new(&app), "Zo\u{eb}", "zoe@example.org");
    register(&mut Browser::new(&app), "%41da", "eve@example.org");
    let page = "/a%20b/%C3%A9?x=1&y=%2F%26&z=a+b";

    let ada = Visitor::new(port);
    for options in [&[][..], &FORGED, &["-I"], &["-d", "x=1"]] {
        let login = target(&ada.ask(WIKI, page, options), WIKI, port).to_owned();
        assert!(login.starts_with("/login?next="), "{login}");
        let form = ada.ask(WIKI, &login, &[]);
        assert_eq!(form.status, 200);
        let hidden = format!(r#"name="next" value="{}""#, page.replace('&', "&amp;"));
        assert!(form.body.contains(&hidden), "{}", form.body);
    }
    let long = format!("/?{}", "&".repeat(1990));
    let login = target(&ada.ask(WIKI, &long, &[]), WIKI, port).to_owned();
    let form = ada.ask(WIKI, &login, &[]).body;
    assert!(form.contains(&long.replace('&', "&amp;")), "a long way back");
    let too_long = ada.ask(WIKI, &"/x".repeat(2000), &[]);
    assert_eq!(target(&too_long, WIKI, port), "/login", "rather than no answer at all");
    for path in ["/", "/auth/", "//", "/x/../auth", "/login/../", "/%61uth", "/Login/x"] {
        let status = ada.ask(WIKI, path, &FORGED).status;
        assert!([303, 404].contains(&status), "{path}: {status}");
    }
    assert_eq!(behind.let_in.load(Ordering::Relaxed), 0, "no stranger got through");

    assert_eq!(target(&ada.log_in(WIKI, "ada@example.org", page), WIKI, port), page);
    for options in [&[][..], &FORGED, &["-d", "x=1"], &["-HCookie: a=1; __Host-doorward=x; b=2"]] {
        let answer = ada.ask(WIKI, page, options);
        assert_eq!(answer.status, 200, "{}", answer.head);
        let method = if options.contains(&"-d") { "POST" } else { "GET" };
        assert!(answer.body.starts_with(&format!("{method} {page}\n")), "{}", answer.body);
        assert_eq!(seen(&answer, "Remote-User"), ["ada@example.org"], "{}", answer.body);
        assert_eq!(seen(&answer, "Remote-Email"), ["ada@example.org"]);
        assert_eq!(seen(&answer, "Remote-Name"), ["Ada Lovelace"]);
        assert_eq!(seen(&answer, "X-Forwarded-Proto"), [] as [&str; 0], "spent by the listener");
        assert!(!answer.body.contains(&ada.id()), "the cookie stays: {}", answer.body);
    }
    let chunked = ["-d", "x=1", "-HTransfer-Encoding: chunked", "-HExpect: 100-continue"];
    assert!([200, 501].contains(&ada.ask(WIKI, "/", &chunked).status), "the door is not stuck");
    assert_eq!(ada.ask(WIKI, "/", &["-I"]).status, 200);
    assert_eq!(ada.ask(MEMBERS, "/secret", &[]).status, 303, "a login is for one host");

    let zoe = Visitor::new(port);
    assert_eq!(zoe.log_in(MEMBERS, "zoe@example.org", "").status, 303);
    assert!(zoe.ask(MEMBERS, "/secret", &FORGED).body.contains("Zo\u{eb} Lovelace"));
    assert_eq!(zoe.log_in(WIKI, "zoe@example.org", "/").status, 303);
    assert_eq!(seen(&zoe.ask(WIKI, "/", &FORGED), "Remote-Name"), ["Zo%C3%AB%20Lovelace"]);
    let eve = Visitor::new(port);
    assert_eq!(eve.log_in(WIKI, "eve@example.org", "/").status, 303);
    let name = "%2541da%20Lovelace";
    assert_eq!(seen(&eve.ask(WIKI, "/", &[]), "Remote-Name"), [name], "decoded, it is not Ada's");
    let forged = "SELECT count(*) FROM sessions WHERE host(ip) NOT IN ('127.0.0.1', '203.0.113.7')";
    assert_eq!(behind.site.count(forged), 0, "addresses are the proxy's word");

    let let_in = behind.let_in.load(Ordering::Relaxed);
    behind.site.database().set_reachable(false);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(ada.ask(WIKI, "/", &[]).status >= 500, "no database, no way in");
    behind.doorward = None;
    assert!(ada.ask(WIKI, "/", &[]).status >= 500, "no doorward, no way in");
    behind.site.database().set_reachable(true);
    assert_eq!(behind.let_in.load(Ordering::Relaxed), let_in);
}

/// A proxy with the files of deploy/, and what is behind it; Ada is registered.
struct Door {
    _proxy: Running,
    _folder: Folder,
    port: u16,
    _behind: Behind,
}

impl Door {
    /// One by nginx and one by Caddy.
    fn both() -> [Door; 2] {
        [Door::of(nginx_as_deployed), Door::of(caddy)]
    }

    fn of(proxy: fn(&Folder, &Behind) -> (Running, u16)) -> Door {
        let (folder, behind) = (Folder::new(), Behind::new());
        register(&mut Browser::new(&handler(&behind.site.app)), "Ada", "ada@example.org");
        let (proxy, port) = proxy(&folder, &behind);
        Door { _proxy: proxy, _folder: folder, port, _behind: behind }
    }

    fn ada(&self) -> Visitor {
        let ada = Visitor::new(self.port);
        assert_eq!(ada.log_in(WIKI, "ada@example.org", "/").status, 303);
        ada
    }
}

#[test]
fn the_wiki_learns_who_it_is_from_the_door_alone() {
    for door in Door::both() {
        let own = [
            "Remote-Groups",
            "rEMOTE-gROUPS",
            "REMOTE_GROUPS",
            "Remote.Groups",
            "Remote-Whatever",
            "Remote",
            "X-Remote-User",
            "X-Forwarded-User",
            "X-Forwarded-Uri",
            "X-Forwarded_Groups",
            "X-Original-URL",
            "Forwarded",
        ];
        let forged: Vec<_> = own.iter().map(|name| format!("-H{name}: forged")).collect();
        let forged: Vec<_> = forged.iter().map(String::as_str).collect();
        let answer = door.ada().ask(WIKI, "/", &[&FORGED[..], &forged].concat());
        assert_eq!(answer.status, 200, "{}", answer.head);
        assert!(!answer.body.contains("forged"), "{}", answer.body);
        let names = answer.body.lines().filter_map(|line| line.split_once(": "));
        let names = names.filter(|(name, _)| name.to_ascii_lowercase().starts_with("remote"));
        assert_eq!(names.count(), 3, "{}", answer.body);
    }
}

#[test]
fn no_visitor_can_forge_the_way_back_from_the_login() {
    for door in Door::both() {
        for name in ["X-Original-URI", "X-Original-URL", "X-Forwarded-Uri", "x-original_uri"] {
            let answer =
                Visitor::new(door.port).ask(WIKI, "/page", &[&format!("-H{name}: /forged")]);
            assert_eq!(target(&answer, WIKI, door.port), "/login?next=%2Fpage", "{name}");
        }
    }
}

#[test]
fn the_wiki_sees_the_login_cookie_in_no_spelling_that_is_a_login() {
    for door in Door::both() {
        no_spelling_of_the_cookie_gets_through(&door.ada().id(), door.port);
    }
}

/// Whatever the door takes for a login, the wiki must not see.
fn no_spelling_of_the_cookie_gets_through(id: &str, port: u16) {
    let name = "__Host-doorward";
    let spellings = [
        format!("a=1; {name}={id}; b=2"),
        format!("a=1;{name}={id};b=2"),
        format!("a=1;\t{name}={id};\tb=2"),
        format!("a=1;  {name}={id};  b=2"),
        format!("a=1; {name} ={id}; b=2"),
        format!("a=1; {name}\t= {id} ; b=2"),
        format!("a=1;\u{a0}{name}\u{3000}={id}; b=2"),
        format!("{name}={id};; a=1; b=2"),
        format!("a=1; b=2; ; {name}={id}"),
        format!("a=1; b=2\n{name}={id}"),
        format!("{name} ={id}\na=1\nb=2"),
        format!("a=1; b=2; {name}=\"{id}\""),
        format!("a=1; {name}={id}; b=2; {name}=x"),
        format!("a=1; {name}=x; b=2;\t{name} ={id}"),
    ];
    let mut let_in = 0;
    for spelling in &spellings {
        let lines = spelling.split('\n').map(|line| format!("-HCookie: {line}"));
        let lines: Vec<_> = lines.collect();
        let options: Vec<_> = lines.iter().map(String::as_str).collect();
        let answer = Visitor::new(port).ask(WIKI, "/", &options);
        assert!([200, 303].contains(&answer.status), "{spelling:?}: {}", answer.head);
        assert!(!answer.body.contains(id), "{spelling:?} gets through: {}", answer.body);
        let cookies = seen(&answer, "Cookie").join("; ");
        let is_once = spelling.matches(name).count() == 1;
        let both = cookies.contains("a=1") && cookies.contains("b=2");
        assert!(answer.status == 303 || both || !is_once, "{spelling:?} became {cookies:?}");
        let_in += usize::from(answer.status == 200);
    }
    assert!(let_in > spellings.len() / 2, "only {let_in} spellings are a login at all");
}

/// The paths of the route table that a visitor to the wiki needs; a star stands for any end.
fn paths_of_doorward() -> BTreeSet<String> {
    let sources = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
    let files = sources.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let texts = files.map(|path| std::fs::read_to_string(path).unwrap());
    let is_line =
        |line: &&str| ["(Get, \"", "(Post, \""].iter().any(|start| line.starts_with(start));
    let paths = texts.flat_map(|text| {
        let lines = text.lines().map(str::trim).filter(is_line);
        lines.map(|line| line.split('"').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    });
    let paths: BTreeSet<_> = paths.collect();
    assert!(
        paths.len() > 10 && paths.contains("/login"),
        "the route table is elsewhere: {paths:?}"
    );
    // The wiki has a front page of its own, and these two are for machines.
    let is_for_visitors = |path: &String| !["/", "/auth", "/healthz"].contains(&path.as_str());
    paths.into_iter().filter(is_for_visitors).collect()
}

#[test]
fn both_doors_know_every_path_of_doorward() {
    let caddyfile = file("caddy/Caddyfile");
    let line = caddyfile.lines().find_map(|line| line.trim().strip_prefix("@doorward path "));
    let at_caddy: BTreeSet<_> = line.unwrap().split(' ').map(str::to_owned).collect();
    assert_eq!(at_caddy, paths_of_doorward(), "deploy/caddy/Caddyfile");

    let conf = file("nginx/conf.d/wiki.conf");
    let location = conf.lines().find_map(|line| line.trim().strip_prefix("location ~ ^/(("));
    let (whole, beginnings) = location.unwrap().split_once(")$|").unwrap();
    let beginnings = beginnings.strip_suffix(") {").unwrap().split('|');
    let paths = whole.split('|').map(|path| format!("/{path}"));
    let paths = paths.chain(beginnings.map(|beginning| format!("/{beginning}*")));
    assert_eq!(
        paths.collect::<BTreeSet<_>>(),
        paths_of_doorward(),
        "deploy/nginx/conf.d/wiki.conf"
    );
}

#[test]
fn nginx_keeps_no_download_on_its_disk_for_a_slow_visitor() {
    let (folder, files) = (Folder::new(), Folder::new());
    let bytes = 64 << 20;
    std::fs::File::create(files.path("long")).unwrap().set_len(bytes).unwrap();
    let behind = Behind::with(|config| config.files = Some(files.0.clone()));
    register(&mut Browser::new(&handler(&behind.site.app)), "Ada", "ada@example.org");
    let (nginx, port) = nginx_as_deployed(&folder, &behind);
    let ada = Visitor::new(port);
    assert_eq!(ada.log_in(MEMBERS, "ada@example.org", "").status, 303);
    let answer = ada.ask(MEMBERS, "/download/long", &["--limit-rate", "32M"]);
    assert_eq!((answer.status, answer.body.len() as u64), (200, bytes));
    let log = nginx.log();
    assert!(!log.contains("buffered to a temporary file"), "{log}");
}

#[test]
fn nginx_keeps_a_door_with_the_files_of_deploy() {
    let (folder, behind) = (Folder::new(), Behind::new());
    let (_nginx, port) = nginx_as_deployed(&folder, &behind);
    let plain = run(Command::new("curl")
        .args(["-qsSi", "--unix-socket", &folder.path("plain")])
        .arg(format!("http://{MEMBERS}/a?b=c")));
    let to_https = Answer::parse(&plain);
    assert_eq!(to_https.header("Location"), Some("https://members.example.org/a?b=c"));
    a_door_that_holds(behind, port);
}

#[test]
fn caddy_keeps_a_door_with_the_files_of_deploy() {
    let (folder, behind) = (Folder::new(), Behind::new());
    let (_caddy, port) = caddy(&folder, &behind);
    a_door_that_holds(behind, port);
}

#[test]
fn messages_arrive_when_nginx_spreads_visitors_over_two_processes() {
    let behind = Behind::new();
    let (twin, asked) = (behind.site.twin(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    let second = Server::start(&config_of(&behind.site), move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        twin.handle(request)
    });
    let members = file("nginx/conf.d/members.conf");
    let (_, server) = members.split_once("server {\n    listen").unwrap();
    let site = format!("{}server {{\n    listen{server}", block("upstream"))
        .replace("10.0.0.2:8080", "127.0.0.1:8080")
        .replace("10.0.0.3:8080", &format!("127.0.0.1:{}", second.port));
    let folder = Folder::new();
    let (_nginx, port) = nginx(&folder, &[&behind.fit(&site)]);
    register(&mut Browser::new(&handler(&behind.site.app)), "Ada", "ada@example.org");
    for number in 2..18 {
        let mut visitor = Visitor::new(port);
        visitor.options = vec!["--interface".to_owned(), format!("127.0.0.{number}")];
        let login = target(&visitor.ask(MEMBERS, "/secret", &[]), MEMBERS, port).to_owned();
        let form = visitor.ask(MEMBERS, &login, &[]).body;
        assert!(form.contains("Please log in to see that page."), "{form}");
        assert_eq!(visitor.log_in(MEMBERS, "ada@example.org", "").status, 303);
        assert_eq!(visitor.ask(MEMBERS, "/secret", &[]).status, 200);
        assert_eq!(visitor.ask(MEMBERS, "/logout", &["-X", "POST"]).status, 303);
        let front = visitor.ask(MEMBERS, "/", &[]).body;
        assert!(front.contains("You have been logged out."), "{front}");
    }
    let asked = asked.load(Ordering::Relaxed);
    assert!((6..=90).contains(&asked), "both processes answered: {asked} of 96 the second");
}
