//! Release builds of two revisions in one target folder, so that dependencies are built once. Each
//! pair of programs is copied to a folder of its own, with names of the same length: where a program
//! is must not show in what it costs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::revision::{Repository, Revision};

/// What was built of a revision.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) ves: PathBuf,
    /// Missing in revisions that do not have it.
    pub(crate) kernels: Option<PathBuf>,
}

impl Programs {
    /// The programs in a folder.
    pub(crate) fn beside(ves: &Path) -> Programs {
        let kernels = ves.with_file_name("ves-kernels");
        Programs {
            ves: ves.to_owned(),
            kernels: kernels.exists().then_some(kernels),
        }
    }
}

/// Builds what is compared.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    repository: &'a Repository,
    /// Of cargo.
    target: PathBuf,
    /// Of the gate, inside of it.
    folder: PathBuf,
}

impl Builder<'_> {
    /// A builder that uses the target folder of that repository.
    pub(crate) fn new(repository: &Repository) -> Builder<'_> {
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(target) => repository.root().join(target),
            None => repository.root().join("target"),
        };
        Builder {
            repository,
            folder: target.join("gate"),
            target,
        }
    }

    /// Builds the files as they are.
    ///
    /// # Errors
    /// When cargo fails.
    pub(crate) fn head(&self) -> Result<Programs> {
        eprintln!("building head");
        self.build(self.repository.root(), "head")
    }

    /// Builds a commit, unless that was the last one that was built.
    ///
    /// # Errors
    /// When git or cargo fails.
    pub(crate) fn base(&self, base: &Revision) -> Result<Programs> {
        let folder = self.folder.join("base");
        let (note, made_from) = (folder.join("made-from"), made_from(base)?);
        if fs::read_to_string(&note).is_ok_and(|note| note == made_from) {
            return Ok(Programs::beside(&folder.join("ves")));
        }
        eprintln!("building base, {}", base.commit);
        let tree = self.folder.join("tree");
        self.repository.check_out(&base.commit, &tree)?;
        let built = self.build(&tree, "base");
        self.repository.remove(&tree)?;
        let built = built?;
        fs::write(&note, made_from).with_context(|| format!("write {}", note.display()))?;
        Ok(built)
    }

    /// Builds this program itself, for reftail. Returns where it is.
    ///
    /// # Errors
    /// When cargo fails.
    pub(crate) fn reference(&self) -> Result<PathBuf> {
        eprintln!("building reftail");
        self.cargo(self.repository.root(), &["ves-harness"])?;
        self.keep("ves-harness", "tail")
    }

    /// A copy of the program in the folder named `copy`.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub(crate) fn copy(&self, program: &Path) -> Result<PathBuf> {
        copy(program, &self.folder.join("copy"))
    }

    fn build(&self, sources: &Path, name: &str) -> Result<Programs> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        let has_kernels = sources.join("harness/kernels/Cargo.toml").exists();
        let packages: &[&str] = if has_kernels {
            &["ves", "ves-kernels"]
        } else {
            &["ves"]
        };
        self.cargo(sources, packages)?;
        for package in packages {
            self.keep(package, name)?;
        }
        Ok(Programs::beside(&folder.join("ves")))
    }

    fn cargo(&self, sources: &Path, packages: &[&str]) -> Result<()> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        command
            .args(["build", "--release", "--locked", "--quiet"])
            .current_dir(sources);
        command.env("CARGO_TARGET_DIR", &self.target);
        for package in packages {
            command.args(["--package", package]);
        }
        let status = command.status().context("start cargo")?;
        ensure!(
            status.success(),
            "cargo build in {} failed: {status}",
            sources.display()
        );
        Ok(())
    }

    fn keep(&self, program: &str, name: &str) -> Result<PathBuf> {
        copy(
            &self.target.join("release").join(program),
            &self.folder.join(name),
        )
    }
}

fn copy(program: &Path, folder: &Path) -> Result<PathBuf> {
    let target = folder.join(program.file_name().unwrap_or_default());
    let copied = fs::create_dir_all(folder).and_then(|()| {
        // In a file of its own: the old one may be linked to from elsewhere.
        if target.exists() {
            fs::remove_file(&target)?;
        }
        fs::copy(program, &target)
    });
    copied.with_context(|| format!("copy {} to {}", program.display(), target.display()))?;
    Ok(target)
}

/// What decides about the program: commit, compiler, flags.
fn made_from(base: &Revision) -> Result<String> {
    let compiler = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("start rustc")?;
    let compiler = String::from_utf8_lossy(&compiler.stdout).into_owned();
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    Ok(format!("{}\n{flags}\n{compiler}", base.commit))
}
