//! Writing.

use std::borrow::ToOwned;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::vec::Vec;

use same_file::Handle;
use tempfile::{Builder, NamedTempFile};

use super::kind;

/// A file that is not written. What was there before is as it was, and nothing is left beside it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The operating system refuses it.
    #[error("{}: cannot be written, and is as it was: {problem}{}", path.display(), advice(problem))]
    Failed {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        problem: io::Error,
    },
    /// A folder, a pipe, a socket or a device.
    #[error("{}: cannot be written, and is as it was: it is {found}, no regular file; name a file", path.display())]
    Irregular {
        /// What is no file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A file that the command reads.
    #[error(
        "{}: would be written over, but it is {}, which is read here; name another file", path.display(), input.display()
    )]
    Input {
        /// The file to be written.
        path: PathBuf,
        /// The same file, as it is read.
        input: PathBuf,
    },
    /// A file that the command writes already.
    #[error(
        "{}: would be written twice, as it is {} too; name another file for one of them",
        path.display(), other.display()
    )]
    Twice {
        /// The file to be written.
        path: PathBuf,
        /// The same file, as it is written before.
        other: PathBuf,
    },
}

fn advice(problem: &io::Error) -> &'static str {
    match problem.kind() {
        ErrorKind::NotFound => "; make its folder, or name another file",
        ErrorKind::InvalidInput => "",
        _ => "; check the folder, its permissions and its free space",
    }
}

/// The files of a command: none that it reads is written over, and none is written twice, whatever they are called.
#[derive(Debug, Default)]
pub struct Files {
    read: Vec<PathBuf>,
    written: Vec<Output>,
}

impl Files {
    /// Notes files that are read. One that is not there is no matter: whoever reads it will say so.
    pub fn read(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        self.read.extend(paths);
    }

    /// A file to write. Asked for before there is anything to write, so that nothing is done in vain.
    ///
    /// # Errors
    /// [`WriteError`]: it is one of those that are [read](Files::read) or written, or cannot be written.
    pub fn write(&mut self, path: &Path) -> Result<Output, WriteError> {
        let output = Output::new(path)?;
        if let Some(input) = self.read.iter().find(|input| output.is(input)) {
            return Err(WriteError::Input { path: path.to_owned(), input: input.clone() });
        }
        self.once(output)
    }

    /// A file to write although it is read: only part of it changes.
    ///
    /// # Errors
    /// [`WriteError`]: it is one of those that are written, or cannot be.
    pub fn rewrite(&mut self, path: &Path) -> Result<Output, WriteError> {
        self.once(Output::new(path)?)
    }

    fn once(&mut self, output: Output) -> Result<Output, WriteError> {
        if let Some(Output { path: other, .. }) =
            self.written.iter().find(|other| output.target == other.target || output.is(&other.target))
        {
            return Err(WriteError::Twice { path: output.path, other: other.clone() });
        }
        self.written.push(output.clone());
        Ok(output)
    }
}

/// A file that can be written: a regular one, or none yet. Where it is a link, what that leads to is written.
#[derive(Debug, Clone)]
pub struct Output {
    path: PathBuf,
    target: PathBuf,
}

impl Output {
    fn new(path: &Path) -> Result<Self, WriteError> {
        let failed = |problem| WriteError::Failed { path: path.to_owned(), problem };
        let output = Self { path: path.to_owned(), target: target(path).map_err(failed)? };
        output.part()?;
        Ok(output)
    }

    /// Makes `bytes` the contents of the file. Until all of them are on the disk the file is what it was: they are written to
    /// another one beside it, which then takes its name, its mode and, where the system allows that, its owner.
    ///
    /// # Errors
    /// [`WriteError`] if that fails.
    pub fn write(&self, bytes: &[u8]) -> Result<(), WriteError> {
        let mut part = self.part()?;
        // The mode first: what others may not read they may not read while it is written either.
        let written = keep(&self.target, &part).and_then(|()| {
            part.write_all(bytes)?;
            part.as_file().sync_all()
        });
        let written = written.and_then(|()| part.persist(&self.target).map_err(|failed| failed.error));
        written.map(|_| ()).map_err(|problem| self.failed(problem))
    }

    /// A new file in the same folder, so that renaming it does not copy; it goes if it is not renamed.
    fn part(&self) -> Result<NamedTempFile, WriteError> {
        match fs::metadata(&self.target) {
            Ok(there) if !there.is_file() => {
                let (path, found) = (self.path.clone(), kind(there.file_type()));
                return Err(WriteError::Irregular { path, found });
            }
            // What may not be written may not be replaced, though the folder would allow it.
            Ok(_) => OpenOptions::new().write(true).open(&self.target).map(drop),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
        .map_err(|problem| self.failed(problem))?;
        let mut part = Builder::new();
        part.prefix(".fixformer-").suffix(".part");
        #[cfg(unix)]
        {
            // As any new file: what the mask of the process leaves of it.
            use std::os::unix::fs::PermissionsExt;
            part.permissions(fs::Permissions::from_mode(0o666));
        }
        let folder = self.target.parent().unwrap_or(Path::new(""));
        part.tempfile_in(folder).map_err(|problem| self.failed(problem))
    }

    /// Whether it is the file at `path`, whatever that is called.
    fn is(&self, path: &Path) -> bool {
        // To open a pipe would wait for whoever writes to it.
        let file = |path: &Path| if path.is_file() { Handle::from_path(path).ok() } else { None };
        file(path).is_some_and(|other| file(&self.target) == Some(other))
    }

    fn failed(&self, problem: io::Error) -> WriteError {
        WriteError::Failed { path: self.path.clone(), problem }
    }
}

/// Makes `bytes` the contents of the file at `path`, new or not; see [`Output::write`].
///
/// # Errors
/// [`WriteError`] if that fails, or if what is at `path` is no regular file.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    Output::new(path)?.write(bytes)
}

/// Most links that lead from one to the next.
const MOST_LINKS: usize = 40;

/// What a path leads to, which need not be there; its folder has to be.
fn target(path: &Path) -> io::Result<PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut target = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = folder(&target).join(next),
            Err(_) => {
                let unnamed = || io::Error::new(ErrorKind::InvalidInput, "it is not the name of a file");
                let name = target.file_name().ok_or_else(unnamed)?;
                return Ok(fs::canonicalize(folder(&target))?.join(name));
            }
        }
    }
    let problem = "it is a link that leads to itself; remove it, or name another file";
    Err(io::Error::new(ErrorKind::InvalidInput, problem))
}

/// Gives `part` the mode of the file that it replaces, and its owner where that is allowed.
fn keep(target: &Path, part: &NamedTempFile) -> io::Result<()> {
    let Ok(there) = fs::metadata(target) else { return Ok(()) };
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let own = part.as_file().metadata()?;
        if (own.uid(), own.gid()) != (there.uid(), there.gid()) {
            // Who is not root may keep the group at most.
            let _ = fchown(part.as_file(), Some(there.uid()), Some(there.gid()))
                .or_else(|_| fchown(part.as_file(), None, Some(there.gid())));
        }
    }
    part.as_file().set_permissions(there.permissions())
}
