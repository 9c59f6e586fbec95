//! The JSON text of a golden file's `meta`: one object, of which the plain values matter.

use std::collections::HashMap;
use std::format;
use std::path::Path;
use std::string::String;

use super::GoldenError;

/// A value of the object.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    Flag(bool),
    Number(f64),
    Text(String),
    /// An object or a list: where the case came from, nothing that it means.
    Nested,
}

/// The parameters of a case.
#[derive(Debug)]
pub(super) struct Meta<'a> {
    path: &'a Path,
    values: HashMap<String, Value>,
}

impl<'a> Meta<'a> {
    pub(super) fn parse(path: &'a Path, text: &str) -> Result<Meta<'a>, GoldenError> {
        let mut reader = Reader { text, at: 0 };
        match reader.object() {
            Some(values) if reader.peek().is_none() => Ok(Meta { path, values }),
            _ => {
                let problem = format!("is not a JSON object (column {})", reader.at + 1);
                Err(GoldenError::field(path, "meta", problem))
            }
        }
    }

    /// A text; null counts as absent.
    pub(super) fn text(&self, field: &str) -> Result<Option<&str>, GoldenError> {
        match self.values.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.problem(field, "is not a text")),
        }
    }

    /// A number; null counts as absent.
    pub(super) fn number(&self, field: &str) -> Result<Option<f64>, GoldenError> {
        match self.values.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => Ok(Some(*number)),
            Some(_) => Err(self.problem(field, "is not a number")),
        }
    }

    /// A whole number that has to be there.
    pub(super) fn count(&self, field: &str) -> Result<usize, GoldenError> {
        match self.number(field)? {
            Some(x) if x >= 1.0 && x.fract() == 0.0 && x < 1e9 => Ok(x as usize),
            Some(x) => Err(self.problem(field, &format!("is {x}, not a whole number above 0"))),
            None => Err(self.problem(field, "is missing")),
        }
    }

    /// A flag; null counts as absent.
    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, GoldenError> {
        match self.values.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Flag(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.problem(field, "is neither true nor false")),
        }
    }

    pub(super) fn problem(&self, field: &str, problem: &str) -> GoldenError {
        GoldenError::field(self.path, &format!("meta.{field}"), problem)
    }
}

/// Reads JSON from the left; `None` where it is none.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// The next character that is no space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, expected: u8) -> Option<()> {
        (self.peek()? == expected).then(|| self.at += 1)
    }

    fn object(&mut self) -> Option<HashMap<String, Value>> {
        let mut values = HashMap::new();
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(values);
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            values.insert(key, self.value()?);
            if self.take(b',').is_none() {
                self.take(b'}')?;
                return Some(values);
            }
        }
    }

    fn value(&mut self) -> Option<Value> {
        match self.peek()? {
            b'{' => self.object().map(|_| Value::Nested),
            b'[' => self.list(),
            b'"' => self.string().map(Value::Text),
            _ => self.word(),
        }
    }

    fn list(&mut self) -> Option<Value> {
        self.take(b'[')?;
        if self.take(b']').is_some() {
            return Some(Value::Nested);
        }
        loop {
            self.value()?;
            if self.take(b',').is_none() {
                self.take(b']')?;
                return Some(Value::Nested);
            }
        }
    }

    /// A number or one of the three names.
    fn word(&mut self) -> Option<Value> {
        let rest = &self.text[self.at..];
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(rest.len());
        self.at += end;
        match &rest[..end] {
            "null" => Some(Value::Null),
            "true" => Some(Value::Flag(true)),
            "false" => Some(Value::Flag(false)),
            number => number.parse().ok().map(Value::Number),
        }
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut string = String::new();
        let mut characters = self.text[self.at..].char_indices();
        while let Some((place, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += place + 1;
                    return Some(string);
                }
                // No parameter has an escape in it: the character stands for itself.
                '\\' => string.push(characters.next()?.1),
                other => string.push(other),
            }
        }
        None
    }
}
