//! README.md, "Run it for real": its blocks are taken out by the name behind the language and used
//! as they stand, with other ports and folders at most.

/// The block of README.md that begins with three backquotes, a language and `name`.
pub fn block(name: &str) -> String {
    let readme = include_str!("../../README.md");
    let mut lines = readme.lines();
    let is_start = |line: &str| line.starts_with("```") && line.split(' ').nth(1) == Some(name);
    lines.find(|line| is_start(line)).unwrap_or_else(|| panic!("README.md has no block {name}"));
    lines.take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect()
}
