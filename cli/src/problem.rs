//! What to do where a recording cannot be run.

use fixformer::host::evaluate::Problem;
use fixformer::{InputError, Model};

/// As the end of a message that names the recording and `problem`.
pub(crate) fn remedy(model: &Model<'_>, problem: &Problem) -> String {
    let steps = model.max_input() / model.input.step_values();
    match problem {
        Problem::Input(InputError::TooLong { .. }) => {
            format!("cut the recordings to {steps} steps, or import the model with a larger `max_tokens`")
        }
        Problem::Input(InputError::TooShort { .. } | InputError::Empty) => {
            "remove that recording or pad it".to_owned()
        }
        Problem::Input(InputError::Token { .. }) => {
            "correct the value, or give the data of this model".to_owned()
        }
        Problem::Input(InputError::Channels { .. }) => "give whole steps".to_owned(),
        // A data set that counts its classes from 1 has one too many for the numbers from 0.
        &Problem::Label { label, last } if label == last + 1 => {
            let counted: Vec<String> = (1..=label).map(|class| class.to_string()).collect();
            format!(
                "if the classes count from 1, add `--classes {}`; else correct or remove the label, or give the data of \
                 this model",
                counted.join(",")
            )
        }
        Problem::Label { .. } => "correct or remove the label, or give the data of this model".to_owned(),
        _ => "give the data and the checkpoint of this model".to_owned(),
    }
}
