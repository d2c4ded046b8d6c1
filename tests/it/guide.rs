//! What deploy/README.md says to type, typed: with programs that only say that they were called, or with
//! the real ones in a folder in place of /.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::net::TcpStream;
use std::process::{Command, Output};

use crate::support::client::Answer;
use crate::support::deploy::{block, file};
use crate::support::door::{Behind, MEMBERS, SELF_SIGNED, Visitor, WIKI, nginx_in, target};
use crate::support::programs::{Folder, Running, free_port, outcome, run, script};
use crate::support::until;

/// A shell in a folder that has the files of deploy/, where some programs are scripts.
struct Shell(Folder);

impl Shell {
    fn new() -> Shell {
        let folder = Folder::new();
        let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/.");
        run(Command::new("cp").args(["-r", deploy, &folder.path("")]));
        Shell(folder)
    }

    fn with(&self, program: &str, text: &str) {
        script(&self.0, &format!("bin/{program}"), text);
    }

    /// Leaves /, where the program would write, for the folder.
    fn at_home(&self, text: &str) -> String {
        let home = self.0.0.to_str().unwrap();
        let text = text.replace(" /etc/", &format!(" {home}/etc/"));
        let text = text.replace("\n/etc/", &format!("\n{home}/etc/"));
        text.replace("/usr/share/doc/doorward/deploy", &self.0.path("package"))
            .replace("/var/www/html", &self.0.path("www"))
            .replace("/var/backups", home)
    }

    fn type_in(&self, text: &str) -> Output {
        let path = format!("{}:{}", self.0.path("bin"), env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &self.at_home(text)]).env("PATH", path).env("HOME", self.0.path("home"));
        outcome(shell.current_dir(&self.0.0))
    }
}

#[test]
fn each_block_stops_at_the_first_command_that_fails() {
    let guide = file("README.md");
    let names = guide.lines().filter_map(|line| line.strip_prefix("```sh "));
    let blocks = names.map(|name| (name, block(name))).filter(|(_, text)| text.starts_with('('));
    let mut found = 0;
    for (name, text) in blocks {
        found += 1;
        let shell = Shell::new();
        let called = shell.0.path("called");
        let fails_at = shell.0.path("fails-at");
        let say = format!(
            "echo \"$(basename \"$0\") $*\" >>{called}; [ \"$(wc -l <{called})\" != \"$(cat {fails_at})\" ]"
        );
        let words = "apt-get adduser runuser chown chmod systemctl nginx certbot make install \
                     fail2ban-client ../etc/cron.daily/doorward";
        words.split_whitespace().for_each(|program| shell.with(program, &say));
        shell.with("pg_lsclusters", "echo 15 main 5432 online");
        shell.0.write("doorward.dump", "");
        let type_with = |failing: usize| {
            let _ = fs::remove_file(&called);
            fs::write(&fails_at, failing.to_string()).unwrap();
            let typed = shell.type_in(&text);
            let called = fs::read_to_string(&called).unwrap();
            (typed.status.success(), called.lines().count(), called)
        };
        let (is_well, count, called) = type_with(0);
        assert!(is_well && count >= 2, "{name}: {called}");
        for failing in 1..=count {
            assert!(
                matches!(type_with(failing), (false, n, _) if n == failing),
                "{name} {failing}"
            );
        }
    }
    assert!(found > 6, "the guide has but {found} such blocks");
}

#[test]
fn a_postgresql_without_a_cluster_gets_one_of_the_newest_version() {
    let shell = Shell::new();
    let called = shell.0.path("called");
    for program in ["apt-get", "adduser", "runuser", "chown", "chmod", "pg_lsclusters"] {
        shell.with(program, "exit 0");
    }
    shell.with("ls", "printf '%s\\n' 13 15 9.6");
    shell.with("pg_createcluster", &format!("echo \"$*\" >{called}"));
    assert!(shell.type_in(&block("accounts")).status.success());
    assert_eq!(fs::read_to_string(called).unwrap(), "15 main --start\n");
}

#[test]
fn ones_own_names_take_the_place_of_the_examples_everywhere() {
    let shell = Shell::new();
    run(Command::new("cp")
        .args(["-r", concat!(env!("CARGO_MANIFEST_DIR"), "/deploy")])
        .arg(shell.0.path("package")));
    fs::create_dir(shell.0.path("home")).unwrap();
    let typed = shell.type_in(&block("names"));
    assert!(typed.status.success(), "{}", String::from_utf8_lossy(&typed.stderr));
    let copy = shell.0.path("home/doorward-deploy");
    let count = |name: &str| {
        let found = outcome(Command::new("grep").args(["-rlF", name, &copy]));
        String::from_utf8_lossy(&found.stdout).lines().count()
    };
    assert_eq!((count("members.example.org"), count("wiki.example.org")), (0, 0));
    assert!(count("members.mysite.org") > 3 && count("wiki.mysite.org") > 2);
}

/// Ends an nginx with its workers.
struct StopNginx<'a>(&'a Shell);

impl Drop for StopNginx<'_> {
    fn drop(&mut self) {
        let _ = self.0.type_in("nginx -s stop");
    }
}

#[test]
fn nginx_starts_at_each_step_and_shows_certbots_proof_at_all_times() {
    let (shell, behind) = (Shell::new(), Behind::new());
    let (http, https) = (free_port(), free_port());
    for name in ["conf.d/http.conf", "conf.d/members.conf", "conf.d/wiki.conf"] {
        let text = behind.fit(&file(&format!("nginx/{name}")));
        let text = text.replace("listen 80", &format!("listen 127.0.0.1:{http}"));
        let text = text.replace("listen 443", &format!("listen 127.0.0.1:{https}"));
        shell.0.write(&format!("nginx/{name}"), &shell.at_home(&text));
    }
    // The site that Debian's nginx has from the start.
    let own = format!("server {{ listen 127.0.0.1:{http} default_server; return 404; }}");
    shell.0.write("etc/nginx/conf.d/default.conf", &own);
    let mut nginx = nginx_in(&shell.0, "etc/nginx");
    // Only an nginx of several processes can be told to read its files again.
    let main = shell.0.path("etc/nginx/nginx.conf");
    let text = fs::read_to_string(&main).unwrap().replace("master_process off;", "");
    fs::write(&main, text).unwrap();
    let options: Vec<_> = nginx.get_args().map(|arg| arg.to_str().unwrap().to_owned()).collect();
    let program = run(Command::new("sh").args(["-c", "command -v nginx"]));
    let again = format!("exec {} {} \"$@\"", program.trim(), options.join(" "));
    shell.with("nginx", &again);
    shell.with("apt-get", "exit 0");
    let reload = "case $* in 'reload-or-restart nginx') exec nginx -s reload ;; enable*) ;; *) exit 9 ;; esac";
    shell.with("systemctl", reload);
    // It shows the proof as certbot does, asks for it as the authority does, and leaves a certificate.
    let certbot = format!(
        "[ \"$1 $2 $3 $5\" = 'certonly --webroot -w -d' ]
         proof=$4/.well-known/acme-challenge/$6 live={live}/$6
         mkdir -p \"$(dirname \"$proof\")\" \"$live\"; echo proof of $6 >\"$proof\"
         [ \"$(curl -qsSf -m 5 --retry 30 --retry-delay 1 --retry-all-errors -H \"Host: $6\" \
            http://127.0.0.1:{http}/.well-known/acme-challenge/$6)\" = \"proof of $6\" ]
         openssl {SELF_SIGNED} -keyout $live/privkey.pem -out $live/fullchain.pem",
        live = shell.0.path("etc/letsencrypt/live"),
        SELF_SIGNED = SELF_SIGNED.join(" ")
    );
    shell.with("certbot", &format!("set -e\n{certbot}"));
    let _nginx = Running::start(&mut nginx, &shell.0.path("log")).listening(http);
    let _workers = StopNginx(&shell);
    let plain = |host: &str, path: &str| {
        let (host, url) = (format!("Host: {host}"), format!("http://127.0.0.1:{http}{path}"));
        Answer::parse(&run(Command::new("curl").args(["-qsSi", "-H", &host, &url])))
    };
    for name in ["certificate", "members", "wiki"] {
        let typed = shell.type_in(&block(name));
        assert!(typed.status.success(), "{name}: {}", String::from_utf8_lossy(&typed.stderr));
        let is_members = name != "certificate";
        until(|| TcpStream::connect(("127.0.0.1", https)).is_ok() == is_members);
        for host in [MEMBERS, WIKI].iter().take(if name == "wiki" { 2 } else { 1 }) {
            // A process with the old files may answer once more.
            until(|| {
                let proof = plain(host, &format!("/.well-known/acme-challenge/{host}"));
                (proof.status, proof.text()) == (200, format!("proof of {host}\n").as_str())
            });
            let https = format!("https://{host}/a?b=c");
            until(|| plain(host, "/a?b=c").header("Location") == Some(&*https));
        }
    }
    let visitor = Visitor::new(https);
    assert!(visitor.ask(MEMBERS, "/", &[]).text().contains("Hello, Anonymous!"));
    // A process with the old files may answer once more.
    let mut answer = visitor.ask(WIKI, "/page", &[]);
    until(|| {
        let is_led = answer.status == 303;
        if !is_led {
            answer = visitor.ask(WIKI, "/page", &[]);
        }
        is_led
    });
    assert_eq!(target(&answer, WIKI, https), "/login?next=%2Fpage");
}

#[test]
fn the_guide_names_each_event_of_the_log() {
    let found = run(Command::new("grep")
        .args(["-rhoE", r#"\bevent\(\s*"[a-z-]+""#])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));
    let events: BTreeSet<_> = found.lines().map(|line| line.split('"').nth(1).unwrap()).collect();
    assert!(events.len() >= 9, "{events:?}");
    let guide = file("README.md");
    let (_, list) = guide.split_once("The events are").unwrap();
    let list = list.split("\n\n").next().unwrap();
    let named: BTreeSet<_> = list.split('`').skip(1).step_by(2).collect();
    assert_eq!(named, events);
}
