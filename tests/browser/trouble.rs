//! What goes wrong on people's way, and what they see then.

use std::thread::sleep;
use std::time::Duration;

use postgres::{Client, NoTls};
use url::Url;

use crate::chromium::{Profile, Window};
use crate::server::Server;
use crate::site::PASSWORD;
use crate::{EMAIL, assert_at, assert_sees, fill_login, fill_registration, press_submit};

const OTHER: &str = "kestrel 55 obelisk mango";

/// The id of the field with the cursor.
fn focused(window: &Window) -> String {
    window.js("document.activeElement.id").as_str().unwrap().to_owned()
}

/// The tab that is marked as the current page.
fn tab(window: &Window) -> String {
    let current = "document.querySelector('nav [aria-current=page]')?.innerText ?? ''";
    window.js(current).as_str().unwrap().to_owned()
}

fn is_in_sight(window: &Window, css: &str) -> bool {
    let seen = format!(
        "(() => {{ const r = document.querySelector({css:?}).getBoundingClientRect();
            return r.top >= 0 && r.bottom <= innerHeight; }})()"
    );
    window.js(&seen) == true
}

fn sql(server: &Server, statements: &str) {
    Client::connect(&server.database.url(), NoTls).unwrap().batch_execute(statements).unwrap();
}

#[test]
fn a_double_click_on_register_makes_one_account_and_is_in() {
    // As slow as on a real server, so that the second click comes before the first answer.
    let server = Server::with(|config| config.bcrypt_cost = 12);
    for (n, pause) in [120, 350].into_iter().enumerate() {
        let profile = Profile::new(&format!("double-click-{n}"));
        let window = profile.open();
        window.open(&server.at("/register"));
        window.fill("First name", "Ada");
        window.fill("Last name", "Lovelace");
        window.fill("Email", &format!("{n}{EMAIL}"));
        window.fill("New password", PASSWORD);
        window.fill("New password again", PASSWORD);
        window.press_twice("main button", "Register", Duration::from_millis(pause));
        window.wait_for("location.pathname === '/secret' && document.readyState === 'complete'");
        assert_sees(&window, "Hello, Ada Lovelace!");
        assert!(!window.text().contains("already registered"), "{}", window.text());
    }
}

#[test]
fn a_stranger_who_wanted_a_download_lands_where_it_is_one_click_away() {
    let server = Server::new();
    let profile = Profile::new("wanted-download");
    let window = profile.open();
    window.open(&server.at("/register"));
    fill_registration(&window, PASSWORD);
    window.press("Log out");
    window.open(&server.at("/download/cheat-sheet.txt"));
    assert_sees(&window, "Please log in to see that page.");
    fill_login(&window, PASSWORD);
    assert_at(&window, "/secret");
    window.download("cheat-sheet.txt", &profile.downloads().join("cheat-sheet.txt"));
}

#[test]
fn whoever_a_proxy_sends_here_keeps_the_page_they_wanted_through_the_registration() {
    let server = Server::new();
    let profile = Profile::new("proxied");
    let window = profile.open();
    window.open(&server.at("/login?next=%2F%3Fa%3Db"));
    assert!(!window.text().contains("cookies"), "{}", window.text());
    window.press_in("main a", "Register");
    window.press_in("main a", "Log in");
    assert!(!window.text().contains("cookies"), "{}", window.text());
    window.press_in("main a", "Register");
    window.fill("First name", "Ada");
    window.fill("Last name", "Lovelace");
    window.fill("Email", EMAIL);
    window.fill("New password", PASSWORD);
    window.fill("New password again", PASSWORD);
    press_submit(&window, "Register");
    assert_at(&window, "/?a=b");
    assert_sees(&window, "Welcome, Ada!");
}

#[test]
fn a_password_change_on_an_ended_session_says_that_nothing_was_changed() {
    let server = Server::new();
    let profile = Profile::new("ended");
    let window = profile.open();
    window.open(&server.at("/register"));
    fill_registration(&window, PASSWORD);
    sql(&server, "DELETE FROM sessions");
    sleep(Duration::from_millis(1_100));
    window.fill("Current password", PASSWORD);
    window.fill("New password", OTHER);
    window.fill("New password again", OTHER);
    window.press("Change password");
    assert_sees(&window, "You were logged out in the meantime. Nothing was changed.");
    fill_login(&window, PASSWORD);
    assert_at(&window, "/secret");
    sql(&server, "DELETE FROM sessions");
    sleep(Duration::from_millis(1_100));
    window.press("Secret");
    assert_sees(&window, "Your session has ended. Please log in again.");
}

#[test]
fn a_refused_form_comes_back_with_what_was_typed_and_the_cursor_where_it_is_needed() {
    let server = Server::new();
    let profile = Profile::new("refused");
    let window = profile.open();
    window.open(&server.at("/register"));
    fill_registration(&window, PASSWORD);
    window.press("Log out");

    window.press("Register");
    fill_registration(&window, OTHER);
    assert_at(&window, "/login");
    assert_sees(&window, "Email already registered. Log in instead.");
    assert_eq!(window.js("document.getElementById('email').value"), EMAIL);

    for _ in 0..10 {
        fill_login(&window, "a guess");
        if window.text().contains("Too many tries") {
            break;
        }
        assert_eq!(focused(&window), "password");
    }
    fill_login(&window, "a guess");
    assert_sees(&window, "Too many tries");
    assert_eq!(window.js("document.getElementById('email').value"), EMAIL);

    window.open(&server.at("/register"));
    window.js("document.querySelectorAll('form').forEach(form => form.noValidate = true); ''");
    window.fill("First name", "Ada");
    press_submit(&window, "Register");
    assert_eq!(focused(&window), "last_name");
}

#[test]
fn a_refused_password_is_explained_beside_its_form_and_its_address_leads_back() {
    let server = Server::new();
    let profile = Profile::new("refused-password");
    let window = profile.open();
    window.open(&server.at("/register"));
    fill_registration(&window, PASSWORD);
    window.fill("Current password", "not this");
    window.fill("New password", OTHER);
    window.fill("New password again", OTHER);
    window.press("Change password");
    assert_at(&window, "/password");
    assert_eq!((tab(&window), focused(&window)), ("Secret".into(), "current_password".into()));
    assert!(is_in_sight(&window, "#current_password-error"));
    for path in ["/password", "/.well-known/change-password"] {
        window.open(&server.at(path));
        assert_at(&window, "/secret");
        assert_eq!(window.js("location.hash"), "#change-password");
        assert_eq!(tab(&window), "Secret");
    }
}

#[test]
fn whoever_forgot_the_password_finds_whom_to_ask() {
    let contact = Url::parse("https://example.org/contact").unwrap();
    let server = Server::with(|config| config.contact = Some(contact));
    let profile = Profile::new("forgot");
    let window = profile.open();
    window.open(&server.at("/login"));
    window.press("Forgot your password?");
    assert_at(&window, "/password");
    let links = "[...document.querySelectorAll('main a[href], footer a[href]')].filter(
        a => a.href === 'https://example.org/contact').length";
    assert_eq!(window.js(links), 2, "in the text and in the footer");
}

#[test]
fn large_text_wraps_and_forced_colours_and_paper_leave_nothing_out() {
    let server = Server::new();
    let profile = Profile::new("looks");
    let window = profile.open();
    window.open(&server.at("/register"));
    fill_registration(&window, PASSWORD);
    for width in [320, 360] {
        window.resize((width, 640), 1.0);
        window.js("document.documentElement.style.fontSize = '200%'; ''");
        let overflow =
            "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(window.js(overflow), 0, "at {width} pixels");
        let lines = "(e => e.getClientRects().length)(document.querySelector('.files a'))";
        assert!(window.js(lines).as_u64().unwrap() < 4, "a name breaks between words");
        window.js("document.documentElement.style.fontSize = ''; ''");
    }
    window.resize((1280, 800), 1.0);
    let border = "[...document.querySelectorAll('nav a')].map(
        a => getComputedStyle(a).borderTopWidth).join(' ')";
    assert_eq!(window.js(border), "0px 0px");
    window.emulate("", &[("forced-colors", "active")]);
    assert_eq!(window.js(border), "0px 3px", "the current page has an edge");
    window.emulate("print", &[("prefers-color-scheme", "dark")]);
    let seen = "[...document.querySelectorAll('h2')].filter(e => e.checkVisibility()).map(
        e => e.innerText).join(', ')";
    assert_eq!(window.js(seen), "Files, Where you are logged in");
    assert_eq!(window.js("getComputedStyle(document.body).color"), "rgb(0, 0, 0)");
    // The logout stands on the line of the tabs, and everything in the column is as wide as the column.
    window.emulate("", &[]);
    let bottoms = "new Set([...document.querySelectorAll('nav a, nav button')].map(
        e => Math.round(e.getBoundingClientRect().bottom))).size";
    assert_eq!(window.js(bottoms), 1);
    let widths = "new Set([...document.querySelectorAll('main .field input, main .flash, h2')].map(
        e => Math.round(e.getBoundingClientRect().width))).size";
    assert_eq!(window.js(widths), 1);
}
