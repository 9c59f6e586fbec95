//! A file that is something else.

fixformer::model! { pub struct Broken = concat!(env!("FIXFORMER_BROKEN"), "/not_a_model.fxm") }

fn main() {}
