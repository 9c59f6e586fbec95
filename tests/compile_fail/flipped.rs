//! One bit of a weight changed.

fixformer::model! { pub struct Broken = concat!(env!("FIXFORMER_BROKEN"), "/flipped.fxm") }

fn main() {}
