//! Executed instructions of the kernels and of one head of every mechanism, one line each:
//!
//! `kernel NAME shape L,K,N instructions I macs M`
//! `attention MECHANISM n N d D direction DIRECTION instructions I arena_bytes B`

#![cfg_attr(target_os = "none", no_std, no_main)]

fixformer_boards::entry!(board::main);

#[cfg(target_os = "none")]
mod board {
    use core::convert::Infallible;
    use core::hint::black_box;
    use fixformer::arena::Once;
    use fixformer::attention::{Head, attend, scratch};
    use fixformer::kernels::{Channels, NormParameters, layer_norm, linear};
    use fixformer::model::{
        AttentionKind, BigBird, Epsilon, Favor, FavorInput, Features, Hierarchical, Lsh, Rotations,
    };
    use fixformer::num::Requant;
    use fixformer_boards::{counter, println};

    const MAX_TOKENS: usize = 4096;
    const MAX_WIDTH: usize = 16;
    /// Rows of a block, in the mechanisms that have blocks.
    const BLOCK: usize = 16;
    /// Beyond this length the quadratic mechanism takes the emulator too long.
    const MAX_EXACT: usize = 2048;

    const ROWS: usize = MAX_TOKENS * MAX_WIDTH;
    static QUERIES: Once<[i16; ROWS]> = Once::new([0; ROWS]);
    static KEYS: Once<[i16; ROWS]> = Once::new([0; ROWS]);
    static VALUES: Once<[i16; ROWS]> = Once::new([0; ROWS]);
    static SCRATCH: Once<[u32; 2 * ROWS]> = Once::new([0; 2 * ROWS]);
    static WEIGHTS: Once<[i8; 64 * 256]> = Once::new([0; 64 * 256]);
    /// One random block for each block but the first and the last.
    static PLAN: [i16; MAX_TOKENS / BLOCK - 2] = plan();

    const fn plan() -> [i16; MAX_TOKENS / BLOCK - 2] {
        let mut plan = [0; MAX_TOKENS / BLOCK - 2];
        let mut i = 0;
        while i < plan.len() {
            // Within the first blocks, so that it exists in the shortest sequence too.
            plan[i] = (i * 7 % (256 / BLOCK)) as i16;
            i += 1;
        }
        plan
    }

    /// Random directions of FAVOR+.
    const DIRECTIONS: usize = 64;
    static PROJECTION: [i16; DIRECTIONS * MAX_WIDTH] = pattern();
    /// Rounds of LSH, and most columns of one round's rotation.
    const ROUNDS: usize = 2;
    const COLUMNS: usize = 16;
    static ROTATIONS: [i16; ROUNDS * COLUMNS * MAX_WIDTH] = pattern();

    const fn pattern<const N: usize>() -> [i16; N] {
        let mut values = [0; N];
        let mut source = Source(N as u32);
        let mut i = 0;
        while i < N {
            values[i] = source.next();
            i += 1;
        }
        values
    }

    pub(crate) fn main() -> Result<(), Infallible> {
        let (Some(queries), Some(keys), Some(values), Some(scratch), Some(weights)) =
            (QUERIES.take(), KEYS.take(), VALUES.take(), SCRATCH.take(), WEIGHTS.take())
        else {
            return Ok(());
        };
        kernels(queries, keys, weights);
        let mechanisms = [
            ("exact", AttentionKind::Exact, MAX_EXACT),
            (
                "hierarchical",
                AttentionKind::Hierarchical(Hierarchical { block: BLOCK, bias: &[] }),
                MAX_TOKENS,
            ),
            (
                "bigbird",
                AttentionKind::BigBird(BigBird {
                    block: BLOCK,
                    dense_blocks: 0,
                    random: 1,
                    rows: PLAN.len(),
                    plan: &PLAN,
                }),
                MAX_TOKENS,
            ),
            ("favor", favor(), MAX_TOKENS),
        ];
        for (name, kind, longest) in mechanisms {
            for causal in [false, true] {
                let mut tokens = 256;
                while tokens <= longest {
                    head(name, kind, tokens, causal, [queries, keys, values], scratch);
                    tokens *= 2;
                }
            }
        }
        for causal in [false, true] {
            for tokens in [256, 512, 1024, 2048, 4096] {
                head("lsh", lsh(tokens), tokens, causal, [queries, keys, values], scratch);
            }
        }
        Ok(())
    }

    fn favor() -> AttentionKind<'static> {
        let input = FavorInput {
            projection: Requant { multiplier: 20_000, shift: 6 },
            norm: Requant { multiplier: 20_000, shift: 8 },
            epsilon: 0,
        };
        AttentionKind::Favor(Favor {
            features: Features::Exponential,
            directions: DIRECTIONS,
            projection: &PROJECTION,
            query: input,
            key: input,
            epsilon: Epsilon::Zero,
        })
    }

    /// Two buckets a chunk, in two factors: more tokens, more buckets.
    fn lsh(tokens: usize) -> AttentionKind<'static> {
        let factors: &[i16] = match tokens {
            ..=256 => &[4, 4],
            ..=512 => &[8, 4],
            ..=1024 => &[8, 8],
            ..=2048 => &[16, 8],
            _ => &[16, 16],
        };
        let columns = factors.iter().map(|&factor| factor as usize / 2).sum::<usize>();
        let rotations = ROTATIONS.get(..ROUNDS * columns * MAX_WIDTH).unwrap_or_default();
        AttentionKind::Lsh(Lsh {
            factors,
            rounds: ROUNDS,
            chunk: 2 * BLOCK,
            before: 1,
            after: 0,
            in_bucket: false,
            skip_duplicates: false,
            padding_bucket: true,
            epsilon: 0,
            rotation_heads: 1,
            rotations: Rotations::Int16(rotations),
        })
    }

    fn head(
        name: &str,
        kind: AttentionKind<'_>,
        tokens: usize,
        causal: bool,
        rows: [&mut [i16]; 3],
        memory: &mut [u32],
    ) {
        const WIDTH: usize = MAX_WIDTH;
        let [queries, keys, values] = rows.map(|rows| rows.get_mut(..tokens * WIDTH).unwrap_or_default());
        let mut source = Source(tokens as u32);
        for rows in [&mut *queries, &mut *keys, &mut *values] {
            rows.iter_mut().for_each(|x| *x = source.next());
        }
        let visible = [u16::MAX; MAX_TOKENS / 16];
        let head = Head {
            index: 0,
            width: WIDTH,
            rows: queries,
            keys,
            values,
            visible: visible.get(..tokens / 16).unwrap_or_default(),
            causal,
            scale: Requant { multiplier: 24_000, shift: 13 },
            gain: 2,
        };
        let words = scratch(&kind, tokens, WIDTH, causal);
        let arena_bytes = 3 * 2 * tokens * WIDTH + 4 * words;
        let ((), instructions) = counter::measure(|| attend(black_box(kind), black_box(head), memory));
        let direction = if causal { "causal" } else { "bidirectional" };
        println!(
            "attention {name} n {tokens} d {WIDTH} direction {direction} instructions {instructions} arena_bytes {arena_bytes}"
        );
    }

    fn kernels(x: &mut [i16], out: &mut [i16], weights: &mut [i8]) {
        let mut source = Source(1);
        x.iter_mut().for_each(|x| *x = source.next());
        weights.iter_mut().for_each(|w| *w = source.next() as i8);
        let (bias, multipliers) = ([77_i32; 256], [20_000_i16; 256]);
        for [rows, inputs, outputs] in [[64, 32, 32], [64, 64, 64], [64, 64, 256], [256, 64, 64], [1, 64, 64]]
        {
            let channels = Channels {
                bias: bias.get(..outputs).unwrap_or_default(),
                multipliers: multipliers.get(..outputs).unwrap_or_default(),
                shift: 8,
            };
            let x = x.get(..rows * inputs).unwrap_or_default();
            let weights = weights.get(..outputs * inputs).unwrap_or_default();
            let out = out.get_mut(..rows * outputs).unwrap_or_default();
            let run = || linear(black_box(x), inputs, black_box(weights), channels, black_box(out));
            let ((), instructions) = counter::measure(run);
            let macs = rows * inputs * outputs;
            println!("kernel linear shape {rows},{inputs},{outputs} instructions {instructions} macs {macs}");
        }
        let (gain, bias) = ([16_000_i16; 64], [55_i32; 64]);
        for width in [32, 64] {
            let norm = NormParameters {
                gain: gain.get(..width).unwrap_or_default(),
                bias: bias.get(..width).unwrap_or_default(),
                shift: 13,
                epsilon: 10_737,
            };
            let x = x.get(..width).unwrap_or_default();
            let out = out.get_mut(..width).unwrap_or_default();
            let ((), instructions) = counter::measure(|| layer_norm(black_box(x), norm, black_box(out)));
            println!("kernel layer_norm shape 1,{width},{width} instructions {instructions} macs 0");
        }
    }

    /// Values of about a quarter of the range (xorshift, Marsaglia 2003).
    struct Source(u32);

    impl Source {
        const fn next(&mut self) -> i16 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            (self.0 >> 19) as i16 - 4096
        }
    }
}
