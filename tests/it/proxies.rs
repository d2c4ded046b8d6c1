//! nginx and Caddy in front of the server, and as a door in front of another site.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::browser::Browser;
use crate::support::command::link;
use crate::support::deploy::{block, file};
use crate::support::door::{
    Behind, Door, MEMBERS, PROXY, Visitor, WIKI, caddy, nginx, nginx_as_deployed, seen, target,
};
use crate::support::programs::Folder;
use crate::support::server::Server;
use crate::support::site::{config, handler, register};

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
        assert!(form.text().contains(&hidden), "{}", form.text());
    }
    let long = format!("/?{}", "&".repeat(1990));
    let login = target(&ada.ask(WIKI, &long, &[]), WIKI, port).to_owned();
    let form = ada.ask(WIKI, &login, &[]).text().to_owned();
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
        assert_eq!(answer.status, 200, "{:?}", answer.headers);
        let method = if options.contains(&"-d") { "POST" } else { "GET" };
        assert!(answer.text().starts_with(&format!("{method} {page}\n")), "{}", answer.text());
        assert_eq!(seen(&answer, "Remote-User"), ["ada@example.org"], "{}", answer.text());
        assert_eq!(seen(&answer, "Remote-Email"), ["ada@example.org"]);
        assert_eq!(seen(&answer, "Remote-Name"), ["Ada Lovelace"]);
        assert_eq!(seen(&answer, "X-Forwarded-Proto"), [] as [&str; 0], "spent by the listener");
        assert!(!answer.text().contains(&ada.id()), "the cookie stays: {}", answer.text());
    }
    let chunked = ["-d", "x=1", "-HTransfer-Encoding: chunked", "-HExpect: 100-continue"];
    assert!([200, 501].contains(&ada.ask(WIKI, "/", &chunked).status), "the door is not stuck");
    assert_eq!(ada.ask(WIKI, "/", &["-I"]).status, 200);
    assert_eq!(ada.ask(MEMBERS, "/secret", &[]).status, 303, "a login is for one host");

    let zoe = Visitor::new(port);
    assert_eq!(zoe.log_in(MEMBERS, "zoe@example.org", "").status, 303);
    assert!(zoe.ask(MEMBERS, "/secret", &FORGED).text().contains("Zo\u{eb} Lovelace"));
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
            "X_Forwarded_For",
            "X-Real-IP",
            "X-Auth-User",
            "X-WEBAUTH-USER",
            "Forwarded",
        ];
        let forged: Vec<_> = own.iter().map(|name| format!("-H{name}: forged")).collect();
        let forged: Vec<_> = forged.iter().map(String::as_str).collect();
        let answer = door.ada().ask(WIKI, "/", &[&FORGED[..], &forged].concat());
        assert_eq!(answer.status, 200, "{:?}", answer.headers);
        assert!(!answer.text().contains("forged"), "{}", answer.text());
        let names = answer.text().lines().filter_map(|line| line.split_once(": "));
        let names = names.filter(|(name, _)| name.to_ascii_lowercase().starts_with("remote"));
        assert_eq!(names.count(), 3, "{}", answer.text());
    }
}

#[test]
fn the_wiki_gets_the_headers_that_every_site_needs() {
    for door in Door::both() {
        let own = [
            "Accept-Language: nl",
            "Content-Type: text/x-wiki",
            "X-CSRF-Token: 7",
            "Range: bytes=0-",
        ];
        let sent: Vec<_> = own.iter().map(|header| format!("-H{header}")).collect();
        let sent: Vec<_> = sent.iter().map(String::as_str).collect();
        let answer = door.ada().ask(WIKI, "/", &[&["-d", "a page"], &sent[..]].concat());
        assert_eq!(answer.status, 200, "{:?}", answer.headers);
        let seen = answer.text().to_ascii_lowercase();
        for header in own {
            assert!(seen.contains(&header.to_ascii_lowercase()), "{header}: {}", answer.text());
        }
        assert!(seen.contains("content-length: 6"), "{}", answer.text());
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
        assert!([200, 303].contains(&answer.status), "{spelling:?}: {:?}", answer.headers);
        assert!(!answer.text().contains(id), "{spelling:?} gets through: {}", answer.text());
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
        |line: &&str| ["(GET, \"", "(POST, \""].iter().any(|start| line.starts_with(start));
    let paths = texts.flat_map(|text| {
        let lines = text.lines().map(str::trim).filter(is_line);
        lines.map(|line| line.split('"').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    });
    let paths: BTreeSet<_> = paths.collect();
    assert!(
        paths.len() > 10 && paths.contains("/login"),
        "the route table is elsewhere: {paths:?}"
    );
    // The wiki has a front page, an icon and rules for robots of its own, and two are for machines.
    let others = ["/", "/auth", "/healthz", "/robots.txt", "/favicon.ico"];
    let is_for_visitors = |path: &String| !others.contains(&path.as_str());
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
    let paths = whole.split('|').map(|path| format!("/{}", path.replace("\\.", ".")));
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
    let second = Server::start(config("").limits, &[PROXY], move |request| {
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
        let form = visitor.ask(MEMBERS, &login, &[]).text().to_owned();
        assert!(form.contains("Please log in to see that page."), "{form}");
        assert_eq!(visitor.log_in(MEMBERS, "ada@example.org", "").status, 303);
        assert_eq!(visitor.ask(MEMBERS, "/secret", &[]).status, 200);
        assert_eq!(visitor.ask(MEMBERS, "/logout", &["-X", "POST"]).status, 303);
        let front = visitor.ask(MEMBERS, "/", &[]).text().to_owned();
        assert!(front.contains("You have been logged out."), "{front}");
    }
    let asked = asked.load(Ordering::Relaxed);
    assert!((6..=90).contains(&asked), "both processes answered: {asked} of 96 the second");
}

#[test]
fn asvs_14_2_1_the_number_of_a_link_is_not_in_the_log_of_nginx() {
    let (folder, behind) = (Folder::new(), Behind::new());
    let log = folder.path("access.log");
    let site = behind.fit(&file("nginx/conf.d/members.conf"));
    let site =
        site.replace("    location / {", &format!("    access_log {log};\n    location / {{"));
    let (_nginx, port) = nginx(&folder, &[&site]);
    register(&mut Browser::new(&handler(&behind.site.app)), "Ada", "ada@example.org");
    let visitor = Visitor::new(port);
    for (command, email) in [("invite", "eva@example.org"), ("reset", "ada@example.org")] {
        let link = link(&behind.site.url, command, email);
        let answer = visitor.ask(MEMBERS, &link, &[]);
        let path = link.split('?').next().unwrap();
        assert_eq!(target(&answer, MEMBERS, port), path);
        assert!(visitor.ask(MEMBERS, path, &[]).text().contains(email));
    }
    visitor.ask(MEMBERS, "/login?again&reset=", &[]);
    let lines = fs::read_to_string(log).unwrap();
    assert_eq!(lines.lines().count(), 2, "the pages alone: {lines}");
    assert!(!lines.contains("reset") && !lines.contains("invitation"), "{lines}");
}
