//! Recordings as text.

use textplots::{Chart, Plot, Shape};

/// What a recording looks like.
#[derive(Clone, Copy)]
pub(crate) enum Look {
    /// A square of grey values.
    Image,
    /// One value over time.
    Signal,
    /// Time from left to right, channels upwards.
    Spectrum,
}

/// Draws one recording as lines of equal width.
pub(crate) fn draw(look: Look, row: &[i16], channels: usize) -> Vec<String> {
    match look {
        Look::Image => {
            let width = row.len().isqrt().max(1);
            shades(row.chunks(width).map(|line| line.iter().map(|&value| value.into()).collect()), 2)
        }
        Look::Signal => signal(row),
        Look::Spectrum => {
            // Two steps and two channels a character, the highest channels on top.
            let steps: Vec<_> = row.chunks(channels * 2).collect();
            let line = |low: usize| {
                let mean = |step: &&[i16]| {
                    let picked = step.chunks(channels).flat_map(|step| step[low..].iter().take(2));
                    let picked: Vec<i32> = picked.map(|&value| value.into()).collect();
                    picked.iter().sum::<i32>() / picked.len().max(1) as i32
                };
                steps.iter().map(mean).collect()
            };
            shades((0..channels).step_by(2).rev().map(line), 1)
        }
    }
}

/// A drawing and what stands above it.
pub(crate) type Captioned = (String, Vec<String>);

/// Columns of a terminal that it takes, with the space in front.
pub(crate) fn width((caption, lines): &Captioned) -> usize {
    2 + lines.iter().chain([caption]).map(|line| line.chars().count()).max().unwrap_or(0)
}

/// Puts drawings next to each other.
pub(crate) fn side_by_side(pictures: &[Captioned]) -> String {
    let height = pictures.iter().map(|(_, lines)| lines.len()).max().unwrap_or(0);
    let mut text = String::new();
    for line in 0..=height {
        let mut row = String::new();
        for picture in pictures {
            let (caption, lines) = picture;
            let word = if line == 0 { Some(caption) } else { lines.get(line - 1) };
            row += &format!("  {:<1$}", word.map_or("", String::as_str), width(picture) - 2);
        }
        text += row.trim_end();
        text.push('\n');
    }
    text
}

fn signal(row: &[i16]) -> Vec<String> {
    let points: Vec<(f32, f32)> = (0_u16..).zip(row).map(|(t, &y)| (t.into(), y.into())).collect();
    let mut chart = Chart::new(70, 28, 0.0, row.len().saturating_sub(1).max(1) as f32);
    let line = Shape::Lines(&points);
    let chart = chart.lineplot(&line);
    chart.figures();
    let frame = chart.frame();
    frame.lines().map(|line| line.to_string()).collect()
}

/// Grey values as characters, `wide` of them each, over the range of the whole picture.
fn shades(lines: impl Iterator<Item = Vec<i32>>, wide: usize) -> Vec<String> {
    const SHADES: [&str; 5] = [" ", "░", "▒", "▓", "█"];
    let lines: Vec<Vec<i32>> = lines.collect();
    let values = || lines.iter().flatten().copied();
    let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let steps = SHADES.len() as i32;
    let shade = |value: i32| SHADES[((value - low) * steps / (high - low + 1)) as usize];
    lines.iter().map(|line| line.iter().map(|&value| shade(value).repeat(wide)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_its_shape() {
        let row: Vec<i16> = (0..64).map(|i| i % 17).collect();
        let picture = draw(Look::Image, &row, 1);
        assert_eq!(picture.len(), 8);
        assert!(picture.iter().all(|line| line.chars().count() == 16));
        assert_eq!(draw(Look::Image, &[0, 0, 0, 16], 1), ["    ", "  ██"]);
    }

    #[test]
    fn a_spectrum_has_its_shape() {
        let picture = draw(Look::Spectrum, &[-3; 20 * 7], 20);
        assert_eq!(picture.len(), 10);
        assert!(picture.iter().all(|line| line.chars().count() == 4));
    }

    #[test]
    fn short_recordings_can_be_drawn() {
        for look in [Look::Image, Look::Signal, Look::Spectrum] {
            draw(look, &[], 1);
            draw(look, &[i16::MAX], 1);
            draw(look, &[i16::MIN, i16::MAX], 2);
        }
    }
}
