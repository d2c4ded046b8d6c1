//! What the text of `src` says of the house: where things may stand, and that nothing leads back to itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// No file of `src` is longer, its unit tests aside.
const MAX_LINES: usize = 250;

/// The files of `src` by their path in it, without their comments and unit tests.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap().to_owned();
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                files.insert(name, text);
            }
        }
    }
    assert!(files.len() > 30, "{files:?}");
    files
}

/// Fails with every line that has one of `signs` in it, outside comments and outside `allowed` places.
fn stands_only_in(allowed: &[&str], signs: &[&str]) {
    let mut found = Vec::new();
    for (file, text) in sources() {
        if allowed.iter().any(|place| file.starts_with(place)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.trim();
            if !code.starts_with("//") && signs.iter().any(|sign| code.contains(sign)) {
                found.push(format!("src/{file}:{}: {code}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "only {allowed:?} may have {signs:?}:\n{}", found.join("\n"));
}

#[test]
fn sql_stands_where_the_tables_are_and_nowhere_else() {
    let signs = ["SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", "SET statement_timeout"];
    stands_only_in(&["accounts/", "sessions/", "database/", "admin/check.rs"], &signs);
}

#[test]
fn html_stands_in_the_pages_and_nowhere_else() {
    stands_only_in(&["pages/"], &["html!", "Response::html", "<html", "<form"]);
}

#[test]
fn one_file_writes_set_cookie() {
    stands_only_in(&["visit.rs"], &["Set-Cookie", "Cookie::build"]);
}

#[test]
fn accounts_and_sessions_see_no_request_and_http_sees_no_user() {
    for (file, text) in sources() {
        let forbidden: &[&str] = match file.split('/').next().unwrap() {
            "accounts" | "sessions" | "database" => &["rouille", "crate::http", "crate::pages"],
            "http" => &["crate::accounts", "crate::sessions", "crate::pages"],
            _ => &[],
        };
        for (number, line) in text.lines().enumerate() {
            let code = line.trim();
            let wrong = forbidden.iter().find(|name| code.contains(*name));
            assert!(code.starts_with("//") || wrong.is_none(), "src/{file}:{}: {code}", number + 1);
        }
    }
}

#[test]
fn no_file_is_too_long_to_be_read_at_once() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "src/{file}:{lines}: more than {MAX_LINES} lines");
    }
}

/// The file of a module: `["http", "read"]` is `http/read.rs`, and `["http"]` is `http/mod.rs`.
fn file_of(module: &[String], files: &BTreeMap<String, String>) -> Option<String> {
    let path = module.iter().collect::<PathBuf>().display().to_string();
    let names = [format!("{path}.rs"), format!("{path}/mod.rs")];
    names.into_iter().find(|name| files.contains_key(name))
}

/// The paths that a file names from `crate` or `super` on, in full: `crate::a::{b, c}` are two.
fn paths_used(file: &str, text: &str) -> Vec<Vec<String>> {
    let parent = Path::new(file.strip_suffix("/mod.rs").unwrap_or(file)).parent().unwrap();
    let parent = parent.display().to_string().replace('/', "::");
    let is_code = |line: &&str| !line.trim().starts_with("//");
    let code = text.lines().filter(is_code).collect::<Vec<_>>().join("\n");
    let code = code.replace("super::", &format!("crate::{parent}::"));
    let mut paths = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let base = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        let group = rest[base.len()..].strip_prefix('{').and_then(|rest| rest.split('}').next());
        let split = |path: &str| -> Vec<String> {
            path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        match group {
            Some(group) => paths
                .extend(group.split(',').map(|name| split(&format!("{base}::{}", name.trim())))),
            None => paths.push(split(base)),
        }
    }
    paths
}

#[test]
fn no_file_leads_back_to_itself_by_what_it_uses() {
    let files = sources();
    let mut uses: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in
        files.iter().filter(|(file, _)| !["lib.rs", "main.rs"].contains(&file.as_str()))
    {
        let targets = paths_used(file, text).into_iter().filter_map(|path| {
            (1..=path.len()).rev().find_map(|length| file_of(&path[..length], &files))
        });
        // A folder's own file and the files beside it are one thing, seen from each other.
        let folder = file.strip_suffix("mod.rs").unwrap_or(file);
        let own = |target: &String| {
            target == file
                || target.starts_with(folder)
                || target.strip_suffix("mod.rs").is_some_and(|parent| file.starts_with(parent))
        };
        uses.insert(file, targets.filter(|target| !own(target)).collect());
    }
    assert!(uses.values().map(BTreeSet::len).sum::<usize>() > 50, "{uses:?}");
    // Take away what uses nothing that is left, until nothing can be taken away.
    while let Some(file) =
        uses.iter().find(|(_, targets)| targets.is_empty()).map(|(file, _)| *file)
    {
        uses.remove(file);
        for targets in uses.values_mut() {
            targets.remove(file);
        }
    }
    // What only leads to a circle is not part of it.
    while let Some(file) =
        uses.keys().find(|file| !uses.values().any(|t| t.contains(**file))).copied()
    {
        uses.remove(file);
    }
    assert!(uses.is_empty(), "these files lead back to themselves: {uses:#?}");
}

/// The number of a requirement: chapter, section, and place in it.
type Requirement = [u32; 3];

/// All from the first to the last, which are of one section.
fn range(first: Requirement, last: Requirement) -> impl Iterator<Item = Requirement> {
    (first[2]..=last[2]).map(move |place| [first[0], first[1], place])
}

/// The requirements that a name such as `asvs_6_5_1_and_6_5_3_to_6_5_5_codes` carries.
fn carried(name: &str) -> Vec<Requirement> {
    let (mut found, mut digits, mut is_range) = (Vec::<Requirement>::new(), Vec::new(), false);
    for word in name.split('_') {
        match word.parse() {
            Ok(digit) => digits.push(digit),
            Err(_) if ["and", "to"].contains(&word) => is_range = word == "to",
            Err(_) => break,
        }
        if let Ok(number) = Requirement::try_from(&digits[..]) {
            let first = found.last().filter(|_| is_range).copied().unwrap_or(number);
            found.extend(range(first, number));
            (digits, is_range) = (Vec::new(), false);
        }
    }
    found
}

#[test]
fn security_md_lists_the_requirements_that_tests_carry_in_their_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut tested) = (vec![root.join("src"), root.join("tests")], BTreeSet::new());
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path).unwrap();
                tested.extend(text.split("fn asvs_").skip(1).flat_map(carried));
            }
        }
    }
    let guide =
        include_str!("../../SECURITY.md").split("`grep -rn asvs_ tests src`):").nth(1).unwrap();
    let list = guide.split("\n\n").next().unwrap().trim().trim_end_matches('.');
    let number = |text: &str| -> Requirement {
        let places: Vec<u32> = text.trim().split('.').map(|n| n.parse().expect(text)).collect();
        places.try_into().expect(text)
    };
    let listed = list.split(',').flat_map(|item| {
        let (from, to) = item.split_once('–').unwrap_or((item, item));
        range(number(from), number(to))
    });
    let listed: BTreeSet<_> = listed.collect();
    let missing: Vec<_> = tested.difference(&listed).collect();
    let untested: Vec<_> = listed.difference(&tested).collect();
    assert!(
        missing.is_empty() && untested.is_empty(),
        "missing: {missing:?}, untested: {untested:?}"
    );
}
