//! From which length on a mechanism costs less than exact attention.

use super::row::Row;
use comfy_table::{CellAlignment, Table, presets};

/// Instructions by length, in the order of the length.
type Curve = Vec<(f64, f64)>;

/// A table of both widths and directions; empty without exact attention.
pub(crate) fn report(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    let columns = [("16", "bidirectional"), ("16", "causal"), ("32", "bidirectional"), ("32", "causal")];
    let header = columns.map(|(width, direction)| format!("d {width} {direction}"));
    table.set_header([String::new()].into_iter().chain(header));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut names: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| row.is_attention() && row.name != "exact") {
        if !names.contains(&&*row.name) {
            names.push(&row.name);
        }
    }
    for name in &names {
        let cells = columns.map(|(width, direction)| {
            let [exact, linear] = ["exact", name].map(|name| curve(rows, name, width, direction));
            crossover(&exact, &linear).unwrap_or_default()
        });
        table.add_row([name.to_string()].into_iter().chain(cells));
    }
    match names.is_empty() {
        true => String::new(),
        false => format!("Length from which a mechanism costs less than exact attention:\n{table}\n"),
    }
}

fn curve(rows: &[Row], name: &str, width: &str, direction: &str) -> Curve {
    let wanted = |row: &&Row| {
        let same_width = row.number("d").is_some_and(|d| d.to_string() == width);
        row.is_attention() && row.name == name && same_width && row.text("direction") == direction
    };
    let point = |row: &Row| Some((row.number("n")? as f64, row.number("instructions")? as f64));
    rows.iter().filter(wanted).filter_map(point).collect()
}

/// Between two measured lengths the instructions a token are taken as linear in the length, and so are those of
/// exact attention beyond the last.
fn crossover(exact: &Curve, linear: &Curve) -> Option<String> {
    let &[.., (n, cost), (last, last_cost)] = &exact[..] else { return None };
    let (rate, last_rate) = (cost / n, last_cost / last);
    let exact_rate = |at: f64| match exact.iter().find(|point| point.0 == at) {
        Some((n, cost)) => cost / n,
        None => last_rate + (at - last) * (last_rate - rate) / (last - n),
    };
    let gains: Vec<(f64, f64)> = linear.iter().map(|&(n, cost)| (n, exact_rate(n) - cost / n)).collect();
    let (first, last) = (gains.first()?, gains.last()?);
    if first.1 > 0.0 {
        return Some(format!("{} or less", first.0));
    }
    let pair = gains.windows(2).find(|pair| pair[1].1 > 0.0);
    Some(match pair {
        Some(pair) => {
            let ((n, loss), (next, gain)) = (pair[0], pair[1]);
            format!("{:.0}", (n + (next - n) * loss / (loss - gain)).ceil())
        }
        None => format!("above {}", last.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_interpolated() {
        // 10 n^2 against 3000 n: equal at 300.
        let exact: Curve = [64.0, 128.0, 256.0, 512.0].map(|n| (n, 10.0 * n * n)).into();
        let linear = |cost: f64| -> Curve { exact.iter().map(|&(n, _)| (n, cost * n)).collect() };
        assert_eq!(crossover(&exact, &linear(3000.0)).unwrap(), "300");
        assert_eq!(crossover(&exact, &linear(100.0)).unwrap(), "64 or less");
        assert_eq!(crossover(&exact, &linear(9999.0)).unwrap(), "above 512");
        assert_eq!(crossover(&exact[..3].to_vec(), &linear(3000.0)).unwrap(), "300");
        assert_eq!(crossover(&exact, &vec![]), None);
    }
}
