//! The members' folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::support::browser::Browser;
use crate::support::site::{Site, handler, register};
use crate::support::until;

/// How long the page may show the folder as it was.
const FRESH: Duration = Duration::from_secs(1);

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("doorward-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn asvs_3_2_1_members_download_every_plain_file_under_its_right_name() {
    let folder = Folder::new("names");
    let names = [
        ("plain.txt", "plain.txt", "text/plain; charset=utf-8"),
        ("with blanks.pdf", "with blanks.pdf", "application/pdf"),
        ("say \"hi\".txt", "say _hi_.txt", "text/plain; charset=utf-8"),
        ("100%.csv", "100_.csv", "text/csv"),
        ("naïve Übung.txt", "na_ve _bung.txt", "text/plain; charset=utf-8"),
        ("日本.bin", "__.bin", "application/octet-stream"),
        ("a;b=c'd&e?f#g", "a;b=c'd&e?f#g", "application/octet-stream"),
    ];
    for (name, ..) in names {
        fs::write(folder.0.join(name), name).unwrap();
    }
    let site = Site::with(|config| config.files = Some(folder.0.clone()));
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    let secret = register(&mut ada, "Ada", "ada@example.org");
    assert_eq!(secret.texts(".files a").len(), names.len());
    for (name, ascii, content_type) in names {
        let exact = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        let link = secret.attributes(".files a", "href").into_iter().find(|l| l.ends_with(&exact));
        let file = ada.get(&link.expect(name));
        assert_eq!((file.status, file.bytes), (200, name.as_bytes().to_vec()));
        let header = |wanted| file.headers.iter().find(|(n, _)| n == wanted).unwrap().1.as_str();
        let disposition = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{exact}");
        assert_eq!(header("Content-Disposition"), disposition);
        assert!(header("Content-Type").starts_with(content_type), "{name}");
        assert_eq!(header("Cache-Control"), "no-store");
        assert_eq!(header("X-Content-Type-Options"), "nosniff");
        assert_eq!(header("X-Accel-Buffering"), "no", "nginx does not keep it on its disk");
    }
}

#[test]
fn asvs_13_4_3_nothing_but_plain_files_of_the_folder_is_listed_or_given_out() {
    let folder = Folder::new("bounds");
    let outside = Folder::new("outside");
    fs::write(outside.0.join("key"), "secret").unwrap();
    fs::write(folder.0.join("file.txt"), "hello").unwrap();
    fs::write(folder.0.join(".htpasswd"), "secret").unwrap();
    fs::create_dir(folder.0.join("sub")).unwrap();
    fs::write(folder.0.join("sub/inner.txt"), "secret").unwrap();
    symlink(outside.0.join("key"), folder.0.join("link")).unwrap();
    symlink(&outside.0, folder.0.join("linked")).unwrap();
    let site = Site::with(|config| config.files = Some(folder.0.clone()));
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    let secret = register(&mut ada, "Ada", "ada@example.org");
    assert_eq!(secret.texts(".files a"), ["file.txt"]);
    let outside = outside.0.file_name().unwrap().to_str().unwrap();
    for path in [
        ".htpasswd",
        "sub",
        "sub/inner.txt",
        "sub%2Finner.txt",
        "link",
        "linked/key",
        "",
        ".",
        "..",
        "%2e%2e",
        "../file.txt",
        "..%2Ffile.txt",
        "%2Fetc%2Fpasswd",
        "/etc/passwd",
        "file.txt%00",
        "file.txt/",
        "%FF",
        "..%5Cfile.txt",
        "nothing.txt",
        "%252e%252e",
        &format!("..%2F{outside}%2Fkey"),
    ] {
        let page = ada.get(&format!("/download/{path}"));
        assert_eq!(
            (page.status, page.texts("h1")),
            (404, vec!["There is no such page".into()]),
            "{path}"
        );
    }
    assert_eq!(ada.get("/download/file.txt").bytes, b"hello");
    assert_eq!(ada.get("/download/%66ile.txt").bytes, b"hello");
    let stranger = Browser::new(&app).get("/download/file.txt");
    assert_eq!((stranger.status, stranger.bytes.len()), (303, 0));
}

#[test]
fn a_folder_that_vanishes_while_the_server_runs_is_an_empty_list() {
    let folder = Folder::new("vanishing");
    fs::create_dir(folder.0.join("sub")).unwrap();
    fs::write(folder.0.join("sub/file.txt"), "hello").unwrap();
    let site = Site::with(|config| config.files = Some(folder.0.join("sub")));
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    assert_eq!(register(&mut ada, "Ada", "ada@example.org").texts(".files a"), ["file.txt"]);
    fs::remove_dir_all(folder.0.join("sub")).unwrap();
    // The list may be a second old.
    until(|| {
        let page = ada.get("/secret");
        assert_eq!(page.status, 200);
        assert!(!page.html().contains("vanishing"), "the page does not name it");
        page.texts(".files a").is_empty()
    });
    assert_eq!(ada.get("/download/file.txt").status, 404);
}

#[test]
fn the_folder_is_read_once_for_many_requests_and_shown_as_it_is_within_a_second() {
    let folder = Folder::new("changing");
    fs::write(folder.0.join("growing.txt"), "12345").unwrap();
    let site = Site::with(|config| config.files = Some(folder.0.clone()));
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let mut added = 0;
    let is_read_for_each = (0..50).all(|number| {
        fs::write(folder.0.join(format!("{number}.txt")), "").unwrap();
        added += 1;
        ada.get("/secret").texts(".files a").len() == 1 + added
    });
    assert!(!is_read_for_each, "two requests one after the other share what one of them read");
    // No change of the folder itself: none of its names is another.
    fs::write(folder.0.join("growing.txt"), "1234567").unwrap();
    thread::sleep(FRESH);
    let page = ada.get("/secret");
    assert_eq!(page.texts(".files a").len(), 1 + added);
    let has_grown = |line: &String| line.starts_with("growing.txt 7 bytes");
    assert!(page.texts(".files li").iter().any(has_grown));
}

#[test]
fn a_page_that_lists_20_000_files_takes_less_time_than_to_look_at_each() {
    let folder = Folder::new("large");
    for number in 0..20_000 {
        fs::write(folder.0.join(format!("Lecture notes {number} (übung).pdf")), "").unwrap();
    }
    let site = Site::with(|config| config.files = Some(folder.0.clone()));
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let fastest = |work: &mut dyn FnMut()| {
        let time = |_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        };
        (0..20).map(time).min().unwrap()
    };
    let page = fastest(&mut || assert_eq!(ada.get("/secret").status, 200));
    let look = fastest(&mut || {
        let sizes =
            fs::read_dir(&folder.0).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
        assert_eq!(sizes.sum::<u64>(), 0);
    });
    assert!(page < look, "{page:?} for a page, {look:?} for the folder alone");
}

#[test]
fn files_stand_in_the_order_in_which_people_count_with_size_and_day() {
    let folder = Folder::new("order");
    let names = ["Chapter 1.txt", "chapter 2.txt", "Chapter 10.txt", "zebra.txt"];
    for name in names.iter().rev() {
        fs::write(folder.0.join(name), "1").unwrap();
    }
    let site = Site::with(|config| config.files = Some(folder.0.clone()));
    let app = handler(&site.app);
    let page = register(&mut Browser::new(&app), "Ada", "ada@example.org");
    assert_eq!(page.texts(".files a"), names);
    let first = &page.texts(".files .hint")[0];
    assert!(
        first.starts_with("1 byte, 20") && first.len() == "1 byte, 2026-01-01".len(),
        "{first}"
    );
}
