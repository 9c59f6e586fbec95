//! A file cut off in the middle.

fixformer::model! { pub struct Broken = concat!(env!("FIXFORMER_BROKEN"), "/truncated.fxm") }

fn main() {}
