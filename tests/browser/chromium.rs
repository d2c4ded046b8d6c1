//! A real Chromium, used as people use it: by what can be seen on the page, with mouse and keys.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs};

use headless_chrome::browser::tab::point::Point;
use headless_chrome::protocol::cdp::Page::CaptureScreenshotFormatOption;
use headless_chrome::protocol::cdp::types::Event;
use headless_chrome::protocol::cdp::{self, Audits, Emulation, Page};
use headless_chrome::{Browser, LaunchOptions, Tab};
use serde_json::{Value, from_value, json};

const PROGRAM: &str = "/usr/bin/chromium";

/// Quiet, without a screen or a network of its own, and without the sandbox that root cannot have.
const FLAGS: [&str; 3] =
    ["--disable-quic", "--disable-component-update", "--no-default-browser-check"];

/// How long to wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks for what people see: a label, or a link or button, with exactly these words.
const FIND: &str = r"
    window.find_seen = (css, words) => [...document.querySelectorAll(css)].find(
        (e) => e.innerText.trim() === words && e.checkVisibility());
";

/// A profile: what a browser keeps between its starts.
pub struct Profile(PathBuf);

/// One window of a running browser.
pub struct Window {
    browser: Browser,
    tab: Arc<Tab>,
    /// What the browser complained about.
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Profile {
    pub fn new(name: &str) -> Profile {
        let path = env::temp_dir().join(format!("doorward-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("Default")).unwrap();
        Profile(path)
    }

    /// A profile whose owner forbade cookies in the settings.
    pub fn without_cookies(name: &str) -> Profile {
        let profile = Profile::new(name);
        let settings = json!({ "profile": { "default_content_setting_values": { "cookies": 2 } } });
        fs::write(profile.0.join("Default/Preferences"), settings.to_string()).unwrap();
        profile
    }

    pub fn downloads(&self) -> PathBuf {
        self.0.join("downloads")
    }

    pub fn open(&self) -> Window {
        let options = LaunchOptions {
            path: Some(PROGRAM.into()),
            user_data_dir: Some(self.0.clone()),
            sandbox: !is_root(),
            args: FLAGS.iter().map(OsStr::new).collect(),
            window_size: Some((1280, 800)),
            idle_browser_timeout: Duration::from_mins(2),
            ..LaunchOptions::default()
        };
        Window::new(
            Browser::new(options).expect("Chromium, which `make browser-test` installs"),
            &self.downloads(),
        )
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // The last of Chromium's processes may still be writing.
        for _ in 0..50 {
            if fs::remove_dir_all(&self.0).is_ok() {
                return;
            }
            sleep(Duration::from_millis(100));
        }
    }
}

impl Window {
    fn new(browser: Browser, downloads: &Path) -> Window {
        let tab = browser.new_tab().unwrap();
        tab.set_default_timeout(PATIENCE);
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&complaints);
        tab.add_event_listener(Arc::new(move |event: &Event| {
            heard.lock().unwrap().extend(complaint(event));
        }))
        .unwrap();
        tab.enable_log().unwrap().enable_runtime().unwrap();
        tab.call_method(Audits::Enable(None)).unwrap();
        let save = json!({ "behavior": "allow", "downloadPath": downloads });
        tab.call_method(from_value::<Page::SetDownloadBehavior>(save).unwrap()).unwrap();
        Window { browser, tab, complaints }
    }

    /// What JavaScript makes of an expression; only tests run any, no page of ours has some.
    pub fn try_js(&self, expression: &str) -> Option<Value> {
        let answer = self.tab.evaluate(expression, true).ok()?;
        assert!(answer.subtype.is_none(), "{expression}: {:?}", answer.description);
        answer.value
    }

    pub fn js(&self, expression: &str) -> Value {
        self.try_js(expression).unwrap_or_else(|| panic!("no answer to {expression}"))
    }

    /// Everything that can be read on the page.
    pub fn text(&self) -> String {
        self.js("document.body.innerText").as_str().unwrap().to_owned()
    }

    pub fn path(&self) -> String {
        self.js("location.pathname + location.search").as_str().unwrap().to_owned()
    }

    pub fn open(&self, url: &str) {
        self.leave(|| {
            self.tab.navigate_to(url).unwrap();
        });
    }

    /// Does what leads to another page, and waits until that is there.
    fn leave(&self, act: impl FnOnce()) {
        self.js("window.left = true");
        act();
        self.wait_for("document.readyState === 'complete' && !window.left");
    }

    pub fn wait_for(&self, condition: &str) {
        let until = Instant::now() + PATIENCE;
        // Between two pages there is nothing to ask.
        while self.try_js(condition) != Some(Value::Bool(true)) {
            assert!(Instant::now() < until, "waited in vain for {condition} on {}", self.text());
            sleep(Duration::from_millis(20));
        }
    }

    fn point(&self, css: &str, words: &str) -> Point {
        let found = self.js(&format!(
            "{FIND} (() => {{ const e = find_seen({css:?}, {words:?}); if (!e) return '';
                e.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const r = e.getBoundingClientRect();
                return `${{r.x + r.width / 2}} ${{r.y + r.height / 2}}`; }})()"
        ));
        let found = found.as_str().unwrap();
        let (x, y) = found
            .split_once(' ')
            .unwrap_or_else(|| panic!("{words:?} is not on the page: {}", self.text()));
        Point { x: x.parse().unwrap(), y: y.parse().unwrap() }
    }

    /// Presses a link or button that leads to another page.
    pub fn press(&self, words: &str) {
        self.press_in("a, button", words);
    }

    /// The same, of those that a CSS selector matches.
    pub fn press_in(&self, css: &str, words: &str) {
        let point = self.point(css, words);
        self.leave(|| {
            self.tab.click_point(point).unwrap();
        });
    }

    /// Presses a button twice, as if unsure about the first time.
    pub fn press_twice(&self, css: &str, words: &str, pause: Duration) {
        let point = self.point(css, words);
        self.tab.click_point(point).unwrap();
        sleep(pause);
        self.tab.click_point(point).unwrap();
    }

    /// Presses a link that saves a file, and waits for it.
    pub fn download(&self, words: &str, file: &Path) -> String {
        self.tab.click_point(self.point("a, button", words)).unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            match fs::read_to_string(file) {
                Ok(text) if !text.is_empty() => return text,
                _ => assert!(Instant::now() < until, "{} is saved", file.display()),
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Types into the field under a label, over what was there.
    pub fn fill(&self, label: &str, text: &str) {
        self.tick(label);
        self.js("document.activeElement.select(); ''");
        self.tab.send_character(text).unwrap();
    }

    /// Presses a label.
    pub fn tick(&self, label: &str) {
        self.tab.click_point(self.point("label", label)).unwrap();
    }

    /// Goes back, as the browser's own button does.
    pub fn back(&self) {
        let here = self.path();
        self.js("history.back(); ''");
        self.wait_for(&format!(
            "document.readyState === 'complete' && location.pathname + location.search !== {here:?}"
        ));
    }

    /// Presses Tab until what is focused has these words on it or beside it. Whatever is focused
    /// on the way must be in sight and have a ring around it.
    pub fn tab_to(&self, words: &str) {
        const FOCUSED: &str = "(() => { const e = document.activeElement;
            if (e === document.body) return '';
            const r = e.getBoundingClientRect(), s = getComputedStyle(e);
            const ring = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2;
            const seen = r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth;
            const words = e.labels?.length ? e.labels[0].innerText : e.innerText;
            return (ring ? '' : 'no ring: ') + (seen ? '' : 'out of sight: ') + words.trim(); })()";
        let mut seen = Vec::new();
        for _ in 0..60 {
            self.tab.press_key("Tab").unwrap();
            let focused = self.js(FOCUSED).as_str().unwrap().to_owned();
            assert!(
                !focused.contains("no ring:") && !focused.contains("out of sight:"),
                "{focused}"
            );
            if focused == words {
                return;
            }
            seen.push(focused);
        }
        panic!("Tab does not lead to {words:?}, but to {seen:?}");
    }

    /// Types on the keyboard, all at once: each key of its own would take a tenth of a second.
    pub fn key_in(&self, text: &str) {
        self.tab.send_character(text).unwrap();
    }

    /// Presses a key that stays on the page.
    pub fn key(&self, key: &str) {
        self.tab.press_key(key).unwrap();
    }

    /// Presses a key that leads to another page.
    pub fn key_to_page(&self, key: &str) {
        self.leave(|| {
            self.tab.press_key(key).unwrap();
        });
    }

    /// A window of that many CSS pixels, each `scale` pixels wide: 2 is a zoom of 200%.
    pub fn resize(&self, (width, height): (u32, u32), scale: f64) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false,
        });
        let size = from_value::<Emulation::SetDeviceMetricsOverride>(size).unwrap();
        self.tab.call_method(size).unwrap();
    }

    pub fn hide_scrollbars(&self) {
        self.tab.call_method(Emulation::SetScrollbarsHidden { hidden: true }).unwrap();
    }

    pub fn set_dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        self.emulate("", &[("prefers-color-scheme", value), ("prefers-reduced-motion", "reduce")]);
    }

    /// A medium, such as `print`, and its features; an empty text is the screen.
    pub fn emulate(&self, medium: &str, features: &[(&str, &str)]) {
        let named = |(name, value): &(&str, &str)| json!({ "name": name, "value": value });
        let features: Vec<_> = features.iter().map(named).collect();
        let media = json!({ "media": medium, "features": features });
        let media = from_value::<Emulation::SetEmulatedMedia>(media).unwrap();
        self.tab.call_method(media).unwrap();
    }

    /// A picture of what is in sight, as PNG.
    pub fn picture(&self) -> Vec<u8> {
        self.tab.capture_screenshot(CaptureScreenshotFormatOption::Png, None, None, true).unwrap()
    }

    /// What the browser complained about since the last time.
    pub fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.complaints.lock().unwrap())
    }

    /// Closes the browser as its user does, so that it keeps what it should keep.
    pub fn close(self) {
        let pid = self.browser.get_process_id().unwrap();
        // It may be gone before it answers.
        let _ = self.tab.call_method(cdp::Browser::Close(None));
        let until = Instant::now() + PATIENCE;
        let stat = format!("/proc/{pid}/stat");
        while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(Instant::now() < until, "Chromium ends when it is asked to");
            sleep(Duration::from_millis(50));
        }
    }
}

/// What an event says is wrong with a page. A status that is an answer is no such thing.
fn complaint(event: &Event) -> Option<String> {
    match event {
        Event::LogEntryAdded(event) => {
            let entry = &event.params.entry;
            let is_status = entry.text.contains("the server responded with a status of");
            (!is_status).then(|| format!("{:?}: {}", entry.source, entry.text))
        }
        Event::RuntimeExceptionThrown(event) => Some(format!("{:?}", event.params)),
        Event::RuntimeConsoleAPICalled(event) => Some(format!("{:?}", event.params.args)),
        Event::AuditsIssueAdded(event) => Some(format!("{:?}", event.params.issue)),
        _ => None,
    }
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0\t")
}
