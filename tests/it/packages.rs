//! What doorward is built from.

#[test]
fn no_package_that_nobody_maintains_or_that_a_future_rust_rejects_is_built() {
    let lock = include_str!("../../Cargo.lock");
    let names: Vec<_> = lock.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    assert!(names.contains(&"\"rouille\""), "the file is read as it is written");
    for name in ["buf_redux", "safemem", "twoway", "quick-error"] {
        assert!(!names.contains(&format!("{name:?}").as_str()), "{name}");
    }
}
