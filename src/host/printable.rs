//! Text from files, as a terminal may have it: what would move its cursor, change its colours or turn lines round is shown by
//! its number.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::string::String;

/// One line of text: control characters and those that change the direction of writing become `\u001b` and the like, which
/// JSON and TOML read as the character.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_odd)
}

/// Some lines of text: line ends and tabs stay.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| is_odd(character) && !matches!(character, '\n' | '\t'))
}

/// A message of one or more lines: those after the first are indented, so that no name from a file looks like another message.
pub fn printable_message(text: &str) -> String {
    printable_lines(text).replace('\n', "\n  ")
}

/// Writes [lines](printable_lines) to a terminal, or to whatever stands in its place.
#[derive(Debug)]
pub struct Printer<W: Write>(pub W);

impl<W: Write> Write for Printer<W> {
    /// All of `bytes`, which are whole characters.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(printable_lines(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn escaped(text: &str, is_odd: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_odd) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_odd(character) {
            // To a `String` it cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Control characters, line separators, and marks of the direction of writing.
fn is_odd(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn what_moves_the_cursor_is_shown_by_its_number() {
        assert_eq!(printable("weight µ 9.81 m/s² 心拍"), "weight µ 9.81 m/s² 心拍");
        assert_eq!(printable("a\u{1b}[2Jb\rc\nd\u{7f}\u{9b}e"), r"a\u001b[2Jb\u000dc\u000ad\u007f\u009be");
        assert_eq!(printable("abc\u{202e}def\u{2066}"), r"abc\u202edef\u2066");
        assert_eq!(printable_lines("a\tb\nc\u{1b}\u{7}"), "a\tb\nc\\u001b\\u0007");
        assert_eq!(printable_message("error: x\nerror: y\u{7}"), "error: x\n  error: y\\u0007");
    }

    #[test]
    fn json_stays_json() {
        let text = "name\u{1b}\u{7f}\u{9b}\\\u{202e}\n";
        let mut out = Printer(Vec::new());
        writeln!(out, "{}", serde_json::to_string(text).unwrap()).unwrap();
        let printed = String::from_utf8(out.0).unwrap();
        assert!(printed.is_ascii(), "{printed}");
        assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), text);
    }
}
