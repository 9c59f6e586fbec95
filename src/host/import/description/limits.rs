//! The sizes that a model file has room for: anything larger is refused before memory is taken for it.

use std::format;
use std::string::ToString;

use super::{Description, InputKind, Problem};
use crate::model::{self, Linear, MAX_BLOCKS, MAX_CHANNELS, MAX_HORIZON, MAX_TOKENS, MAX_WIDTH};

/// Refuses sizes that no model file has.
pub(super) fn check(description: &Description) -> Result<(), Problem> {
    let encoder = &description.encoder;
    within("max_tokens", description.max_tokens.unwrap_or(1), MAX_TOKENS)?;
    within("horizon", description.horizon.unwrap_or(1), MAX_HORIZON)?;
    within("encoder.layers", encoder.layers, MAX_BLOCKS)?;
    within("encoder.width", encoder.width, MAX_WIDTH)?;
    within("encoder.heads", encoder.heads, MAX_WIDTH)?;
    within("encoder.head_width", encoder.head_width.unwrap_or(1), MAX_WIDTH)?;
    within("encoder.hidden", encoder.hidden, Linear::MAX_WIDTH)?;
    if let Some(width) = encoder.head_width.filter(|width| width * encoder.heads > MAX_WIDTH as usize) {
        let heads = encoder.heads;
        let problem = format!("is {width}, of {heads} heads; a model file takes at most {MAX_WIDTH} in all");
        return Err(Problem::Field { field: "encoder.head_width".to_string(), problem });
    }
    let (field, values, window) = match &description.input {
        InputKind::Samples { channels, window, .. } => ("input.channels", *channels, window),
        InputKind::OneHot { symbols, window } => ("input.symbols", *symbols, window),
        InputKind::Tokens { .. } => return Ok(()),
    };
    within(field, values, MAX_CHANNELS)?;
    within("input.window.width", window.width, model::Window::MAX)?;
    within("input.window.stride", window.stride, model::Window::MAX)?;
    let most = Linear::MAX_WIDTH as usize;
    if window.width * values > most {
        let problem = format!(
            "is {}, of {values} values each; a model file takes at most {most} values in a window: make it narrower",
            window.width
        );
        return Err(Problem::Field { field: "input.window.width".to_string(), problem });
    }
    Ok(())
}

fn within(field: &str, value: usize, most: u32) -> Result<(), Problem> {
    if (1..=most as usize).contains(&value) {
        return Ok(());
    }
    let problem = match value {
        0 => "is 0; give at least 1".to_string(),
        _ => format!("is {value}; a model file takes at most {most}"),
    };
    Err(Problem::Field { field: field.to_string(), problem })
}
