//! TLS to the database: a real PostgreSQL with certificates made on the spot.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use doorward::database::Target;
use postgres::{Client, NoTls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::support::command::run;
use crate::support::programs::free_port;
use crate::support::until;

/// A PostgreSQL of its own that listens on 127.0.0.1, and a folder for certificates.
struct Server {
    child: Child,
    admin: String,
    port: u16,
    folder: PathBuf,
}

/// A certificate and its key.
struct Pair {
    certificate: String,
    key: String,
}

/// Somebody who signs certificates.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Server {
    fn start(name: &str) -> Server {
        let port = free_port();
        let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/cluster"))
            .args(["try", "sh", "-c", "echo $DATABASE_URL; read -r _"])
            .env("CLUSTER_SETTINGS", format!("-c listen_addresses=127.0.0.1 -c port={port}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(!url.is_empty(), "sql/cluster says why");
        let admin = format!("{}&port={port}", url.trim_end());
        let folder = std::env::temp_dir().join(format!("doorward tls ü {name} {port}"));
        fs::create_dir_all(&folder).unwrap();
        let server = Server { child, admin, port, folder };
        server.put("pg_hba.conf", "local all all trust\nhost all all 127.0.0.1/32 trust");
        server.set("ssl", "off");
        server
    }

    fn sql(&self) -> Client {
        Client::connect(&self.admin, NoTls).unwrap()
    }

    /// Writes a file of the server, as the server's user.
    fn put(&self, name: &str, text: &str) {
        let lines = text.trim_end().replace('\n', "', '");
        let sql =
            format!("COPY (SELECT unnest(ARRAY['{lines}'])) TO PROGRAM 'umask 077; cat > {name}'");
        self.sql().batch_execute(&sql).unwrap();
    }

    fn set(&self, name: &str, value: &str) {
        let mut sql = self.sql();
        let before: std::time::SystemTime =
            sql.query_one("SELECT pg_conf_load_time()", &[]).unwrap().get(0);
        sql.batch_execute(&format!("ALTER SYSTEM SET {name} = {value}")).unwrap();
        sql.batch_execute("SELECT pg_reload_conf()").unwrap();
        let loaded = "SELECT pg_conf_load_time() > $1";
        until(|| self.sql().query_one(loaded, &[&before]).unwrap().get(0));
    }

    fn show(&self, pair: &Pair) {
        self.put("server.crt", &pair.certificate);
        self.put("server.key", &pair.key);
        self.set("ssl", "on");
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Lets users in only with TLS.
    fn insist_on_tls(&self) {
        self.put("pg_hba.conf", "local all all trust\nhostssl all all 127.0.0.1/32 trust");
        self.set("log_connections", "on"); // which reads the file again
    }

    /// How to reach it at 127.0.0.1 under that name: as a URL, and as keys and values.
    fn urls(&self, host: &str, sslmode: &str) -> [String; 2] {
        let port = self.port;
        let url = format!("postgresql://doorward@{host}:{port}/doorward?hostaddr=127.0.0.1");
        let words =
            format!("user=doorward host = {host} hostaddr=127.0.0.1 port={port} dbname='doorward'");
        if sslmode.is_empty() {
            return [url, words];
        }
        [format!("{url}&sslmode={sslmode}"), format!("{words} sslmode={sslmode}")]
    }

    /// Whether a command reaches the database if it trusts the certificates in that file; else the cause.
    fn try_both(&self, host: &str, sslmode: &str, trusted: &str) -> Result<(), String> {
        let [first, second] = self.urls(host, sslmode).map(|url| connect(&url, trusted));
        // An expired certificate is refused with the time, which goes on between the two.
        let timeless = |outcome: &Result<(), String>| {
            outcome.clone().map_err(|line| line.replace(|c: char| c.is_ascii_digit(), ""))
        };
        assert_eq!(timeless(&first), timeless(&second), "both forms mean the same");
        first
    }
}

fn connect(url: &str, trusted: &str) -> Result<(), String> {
    let settings = [("DATABASE_URL", url), ("SSL_CERT_FILE", trusted)];
    let done = run(&settings, &["user", "list"], "");
    if done.status == 0 {
        return Ok(());
    }
    let is_one_line = done.err.lines().count() == 1;
    assert!(is_one_line && done.err.starts_with("doorward: DATABASE_URL: "), "{done:?}");
    Err(done.err)
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

impl Authority {
    fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut about = CertificateParams::new([]).unwrap();
        about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        about.distinguished_name.push(DnType::CommonName, name);
        let certificate = about.self_signed(&key).unwrap().pem();
        Authority { certificate, issuer: Issuer::new(about, key) }
    }

    fn sign(&self, name: &str, last_year: i32) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut about = CertificateParams::new([name.to_owned()]).unwrap();
        about.not_after = date_time_ymd(last_year, 1, 1);
        let certificate = about.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}

#[test]
fn asvs_12_3_2_another_machines_certificate_and_name_are_verified_whatever_sslmode_but_disable_says()
 {
    let server = Server::start("names");
    let ours = Authority::new("Ours");
    server.show(&ours.sign("database.example", 4000));
    server.insist_on_tls();
    let root = &*server.file("our root.pem", &ours.certificate);
    let other = &*server.file("other.pem", &Authority::new("Other").certificate);
    let impostor = &*server.file("impostor.pem", &Authority::new("Ours").certificate);
    let none = &*server.file("none.pem", "nothing");
    let unknown = "UnknownIssuer; write the file of its authority's certificate into SSL_CERT_FILE";
    for (host, sslmode, trusted, wanted) in [
        ("database.example", "", root, Ok(())),
        ("database.example", "prefer", root, Ok(())),
        ("database.example", "require", root, Ok(())),
        ("database.example", "verify-ca", root, Ok(())),
        ("database.example", "verify-full", root, Ok(())),
        ("database.example", "disable", root, Err("no encryption")),
        ("localhost", "", root, Err("no encryption")),
        ("localhost", "require", root, Err("certificate not valid for name \"localhost\"")),
        ("localhost", "verify-full", root, Err("connect by a name in the certificate")),
        ("127.0.0.1", "verify-ca", root, Err("certificate not valid for name")),
        ("database.example", "", other, Err(unknown)),
        ("database.example", "prefer", other, Err(unknown)),
        ("database.example", "verify-ca", other, Err(unknown)),
        ("database.example", "verify-full", other, Err(unknown)),
        ("database.example", "", impostor, Err("BadSignature")),
        ("database.example", "", none, Err("no trusted certificates: install ca-certificates")),
        ("database.example", "", "/no where", Err("or correct SSL_CERT_FILE")),
        ("database.example", "strict", root, Err("invalid value for option `sslmode`")),
    ] {
        match (server.try_both(host, sslmode, trusted), wanted) {
            (Err(found), Err(part)) => assert!(found.contains(part), "{host} {sslmode}: {found}"),
            (found, wanted) => assert_eq!(found, wanted.map_err(str::to_owned), "{host} {sslmode}"),
        }
    }
}

#[test]
fn check_asks_for_tls_to_another_machine() {
    let server = Server::start("check");
    let ours = Authority::new("Ours");
    server.show(&ours.sign("database.example", 4000));
    let root = server.file("root.pem", &ours.certificate);
    let other = server.file("other.pem", &Authority::new("Other").certificate);
    for (sslmode, trusted, line) in [
        ("disable", &root, "✗ TLS: anybody on the way can read or change the data"),
        ("", &root, "✓ TLS: the server's certificate and name are verified"),
        ("require", &root, "✓ TLS: the server's certificate and name are verified"),
        ("", &other, "✗ database: DATABASE_URL: database.example:"),
    ] {
        let [url, _] = server.urls("database.example", sslmode);
        let done = run(&[("DATABASE_URL", &url), ("SSL_CERT_FILE", trusted)], &["check"], "");
        assert!(done.out.lines().any(|found| found.starts_with(line)), "{line}: {done:?}");
    }
}

#[test]
fn asvs_12_3_1_a_server_without_tls_is_refused_where_tls_is_wanted_but_not_on_a_unix_socket() {
    let server = Server::start("off");
    let root = server.file("root.pem", &Authority::new("Other").certificate);
    for sslmode in ["require", "verify-ca", "verify-full"] {
        let cause = server.try_both("localhost", sslmode, &root).unwrap_err();
        assert!(cause.contains("server does not support TLS; switch ssl on there"), "{cause}");
        assert_eq!(connect(&format!("{}&sslmode={sslmode}", server.admin), &root), Ok(()));
    }
    let cause = server.try_both("database.example", "", &root).unwrap_err();
    assert!(cause.contains("do without by sslmode=disable"), "{cause}");
    assert_eq!(server.try_both("database.example", "disable", &root), Ok(()));
    assert_eq!(server.try_both("localhost", "", &root), Ok(()));
}

#[test]
fn a_self_signed_certificate_is_trusted_by_itself_alone_and_an_expired_one_by_nobody() {
    let server = Server::start("self");
    let authority = IsCa::Ca(BasicConstraints::Unconstrained);
    for (is_ca, wanted) in [(IsCa::ExplicitNoCa, None), (authority, Some("let an authority sign"))]
    {
        let key = KeyPair::generate().unwrap();
        let mut about = CertificateParams::new(["database.example".to_owned()]).unwrap();
        about.is_ca = is_ca;
        let certificate = about.self_signed(&key).unwrap().pem();
        server.show(&Pair { certificate: certificate.clone(), key: key.serialize_pem() });
        let own = server.file("self.pem", &certificate);
        match (server.try_both("database.example", "", &own), wanted) {
            (Err(cause), Some(part)) => assert!(cause.contains(part), "{cause}"),
            (found, _) => assert_eq!(found, Ok(())),
        }
        assert!(server.try_both("localhost", "require", &own).is_err());
        let other = server.file("other.pem", &Authority::new("Other").certificate);
        assert!(server.try_both("database.example", "", &other).is_err());
    }
    let ours = Authority::new("Ours");
    server.show(&ours.sign("database.example", 2001));
    let root = server.file("root.pem", &ours.certificate);
    let cause = server.try_both("database.example", "", &root).unwrap_err();
    assert!(cause.contains("expired"), "{cause}");
}

#[test]
fn an_address_of_another_machine_is_not_taken_for_the_socket_beside_it() {
    for (url, is_tls, is_local) in [
        ("host=/run/postgresql sslmode=require", false, true),
        ("host=/run/postgresql hostaddr=192.0.2.1 sslmode=prefer", true, false),
        ("host=localhost hostaddr=192.0.2.1", true, false),
        ("host=localhost hostaddr=127.0.0.1", false, true),
    ] {
        let target = Target::parse(url).unwrap();
        assert_eq!((target.is_tls, target.is_local), (is_tls, is_local), "{url}");
    }
}
