//! TLS to the database: a real PostgreSQL with certificates made on the spot.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use doorward::database::Target;
use doorward::{App, Config, StartError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use postgres::config::SslMode;
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
        let folder = std::env::temp_dir().join(format!("doorward tls ü&=' {name} {port}"));
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

    /// How to reach it at 127.0.0.1 under that name: as a URL, and as keys and values.
    fn urls(&self, host: &str, settings: &[(&str, &str)]) -> [String; 2] {
        let port = self.port;
        let url = format!("postgresql://doorward@{host}:{port}/doorward?hostaddr=127.0.0.1");
        let words =
            format!("user=doorward host = {host} hostaddr=127.0.0.1 port={port} dbname='doorward'");
        let encode = |value| utf8_percent_encode(value, NON_ALPHANUMERIC);
        let url =
            settings.iter().fold(url, |url, (key, value)| format!("{url}&{key}={}", encode(value)));
        let quote = |value: &str| value.replace('\'', "\\'");
        let words = settings
            .iter()
            .fold(words, |words, (key, value)| format!("{words} {key} = '{}'", quote(value)));
        [url, words]
    }

    /// Whether the application starts, with a connection of TLS or without; else the cause.
    fn try_both(&self, host: &str, settings: &[(&str, &str)]) -> Result<bool, String> {
        let [first, second] = self.urls(host, settings).map(|url| self.connect(&url));
        // An expired certificate is refused with the time, which goes on between the two.
        let timeless = |outcome: &Result<bool, String>| {
            outcome.clone().map_err(|line| line.replace(|c: char| c.is_ascii_digit(), ""))
        };
        assert_eq!(timeless(&first), timeless(&second), "both forms mean the same");
        first
    }

    fn connect(&self, url: &str) -> Result<bool, String> {
        const SQL: &str = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
            WHERE application_name = 'doorward' ORDER BY backend_start DESC LIMIT 1";
        let app = App::new(Config::new(url)).map_err(|error| {
            assert!(matches!(error, StartError::Setting(..) | StartError::Database(_)), "{error}");
            let line = error.to_string();
            assert!(line.contains("DATABASE_URL: ") && !line.contains('\n'), "{line}");
            line
        })?;
        app.handle(&rouille::Request::fake_http("GET", "/healthz", vec![], vec![]));
        let encrypted = self.sql().query_one(SQL, &[]).unwrap().get(0);
        Ok(encrypted)
    }
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
fn asvs_12_3_2_a_wrong_certificate_and_a_wrong_name_are_refused_as_sslmode_says() {
    let server = Server::start("names");
    let ours = Authority::new("Ours");
    server.show(&ours.sign("localhost", 4000));
    let root = server.file("our root.pem", &ours.certificate);
    let other = server.file("other.pem", &Authority::new("Other").certificate);
    let impostor = server.file("impostor.pem", &Authority::new("Ours").certificate);
    let none = server.file("none.pem", "nothing");
    let (root, other, none) = (Some(&*root), Some(&*other), Some(&*none));
    let impostor = Some(&*impostor);
    for (host, sslmode, sslrootcert, wanted) in [
        ("localhost", "", None, Ok(true)),
        ("localhost", "disable", None, Ok(false)),
        ("localhost", "allow", None, Ok(true)),
        ("localhost", "prefer", other, Ok(true)),
        ("localhost", "require", root, Ok(true)),
        ("localhost", "verify-full", root, Ok(true)),
        ("localhost", "", root, Ok(true)),
        ("127.0.0.1", "verify-ca", root, Ok(true)),
        ("127.0.0.1", "require", root, Err("certificate not valid for name \"127.0.0.1\"")),
        ("127.0.0.1", "verify-full", root, Err("connect by a name in the certificate")),
        ("127.0.0.1", "", root, Err("certificate not valid for name")),
        ("localhost", "require", other, Err("UnknownIssuer; write sslrootcert=PATH")),
        ("localhost", "require", impostor, Err("BadSignature; write sslrootcert=PATH")),
        ("localhost", "verify-ca", impostor, Err("BadSignature")),
        ("localhost", "verify-full", other, Err("UnknownIssuer")),
        ("localhost", "verify-ca", other, Err("UnknownIssuer")),
        ("localhost", "", other, Err("UnknownIssuer")),
        ("localhost", "verify-ca", None, Err("sslmode=verify-ca needs certificates of your own")),
        ("localhost", "prefer", Some("system"), Err("sslmode=prefer needs certificates")),
        ("localhost", "strict", None, Err("sslmode=strict is none of disable, allow, ")),
        ("localhost", "require", Some("/no where"), Err("sslrootcert=/no where: ")),
        ("localhost", "require", none, Err("there is no certificate in it")),
    ] {
        let mut settings = vec![("sslmode", sslmode)];
        settings.extend(sslrootcert.map(|path| ("sslrootcert", path)));
        let found = server.try_both(host, &settings);
        match (&found, wanted) {
            (Err(found), Err(part)) => assert!(found.contains(part), "{settings:?}: {found}"),
            _ => assert_eq!(found, wanted.map_err(str::to_owned), "{host} {settings:?}"),
        }
    }
}

#[test]
fn the_systems_certificates_are_trusted_unless_others_are_named() {
    let server = Server::start("system");
    let ours = Authority::new("Ours");
    server.show(&ours.sign("localhost", 4000));
    let root = server.file("root.pem", &ours.certificate);
    let other = server.file("other.pem", &Authority::new("Other").certificate);
    for setting in [("sslmode", "require"), ("sslrootcert", "system")] {
        let [url, _] = server.urls("localhost", &[setting]);
        for (system, status) in [(&root, 0), (&other, 2), (&"/nowhere".to_owned(), 2)] {
            let settings = [("DATABASE_URL", &*url), ("SSL_CERT_FILE", system)];
            let done = run(&settings, &["user", "list"], "");
            assert_eq!(done.status, status, "{done:?}");
            assert!(status == 0 || done.err.contains("DATABASE_URL: "), "{done:?}");
        }
    }
}

#[test]
fn check_asks_for_verified_tls_to_another_machine() {
    let server = Server::start("check");
    let ours = Authority::new("Ours");
    server.show(&ours.sign("database.example", 4000));
    let root = server.file("root.pem", &ours.certificate);
    let other = server.file("other.pem", &Authority::new("Other").certificate);
    for (settings, line) in [
        (vec![], "✗ TLS: anybody on the way can read or answer: add sslmode=require"),
        (vec![("sslmode", "disable")], "✗ TLS: anybody"),
        (vec![("sslmode", "require"), ("sslrootcert", &*root)], "✓ TLS: the server's certificate"),
        (
            vec![("sslmode", "verify-ca"), ("sslrootcert", &*root)],
            "✓ TLS: the server's certificate",
        ),
        (vec![("sslmode", "require")], "✗ database: DATABASE_URL: database.example:"),
    ] {
        let [url, _] = server.urls("database.example", &settings);
        let done = run(&[("DATABASE_URL", &url), ("SSL_CERT_FILE", &other)], &["check"], "");
        assert!(done.out.lines().any(|found| found.starts_with(line)), "{line}: {done:?}");
    }
}

#[test]
fn asvs_12_3_1_a_server_without_tls_is_refused_where_tls_is_wanted_but_not_on_a_unix_socket() {
    let server = Server::start("off");
    let root = server.file("root.pem", &Authority::new("Other").certificate);
    for sslmode in ["require", "verify-ca", "verify-full"] {
        let settings = [("sslmode", sslmode), ("sslrootcert", &root)];
        let cause = server.try_both("localhost", &settings).unwrap_err();
        assert!(cause.contains("server does not support TLS; switch ssl on there"), "{cause}");
        let socket = format!("{}&sslmode={sslmode}&sslrootcert={root}", server.admin);
        let socket = socket.replace("&=' ", "%26%3D'%20");
        assert_eq!(server.connect(&socket), Ok(false));
    }
    assert_eq!(server.try_both("localhost", &[]), Ok(false));
    assert_eq!(server.try_both("localhost", &[("sslmode", "prefer")]), Ok(false));
}

#[test]
fn a_self_signed_certificate_is_trusted_by_itself_alone_and_an_expired_one_by_nobody() {
    let server = Server::start("self");
    for is_ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::ExplicitNoCa] {
        let key = KeyPair::generate().unwrap();
        let mut about = CertificateParams::new(["localhost".to_owned()]).unwrap();
        about.is_ca = is_ca;
        let certificate = about.self_signed(&key).unwrap().pem();
        server.show(&Pair { certificate: certificate.clone(), key: key.serialize_pem() });
        let root = server.file("self.pem", &certificate);
        assert_eq!(server.try_both("localhost", &[("sslrootcert", &root)]), Ok(true));
        assert!(server.try_both("127.0.0.1", &[("sslrootcert", &root)]).is_err());
        let other = server.file("other.pem", &Authority::new("Other").certificate);
        let cause = server.try_both("localhost", &[("sslrootcert", &other)]).unwrap_err();
        assert!(cause.contains("authority's certificate or its own"), "{cause}");
    }
    let ours = Authority::new("Ours");
    server.show(&ours.sign("localhost", 2001));
    let root = server.file("root.pem", &ours.certificate);
    let cause = server.try_both("localhost", &[("sslrootcert", &root)]).unwrap_err();
    assert!(cause.contains("expired"), "{cause}");
    assert!(Path::new(&root).is_file());
}

#[test]
fn an_address_of_another_machine_is_not_taken_for_the_socket_beside_it() {
    for (url, mode, is_local) in [
        ("host=/run/postgresql sslmode=prefer", SslMode::Disable, true),
        ("host=/run/postgresql hostaddr=192.0.2.1 sslmode=prefer", SslMode::Prefer, false),
        ("host=localhost hostaddr=192.0.2.1", SslMode::Prefer, false),
        ("host=localhost hostaddr=127.0.0.1", SslMode::Prefer, true),
    ] {
        let target = Target::parse(url).unwrap();
        assert_eq!((target.config.get_ssl_mode(), target.is_local()), (mode, is_local), "{url}");
    }
}
