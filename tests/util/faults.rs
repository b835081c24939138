//! System calls of `ves` that fail or answer wrongly: `faults.c`, loaded into the process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::util::Bench;

/// The rules for one process.
pub(crate) struct Faults {
    rules: PathBuf,
}

impl Faults {
    pub(crate) fn new(bench: &Bench) -> Faults {
        let faults = Faults {
            rules: bench.path("faults"),
        };
        faults.set(&[]);
        faults
    }

    /// Replaces the rules; they hold from the next system call on.
    pub(crate) fn set(&self, rules: &[&str]) {
        let new = self.rules.with_extension("new");
        std::fs::write(&new, rules.join("\n") + "\n").unwrap();
        std::fs::rename(&new, &self.rules).unwrap();
    }

    /// Has a process obey the rules.
    pub(crate) fn add_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library());
        command.env("FAULTS", &self.rules);
    }

    /// The calls of fsync and fdatasync so far: which, of what, and the size of that.
    pub(crate) fn syncs(&self) -> Vec<(String, String, u64)> {
        let log = std::fs::read_to_string(self.rules.with_extension("log")).unwrap_or_default();
        let call = |line: &str| {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap().to_owned();
            (word(), word(), word().parse().unwrap_or(0))
        };
        log.lines().map(call).collect()
    }

    /// The random faults so far: which call, how it failed (an errno, or `short`), and on which path.
    pub(crate) fn random(&self) -> Vec<(String, String, PathBuf)> {
        let log = std::fs::read_to_string(self.rules.with_extension("random")).unwrap_or_default();
        let fault = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let mut word = || words.next().unwrap().to_owned();
            (word(), word(), PathBuf::from(word()))
        };
        log.lines().map(fault).collect()
    }
}

fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/util/faults.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let built = folder.join(format!("faults-{}.so", std::process::id()));
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&built, &source])
            .status()
            .unwrap();
        assert!(status.success(), "cc did not build {}", source.display());
        let library = folder.join("faults.so");
        std::fs::rename(&built, &library).unwrap();
        library
    })
}
