//! A file of another format version.

fixformer::model! { pub struct Broken = concat!(env!("FIXFORMER_BROKEN"), "/version.fxm") }

fn main() {}
