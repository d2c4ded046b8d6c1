//! The second factor: set up with a telephone that looks at the screen, and asked for at each login.

use std::io::Cursor;

use doorward::config::SecondFactor;
use postgres::{Client, NoTls};
use rqrr::PreparedImage;
use url::Url;

use crate::chromium::{Profile, Window};
use crate::server::Server;
use crate::site::PASSWORD;
use crate::states::look;
use crate::totp::App;
use crate::{EMAIL, assert_at, assert_sees, fill_login, fill_registration, press_submit};

/// What a telephone reads in the QR code on the screen.
fn scan(window: &Window) -> Url {
    window.js("document.querySelector('svg').scrollIntoView({ block: 'center' }); ''");
    let picture = window.picture();
    let mut reader = png::Decoder::new(Cursor::new(picture)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    let (width, height) = (frame.width as usize, frame.height as usize);
    let grey = |x: usize, y: usize| pixels[y * frame.line_size + x * frame.color_type.samples()];
    let mut seen = PreparedImage::prepare_from_greyscale(width, height, grey);
    let codes = seen.detect_grids();
    assert_eq!(codes.len(), 1, "one code is on the screen");
    codes[0].decode().expect("a code that can be read").1.parse().unwrap()
}

/// The app that has scanned the code.
fn scanned(window: &Window) -> App {
    let url = scan(window);
    let secret = url.query_pairs().find(|(name, _)| name == "secret").unwrap().1;
    App::with_key(&secret)
}

fn recovery_codes(window: &Window) -> Vec<String> {
    let shown = window.js("document.querySelector('pre').innerText");
    shown.as_str().unwrap().lines().map(str::to_owned).collect()
}

/// Presses the button of that name with the keyboard.
fn key_button(window: &Window, name: &str) {
    window.tab_to(name);
    window.key_to_page("Enter");
}

/// Types into the field with the cursor, and sends the form.
fn key_in_and_send(window: &Window, text: &str) {
    window.key_in(text);
    window.key_to_page("Enter");
}

fn key_in_login(window: &Window, server: &Server) {
    window.open(&server.at("/login"));
    window.tab_to("Email");
    window.key_in(EMAIL);
    window.tab_to("Password");
    key_in_and_send(window, PASSWORD);
    assert_at(window, "/login/code");
}

#[test]
fn a_person_sets_a_second_factor_up_logs_in_and_recovers_by_keyboard_alone() {
    let server = Server::new();
    let profile = Profile::new("second-factor");
    let window = profile.open();
    window.open(&server.url);
    fill_registration(&window, PASSWORD);

    key_button(&window, "Set up the second factor");
    let url = scan(&window);
    assert_eq!(url.path(), format!("/doorward:{}", EMAIL.replace('@', "%40").replace('.', "%2E")));
    window.set_dark(true);
    assert_eq!(scan(&window), url, "in the dark, too");
    window.set_dark(false);
    let app = scanned(&window);
    window.tab_to("Code from the app");
    key_in_and_send(&window, &app.wrong_code());
    assert_sees(&window, "This is not the code that the app shows now.");
    assert_eq!(scan(&window), url, "the same key");
    key_in_and_send(&window, &app.code());
    assert_sees(&window, "The second factor is on.");
    let codes = recovery_codes(&window);
    assert_eq!(codes.len(), 10);
    window.open(&server.at("/secret"));
    assert_sees(&window, "Recovery codes left: 10.");

    key_button(&window, "Log out");
    key_in_login(&window, &server);
    key_in_and_send(&window, &app.wrong_code());
    assert_sees(&window, "That code is wrong, or was used already.");
    // The set-up has used the current code up; the next may come early.
    key_in_and_send(&window, &app.code_in(1));
    assert_at(&window, "/secret");

    key_button(&window, "Log out");
    key_in_login(&window, &server);
    key_button(&window, "Use a recovery code");
    key_in_and_send(&window, &codes[3].to_lowercase());
    assert_at(&window, "/secret");
    assert_sees(&window, "Recovery codes left: 9.");
    assert_sees(&window, "with a password and a recovery code");
    key_button(&window, "Turn off the second factor");
    assert_sees(&window, "The second factor is off.");
    assert_eq!(window.complaints(), [""; 0]);
}

/// Every state of the section and of the second step of a login.
pub fn show(server: &Server, window: &Window) {
    let mut sql = Client::connect(&server.database.url(), NoTls).unwrap();
    window.open(&server.at("/login"));
    fill_login(window, PASSWORD);
    window.press("Set up the second factor");
    look(server, window, "second-factor-set-up");
    let app = scanned(window);
    window.fill("Code from the app", &app.wrong_code());
    press_submit(window, "Turn it on");
    look(server, window, "second-factor-wrong");
    window.fill("Code from the app", &app.code());
    press_submit(window, "Turn it on");
    look(server, window, "second-factor-codes");
    window.open(&server.at("/secret"));
    look(server, window, "second-factor-on");
    sql.batch_execute("UPDATE users SET recovery_codes = recovery_codes[1:2]").unwrap();
    // Within a second the server looks at the table again.
    for _ in 0..100 {
        window.open(&server.at("/secret"));
        if window.text().contains("left: 2.") {
            break;
        }
    }
    assert_sees(window, "Recovery codes left: 2.");
    look(server, window, "second-factor-few-codes");
    window.press("Log out");
    window.open(&server.at("/login"));
    fill_login(window, PASSWORD);
    look(server, window, "login-code");
    window.press("Use a recovery code");
    look(server, window, "login-recovery-code");
    for n in 0..6 {
        window.open(&server.at("/login/code"));
        window.fill("Code from your app", &app.wrong_code());
        press_submit(window, "Log in");
        if n == 0 {
            look(server, window, "login-code-wrong");
        }
    }
    look(server, window, "login-code-throttled");
    sql.batch_execute("UPDATE users SET totp_key = NULL, totp_step = NULL, recovery_codes = NULL")
        .unwrap();
    let strict = Server::with(|config| config.second_factor = SecondFactor::Required);
    window.open(&strict.url);
    fill_registration(window, PASSWORD);
    look(&strict, window, "second-factor-required");
    window.press("Log out");
}
