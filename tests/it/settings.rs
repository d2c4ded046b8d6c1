//! Settings: what is refused and how, where they are found, and where they are documented.

use std::fs;

use crate::site::Site;

#[test]
fn every_migration_in_the_folder_is_compiled_in() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sql");
    let files = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let migrations = files.filter(|name| name.starts_with('V')).count();
    let applied = Site::new().count("SELECT count(*) FROM refinery_schema_history");
    assert_eq!(applied, i64::try_from(migrations).unwrap());
}
