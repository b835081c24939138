//! Which commit head is compared with, and what its history says about the comparison. Asks git.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The trailer that lets a slower head pass, with its reason.
const ACCEPTED: &str = "Perf-Accepted";

/// A commit to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revision {
    /// The whole hash.
    pub(crate) commit: String,
    /// Why it is this one.
    pub(crate) why: String,
}

/// A repository with its work tree.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    root: PathBuf,
}

impl Repository {
    /// The repository around `folder`.
    ///
    /// # Errors
    /// When there is none, or no git.
    pub(crate) fn around(folder: &Path) -> Result<Repository> {
        let root = git(folder, &["rev-parse", "--show-toplevel"])?;
        let root = root.with_context(|| {
            format!(
                "{} is in no git repository; run the gate in a clone of VES, or compare two programs \
                 with --base-bin and --head-bin",
                folder.display()
            )
        })?;
        Ok(Repository { root: root.into() })
    }

    /// The top folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// HEAD, and whether files differ from it.
    ///
    /// # Errors
    /// When git fails, and when there is no commit.
    pub(crate) fn head(&self) -> Result<(String, bool)> {
        let commit = self
            .commit("HEAD")?
            .context("the repository has no commit")?;
        let changes = self.git(&["status", "--porcelain", "--untracked-files=no"])?;
        Ok((commit, changes.is_some_and(|changes| !changes.is_empty())))
    }

    /// The commit to compare with; none in the first commit and in a shallow clone.
    ///
    /// # Errors
    /// When git fails, and when there is no such commit as was asked for.
    pub(crate) fn base(&self, wanted: Option<&str>) -> Result<Option<Revision>> {
        if let Some(wanted) = wanted {
            let Some(commit) = self.commit(wanted)? else {
                bail!("--base {wanted}: no such commit is in this clone");
            };
            let why = format!("--base {wanted}");
            return Ok(Some(Revision { commit, why }));
        }
        let (head, is_changed) = self.head()?;
        let fork = self.git(&["merge-base", "HEAD", "origin/main"])?;
        if let Some(commit) = fork.filter(|fork| *fork != head) {
            let why = "where this branch left origin/main".to_owned();
            return Ok(Some(Revision { commit, why }));
        }
        if is_changed {
            let why = "HEAD, as files were changed".to_owned();
            return Ok(Some(Revision { commit: head, why }));
        }
        let parent = self.commit("HEAD~1")?;
        let why = "the commit before HEAD".to_owned();
        Ok(parent.map(|commit| Revision { commit, why }))
    }

    /// The reason that a commit after `base` (or HEAD, without one) gives for being slower.
    ///
    /// # Errors
    /// When git fails.
    pub(crate) fn accepted(&self, base: Option<&str>) -> Result<Option<String>> {
        let format = format!("--format=%(trailers:key={ACCEPTED},valueonly)");
        let commits = base.map_or_else(|| "HEAD".to_owned(), |base| format!("{base}..HEAD"));
        let mut arguments = vec!["log", &format, &commits];
        if base.is_none() {
            arguments.insert(1, "-1");
        }
        let reasons = self.git(&arguments)?.unwrap_or_default();
        let reason = reasons.lines().map(str::trim).find(|line| !line.is_empty());
        Ok(reason.map(str::to_owned))
    }

    /// Puts the files of a commit into `folder`, which is made anew.
    ///
    /// # Errors
    /// When git fails.
    pub(crate) fn check_out(&self, commit: &str, folder: &Path) -> Result<()> {
        self.remove(folder)?;
        let text = folder.to_string_lossy();
        let added = self.git(&["worktree", "add", "--quiet", "--detach", &text, commit])?;
        added.with_context(|| format!("cannot check out {commit} in {text}"))?;
        Ok(())
    }

    /// Removes what [`Self::check_out`] made, also by a gate that was killed.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn remove(&self, folder: &Path) -> Result<()> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)
                .with_context(|| format!("remove {}", folder.display()))?;
        }
        self.git(&["worktree", "prune"])?;
        Ok(())
    }

    fn commit(&self, name: &str) -> Result<Option<String>> {
        let name = format!("{name}^{{commit}}");
        self.git(&[
            "rev-parse",
            "--quiet",
            "--verify",
            "--end-of-options",
            &name,
        ])
    }

    fn git(&self, arguments: &[&str]) -> Result<Option<String>> {
        git(&self.root, arguments)
    }
}

/// What git prints; nothing when it says no.
fn git(folder: &Path, arguments: &[&str]) -> Result<Option<String>> {
    let mut command = Command::new("git");
    // As set by git for its hooks: they would point to the repository that is pushed from.
    command
        .env_remove("GIT_DIR")
        .env_remove("GIT_INDEX_FILE")
        .env_remove("GIT_WORK_TREE");
    let output = command
        .current_dir(folder)
        .args(arguments)
        .output()
        .context("start git")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success().then(|| text.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch {
        folder: tempfile::TempDir,
    }

    impl Scratch {
        fn new() -> Scratch {
            let folder = tempfile::tempdir().unwrap();
            let scratch = Scratch { folder };
            scratch.run(&["init", "--quiet", "--initial-branch=main"]);
            scratch.commit("first");
            scratch
        }

        fn run(&self, arguments: &[&str]) -> String {
            let identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
            let arguments = [&identity[..], arguments].concat();
            git(self.folder.path(), &arguments).unwrap().unwrap()
        }

        fn commit(&self, message: &str) -> String {
            std::fs::write(self.folder.path().join("file"), message).unwrap();
            self.run(&["add", "file"]);
            self.run(&["commit", "--quiet", "--message", message]);
            self.run(&["rev-parse", "HEAD"])
        }

        fn repository(&self) -> Repository {
            Repository::around(self.folder.path()).unwrap()
        }

        fn base(&self) -> Option<String> {
            self.repository()
                .base(None)
                .unwrap()
                .map(|base| base.commit)
        }
    }

    #[test]
    fn the_base_is_what_the_change_is_against() {
        let scratch = Scratch::new();
        let first = scratch.run(&["rev-parse", "HEAD"]);
        assert_eq!(scratch.base(), None);
        let second = scratch.commit("second");
        assert_eq!(scratch.base(), Some(first.clone()));
        // Files that differ from HEAD are what is judged.
        std::fs::write(scratch.folder.path().join("file"), "changed").unwrap();
        assert_eq!(scratch.base(), Some(second));
        // A branch is judged as a whole.
        scratch.commit("third");
        scratch.run(&["update-ref", "refs/remotes/origin/main", &first]);
        assert_eq!(scratch.base(), Some(first.clone()));
        let wanted = scratch.repository().base(Some("HEAD~1")).unwrap().unwrap();
        assert_eq!(wanted.commit, scratch.run(&["rev-parse", "HEAD~1"]));
        let refused = scratch.repository().base(Some("nothing")).unwrap_err();
        assert!(refused.to_string().contains("--base nothing"), "{refused}");
    }

    #[test]
    fn a_shallow_clone_has_no_base() {
        let scratch = Scratch::new();
        scratch.commit("second");
        let clone = tempfile::tempdir().unwrap();
        let source = format!("file://{}", scratch.folder.path().display());
        let target = clone.path().to_string_lossy();
        scratch.run(&["clone", "--quiet", "--depth=1", &source, &target]);
        let repository = Repository::around(clone.path()).unwrap();
        assert_eq!(repository.base(None).unwrap(), None);
    }

    #[test]
    fn a_trailer_accepts_what_it_gives_a_reason_for() {
        let scratch = Scratch::new();
        let first = scratch.run(&["rev-parse", "HEAD"]);
        scratch.commit("Check more\n\nIt has to.\n\nPerf-Accepted: safety of tail windows\n");
        let third = scratch.commit("third");
        let accepted = |base| scratch.repository().accepted(base).unwrap();
        assert_eq!(
            accepted(Some(&*first)),
            Some("safety of tail windows".to_owned())
        );
        assert_eq!(accepted(Some(&*third)), None);
        assert_eq!(accepted(None), None);
    }

    #[test]
    fn a_commit_is_checked_out_again_and_again() {
        let scratch = Scratch::new();
        let first = scratch.run(&["rev-parse", "HEAD"]);
        scratch.commit("second");
        let (repository, tree) = (scratch.repository(), scratch.folder.path().join("tree"));
        // The second time as after a gate that was killed.
        for _ in 0..2 {
            repository.check_out(&first, &tree).unwrap();
            assert_eq!(std::fs::read_to_string(tree.join("file")).unwrap(), "first");
        }
        repository.remove(&tree).unwrap();
        assert_eq!(scratch.run(&["worktree", "list"]).lines().count(), 1);
    }
}
