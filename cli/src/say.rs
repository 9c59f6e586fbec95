//! What is said beside the result, on stderr.

use std::fmt;

use fixformer::host::printable::printable_message;

/// Says something, as a terminal may have it: there are names from files in it.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    eprintln!("{}", printable_message(&line.to_string()));
}
