//! Finds the files that the watch patterns mean, and the folders whose changes can add some.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use super::compressed::State;
use super::identity::Inode;
use crate::config::Sources;
use crate::error::{Error, Result};

/// The compiled watch patterns.
#[derive(Debug)]
pub(crate) struct Discover {
    walks: Vec<Vec<Component>>,
    include: GlobSet,
    exclude: GlobSet,
}

/// One part of a pattern between slashes.
#[derive(Debug)]
enum Component {
    /// Exactly this name.
    Name(OsString),
    /// A name that matches.
    Names(GlobMatcher),
    /// Any number of folders.
    AnyDepth,
}

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Regular files that match, in order of their paths.
    pub(crate) files: Vec<Found>,
    /// Folders in which a matching file could appear.
    pub(crate) folders: BTreeSet<PathBuf>,
    /// Whether a folder of a pattern is missing, so that no watch can tell when it comes.
    pub(crate) is_folder_missing: bool,
    /// Folders and files that could not be looked at, with the reason.
    pub(crate) failures: Vec<(PathBuf, io::Error)>,
}

/// A file that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The path under which it matches; may be a symbolic link.
    pub(crate) path: PathBuf,
    /// What is there now.
    pub(crate) inode: Inode,
    /// How it is now.
    pub(super) state: State,
}

impl Discover {
    /// Compiles the patterns, which are absolute.
    ///
    /// # Errors
    /// [`Error::Usage`] for a pattern that is not a glob.
    pub(crate) fn new(sources: &Sources) -> Result<Discover> {
        let walks = sources.patterns.iter().map(|pattern| components(pattern));
        Ok(Discover {
            walks: walks.collect::<Result<_>>()?,
            include: set(&sources.patterns)?,
            exclude: set(&sources.excludes)?,
        })
    }

    /// Whether there is no pattern at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.walks.is_empty()
    }

    /// The patterns that mean one path each.
    pub(crate) fn plain_paths(&self) -> impl Iterator<Item = PathBuf> {
        let path = |walk: &Vec<Component>| {
            let names = walk.iter().map(|component| match component {
                Component::Name(name) => Some(Path::new(name)),
                _ => None,
            });
            [Some(Path::new("/"))].into_iter().chain(names).collect()
        };
        self.walks.iter().filter_map(path)
    }

    /// Whether the patterns mean that path.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        self.include.is_match(path) && !self.exclude.is_match(path)
    }

    /// Walks the file system. Follows symbolic links to files and to folders that a pattern names;
    /// `**` does not go through links.
    pub(crate) fn scan(&self) -> Scan {
        let mut scan = Scan::default();
        for walk in &self.walks {
            self.walk(Path::new("/"), walk, &mut scan);
        }
        scan.files.sort_by(|left, right| left.path.cmp(&right.path));
        scan.files.dedup_by(|left, right| left.path == right.path);
        scan
    }

    fn walk(&self, folder: &Path, rest: &[Component], scan: &mut Scan) {
        let Some((component, after)) = rest.split_first() else {
            return;
        };
        match component {
            Component::Name(name) if after.is_empty() => {
                note_folder(folder, scan);
                self.file(folder.join(name), scan);
            }
            Component::Name(name) => self.walk(&folder.join(name), after, scan),
            Component::Names(matcher) => {
                for entry in entries(folder, scan) {
                    if matcher.is_match(entry.file_name()) {
                        let path = entry.path();
                        match after {
                            [] => self.file(path, scan),
                            _ if path.is_dir() => self.walk(&path, after, scan),
                            _ => {}
                        }
                    }
                }
            }
            Component::AnyDepth => {
                // `**` at the end means every file below.
                if after.is_empty() {
                    let every = entries(folder, scan);
                    every.iter().for_each(|entry| self.file(entry.path(), scan));
                } else {
                    self.walk(folder, after, scan);
                }
                for entry in entries(folder, scan) {
                    if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        self.walk(&entry.path(), rest, scan);
                    }
                }
            }
        }
    }

    /// What is at `path`; `None` for what is no regular file.
    ///
    /// # Errors
    /// When it is not there, or cannot be looked at.
    pub(crate) fn look_at(path: &Path) -> io::Result<Option<Found>> {
        let metadata = fs::metadata(path)?;
        let found = metadata.is_file().then(|| Found {
            path: path.to_owned(),
            inode: Inode::of(&metadata),
            state: State::of(&metadata),
        });
        Ok(found)
    }

    fn file(&self, path: PathBuf, scan: &mut Scan) {
        if !self.matches(&path) {
            return;
        }
        match Discover::look_at(&path) {
            Ok(found) => scan.files.extend(found),
            // A name that is gone again, or a link to nothing yet.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => scan.failures.push((path, error)),
        }
    }
}

fn note_folder(folder: &Path, scan: &mut Scan) {
    if folder.is_dir() {
        scan.folders.insert(folder.to_owned());
    } else {
        scan.is_folder_missing = true;
    }
}

fn entries(folder: &Path, scan: &mut Scan) -> Vec<DirEntry> {
    match fs::read_dir(folder) {
        Ok(entries) => {
            scan.folders.insert(folder.to_owned());
            entries.filter_map(std::result::Result::ok).collect()
        }
        Err(error) => {
            if error.kind() == ErrorKind::NotFound {
                scan.is_folder_missing = true;
            } else {
                scan.failures.push((folder.to_owned(), error));
            }
            Vec::new()
        }
    }
}

/// Splits an absolute pattern at its slashes. Slashes inside of braces or brackets do not split:
/// such a part is walked at any depth, and the whole pattern decides in the end.
fn components(pattern: &str) -> Result<Vec<Component>> {
    let mut parts = vec![String::new()];
    let mut depth = 0_u32;
    let mut is_escaped = false;
    for character in pattern.chars() {
        let was_escaped = std::mem::replace(&mut is_escaped, false);
        match character {
            _ if was_escaped => {}
            '\\' => is_escaped = true,
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            '/' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    let parts = parts.iter().filter(|part| !part.is_empty());
    parts.map(|part| component(part)).collect()
}

fn component(part: &str) -> Result<Component> {
    if part == "**" || part.contains('/') {
        return Ok(Component::AnyDepth);
    }
    if let Some(name) = plain_name(part) {
        return Ok(Component::Name(name.into()));
    }
    Ok(Component::Names(glob(part)?.compile_matcher()))
}

/// The name that a part of a pattern means, if it is only one.
fn plain_name(part: &str) -> Option<String> {
    let mut name = String::new();
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' | '?' | '[' | '{' => return None,
            '\\' => name.push(characters.next()?),
            _ => name.push(character),
        }
    }
    Some(name)
}

fn set(patterns: &[String]) -> Result<GlobSet> {
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        builder.add(glob(pattern)?);
    }
    builder
        .build()
        .map_err(|error| Error::Usage(error.to_string()))
}

fn glob(pattern: &str) -> Result<globset::Glob> {
    let built = GlobBuilder::new(pattern).literal_separator(true).build();
    built.map_err(|error| Error::Usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path, patterns: &[&str], excludes: &[&str]) -> Vec<String> {
        let absolute = |list: &[&str]| {
            list.iter()
                .map(|pattern| format!("{}/{pattern}", root.display()))
                .collect()
        };
        let sources = Sources {
            patterns: absolute(patterns),
            excludes: absolute(excludes),
            stdin: false,
        };
        let scan = Discover::new(&sources).unwrap().scan();
        let relative = |found: &Found| found.path.strip_prefix(root).unwrap().display().to_string();
        scan.files.iter().map(relative).collect()
    }

    #[test]
    fn patterns_find_what_they_say() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for path in [
            "a.log",
            "b.log",
            "c.txt",
            "x/a.log",
            "x/y/d.log",
            "x/y/d.log.gz",
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), "").unwrap();
        }
        std::os::unix::fs::symlink(root.join("c.txt"), root.join("link.log")).unwrap();
        fs::create_dir(root.join("[1] {z}")).unwrap();
        fs::write(root.join("[1] {z}/e.txt"), "").unwrap();
        let escaped = "\\[1\\] \\{z\\}/*.txt";
        assert_eq!(names(root, &[escaped], &[]), ["[1] {z}/e.txt"]);
        assert_eq!(names(root, &["*.log"], &[]), ["a.log", "b.log", "link.log"]);
        assert_eq!(names(root, &["a.log", "?.log"], &["b*"]), ["a.log"]);
        assert_eq!(names(root, &["x/**/*.log"], &[]), ["x/a.log", "x/y/d.log"]);
        assert_eq!(
            names(root, &["x/**"], &[]),
            ["x/a.log", "x/y/d.log", "x/y/d.log.gz"]
        );
        assert_eq!(names(root, &["*/*/d.log"], &[]), ["x/y/d.log"]);
        assert_eq!(names(root, &["{x/y,z}/*.log"], &[]), ["x/y/d.log"]);
        assert_eq!(names(root, &["x/{a,b}.log"], &[]), ["x/a.log"]);
        assert_eq!(
            names(root, &["**/*.log"], &["x/**"]),
            ["a.log", "b.log", "link.log"]
        );
    }

    #[test]
    fn folders_to_watch_and_missing_ones_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let pattern = format!("{}/later/*.log", dir.path().display());
        let sources = Sources {
            patterns: vec![pattern],
            ..Sources::default()
        };
        let discover = Discover::new(&sources).unwrap();
        assert!(discover.scan().is_folder_missing);
        fs::create_dir(dir.path().join("later")).unwrap();
        let scan = discover.scan();
        assert!(!scan.is_folder_missing && scan.folders.contains(&dir.path().join("later")));
    }
}
