//! The static that can be placed is the weights'.

fixformer::model! {
    pub struct Digits = concat!(env!("FIXFORMER_BROKEN"), "/digits.fxm");
    #[unsafe(link_section = ".dtcm")]
    static ARENA;
}

fn main() {}
