//! Every page in every state: checked by axe-core and the Nu HTML checker, and photographed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use postgres::{Client, NoTls};
use rouille::Request;

use crate::browser::Browser;
use crate::chromium::{Profile, Window};
use crate::second_factor;
use crate::server::Server;
use crate::site::PASSWORD;
use crate::{EMAIL, assert_sees, fill_login, press_submit};

const NARROW: (u32, u32) = (360, 640);
const WIDE: (u32, u32) = (1280, 800);

/// The states that are photographed in every look; two do for the others.
const PAGES: [&str; 5] = ["home-stranger", "home-member", "register", "login", "secret"];
const LOOKS: [(&str, bool, (u32, u32)); 4] = [
    ("light-wide", false, WIDE),
    ("dark-narrow", true, NARROW),
    ("dark-wide", true, WIDE),
    ("light-narrow", false, NARROW),
];

/// The checkout: the paths below, like those in the Makefile, start there.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What `npm` put beside the build for `make browser-test`.
const AXE: &str = "target/npm/node_modules/axe-core/axe.min.js";
const VNU: &str = "target/npm/node_modules/vnu-jar/build/dist/vnu.jar";

/// Runs every rule, also those for 2.2 that are off by default. Nothing is fetched.
const RUN_AXE: &str = "axe.run(document,
    { preload: false, rules: { 'target-size': { enabled: true } } }).then(r => r.violations.map(
        v => v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join(' | ')).join('\\n'))";

/// Whatever is pressed or typed into, but for links within a sentence, is 44 pixels high.
const SMALL: &str = "[...document.querySelectorAll('button, input, nav a, .button, .files a, .check label')]
    .filter(e => e.checkVisibility() && e.type !== 'checkbox' && e.getBoundingClientRect().height < 44)
    .map(e => e.outerHTML).join('\\n')";

/// What is wider than the window, or sticks out of it.
const TOO_WIDE: &str = "document.documentElement.scrollWidth > document.documentElement.clientWidth
    ? [...document.querySelectorAll('*')].filter(
        e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML).join('\\n') : ''";

const LONG: &str = "WolfeschlegelsteinhausenbergerdorffWolfeschlegelsteinhausenbergerdorffWolfeschlegelsteinhausenberger";
const RIGHT_TO_LEFT: (&str, &str) = ("מרים", "אסטרולאבי 2");

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(ROOT).join("target").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

pub fn save_picture(window: &Window, state: &str, look: &str, size: (u32, u32)) {
    window.resize(size, 1.0);
    let height = window.js("document.documentElement.scrollHeight").as_u64().unwrap();
    // The whole page, as if the window were that high.
    window.resize((size.0, size.1.max(u32::try_from(height).unwrap())), 1.0);
    let file = folder("screenshots").join(format!("{state}-{look}.png"));
    fs::write(file, window.picture()).unwrap();
}

/// Looks at the page that the window shows, in every way.
pub fn look(server: &Server, window: &Window, state: &str) {
    fs::write(folder("pages").join(format!("{state}.html")), server.page()).unwrap();
    let axe = fs::read_to_string(Path::new(ROOT).join(AXE))
        .expect("axe-core, which `make browser-test` installs");
    window.js(&format!("{axe}; ''"));
    let looks = if PAGES.contains(&state) { &LOOKS[..] } else { &LOOKS[..2] };
    for (n, (name, dark, size)) in looks.iter().enumerate() {
        window.set_dark(*dark);
        save_picture(window, state, name, *size);
        if n < 2 {
            assert_eq!(window.js(RUN_AXE), "", "{state}, {name}");
        }
    }
    window.set_dark(false);
    // WCAG 2.2, 1.4.10: a window of 1280 pixels at 400% is 320 wide.
    window.resize((320, 256), 4.0);
    let wrong = format!("[{TOO_WIDE}, {SMALL}, document.querySelectorAll('h1').length].join('|')");
    assert_eq!(window.js(&wrong), "||1", "{state}: too wide | too small | headings");
    window.resize(WIDE, 1.0);
    assert_eq!(window.complaints(), [""; 0], "{state}");
}

/// A picture of what is in sight, of a window that is 1280 pixels wide at 200%.
fn zoomed(window: &Window, state: &str) {
    window.resize((640, 400), 2.0);
    fs::write(folder("screenshots").join(format!("{state}-zoomed.png")), window.picture()).unwrap();
    window.resize(WIDE, 1.0);
}

/// A picture for the README.
fn portrait(window: &Window, state: &str, dark: bool) {
    window.set_dark(dark);
    window.hide_scrollbars();
    window.resize((1000, 640), 0.8);
    fs::write(folder("screenshots/readme").join(format!("{state}.png")), window.picture()).unwrap();
    window.set_dark(false);
}

/// Sends the form as it is, whatever the browser thinks of what is in it.
fn submit_unchecked(window: &Window, button: &str) {
    window.js("document.querySelectorAll('form').forEach(form => form.noValidate = true); ''");
    press_submit(window, button);
}

pub fn walk() {
    let files = folder("members");
    fs::write(files.join("Minutes of the spring meeting.pdf"), vec![0; 184_000]).unwrap();
    fs::write(files.join("Plan of the garden.png"), vec![0; 1_730_000]).unwrap();
    fs::write(files.join("Reading list.txt"), vec![0; 2_400]).unwrap();
    let odd = [format!("{LONG}.tar.gz"), "סיכום.txt".to_owned()].map(|name| files.join(name));
    for file in &odd {
        let _ = fs::remove_file(file);
    }
    let server = Server::with(|config| config.files = Some(files));
    let profile = Profile::new("states");
    let window = profile.open();
    strangers(&server, &window);
    member(&server, &window);
    second_factor::show(&server, &window);
    for file in &odd {
        fs::write(file, "odd").unwrap();
    }
    odd_names(&server, &window);
    failures(&server, &window);
    check_html();
}

fn strangers(server: &Server, window: &Window) {
    for (state, path) in [
        ("home-stranger", "/"),
        ("register", "/register"),
        ("login", "/login"),
        ("login-required", "/secret"),
        ("forgot", "/password"),
        ("404", "/nothing"),
        ("405", "/logout"),
    ] {
        window.open(&server.at(path));
        look(server, window, state);
    }
    window.open(&server.at("/login"));
    portrait(window, "login", false);
    window.open(&server.at("/register"));
    zoomed(window, "register");
    submit_unchecked(window, "Register");
    look(server, window, "register-empty");
    window.fill("First name", "Ada");
    window.fill("Last name", "Lovelace");
    window.fill("Email", EMAIL);
    window.fill("New password", "lovelace1");
    window.fill("New password again", "lovelace2");
    press_submit(window, "Register");
    look(server, window, "register-weak");
    zoomed(window, "register-weak");
    window.open(&server.at("/login"));
    fill_login(window, "not the password");
    look(server, window, "login-wrong");
}

fn member(server: &Server, window: &Window) {
    register(server, window, ("Ada", "Lovelace"), EMAIL);
    look(server, window, "secret");
    zoomed(window, "secret");
    portrait(window, "secret", true);
    window.open(&server.url);
    look(server, window, "home-member");
    window.open(&server.at("/download/nothing"));
    look(server, window, "404-member");
    window.open(&server.at("/secret"));
    submit_unchecked(window, "Change password");
    look(server, window, "secret-wrong");
    let handle = |request: &Request| server.app.handle(request);
    for n in 0..29 {
        let mut other = Browser::new(&handle).at(&format!("2001:db8::{n}"));
        let agents = [
            "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
            "something else",
        ];
        other.headers.push(("User-Agent".to_owned(), agents[n % 3].to_owned()));
        other.post("/login", &[("email", EMAIL), ("password", PASSWORD)]);
    }
    window.open(&server.at("/secret"));
    look(server, window, "secret-30-sessions");
    window.press("Log out all others");
    window.press("Log out");
    look(server, window, "logged-out");
}

fn odd_names(server: &Server, window: &Window) {
    for (state, first, last, email) in [
        ("long", LONG, LONG, "long@example.org"),
        ("rtl", RIGHT_TO_LEFT.0, RIGHT_TO_LEFT.1, "rtl@example.org"),
    ] {
        register(server, window, (first, last), email);
        look(server, window, &format!("secret-{state}"));
        window.open(&server.url);
        look(server, window, &format!("home-{state}"));
        window.press("Log out");
    }
}

fn failures(server: &Server, window: &Window) {
    // A mistake of ours, as far as the application can tell.
    let mut sql = Client::connect(&server.database.url(), NoTls).unwrap();
    sql.batch_execute("ALTER TABLE users RENAME TO gone").unwrap();
    window.open(&server.at("/login"));
    fill_login(window, PASSWORD);
    assert_sees(window, "Something broke");
    look(server, window, "500");
    sql.batch_execute("ALTER TABLE gone RENAME TO users").unwrap();
    window.open(&server.at("/login"));
    for _ in 0..11 {
        window.fill("Email", "guess@example.org");
        window.fill("Password", "not the password");
        press_submit(window, "Log in");
        if window.text().contains("Too many tries") {
            break;
        }
    }
    look(server, window, "429");
    // A form that another site sends.
    let form =
        format!("<form method=post action={}><button>Go</button></form>", server.at("/logout"));
    window.open(&format!("data:text/html,<!doctype html>{form}"));
    window.press("Go");
    look(server, window, "403");
    let closed =
        Server::with(|config| config.registration = doorward::config::Registration::Closed);
    for (state, path) in [("closed", "/register"), ("home-closed", "/")] {
        window.open(&closed.at(path));
        look(&closed, window, state);
    }
    // Somebody must be logged in for the database to be asked.
    register(server, window, ("Grace", "Hopper"), "grace@example.org");
    server.database.set_reachable(false);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    window.open(&server.at("/secret"));
    look(server, window, "503");
    server.database.set_reachable(true);
}

fn register(server: &Server, window: &Window, (first, last): (&str, &str), email: &str) {
    window.open(&server.at("/register"));
    window.fill("First name", first);
    window.fill("Last name", last);
    window.fill("Email", email);
    window.fill("New password", PASSWORD);
    window.fill("New password again", PASSWORD);
    press_submit(window, "Register");
}

/// The Nu HTML checker finds nothing wrong with any page, nor with the style sheet.
fn check_html() {
    let run = Command::new("java")
        .current_dir(ROOT)
        .args(["-jar", VNU, "--also-check-css", "--skip-non-html"])
        .args(["target/pages", "src/pages/style.css"])
        .output()
        .expect("Java, which `make browser-test` installs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}
