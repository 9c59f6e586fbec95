//! What `classify` prints, understood.

use anyhow::{Context, Result, anyhow};
use std::str::FromStr;

/// One run of `classify`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) classes: Vec<usize>,
    pub(crate) scores: Vec<Vec<i16>>,
    pub(crate) digest: String,
    /// Executed instructions per recording, mean.
    pub(crate) instructions: u64,
    pub(crate) instructions_max: u64,
    pub(crate) arena_bytes: u64,
    pub(crate) stack_bytes: u64,
}

/// The value of `NAME=VALUE` in a line of the firmware.
pub(crate) fn field<'l>(line: &'l str, name: &str) -> Result<&'l str> {
    let found = line.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    found.with_context(|| format!("no field `{name}`: {line}"))
}

/// Reads the lines `row R class C scores S...` and `summary NAME=VALUE...`.
pub(crate) fn read(lines: &[String]) -> Result<Report> {
    let mut report = Report::default();
    for line in lines {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["row", row, "class", class, "scores", ref scores @ ..] => {
                let row: usize = number(row, line)?;
                if row != report.classes.len() {
                    return Err(anyhow!("expected row {}: {line}", report.classes.len()));
                }
                report.classes.push(number(class, line)?);
                let scores = scores.iter().map(|score| number(score, line));
                report.scores.push(scores.collect::<Result<_>>()?);
            }
            ["summary", ref fields @ ..] => {
                let field = |name: &str| {
                    fields
                        .iter()
                        .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
                        .with_context(|| format!("no field `{name}`: {line}"))
                };
                report.digest = field("digest")?.to_string();
                report.instructions = number(field("instructions")?, line)?;
                report.instructions_max = number(field("max")?, line)?;
                report.arena_bytes = number(field("arena")?, line)?;
                report.stack_bytes = number(field("stack")?, line)?;
                return Ok(report);
            }
            _ => return Err(anyhow!("not a line of `classify`: {line}")),
        }
    }
    Err(anyhow!("the firmware printed no summary"))
}

fn number<T: FromStr>(text: &str, line: &str) -> Result<T> {
    text.parse().map_err(|_| anyhow!("`{text}` is not the number expected: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(String::from).collect()
    }

    #[test]
    fn a_run_is_read() {
        let text = "row 0 class 1 scores -5 7\nrow 1 class 0 scores 3 -32768\n\
                    summary rows=2 digest=00ff instructions=10 max=12 arena=400 stack=99";
        let report = read(&lines(text)).unwrap();
        assert_eq!(report.classes, [1, 0]);
        assert_eq!(report.scores, [[-5, 7], [3, -32768]]);
        assert_eq!(report.digest, "00ff");
        assert_eq!((report.instructions, report.instructions_max), (10, 12));
        assert_eq!((report.arena_bytes, report.stack_bytes), (400, 99));
    }

    #[test]
    fn a_broken_run_is_an_error() {
        for text in ["", "row 1 class 0 scores 1", "row 0 class 0 scores 40000", "summary rows=0"] {
            assert!(read(&lines(text)).is_err(), "{text}");
        }
    }
}
