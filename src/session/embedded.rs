//! A model that is part of the firmware.

use super::{ArenaError, Links, Passes, Plan, Session, Stream};
use crate::memory::{Owner, Uncleared};
use crate::model::{Block, Model};

/// A model known at compile time; implemented by [`crate::model!`].
/// Its memory has exactly the size that its plan asks for.
pub trait Embedded: Owner<Whole> + Owner<Streamed> + Owner<InPasses> {
    /// The parsed model.
    const MODEL: Model<'static>;
    /// Its blocks, read by the compiler: the code that reads a file is not linked.
    const BLOCKS: &'static [Block<'static>];
    /// What it needs.
    const PLAN: Plan = Plan::of(&Self::MODEL);
    /// The parts of the engine that it uses; no other is linked.
    const LINKS: Links = Links::of(&Self::MODEL);
}

/// The static memory of an embedded model: exactly as large as the model needs, in `.bss` or wherever the attribute of
/// its `static` puts it. It need not be cleared at start-up: [`Arena::take`] does so.
///
/// A model has one session: where two arenas are made for it, one of them can be taken.
///
/// ```
/// # fixformer::model! { struct Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits.fxm") }
/// #[unsafe(link_section = ".dtcm")] // a section of the linker script, with or without NOLOAD
/// static ARENA: fixformer::Arena<Digits> = fixformer::Arena::new();
///
/// assert!(ARENA.take().is_ok());
/// assert_eq!(ARENA.take().err(), Some(fixformer::ArenaError::Taken));
/// ```
///
/// `Arena<Digits, Streamed>` is that of a [`Stream`]; it does not compile where the model cannot run as one.
///
/// ```compile_fail
/// # fixformer::model! { struct Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits.fxm") }
/// static STREAM: fixformer::Arena<Digits, fixformer::Streamed> = fixformer::Arena::new();
/// let stream = STREAM.take(); // a layer of this model attends to later tokens
/// ```
///
/// `Arena<Digits, InPasses>` is that of [`Passes`], of which the same is true.
///
/// ```compile_fail
/// # fixformer::model! { struct Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits.fxm") }
/// static PASSES: fixformer::Arena<Digits, fixformer::InPasses> = fixformer::Arena::new();
/// let passes = PASSES.take(); // what the exact attention of this model keeps grows with the length
/// ```
pub struct Arena<M: Embedded + Owner<W>, W = Whole>(Uncleared<M, W>);

/// A model runs whole recordings: [`Session`].
#[derive(Clone, Copy, Debug)]
pub struct Whole;

/// A model runs as a stream: [`Stream`].
#[derive(Clone, Copy, Debug)]
pub struct Streamed;

/// A model reads a recording again and again: [`Passes`].
#[derive(Clone, Copy, Debug)]
pub struct InPasses;

/// How a model runs, known when a program is compiled: what another way asks for is not linked.
pub trait Manner: Copy + core::fmt::Debug {
    /// A token at a time, as it comes.
    const STREAMS: bool = false;
    /// The recording is read again and again.
    const PASSES: bool = false;
}

impl Manner for Whole {}

impl Manner for Streamed {
    const STREAMS: bool = true;
}

impl Manner for InPasses {
    const PASSES: bool = true;
}

impl<M: Embedded + Owner<W>, W> Arena<M, W> {
    /// Free.
    #[expect(clippy::new_without_default, reason = "an arena is made in a `static`")]
    pub const fn new() -> Self {
        Self(Uncleared::new())
    }
}

impl<M: Embedded> Arena<M, Streamed> {
    /// The stream, once.
    ///
    /// # Errors
    /// [`ArenaError::Taken`] from the second time on.
    #[inline(never)]
    pub fn take(&'static self) -> Result<Stream<'static>, ArenaError> {
        match self.0.take() {
            Some(memory) => Ok(Stream::embedded::<M>(memory)),
            None => Err(ArenaError::Taken),
        }
    }
}

impl<M: Embedded> Arena<M, InPasses> {
    /// The passes, once.
    ///
    /// # Errors
    /// [`ArenaError::Taken`] from the second time on.
    #[inline(never)]
    pub fn take(&'static self) -> Result<Passes<'static>, ArenaError> {
        match self.0.take() {
            Some(memory) => Ok(Passes::embedded::<M>(memory)),
            None => Err(ArenaError::Taken),
        }
    }
}

impl<M: Embedded> Arena<M> {
    /// The session, once.
    ///
    /// # Errors
    /// [`ArenaError::Taken`] from the second time on.
    // Not inlined and not mapped: a session moved is a session more on the stack.
    #[inline(never)]
    pub fn take(&'static self) -> Result<Session<'static>, ArenaError> {
        match self.0.take() {
            Some(memory) => Ok(Session::embedded::<M>(memory)),
            None => Err(ArenaError::Taken),
        }
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

/// Words of the memory of a stream; none where there is no stream.
#[doc(hidden)]
pub const fn stream_words(model: &Model<'_>) -> usize {
    match Plan::of_stream(model) {
        Ok(plan) => plan.words(),
        Err(_) => 0,
    }
}

/// Words of the memory of passes; none where there are none.
#[doc(hidden)]
pub const fn passes_words(model: &Model<'_>) -> usize {
    match Plan::of_passes(model) {
        Ok(plan) => plan.words(),
        Err(_) => 0,
    }
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
///
/// The attributes of `static WEIGHTS` go to the static that holds the file: so the linker can be told where the weights
/// lie, for instance in external flash. What start-up code does not load, the programmer of the board has to.
///
/// ```
/// fixformer::model! {
///     struct Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits.fxm");
///     #[unsafe(link_section = ".qspi")]
///     static WEIGHTS;
/// }
/// assert_eq!(Digits::CLASSES, 10);
/// ```
#[macro_export]
macro_rules! model {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident = $path:expr $(;)?) => {
        $crate::model! { $(#[$attribute])* $visibility struct $name = $path; static WEIGHTS; }
    };
    (
        $(#[$attribute:meta])* $visibility:vis struct $name:ident = $path:expr;
        $(#[$place:meta])* static WEIGHTS;
    ) => {
        $(#[$attribute])*
        $visibility struct $name;

        #[allow(dead_code)]
        impl $name {
            /// Name given at quantisation.
            $visibility const NAME: &'static str = <Self as $crate::Embedded>::MODEL.name();
            /// Number of classes, or of labels that are yes or no; 0 where the outputs are numbers.
            $visibility const CLASSES: usize = <Self as $crate::Embedded>::MODEL.classes();
            /// Number of scores.
            $visibility const OUTPUTS: usize = <Self as $crate::Embedded>::MODEL.outputs();
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
            $(#[$place])*
            static WEIGHTS: [u32; BYTES.len() / 4] = $crate::session::words(BYTES);
            // The checksum of a large model takes the compiler more steps than the lint expects.
            #[allow(long_running_const_eval)]
            const MODEL: $crate::Model<'static> = match $crate::Model::parse(&WEIGHTS) {
                Ok(model) => model,
                Err(error) => panic!("{}", error.message().as_str()),
            };
            static BLOCKS: [$crate::model::Block<'static>; MODEL.block_count] = $crate::session::blocks(&MODEL);
            static TAKEN: $crate::memory::Taken = $crate::memory::Taken::new();
            static STREAMS: $crate::memory::Taken = $crate::memory::Taken::new();
            impl $crate::memory::Owner<$crate::Streamed> for $name {
                type Memory = [u32; $crate::session::stream_words(&MODEL)];
                const TAKEN: &'static $crate::memory::Taken = &STREAMS;
            }
            static PASSES: $crate::memory::Taken = $crate::memory::Taken::new();
            impl $crate::memory::Owner<$crate::InPasses> for $name {
                type Memory = [u32; $crate::session::passes_words(&MODEL)];
                const TAKEN: &'static $crate::memory::Taken = &PASSES;
            }
            impl $crate::memory::Owner<$crate::session::Whole> for $name {
                type Memory = [u32; $crate::session::Plan::of(&MODEL).words()];
                const TAKEN: &'static $crate::memory::Taken = &TAKEN;
            }
            impl $crate::Embedded for $name {
                const MODEL: $crate::Model<'static> = MODEL;
                const BLOCKS: &'static [$crate::model::Block<'static>] = &BLOCKS;
            }
        };
    };
}
