//! What to do where a recording cannot be run.

use fixformer::host::evaluate::Problem;
use fixformer::model::Positions;
use fixformer::{InputError, Model};

/// As the end of a message that names the recording and `problem`. `may_have_label`: a column may be the label, and nobody said
/// so.
pub(crate) fn remedy(model: &Model<'_>, problem: &Problem, may_have_label: bool) -> String {
    let steps = model.max_input() / model.input.step_values();
    match problem {
        Problem::Input(InputError::TooLong { .. }) => {
            let longer = match model.positions {
                Positions::Learned(_) | Positions::Axial(_) => "train a model with more positions",
                Positions::None | Positions::Sinusoidal(_) => "import the model with a larger `max_tokens`",
            };
            let label = "if its first or last column is the label, say so (`--label first`, `--label last`); if not, ";
            let label = if may_have_label { label } else { "" };
            format!("{label}cut the recordings to {steps} steps, or {longer}")
        }
        Problem::Input(InputError::TooShort { .. } | InputError::Empty) => {
            "remove that recording or pad it".to_owned()
        }
        Problem::Input(InputError::Token { .. }) => {
            "correct the value, or give the data of this model".to_owned()
        }
        Problem::Input(InputError::Channels { .. }) => "give whole steps".to_owned(),
        _ => "give the data and the checkpoint of this model".to_owned(),
    }
}
