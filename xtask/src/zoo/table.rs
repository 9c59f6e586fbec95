//! The table of the zoo in `models/README.md`, and the one of `README.md` that is drawn from it.

use anyhow::{Context, Result};
use std::array;

/// One recipe, as the table says it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) recipe: String,
    pub(crate) tokens: String,
    pub(crate) attention: String,
    pub(crate) parameters: String,
    /// Accuracy of the f64 reference.
    pub(crate) float: String,
    /// Accuracies of the engine, by seed.
    pub(crate) fixed: String,
    pub(crate) arena: String,
    pub(crate) file: String,
    /// Instructions on the Cortex-M4, and the digest.
    pub(crate) device: String,
    /// Instructions on the Cortex-M0+.
    pub(crate) small: String,
    /// What can be had without a transformer.
    pub(crate) baseline: String,
}

/// First cell of the table's head.
const HEAD: &str = "recipe";

impl Row {
    /// Of a line of the table.
    fn read(line: &str) -> Option<Self> {
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").map(str::to_owned);
        let cells: [Option<String>; 11] = array::from_fn(|_| cells.next());
        let [recipe, tokens, attention, parameters, float, fixed, arena, file, device, small, baseline] =
            cells;
        let row = Self {
            recipe: recipe?,
            tokens: tokens?,
            attention: attention?,
            parameters: parameters?,
            float: float?,
            fixed: fixed?,
            arena: arena?,
            file: file?,
            device: device?,
            small: small?,
            baseline: baseline?,
        };
        (row.recipe != HEAD).then_some(row)
    }

    fn line(&self) -> String {
        let cells: [&str; 11] = [
            &self.recipe,
            &self.tokens,
            &self.attention,
            &self.parameters,
            &self.float,
            &self.fixed,
            &self.arena,
            &self.file,
            &self.device,
            &self.small,
            &self.baseline,
        ];
        format!("| {} |", cells.join(" | "))
    }

    /// Accuracy of the engine with the first seed, in percent.
    fn accuracy(&self) -> f64 {
        self.fixed.split([' ', '%']).next().and_then(|first| first.parse().ok()).unwrap_or_default()
    }

    /// Accuracies with the seeds from 1, as `fixed` has them.
    pub(crate) fn other_seeds(&self) -> Vec<String> {
        self.fixed.trim_end_matches(" %").split(" / ").skip(1).map(str::to_owned).collect()
    }

    fn instructions(&self) -> &str {
        self.device.split(',').next().unwrap_or_default()
    }

    /// The kind of attention, of the first layer, as it is written in text.
    fn kind(&self) -> &str {
        match self.attention.split(',').next().unwrap_or_default() {
            "bigbird" => "BigBird",
            "favor" => "FAVOR+",
            "lsh" => "LSH",
            kind => kind,
        }
    }
}

/// The rows of the table of `page`.
pub(crate) fn rows(page: &str) -> Vec<Row> {
    page.lines().filter_map(Row::read).collect()
}

/// `page` with `row` in its table: in the place of the row of that recipe, or in the order of names.
pub(crate) fn with_row(page: &str, row: Row) -> Result<String> {
    let mut rows = rows(page);
    rows.retain(|other| other.recipe != row.recipe);
    rows.push(row);
    rows.sort_by(|a, b| a.recipe.cmp(&b.recipe));
    with_table(page, HEAD, rows.iter().map(Row::line))
}

/// The tasks as `README.md` lists them, by the first part of their recipes' names.
const TASKS: [(&str, &str); 9] = [
    ("digits", "handwritten digits"),
    ("ecg5000", "heartbeats (ECG5000)"),
    ("mitbih", "ventricular beats (MIT-BIH, other people)"),
    ("fsdd", "spoken digits, log-mel"),
    ("fsddraw", "spoken digits, 4,096 raw samples"),
    ("splice60", "splice junctions, 60 bases"),
    ("promoters300", "promoters, 300 bases"),
    ("listops", "ListOps, up to 511 tokens"),
    ("needle", "needle, marks up to 1,500 steps apart"),
];

/// `readme` with the table of tasks as `rows` have it: exact attention beside the linear one that is right most often
/// with the first seed, and of several such the one of the fewest instructions.
pub(crate) fn with_tasks(readme: &str, rows: &[Row]) -> Result<String> {
    let lines = TASKS.iter().filter_map(|(task, title)| {
        let of_task =
            || rows.iter().filter(|row| row.recipe.rsplit_once('-').is_some_and(|name| name.0 == *task));
        let exact = of_task().find(|row| row.kind() == "exact")?;
        let linear = of_task().filter(|row| row.kind() != "exact").min_by(|a, b| {
            let instructions =
                |row: &Row| row.instructions().trim_end_matches(" M").parse::<f64>().unwrap_or(f64::MAX);
            b.accuracy().total_cmp(&a.accuracy()).then(instructions(a).total_cmp(&instructions(b)))
        })?;
        let cells = [
            (*title).to_owned(),
            exact.tokens.clone(),
            exact.fixed.clone(),
            format!("{}, {}", linear.fixed, linear.kind()),
            format!("{}, {}", exact.arena, linear.arena),
            format!("{}, {}", exact.instructions(), linear.instructions()),
            exact.baseline.clone(),
        ];
        Some(format!("| {} |", cells.join(" | ")))
    });
    with_table(readme, "task", lines)
}

/// `page` with `lines` as the body of the first table whose head begins with the cell `head`.
fn with_table(page: &str, head: &str, lines: impl Iterator<Item = String>) -> Result<String> {
    let all: Vec<&str> = page.lines().collect();
    let start = all.iter().position(|line| line.starts_with(&format!("| {head} |")));
    let start = start.with_context(|| format!("the page has no table `{head}`"))? + 2;
    let length = all[start..].iter().take_while(|line| line.starts_with('|')).count();
    let lines = all[..start].iter().map(|line| (*line).to_owned()).chain(lines);
    let lines: Vec<String> =
        lines.chain(all[start + length..].iter().map(|line| (*line).to_owned())).collect();
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::root;
    use std::fs;

    fn row(recipe: &str, attention: &str, fixed: &str, device: &str) -> Row {
        let [recipe, attention, fixed, device] = [recipe, attention, fixed, device].map(str::to_owned);
        Row {
            recipe,
            attention,
            fixed,
            device,
            tokens: "9".to_owned(),
            arena: "8 B".to_owned(),
            ..Row::default()
        }
    }

    #[test]
    fn a_row_takes_its_place() {
        let page = "# Page\n\n| recipe | x |\n|---|---|\n\nmore\n";
        let [b, c, d] = ["b", "c", "d"].map(|name| row(name, "exact", "1 %", ""));
        let page = with_row(&with_row(page, d.clone()).unwrap(), b.clone()).unwrap();
        assert_eq!(rows(&page), [b.clone(), d.clone()]);
        let page = with_row(&page, c.clone()).unwrap();
        assert_eq!(rows(&page), [b.clone(), c.clone(), d.clone()]);
        assert!(page.ends_with("|\n\nmore\n"), "{page}");
        let other = Row { fixed: "2 %".to_owned(), ..c };
        assert_eq!(rows(&with_row(&page, other.clone()).unwrap()), [b, other, d]);
        assert!(with_row("no table", row("a", "exact", "", "")).is_err());
    }

    #[test]
    fn a_task_shows_exact_attention_and_the_best_linear_one() {
        let rows = [
            row("digits-bigbird", "bigbird, bigbird", "91.00 %", "0.1 M, 00"),
            row("digits-exact", "exact", "95.00 / 93.00 %", "2.0 M, 00"),
            row("digits-favor", "favor", "92.00 / 99.00 %", "9.0 M, 00"),
            row("digits-lsh", "lsh", "92.00 / 90.50 %", "7.5 M, 00"),
            row("needle-exact", "exact", "50.00 %", "2.0 M, 00"),
        ];
        let readme = with_tasks("| task | x |\n|---|---|\n| old | 1 |\nmore", &rows).unwrap();
        let line = "| handwritten digits | 9 | 95.00 / 93.00 % | 92.00 / 90.50 %, LSH | 8 B, 8 B | 2.0 M, 7.5 M |  |";
        assert_eq!(readme, format!("| task | x |\n|---|---|\n{line}\nmore\n"));
        assert_eq!(rows[3].other_seeds(), ["90.50"]);
        assert!(rows[0].other_seeds().is_empty());
    }

    #[test]
    fn the_readme_says_what_the_table_of_the_zoo_says() {
        let [readme, zoo] =
            ["README.md", "models/README.md"].map(|page| fs::read_to_string(root().join(page)).unwrap());
        assert_eq!(with_tasks(&readme, &rows(&zoo)).unwrap(), readme);
    }
}
