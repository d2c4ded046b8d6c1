//! `DOORWARD_SECOND_FACTOR=required`, and what the administrator can do.

use doorward::config::SecondFactor;

use super::second_factor::{ADA, begin, set_up, with_second_factor};
use crate::support::browser::Browser;
use crate::support::command::{assert_refused, run};
use crate::support::site::{PASSWORD, Site, handler, log_in, register};
use crate::support::until;

fn strict() -> Site {
    Site::with(|config| config.second_factor = SecondFactor::Required)
}

#[test]
fn asvs_6_3_3_where_it_is_required_a_member_without_one_sees_its_set_up_alone() {
    let site = strict();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    let page = register(&mut ada, "Ada", ADA);
    assert_eq!(page.attributes("section", "aria-labelledby"), ["second-factor"]);
    assert!(page.text().contains("This site requires a second factor"));
    assert_eq!(ada.get("/auth").status, 401);
    for path in ["/", "/download/cheat-sheet.txt", "/login?next=%2Fwiki", "/register", "/password"]
    {
        let page = ada.get(path);
        assert_eq!(page.location(), "/secret", "{path}");
    }
    for path in ["/password", "/sessions/end"] {
        assert_eq!(ada.post(path, &[("session", "others")]).location(), "/secret", "{path}");
    }
    assert_eq!(ada.get("/login?again&next=%2Fsecret").status, 200, "an old login needs it");
    let (_, authenticator) = begin(&mut ada);
    let wrong = ada.post("/second-factor/confirm", &[("code", &authenticator.wrong_code())]);
    assert_eq!(wrong.attributes("section", "aria-labelledby"), ["second-factor"]);

    let done = ada.post("/second-factor/confirm", &[("code", &authenticator.code())]);
    let page = ada.follow(done);
    assert_eq!(page.texts("pre").len(), 1);
    assert!(page.attributes("section", "aria-labelledby").len() > 2, "everything, at once");
    assert_eq!(ada.get("/auth").status, 200);
    assert_eq!(ada.get("/download/cheat-sheet.txt").status, 200);
    ada.post("/second-factor/off", &[]);
    assert_eq!(ada.get("/auth").status, 401);
    assert_eq!(ada.post("/logout", &[]).location(), "/");
    assert_eq!(ada.get("/").status, 200, "a stranger sees what strangers see");
}

#[test]
fn where_it_is_required_a_door_in_front_of_another_site_leads_to_the_set_up_and_not_in_circles() {
    let site = strict();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", ADA);
    let asked = [("X-Original-URI", "/wiki")];
    let denied = ada.request("GET", "/auth", &asked, Vec::new());
    assert_eq!((denied.status, denied.header("Location")), (401, Some("/login?next=%2Fwiki")));
    let led = ada.get("/login?next=%2Fwiki");
    assert_eq!(ada.follow(led).status, 200);
}

#[test]
fn a_member_turns_none_off_for_others() {
    let site = Site::new();
    let app = handler(&site.app);
    let (_, _) = with_second_factor(&app, ADA);
    let mut eve = Browser::new(&app);
    register(&mut eve, "Eve", "eve@example.org");
    eve.post("/second-factor/off", &[("email", ADA)]);
    assert_eq!(site.count("SELECT count(totp_key) FROM users"), 1);
}

#[test]
fn the_administrator_sees_who_has_one_and_turns_it_off() {
    let site = strict();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", ADA);
    register(&mut Browser::new(&app), "Bob", "bob@example.org");
    set_up(&mut ada);
    let user = |arguments: &[&str]| {
        run(&[("DATABASE_URL", &site.url)], &[&["user"], arguments].concat(), "")
    };
    let list = user(&["list"]).out;
    let column = |list: &str| -> Vec<String> {
        list.lines().map(|line| line.rsplit('\t').next().unwrap().to_owned()).collect()
    };
    assert_eq!(column(&list), ["on", "off"]);
    let done = user(&["second-factor", ADA, "off"]);
    assert_eq!((done.status, done.out.as_str()), (0, ""));
    assert!(done.err.contains("turned off the second factor of ada@example.org"), "{done:?}");
    assert_eq!(column(&user(&["list"]).out), ["off", "off"]);
    until(|| ada.get("/auth").status == 401);
    assert_eq!(log_in(&mut Browser::new(&app), ADA, PASSWORD).location(), "/secret");

    assert_refused(&user(&["second-factor", ADA, "off"]), 1, "has no second factor");
    assert_refused(&user(&["second-factor", "eve@example.org", "off"]), 1, "no user has the email");
    assert_refused(&user(&["second-factor", ADA, "on"]), 2, "off");
    assert_refused(&user(&["second-factor", ADA]), 2, "<CHANGE>");
}
