//! What only some models ask of their layers, as functions: a program links those of its model.

use super::pool::Pool;
use super::{recent, running};
use crate::model::{Input, Model};

type Free = fn(&Input<'_>, &[i16], bool, &mut [i32], &mut [i16]);
type MakeRoom = fn(&Model<'_>, usize, &mut Pool<'_>);
type Add = fn(&Model<'_>, usize, &[i16], &mut Pool<'_>);
type Most = fn(&Model<'_>, &[u32], &mut [i16]);

/// What a model may use, or may not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rare {
    /// [`running::free`], where the channels have running statistics.
    pub(super) free: Option<Free>,
    /// What a stream does that pools a window.
    pub(super) recent: Option<Recent>,
}

/// The functions of [`recent`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent {
    pub(super) make_room: MakeRoom,
    pub(super) add: Add,
    pub(super) most: Most,
}

impl Rare {
    /// Everything, for a model known at run time.
    pub(crate) const ALL: Self = Self {
        free: Some(running::free),
        recent: Some(Recent { make_room: recent::make_room, add: recent::add, most: recent::most }),
    };

    /// What `model` uses.
    pub(crate) const fn of(model: &Model<'_>) -> Self {
        Self {
            free: if model.input.is_running() { Self::ALL.free } else { None },
            recent: if model.pooling.window().is_some() { Self::ALL.recent } else { None },
        }
    }
}
