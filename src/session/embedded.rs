//! A model that is part of the firmware.

use super::{ArenaError, Plan, Session};
use crate::arena::Once;
use crate::attention::Mechanisms;
use crate::model::{Block, Model};

/// A model known at compile time; implemented by [`crate::model!`].
pub trait Embedded {
    /// Memory of exactly the size its plan asks for.
    type Memory: Words + Send;
    /// The parsed model.
    const MODEL: Model<'static>;
    /// Its blocks, read by the compiler: the code that reads a file is not linked.
    const BLOCKS: &'static [Block<'static>];
    /// What it needs.
    const PLAN: Plan = Plan::of(&Self::MODEL);
    /// The mechanisms of attention that it uses; no other is linked.
    const MECHANISMS: Mechanisms = Mechanisms::of(&Self::MODEL);
}

/// An array of words.
pub trait Words: sealed::Sealed {
    /// Number of words.
    const LENGTH: usize;
    /// All zero.
    const ZERO: Self;
    /// The array as a slice.
    fn words(&mut self) -> &mut [u32];
}

mod sealed {
    pub trait Sealed {}
    impl<const N: usize> Sealed for [u32; N] {}
}

impl<const N: usize> Words for [u32; N] {
    const LENGTH: usize = N;
    const ZERO: Self = [0; N];

    fn words(&mut self) -> &mut [u32] {
        self
    }
}

/// The static memory of an embedded model: exactly as large as the model needs, in `.bss`.
pub struct Arena<M: Embedded>(Once<M::Memory>);

impl<M: Embedded> Arena<M> {
    /// Free.
    #[expect(clippy::new_without_default, reason = "an arena is made in a `static`")]
    pub const fn new() -> Self {
        Self(Once::new(M::Memory::ZERO))
    }

    /// The session, once.
    ///
    /// # Errors
    /// [`ArenaError::Taken`] from the second time on.
    pub fn take(&'static self) -> Result<Session<'static>, ArenaError> {
        self.0.take().map(Session::embedded::<M>).ok_or(ArenaError::Taken)
    }
}

/// The words of a file embedded with `include_bytes!`.
#[doc(hidden)]
pub const fn words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u32; WORDS] {
    assert!(BYTES == 4 * WORDS, "not a whole number of 32-bit words: the model file is truncated");
    let mut words = [0; WORDS];
    let mut i = 0;
    while i < WORDS {
        words[i] = u32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]]);
        i += 1;
    }
    words
}

/// The blocks of a model as an array.
#[doc(hidden)]
pub const fn blocks<const N: usize>(model: &Model<'static>) -> [Block<'static>; N] {
    let mut source = model.blocks();
    let Some(first) = source.take_next() else { panic!("a model has at least one block") };
    let mut blocks = [first; N];
    let mut index = 1;
    while let Some(block) = source.take_next() {
        blocks[index] = block;
        index += 1;
    }
    blocks
}

/// Embeds a model file: a unit struct with the parsed model and the sizes that follow from it.
///
/// A malformed file does not compile, and the error names the fault; an arena that does not fit the RAM
/// does not link.
///
/// ```
/// fixformer::model! {
///     /// Handwritten digits: 64 pixels to 10 classes.
///     pub struct Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits.fxm")
/// }
/// static ARENA: fixformer::Arena<Digits> = fixformer::Arena::new();
///
/// let mut net = ARENA.take().unwrap();
/// let scores = net.run(&[0; 64]).unwrap();
/// assert!(scores.best() < Digits::CLASSES);
/// ```
#[macro_export]
macro_rules! model {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident = $path:expr) => {
        $(#[$attribute])*
        $visibility struct $name;

        #[allow(dead_code)]
        impl $name {
            /// Name given at quantisation.
            $visibility const NAME: &'static str = <Self as $crate::Embedded>::MODEL.name();
            /// Number of classes.
            $visibility const CLASSES: usize = <Self as $crate::Embedded>::MODEL.classes;
            /// Most tokens of a sequence.
            $visibility const MAX_TOKENS: usize = <Self as $crate::Embedded>::MODEL.max_tokens;
            /// Most raw values of a recording.
            $visibility const MAX_INPUT: usize = <Self as $crate::Embedded>::MODEL.max_input();
            /// Bytes of RAM.
            $visibility const ARENA_BYTES: usize = <Self as $crate::Embedded>::PLAN.bytes();
            /// Bytes of flash.
            $visibility const MODEL_BYTES: usize = <Self as $crate::Embedded>::MODEL.bytes();
        }

        const _: () = {
            const BYTES: &[u8; include_bytes!($path).len()] = include_bytes!($path);
            static WORDS: [u32; BYTES.len() / 4] = $crate::session::words(BYTES);
            // The checksum of a large model takes the compiler more steps than the lint expects.
            #[allow(long_running_const_eval)]
            const MODEL: $crate::Model<'static> = match $crate::Model::parse(&WORDS) {
                Ok(model) => model,
                Err(error) => panic!("{}", error.message().as_str()),
            };
            static BLOCKS: [$crate::model::Block<'static>; MODEL.block_count] = $crate::session::blocks(&MODEL);
            impl $crate::Embedded for $name {
                type Memory = [u32; $crate::session::Plan::of(&MODEL).words()];
                const MODEL: $crate::Model<'static> = MODEL;
                const BLOCKS: &'static [$crate::model::Block<'static>] = &BLOCKS;
            }
        };
    };
}
