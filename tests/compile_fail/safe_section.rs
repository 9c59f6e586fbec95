//! A section is the programmer's promise.

fixformer::model! {
    pub struct Digits = concat!(env!("FIXFORMER_BROKEN"), "/digits.fxm");
    #[link_section = ".qspi"]
    static WEIGHTS;
}

fn main() {}
