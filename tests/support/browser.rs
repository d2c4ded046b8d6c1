// A browser without a screen: it sends requests straight to a handler, keeps cookies, follows
// redirects when it is told to, and fills forms by the labels that people see.
//
// It needs nothing of doorward but a function from `Request` to `Response`, so it can be copied
// to the tests of any application on rouille. The documentation of the crate includes it, which is
// why this is no doc comment.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;

use cookie::Cookie;
use rouille::{Request, Response};
use scraper::{ElementRef, Html, Selector};

/// Where requests go.
pub type Handler<'a> = &'a dyn Fn(&Request) -> Response;

/// One visitor's browser.
pub struct Browser<'a> {
    handler: Handler<'a>,
    /// Cookies by name.
    pub jar: BTreeMap<String, String>,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
    /// Where the visitor is.
    pub address: SocketAddr,
    /// Whether requests come by https.
    pub https: bool,
}

/// What came back.
pub struct Page {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
}

/// A form as it stands in a page: where it goes, and what is in its fields.
pub struct Form {
    pub action: String,
    pub fields: BTreeMap<String, String>,
    /// The fields' names by their labels.
    labels: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    pub fn new(handler: Handler<'a>) -> Browser<'a> {
        Browser {
            handler,
            jar: BTreeMap::new(),
            headers: vec![("Host".to_owned(), "localhost".to_owned())],
            address: ([203, 0, 113, 7], 50_000).into(),
            https: false,
        }
    }

    pub fn at(mut self, address: &str) -> Browser<'a> {
        self.address = SocketAddr::new(address.parse().unwrap(), 50_000);
        self
    }

    pub fn get(&mut self, path: &str) -> Page {
        self.request("GET", path, &[], Vec::new())
    }

    /// Sends a form that was filled by hand.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body: String =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let content_type = ("Content-Type", "application/x-www-form-urlencoded");
        self.request("POST", path, &[content_type], body.into_bytes())
    }

    /// Sends a form of a page, with what is typed under its labels.
    pub fn submit(&mut self, form: Form, typed: &[(&str, &str)]) -> Page {
        let mut fields = form.fields;
        for (label, value) in typed {
            let name = form.labels.get(*label);
            let name = name.unwrap_or_else(|| panic!("no field is labelled {label:?}"));
            fields.insert(name.clone(), (*value).to_owned());
        }
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        self.post(&form.action, &fields)
    }

    /// Follows redirects until there is a page to look at.
    pub fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..5 {
            if page.status != 303 {
                return page;
            }
            let location = page.header("Location").expect("a redirect has a Location").to_owned();
            // What stands after a # is for the browser alone.
            page = self.get(location.split('#').next().unwrap_or_default());
        }
        panic!("redirected more than five times");
    }

    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Page {
        let mut all = self.headers.clone();
        all.extend(headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        if !self.jar.is_empty() {
            let cookies: Vec<_> = self.jar.iter().map(|(n, v)| format!("{n}={v}")).collect();
            all.push(("Cookie".to_owned(), cookies.join("; ")));
        }
        let new = if self.https { Request::fake_https_from } else { Request::fake_http_from };
        let page = Page::new((self.handler)(&new(self.address, method, path, all, body)));
        for cookie in page.all("Set-Cookie") {
            let cookie = Cookie::parse(cookie).expect("a cookie that can be read");
            if cookie.max_age().is_some_and(cookie::time::SignedDuration::is_zero) {
                self.jar.remove(cookie.name());
            } else {
                self.jar.insert(cookie.name().to_owned(), cookie.value().to_owned());
            }
        }
        page
    }
}

impl Page {
    pub fn new(response: Response) -> Page {
        let headers = response.headers.into_iter();
        let (mut reader, length) = response.data.into_reader_and_size();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert!(length.is_none_or(|length| length == bytes.len()), "a body as long as announced");
        Page {
            status: response.status_code,
            headers: headers.map(|(n, v)| (n.into_owned(), v.into_owned())).collect(),
            bytes,
        }
    }

    pub fn html(&self) -> &str {
        str::from_utf8(&self.bytes).expect("a page in UTF-8")
    }

    /// What is read on the page, without its markup.
    pub fn text(&self) -> String {
        let html = Html::parse_document(self.html());
        let body = html.select(&selector("body")).next().expect("a body");
        body.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The texts of all elements that a CSS selector matches.
    pub fn texts(&self, css: &str) -> Vec<String> {
        let html = Html::parse_document(self.html());
        html.select(&selector(css)).map(|element| element.text().collect()).collect()
    }

    /// An attribute of all elements that a CSS selector matches.
    pub fn attributes(&self, css: &str, name: &str) -> Vec<String> {
        let html = Html::parse_document(self.html());
        html.select(&selector(css)).filter_map(|e| e.attr(name).map(str::to_owned)).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    pub fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{}", String::from_utf8_lossy(&self.bytes));
        self.header("Location").expect("a Location")
    }

    /// The form that goes to `action`, or of several the one whose button says `button`.
    pub fn form(&self, action: &str) -> Form {
        self.form_with(action, "")
    }

    pub fn form_with(&self, action: &str, button: &str) -> Form {
        let html = Html::parse_document(self.html());
        let forms = selector(&format!("form[method=post][action='{action}']"));
        let text = |form: &ElementRef| form.text().collect::<String>();
        let form = html.select(&forms).find(|form| text(form).contains(button));
        let form = form.unwrap_or_else(|| panic!("no form to {action} {button}: {}", self.html()));
        let mut fields = BTreeMap::new();
        for field in form.select(&selector("input, button[name]")) {
            let name = field.attr("name").expect("a field with a name");
            if field.attr("type") != Some("checkbox") {
                let value = field.attr("value").unwrap_or_default();
                fields.insert(name.to_owned(), value.to_owned());
            }
        }
        let mut labels = BTreeMap::new();
        for label in form.select(&selector("label")) {
            let id = label.attr("for").expect("a label for a field");
            let field = form.select(&selector(&format!("[id='{id}']"))).next();
            let field = field.unwrap_or_else(|| panic!("a label for {id}, which is not there"));
            let name = field.attr("name").expect("a field with a name");
            labels.insert(label.text().collect(), name.to_owned());
        }
        Form { action: action.to_owned(), fields, labels }
    }
}

fn selector(css: &str) -> Selector {
    Selector::parse(css).expect("a CSS selector")
}
