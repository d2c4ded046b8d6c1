//! What people and programs put into forms.

use std::time::Instant;

use crate::support::browser::Browser;
use crate::support::site::{PASSWORD, Site, handler, log_in, register};

const GOOD: [(&str, &str); 5] = [
    ("first_name", "Ada"),
    ("last_name", "Lovelace"),
    ("email", "ada@example.org"),
    ("password", PASSWORD),
    ("confirm", PASSWORD),
];

fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let new = |name| changes.iter().find(|(field, _)| *field == name).map(|(_, value)| *value);
    GOOD.iter().map(|(name, value)| (*name, new(*name).unwrap_or(value))).collect()
}

#[test]
fn each_bad_field_gets_a_message_beside_it_and_all_but_the_passwords_is_kept() {
    let site = Site::new();
    let app = handler(&site.app);
    let long = "x".repeat(101);
    let long_email = format!("{}@example.org", "x".repeat(250));
    for (field, value, message) in [
        ("first_name", "", "Enter your first name."),
        ("first_name", "   ", "Enter your first name."),
        ("last_name", "", "Enter your last name."),
        ("last_name", &long, "Use at most 100 characters."),
        ("first_name", "A\nda", "Use letters, spaces and punctuation only."),
        ("email", "", "Enter your email address."),
        ("email", "ada", "Enter an email address like ada@example.org."),
        ("email", "ada@", "Enter an email address like ada@example.org."),
        ("email", "@example.org", "Enter an email address like ada@example.org."),
        ("email", "a da@example.org", "Enter an email address like ada@example.org."),
        ("email", "ada@example.org\nBcc: eve", "Enter an email address like ada@example.org."),
        ("email", "Ada <ada@example.org>", "Enter an email address like ada@example.org."),
        ("email", &long_email, "Use an email address of at most 254 characters."),
        ("confirm", "plover quartz 81 lagooN", "The two passwords are not the same."),
    ] {
        let page = Browser::new(&app).post("/register", &with(&[(field, value)]));
        assert_eq!(page.status, 422, "{field} {value:?}");
        assert_eq!(page.texts(&format!("#{field}-error")), [message], "{field} {value:?}");
        assert_eq!(page.texts(".problem").len(), 1, "and nowhere else");
        assert_eq!(page.attributes("[aria-invalid=true]", "name"), [field]);
        let described = page.attributes(&format!("#{field}"), "aria-describedby");
        assert!(described[0].split(' ').any(|id| id == format!("{field}-error")));
        for (name, value) in with(&[(field, value)]).into_iter().take(3) {
            assert_eq!(page.attributes(&format!("#{name}"), "value"), [value.trim()]);
        }
        assert_eq!(page.attributes("[type=password]", "value"), [""; 0]);
    }
    assert_eq!(site.count("SELECT count(*) FROM users"), 0);
}

#[test]
fn asvs_2_2_1_forms_that_no_browser_sends_are_refused() {
    let site = Site::new();
    let app = handler(&site.app);
    let good = form_urlencoded::Serializer::new(String::new()).extend_pairs(GOOD).finish();
    let big = format!("{good}&x={}", "x".repeat(65_536));
    let without = |name: &str| {
        good.split('&').filter(|pair| !pair.starts_with(name)).collect::<Vec<_>>().join("&")
    };
    for (body, status) in [
        (without("first_name="), 400),
        (without("last_name="), 400),
        (without("email="), 400),
        (without("password="), 400),
        (without("confirm="), 400),
        (String::new(), 400),
        (format!("{good}&email=eve%40example.org"), 400),
        (format!("{good}&extra=1&extra=2"), 400),
        (good.replace("Ada", "A%00da"), 400),
        (good.replace("plover", "plo%00ver"), 400),
        (good.replace("Ada", "%FF"), 400),
        (good.replace("Ada", "%C3"), 400),
        (good.replace("Ada", "%ED%A0%80"), 400),
        (big, 413),
        (good, 303),
    ] {
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        let page = Browser::new(&app).request("POST", "/register", &kind, body.clone().into());
        assert_eq!(page.status, status, "{}", &body[..body.len().min(200)]);
    }
    let json = [("Content-Type", "application/json")];
    assert_eq!(Browser::new(&app).request("POST", "/login", &json, b"{}".to_vec()).status, 415);
}

#[test]
fn a_form_of_thousands_of_fields_is_no_work() {
    let site = Site::new();
    let app = handler(&site.app);
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let fastest = |fields: u32| {
        let body = (0..fields).map(|n| format!("{n:05x}")).collect::<Vec<_>>().join("&");
        let times = (0..10).map(|_| {
            let mut eve = Browser::new(&app);
            let begun = Instant::now();
            let page = eve.request("POST", "/login", &kind, body.clone().into());
            assert_eq!(page.status, 400);
            begun.elapsed()
        });
        times.min().unwrap()
    };
    // Twenty times the fields take twenty times the time, not four hundred times.
    let (few, many) = (fastest(500), fastest(10_000));
    assert!(many < 150 * few, "{many:?} instead of {few:?}");
}

#[test]
fn asvs_3_2_2_text_from_people_stays_text() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut eve = Browser::new(&app);
    let name = "<script>alert('\"&amp;')</script>";
    let fields = with(&[("first_name", name), ("last_name", "\"><b onx='"), ("email", "a@b")]);
    eve.post("/register", &fields);
    for path in ["/secret", "/"] {
        let page = eve.get(path);
        assert!(page.text().contains(name), "{path}");
        assert!(page.texts("script, b").is_empty() && !page.html().contains("<script"), "{path}");
    }
    let page =
        Browser::new(&app).post("/register", &with(&[("first_name", "\"><i>"), ("email", "")]));
    assert_eq!(page.attributes("#first_name", "value"), ["\"><i>"]);
    assert!(page.texts("i").is_empty());
}

#[test]
fn asvs_6_2_1_6_2_5_and_6_2_9_passwords_have_8_characters_and_71_bytes_of_any_kind() {
    let site = Site::new();
    let app = handler(&site.app);
    let long = "plover quartz 81 lagoon zither 47 umbra fjord 90 glyph vexed knoll 3 ox";
    assert_eq!(long.len(), 71);
    let accents = "é".repeat(36);
    let longer = format!("{long}!");
    for (n, (password, problem)) in [
        ("zq7#Kv2", Some("Use at least 8 characters.")),
        ("zéüöäßé", Some("Use at least 8 characters.")),
        (&longer, Some("Too long: at most 71 letters; accents and emoji count for more.")),
        (&accents, Some("Too long: at most 71 letters; accents and emoji count for more.")),
        ("zq7#Kv2!p", None),
        (&long[..64], None),
        (long, None),
        ("  plover quartz 81  ", None),
        ("плов кварц лагуна 81", None),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("{n}@example.org");
        let fields = with(&[("email", &email), ("password", password), ("confirm", password)]);
        let page = Browser::new(&app).post("/register", &fields);
        let Some(problem) = problem else {
            assert_eq!(page.status, 303, "{password:?}");
            let mut browser = Browser::new(&app);
            assert_eq!(log_in(&mut browser, &email, password).status, 303, "{password:?}");
            continue;
        };
        assert_eq!(page.status, 422, "{password:?}");
        assert!(page.texts("#password-error")[0].contains(problem), "{password:?}");
    }
    let form = Browser::new(&app).get("/register");
    for field in ["#password", "#confirm"] {
        assert_eq!(form.attributes(field, "minlength"), ["8"]);
        assert_eq!(
            form.attributes(field, "maxlength"),
            ["72"],
            "what is cut is refused, not taken"
        );
    }
}

#[test]
fn asvs_6_2_4_6_2_11_and_2_2_3_easy_passwords_are_refused_with_a_reason() {
    let site = Site::new();
    let app = handler(&site.app);
    for password in [
        "password",
        "12345678",
        "qwertyuiop",
        "iloveyou1",
        "P@ssw0rd1",
        "aaaaaaaaaaaa",
        "abcdefgh",
        "AdaLovelace",
        "ada@example.org",
        "lovelace1",
        "ada.lovelace",
        "example.org",
    ] {
        let fields = with(&[("password", password), ("confirm", password)]);
        let page = Browser::new(&app).post("/register", &fields);
        assert_eq!(page.status, 422, "{password}");
        let why = page.texts("#password-error").concat();
        assert!(why.starts_with("This password is too easy to guess. "), "{password}: {why}");
    }
}

#[test]
fn asvs_6_2_8_a_password_is_compared_exactly_as_typed() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    let mut browser = Browser::new(&app);
    for wrong in [
        format!("{PASSWORD} "),
        format!(" {PASSWORD}"),
        PASSWORD.to_uppercase(),
        PASSWORD.replacen('p', "P", 1),
        PASSWORD[..PASSWORD.len() - 1].to_owned(),
        format!("{PASSWORD}{}", "x".repeat(80)),
        String::new(),
    ] {
        assert_eq!(log_in(&mut browser, "ada@example.org", &wrong).status, 401, "{wrong:?}");
    }
    assert_eq!(log_in(&mut browser, "ada@example.org", PASSWORD).status, 303);
}

#[test]
fn asvs_6_2_6_and_6_2_7_fields_are_masked_and_password_managers_know_them() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut browser = Browser::new(&app);
    for (path, field, kind, autocomplete) in [
        ("/register", "first_name", "text", "given-name"),
        ("/register", "last_name", "text", "family-name"),
        ("/register", "email", "email", "email"),
        ("/register", "password", "password", "new-password"),
        ("/register", "confirm", "password", "new-password"),
        ("/login", "email", "email", "username"),
        ("/login", "password", "password", "current-password"),
    ] {
        let page = browser.get(path);
        let field = format!("input[name={field}][required]");
        assert_eq!(page.attributes(&field, "type"), [kind], "{path} {field}");
        assert_eq!(page.attributes(&field, "autocomplete"), [autocomplete], "{path} {field}");
    }
}
