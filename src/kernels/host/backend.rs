//! Which backend this process uses.

use std::env;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// A backend that a host may have, from the portable kernels to what does most at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Backend {
    /// The definition of every kernel.
    Portable,
    /// aarch64.
    Neon,
    /// x86-64 with AVX2.
    Avx2,
    /// x86-64 with AVX-512 and its VNNI.
    Avx512,
}

impl Backend {
    const ALL: [Self; 4] = [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512];

    /// Those that this process may use, the portable kernels first: what the processor has, and with the environment variable
    /// `FIXFORMER_PORTABLE` no others.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|backend| backend.is_allowed())
    }

    /// As [`backend`] gives it, and the environment variable `FIXFORMER_BACKEND`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => super::super::BACKEND,
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    fn is_allowed(self) -> bool {
        self == Self::Portable || self.is_there() && env::var_os("FIXFORMER_PORTABLE").is_none()
    }

    #[cfg(target_arch = "x86_64")]
    fn is_there(self) -> bool {
        use std::is_x86_feature_detected as has;
        let avx2 = has!("avx2") && has!("fma");
        match self {
            Self::Portable => true,
            Self::Neon => false,
            Self::Avx2 => avx2,
            Self::Avx512 => {
                avx2 && [has!("avx512f"), has!("avx512bw"), has!("avx512dq"), has!("avx512vnni")] == [true; 4]
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_there(self) -> bool {
        self == Self::Portable || self == Self::Neon && cfg!(target_arch = "aarch64")
    }

    /// The one that the environment names, if this process may use it, else the last.
    fn best() -> Self {
        let name = env::var_os("FIXFORMER_BACKEND");
        let named = Self::all().find(|backend| name.as_deref().is_some_and(|name| name == backend.name()));
        named.or_else(|| Self::all().last()).unwrap_or(Self::Portable)
    }
}

/// What this process uses: the number of a backend in [`Backend::ALL`], or [`UNKNOWN`].
static CHOSEN: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = u8::MAX;

/// The name of the backend that this process uses.
pub fn backend() -> &'static str {
    chosen().name()
}

/// From now on every thread uses this backend, or again the best that the process may use. The results are the same.
///
/// One that is not among [`Backend::all`] counts as none. The environment variable `FIXFORMER_BACKEND` names another best one.
pub fn choose(backend: Option<Backend>) {
    let allowed = backend.filter(|backend| backend.is_allowed());
    CHOSEN.store(allowed.map_or(UNKNOWN, |backend| backend as u8), Relaxed);
}

/// [`choose`] of the portable kernels or of the best.
pub fn portable_only(only: bool) {
    choose(only.then_some(Backend::Portable));
}

#[inline]
pub(super) fn chosen() -> Backend {
    Backend::ALL.get(usize::from(CHOSEN.load(Relaxed))).copied().unwrap_or_else(find)
}

#[cold]
fn find() -> Backend {
    let found = Backend::best();
    // What another thread has chosen meanwhile holds.
    let chosen = CHOSEN.compare_exchange(UNKNOWN, found as u8, Relaxed, Relaxed);
    let chosen = chosen.map_or_else(|chosen| chosen, |_| found as u8);
    Backend::ALL.get(usize::from(chosen)).copied().unwrap_or(found)
}
