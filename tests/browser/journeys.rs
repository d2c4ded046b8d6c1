//! What people do, done in a real Chromium: `make browser-test` runs these.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod chromium;
mod second_factor;
mod server;
mod states;
mod trouble;

#[path = "../support/browser.rs"]
#[allow(dead_code, reason = "the other test binary uses the rest")]
mod browser;
#[path = "../support/site.rs"]
#[allow(dead_code, reason = "the other test binary uses the rest")]
mod site;
#[path = "../support/totp.rs"]
#[allow(dead_code, reason = "the other test binary uses the rest")]
mod totp;

use chromium::{Profile, Window};
use server::Server;
use site::PASSWORD;

const EMAIL: &str = "ada@example.org";

/// Fills the form for a new account, from wherever one is.
fn fill_registration(window: &Window, password: &str) {
    if window.path() != "/register" {
        window.press("Register");
    }
    window.fill("First name", "Ada");
    window.fill("Last name", "Lovelace");
    window.fill("Email", EMAIL);
    window.fill("New password", password);
    window.fill("New password again", password);
    press_submit(window, "Register");
}

fn fill_login(window: &Window, password: &str) {
    window.fill("Email", EMAIL);
    window.fill("Password", password);
    press_submit(window, "Log in");
}

/// Presses the button of a form; the navigation has a link with the same word.
fn press_submit(window: &Window, words: &str) {
    window.press_in("main button", words);
}

fn assert_sees(window: &Window, words: &str) {
    let text = window.text();
    assert!(text.contains(words), "{words:?} is not in: {text}");
}

fn assert_at(window: &Window, path: &str) {
    assert_eq!(window.path(), path, "{}", window.text());
}

/// Nobody looks at a console but tests.
fn assert_content(window: &Window) {
    assert_eq!(window.complaints(), [""; 0]);
}

#[test]
fn a_person_registers_downloads_leaves_and_comes_back_to_what_they_wanted() {
    let server = Server::new();
    let profile = Profile::new("journey");
    let window = profile.open();
    window.open(&server.url);
    assert_sees(&window, "Hello, Anonymous!");

    fill_registration(&window, "lovelace1");
    assert_at(&window, "/register");
    assert_sees(&window, "This password is too easy to guess.");
    assert_eq!(window.js("document.title"), "Error: Register · doorward");
    window.fill("New password", PASSWORD);
    window.fill("New password again", PASSWORD);
    press_submit(&window, "Register");
    assert_at(&window, "/secret");
    assert_sees(&window, "Welcome, Ada! Your account was created.");

    let saved = window.download("cheat-sheet.txt", &profile.downloads().join("cheat-sheet.txt"));
    assert!(saved.to_lowercase().contains("session"), "{saved}");

    window.press("Log out");
    assert_sees(&window, "You have been logged out.");
    window.open(&server.at("/secret?from=a+bookmark"));
    assert_at(&window, "/login?next=%2Fsecret%3Ffrom%3Da%2Bbookmark");
    assert_sees(&window, "Please log in to see that page.");
    assert!(!window.text().contains("cookies"), "cookies work here: {}", window.text());
    fill_login(&window, "not the password");
    assert_sees(&window, "Incorrect email or password.");
    window.tick("Keep me logged in for 30 days");
    fill_login(&window, PASSWORD);
    assert_at(&window, "/secret?from=a+bookmark");
    assert_sees(&window, "Hello, Ada Lovelace!");
    assert_content(&window);
    window.close();

    let window = profile.open();
    window.open(&server.at("/secret"));
    assert_at(&window, "/secret");
    window.press("Log out");
    window.press("Log in");
    fill_login(&window, PASSWORD);
    assert_at(&window, "/secret");
    window.close();

    let window = profile.open();
    window.open(&server.at("/secret"));
    assert_at(&window, "/login?next=%2Fsecret");
}

#[test]
fn a_person_sees_two_sessions_ends_the_other_and_changes_the_password() {
    let server = Server::new();
    let (home, work) = (Profile::new("home"), Profile::new("work"));
    let (home, work) = (home.open(), work.open());
    home.open(&server.url);
    fill_registration(&home, PASSWORD);
    work.open(&server.at("/login"));
    fill_login(&work, PASSWORD);

    home.open(&server.at("/secret"));
    let count = "document.querySelectorAll('.sessions > li').length";
    assert_eq!(home.js(count), 2);
    assert_sees(&home, "Chrome on Linux");
    home.press_in(".sessions button", "Log out");
    assert_sees(&home, "That browser was logged out.");
    assert_eq!(home.js(count), 1);
    // A session found a moment ago is believed for a second.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    work.press("Secret");
    assert_at(&work, "/login?next=%2Fsecret");

    home.fill("Current password", PASSWORD);
    home.fill("New password", "umbra fjord 47 zither");
    home.fill("New password again", "umbra fjord 47 zither!");
    home.press("Change password");
    assert_sees(&home, "The two passwords are not the same.");
    home.fill("Current password", PASSWORD);
    home.fill("New password", "umbra fjord 47 zither");
    home.fill("New password again", "umbra fjord 47 zither");
    home.press("Change password");
    assert_sees(&home, "Your password was changed.");
    fill_login(&work, PASSWORD);
    assert_sees(&work, "Incorrect email or password.");
    fill_login(&work, "umbra fjord 47 zither");
    assert_at(&work, "/secret");
    assert_content(&home);
    assert_content(&work);
}

#[test]
fn back_after_logging_out_shows_nothing_secret() {
    let server = Server::new();
    let profile = Profile::new("back");
    let window = profile.open();
    window.open(&server.url);
    fill_registration(&window, PASSWORD);
    assert_sees(&window, "Lovelace");
    window.press("Log out");
    window.back();
    assert_at(&window, "/login?next=%2Fsecret");
    assert!(!window.text().contains("Lovelace"), "{}", window.text());
}

#[test]
fn everything_can_be_done_by_keyboard_alone() {
    let server = Server::new();
    let profile = Profile::new("keyboard");
    let window = profile.open();
    window.open(&server.url);
    window.tab_to("Skip to the content");
    window.key("Enter");
    window.tab_to("Register");
    assert_eq!(window.js("document.activeElement.closest('main') !== null"), true, "it skips");
    window.key_to_page("Enter");
    for (label, text) in [
        ("First name", "Ada"),
        ("Last name", "Lovelace"),
        ("Email", EMAIL),
        ("New password", "ada lovelace"),
        ("New password again", "ada lovelace"),
    ] {
        window.tab_to(label);
        window.key_in(text);
    }
    window.key_to_page("Enter");
    window.tab_to(
        "New password: This password is too easy to guess. Add another word or two. Uncommon words are better.",
    );
    window.key("Enter");
    assert_eq!(window.js("location.hash"), "#password", "a link leads to the field");
    for label in ["New password", "New password again"] {
        // The link of the summary has moved the keyboard to the field already.
        if window.js("document.activeElement.labels?.[0].innerText ?? ''") != label {
            window.tab_to(label);
        }
        window.key_in(PASSWORD);
    }
    window.tab_to("Register");
    window.key_to_page(" ");
    assert_at(&window, "/secret");
    window.tab_to("Log out");
    window.key_to_page(" ");
    window.tab_to("Log in");
    window.key_to_page("Enter");
    window.tab_to("Email");
    window.key_in(EMAIL);
    window.tab_to("Password");
    window.key_in(PASSWORD);
    window.tab_to("Keep me logged in for 30 days");
    window.key(" ");
    window.tab_to("Log in");
    window.key_to_page("Enter");
    assert_at(&window, "/secret");
    for (label, text) in [
        ("Current password", PASSWORD),
        ("New password", "umbra fjord 47 zither"),
        ("New password again", "umbra fjord 47 zither"),
    ] {
        window.tab_to(label);
        window.key_in(text);
    }
    window.key_to_page("Enter");
    assert_sees(&window, "Your password was changed.");
    assert_content(&window);
}

#[test]
fn a_browser_that_blocks_cookies_is_told_so_and_led_in_no_circle() {
    let server = Server::new();
    let profile = Profile::without_cookies("no-cookies");
    let window = profile.open();
    window.open(&server.url);
    fill_registration(&window, PASSWORD);
    assert_at(&window, "/login?next=%2Fsecret");
    assert_sees(&window, "Your browser blocks cookies");
    fill_login(&window, PASSWORD);
    assert_at(&window, "/login?next=%2Fsecret");
    assert_sees(&window, "allow them for this site");
    fill_login(&window, "not the password");
    assert_sees(&window, "Incorrect email or password.");
    states::save_picture(&window, "login-no-cookies", "light-narrow", (360, 640));
}

#[test]
fn every_page_in_every_state_is_accessible_valid_and_photographed() {
    states::walk();
}
