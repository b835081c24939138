//! `scripts/install.sh` and the archive that it installs. The first test has the built program in it;
//! the others install a small script in its place.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/http_server.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the unit tests of the sink"
)]
mod http_server;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use http_server::{HttpServer, Reply};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const ARCHIVE: &str = "ves-x86_64-linux.tar.gz";

/// A folder with a release, and a prefix to install it to that is not there yet.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Site {
        let site = Site {
            folder: tempfile::tempdir().unwrap(),
        };
        // For the tests that run the script as another user.
        fs::set_permissions(site.folder.path(), Permissions::from_mode(0o755)).unwrap();
        let script = Path::new(ROOT).join("scripts/install.sh");
        fs::copy(script, site.path("install.sh")).unwrap();
        site
    }

    /// With a release of a program that says no more than its version.
    fn with_release(version: &str) -> Site {
        let site = Site::new();
        site.release(&format!("#!/bin/sh\necho ves {version}\n"), &[]);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn prefix(&self) -> PathBuf {
        self.path("prefix")
    }

    fn archive(&self) -> PathBuf {
        self.path("release").join(ARCHIVE)
    }

    /// Makes a release of this program, the usual files and `more` of them.
    fn release(&self, program: &str, more: &[&str]) {
        let tree = self.path("ves-0.0.1-x86_64-linux");
        let unit = "lib/systemd/system/ves@.service";
        for (path, text) in [
            ("bin/ves", program),
            (unit, "ExecStart=/usr/bin/ves collect\n"),
        ]
        .into_iter()
        .chain(["share/man/man1/ves.1", "share/doc/ves/README.md"].map(|path| (path, "text")))
        .chain(more.iter().map(|path| (*path, "more")))
        {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::set_permissions(tree.join("bin/ves"), Permissions::from_mode(0o755)).unwrap();
        symlink("ves", tree.join("bin/ves-log-collector")).unwrap();
        let pack = "mkdir -p release && tar -czf release/$0 ves-*-linux && rm -r ves-*-linux \
                    && cd release && sha256sum $0 >SHA256SUMS";
        let mut shell = Command::new("sh");
        run(shell.args(["-ec", pack, ARCHIVE]).current_dir(&self.folder));
    }

    /// The script with these arguments and an environment of its own.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.arg(self.path("install.sh")).args(args).env_clear();
        command.env("PATH", "/usr/bin:/bin");
        command.env("HOME", self.folder.path());
        command.env("TMPDIR", self.folder.path());
        command
    }

    /// The script with the prefix of this site.
    fn script(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.arg("--prefix").arg(self.prefix());
        command
    }

    fn install(&self) -> Output {
        self.script(&["--archive", self.archive().to_str().unwrap()])
            .output()
            .unwrap()
    }

    /// Serves the release as a forge would.
    fn serve(&self) -> HttpServer {
        let server = HttpServer::start();
        server.always(Reply::Status(404));
        let sums = fs::read(self.path("release/SHA256SUMS")).unwrap();
        let archive = fs::read(self.archive()).unwrap();
        server.then([sums, archive].map(|body| Reply::with_body(200, body)));
        server
    }

    /// Everything below the prefix, files with their content.
    fn installed(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        list(&self.prefix(), &self.prefix(), &mut found);
        found.sort();
        found
    }

    /// Whether only what the test made is in the folder: nothing is left of the work of the script.
    fn is_tidy(&self) -> bool {
        let mut names = fs::read_dir(&self.folder).unwrap();
        !names.any(|entry| {
            let name = entry.unwrap().file_name();
            name.to_string_lossy().starts_with("ves-install")
        })
    }
}

fn list(prefix: &Path, folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let content = if path.is_dir() {
            list(prefix, &path, found);
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        let name = path.strip_prefix(prefix).unwrap().to_str().unwrap();
        found.push((name.to_owned(), content));
    }
}

/// Runs a command that is to succeed; what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts that the script failed with an error that says all of this.
fn assert_fails(output: &Output, texts: &[&str]) {
    let said = said(output);
    assert!(!output.status.success(), "{said}");
    for text in texts {
        assert!(said.contains(text), "no {text:?} in: {said}");
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes a program of this name that prints `text`, ahead of all others in PATH.
fn pretend(site: &Site, command: &mut Command, name: &str, text: &str) {
    let folder = site.path("pretended");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\necho {text}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
}

/// The example that writes man pages and completions; `cargo test --test` does not build it.
fn pages_program() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_ves")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--workspace"]);
    cargo.args(["--example", "pages"]).current_dir(ROOT);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    // ring is built anew when these differ from those of the outer cargo.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    run(&mut cargo);
    folder.join("examples/pages")
}

/// The archive as `scripts/release` makes it, with the program of this build.
#[test]
fn a_release_is_downloaded_runs_and_leaves_nothing_behind() {
    let site = Site::new();
    // Debugging information would be most of the archive.
    let program = site.path("ves");
    let mut strip = Command::new("strip");
    run(strip.arg("-o").arg(&program).arg(env!("CARGO_BIN_EXE_ves")));
    run(Command::new(pages_program()).arg(site.path("pages")));
    let mut assemble = Command::new(Path::new(ROOT).join("scripts/package/assemble"));
    assemble.args([&program, &site.path("pages")]).arg("x86_64");
    run(assemble
        .arg(site.path("release"))
        .env("SOURCE_DATE_EPOCH", "0"));

    let server = site.serve();
    let url = format!("{}/", server.url("/latest/download"));
    let told = run(site.script(&[]).env("VES_DOWNLOAD_URL", &url));
    let version = format!("ves {}", env!("CARGO_PKG_VERSION"));
    assert!(told.contains(&version), "{told}");
    let asked: Vec<String> = server.requests().into_iter().map(|one| one.line).collect();
    let archive = format!("GET /latest/download/{ARCHIVE} HTTP/1.1");
    let sums = "GET /latest/download/SHA256SUMS HTTP/1.1".to_owned();
    assert_eq!(asked, [sums, archive]);

    let prefix = site.prefix();
    let link = prefix.join("bin/ves-log-collector");
    assert_eq!(
        fs::read_link(&link).unwrap().to_str(),
        Some("ves"),
        "the other name"
    );
    assert_eq!(
        run(Command::new(&link).arg("--version")),
        format!("{version}\n")
    );
    let mut bench = Command::new(&link);
    bench.args([
        "bench",
        "--duration",
        "100ms",
        "--lines",
        "20000",
        "--folder",
    ]);
    assert!(run(bench.arg(site.folder.path())).contains("lines"));
    // Help is in the words that the user typed.
    let wrong = Command::new(&link)
        .args(["collect", "--wat"])
        .output()
        .unwrap();
    assert_fails(&wrong, &["Usage: ves-log-collector collect"]);
    for path in [
        "share/man/man1/ves.1",
        "share/man/man1/ves-collect.1",
        "share/man/man1/ves-log-collector.1",
        "share/bash-completion/completions/ves",
        "share/zsh/site-functions/_ves",
        "share/fish/vendor_completions.d/ves.fish",
        "share/doc/ves/LICENSE-MIT",
        "share/doc/ves/THIRD-PARTY-LICENCES.txt",
        "share/doc/ves/examples/nginx-to-file.toml",
    ] {
        let text = fs::read_to_string(prefix.join(path)).unwrap();
        assert!(text.to_lowercase().contains("ves"), "{path}");
    }
    let mut bash = Command::new("bash");
    let complete = ". $0; COMP_WORDS=(ves collect --wat); COMP_CWORD=2; _ves ves --wat collect; \
                    echo ${COMPREPLY[@]}";
    bash.args(["-c", complete])
        .arg(prefix.join("share/bash-completion/completions/ves"));
    assert!(run(&mut bash).contains("--watch"));

    run(&mut site.script(&["--uninstall"]));
    assert!(!prefix.exists(), "{:?}", site.installed());
    assert!(site.is_tidy());
}

#[test]
fn an_archive_is_the_same_to_the_byte_when_it_is_made_again() {
    let site = Site::new();
    let program = site.path("program");
    fs::write(&program, "#!/bin/sh\necho ves 0.0.1\n").unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
    let mut archives = Vec::new();
    for (name, mask) in [("one", "022"), ("two", "077")] {
        let page = site.path(name).join("share/man/man1/ves.1");
        fs::create_dir_all(page.parent().unwrap()).unwrap();
        fs::write(&page, "text").unwrap();
        let mut shell = Command::new("sh");
        let assemble = format!("umask {mask}; {ROOT}/scripts/package/assemble \"$@\"");
        shell.args(["-ec", &assemble, "sh"]).arg(&program);
        shell.arg(site.path(name)).arg("x86_64");
        run(shell
            .arg(site.path(name))
            .env("SOURCE_DATE_EPOCH", "1000000000"));
        archives.push(fs::read(site.path(name).join(ARCHIVE)).unwrap());
    }
    assert!(!archives[0].is_empty() && archives[0] == archives[1]);
    let mut tar = Command::new("tar");
    tar.arg("-tvzf").arg(site.path("one").join(ARCHIVE));
    let listed = run(tar.env("TZ", "UTC"));
    assert!(
        listed.lines().all(|line| line.contains("2001-09-09 01:46")),
        "{listed}"
    );
}

#[test]
fn the_example_configurations_are_right() {
    let mut count = 0;
    for entry in fs::read_dir(Path::new(ROOT).join("scripts/package/examples")).unwrap() {
        let path = entry.unwrap().path();
        let printed = run(Command::new(env!("CARGO_BIN_EXE_ves"))
            .arg("check")
            .arg(&path));
        assert!(printed.contains("ship_url"), "{printed}");
        count += 1;
    }
    assert!(count >= 3);
}

#[test]
fn wget_does_where_there_is_no_curl_and_neither_is_said() {
    let site = Site::with_release("0.0.1");
    let tools = site.path("tools");
    fs::create_dir(&tools).unwrap();
    let used = "sh uname id mktemp rm sed cut sha256sum gzip tar find sort grep cat readlink ln cp \
                chmod mv mkdir dirname basename rmdir pwd";
    for name in used.split_whitespace() {
        let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(name));
        let found = found.iter().find(|path| path.exists()).unwrap();
        symlink(found, tools.join(name)).unwrap();
    }
    let server = site.serve();
    let install = || {
        let mut command = site.script(&[]);
        command.env("PATH", &tools);
        command
            .env("VES_DOWNLOAD_URL", server.url(""))
            .output()
            .unwrap()
    };
    assert_fails(&install(), &["neither curl nor wget", "--archive FILE"]);
    assert!(!site.prefix().exists());
    symlink("/usr/bin/wget", tools.join("wget")).unwrap();
    let output = install();
    assert!(output.status.success(), "{}", said(&output));
    assert!(site.prefix().join("bin/ves").exists());
}

#[test]
fn a_tampered_or_cut_archive_is_not_installed() {
    let site = Site::with_release("0.0.1");
    let whole = fs::read(site.archive()).unwrap();
    let sums = fs::read(site.path("release/SHA256SUMS")).unwrap();
    let mut tampered = whole.clone();
    *tampered.last_mut().unwrap() ^= 1;
    let cut = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len());
    let cut = [cut.as_bytes(), &whole[..whole.len() / 2]].concat();
    let short = whole[..whole.len() / 2].to_vec();
    let ok = |body: &[u8]| Reply::with_body(200, body);
    for (replies, expected) in [
        ([ok(&sums), ok(&tampered)], "not that of the release"),
        ([ok(&sums), ok(&short)], "not that of the release"),
        ([ok(&sums), Reply::Raw(cut)], "cannot download"),
        ([ok(&sums), Reply::Status(404)], "cannot download"),
        ([Reply::Status(403), ok(&whole)], "SHA256SUMS"),
        ([ok(b"<html>"), ok(&whole)], "has no sum for ves-x86_64"),
    ] {
        let server = HttpServer::start();
        server.then(replies);
        let mut command = site.script(&[]);
        let output = command
            .env("VES_DOWNLOAD_URL", server.url(""))
            .output()
            .unwrap();
        assert_fails(&output, &["install.sh: error: ", expected]);
        assert!(!site.prefix().exists());
    }
    fs::write(site.archive(), &tampered).unwrap();
    assert_fails(&site.install(), &["not that of the release"]);
    fs::remove_file(site.path("release/SHA256SUMS")).unwrap();
    assert_fails(&site.install(), &["there is no", "SHA256SUMS"]);
    assert!(!site.prefix().exists() && site.is_tidy());
}

/// `curl | sh` runs what has arrived when the connection breaks.
#[test]
fn a_script_that_was_cut_off_does_nothing() {
    let site = Site::with_release("0.0.1");
    let script = fs::read_to_string(site.path("install.sh")).unwrap();
    // The last brace and its newline may be missing one after the other.
    let end = script.len() - 2;
    let cuts = (0..end - 100).step_by(83).chain(end - 100..=end);
    for cut in cuts {
        let path = site.path("cut.sh");
        fs::write(&path, &script[..cut]).unwrap();
        let mut shell = Command::new("sh");
        shell.arg(&path).args(["--archive"]).arg(site.archive());
        shell.arg("--prefix").arg(site.prefix());
        let output = shell.output().unwrap();
        assert!(output.stdout.is_empty() && !site.prefix().exists(), "{cut}");
    }
    assert!(site.install().status.success());
}

#[test]
fn an_earlier_version_is_replaced_and_its_other_files_go() {
    let site = Site::new();
    let old = ["share/old/deep/file", "share/man/man1/ves-old.1"];
    site.release("#!/bin/sh\necho ves 0.0.1\n", &old);
    assert!(site.install().status.success());
    assert!(site.prefix().join("share/old/deep/file").exists());
    // Somebody else's, in a folder that VES made.
    let other = site.prefix().join("share/man/man1/other.1");
    fs::write(&other, "other").unwrap();

    site.release("#!/bin/sh\necho ves 0.0.2\n", &["share/new/file"]);
    assert!(site.install().status.success());
    let program = site.prefix().join("bin/ves");
    assert_eq!(run(&mut Command::new(&program)), "ves 0.0.2\n");
    assert!(site.prefix().join("share/new/file").exists());
    assert!(!site.prefix().join("share/old").exists());
    assert!(!site.prefix().join("share/man/man1/ves-old.1").exists());
    let once = site.installed();
    assert!(site.install().status.success());
    assert_eq!(site.installed(), once);

    run(&mut site.script(&["--uninstall"]));
    let left: Vec<String> = site.installed().into_iter().map(|one| one.0).collect();
    let expected = [
        "share",
        "share/man",
        "share/man/man1",
        "share/man/man1/other.1",
    ];
    assert_eq!(left, expected);
    let again = site.script(&["--uninstall"]).output().unwrap();
    assert_fails(&again, &["there is no installation"]);
}

#[test]
fn what_others_installed_is_not_touched() {
    let site = Site::with_release("0.0.1");
    let theirs = site.prefix().join("bin/ves");
    fs::create_dir_all(site.prefix().join("bin")).unwrap();
    fs::write(&theirs, "another program").unwrap();
    let before = site.installed();
    assert_fails(&site.install(), &["bin/ves is there already"]);
    assert_eq!(site.installed(), before);
    assert_fails(
        &site.script(&["--uninstall"]).output().unwrap(),
        &["there is no installation"],
    );
    assert_eq!(site.installed(), before);

    // The folders that were there stay, empty as they were.
    fs::remove_file(&theirs).unwrap();
    assert!(site.install().status.success());
    run(&mut site.script(&["--uninstall"]));
    assert_eq!(site.installed(), [("bin".to_owned(), Vec::new())]);
}

#[test]
fn the_unit_names_the_program_where_it_is() {
    let site = Site::with_release("0.0.1");
    assert!(site.install().status.success());
    let unit = site.prefix().join("lib/systemd/system/ves@.service");
    if is_root() {
        let program = format!("ExecStart={}/bin/ves collect\n", site.prefix().display());
        assert_eq!(fs::read_to_string(unit).unwrap(), program);
    } else {
        assert!(!unit.exists());
    }
}

#[test]
fn other_systems_and_programs_that_do_not_run_are_said() {
    let site = Site::with_release("0.0.1");
    let archive = site.archive();
    for (uname, expected) in [
        ("Darwin", ["no build of VES for Darwin", "Linux"]),
        // The same for the system and the machine; the system is asked first.
        (
            "Linux",
            ["no build of VES for Linux, only", "cargo install"],
        ),
    ] {
        let mut command = site.script(&["--archive", archive.to_str().unwrap()]);
        pretend(&site, &mut command, "uname", uname);
        assert_fails(&command.output().unwrap(), &expected);
    }
    let broken = "#!/bin/sh\necho 'version `GLIBC_2.17 not found' >&2\nexit 1\n";
    site.release(broken, &[]);
    let expected = ["GLIBC_2.17 not found", "does not run on this system"];
    assert_fails(&site.install(), &expected);
    assert!(!site.prefix().exists() && site.is_tidy());
}

#[test]
fn wrong_arguments_and_a_missing_address_are_said() {
    let site = Site::with_release("0.0.1");
    for (args, expected) in [
        (&[][..], "set VES_DOWNLOAD_URL"),
        (&["--frob"], "unknown argument --frob"),
        (&["--archive"], "--archive wants a path"),
        (&["--archive="], "unknown argument --archive="),
        (&["--archive", "/none.tar.gz"], "no file /none.tar.gz"),
        (&["--prefix", "/a b"], "not /a b"),
        (&["--prefix", "/"], "--prefix /"),
        (&["--prefix", "/etc/passwd"], "/etc/passwd is not a folder"),
    ] {
        let output = site.command(args).output().unwrap();
        assert_fails(&output, &["install.sh: error: ", expected]);
    }
    let help = run(&mut site.command(&["--help"]));
    assert!(help.contains("VES_DOWNLOAD_URL"), "{help}");
}

/// As a user of its own, when the tests run as root.
#[test]
fn a_user_installs_at_home_and_is_told_where_that_is_not_allowed() {
    let site = Site::with_release("0.0.1");
    let home = site.path("home");
    fs::create_dir(&home).unwrap();
    let temporary = site.path("tmp");
    fs::create_dir(&temporary).unwrap();
    if is_root() {
        for folder in [&home, &temporary] {
            std::os::unix::fs::chown(folder, Some(65534), Some(65534)).unwrap();
        }
    }
    let as_user = |args: &[&str]| {
        let archive = site.archive();
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.arg(site.path("install.sh"));
        command.arg("--archive").arg(archive).args(args);
        command.env("HOME", &home).env("TMPDIR", &temporary);
        command.env("PATH", "/usr/bin:/bin").output().unwrap()
    };
    let output = as_user(&[]);
    assert!(output.status.success(), "{}", said(&output));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("is not in PATH"), "{told}");
    let local = home.join(".local");
    assert_eq!(
        run(&mut Command::new(local.join("bin/ves-log-collector"))),
        "ves 0.0.1\n"
    );
    assert!(!local.join("lib").exists());
    let output = as_user(&["--uninstall"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(!local.exists());

    let denied = site.path("denied");
    fs::create_dir(&denied).unwrap();
    fs::set_permissions(&denied, Permissions::from_mode(0o555)).unwrap();
    let output = as_user(&["--prefix", denied.join("below").to_str().unwrap()]);
    assert_fails(&output, &["cannot write to", "denied", "--prefix"]);
}
