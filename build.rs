//! Tells cargo that what is in `sql/` is compiled in, which it cannot see by itself.

fn main() {
    println!("cargo:rerun-if-changed=sql");
}
