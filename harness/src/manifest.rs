//! The machine and the circumstances of a comparison, as far as they can be seen from here.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::Result;

use crate::cli::CompareArgs;
use crate::compare::profile::Profile;
use crate::dataset::Dataset;
use crate::results::{CollectorFacts, Manifest};

/// Describes a comparison that is about to be made.
///
/// # Errors
/// When the command line cannot be told.
pub(crate) fn describe(
    args: &CompareArgs,
    profile: &Profile,
    dataset: &Dataset,
    collectors: Vec<CollectorFacts>,
) -> Result<Manifest> {
    let dataset_name = args.spec.as_ref().map_or_else(
        || "nginx.toml".to_owned(),
        |path| path.display().to_string(),
    );
    Ok(Manifest {
        date: date(),
        host: host(),
        profile: profile.name.to_owned(),
        command: command(),
        git_commit: output("git", &["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".to_owned()),
        git_is_dirty: output("git", &["status", "--porcelain"]).is_some(),
        machine: machine(args),
        noise_not_controlled: noise(),
        dataset: dataset_name,
        dataset_seed: args.seed,
        dataset_xxh128: dataset.xxh128(),
        line_bytes_mean: dataset.line_bytes_mean(),
        usd_per_cpu_hour: args.usd_per_cpu_hour,
        usd_source: args.usd_source.clone(),
        seed: args.seed,
        is_complete: false,
        collectors,
    })
}

/// The day.
pub(crate) fn date() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.get(..10).unwrap_or_default().to_owned()
}

/// The command as it was given, without the folders of this machine: who reads a report has others.
pub(crate) fn command() -> Vec<String> {
    let words = std::env::args()
        .skip(1)
        .map(|word| match word.split_once('=') {
            Some((name, path)) if path.starts_with('/') => format!("{name}={}", file_name(path)),
            _ => word,
        });
    std::iter::once("ves-harness".to_owned())
        .chain(words)
        .collect()
}

/// The path of a program of the system; the name alone of any other.
pub(crate) fn shown_path(path: &Path) -> String {
    let text = path.display().to_string();
    match text.starts_with("/usr/") {
        true => text,
        false => file_name(&text).to_owned(),
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The name of this machine, as far as it can stand in the name of a file.
pub(crate) fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .filter(|character| character.is_ascii_alphanumeric() || *character == '-')
        .collect();
    if name.is_empty() || name == "localhost" {
        return "local".to_owned();
    }
    name
}

/// The output of a program, when it succeeded and said something.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn read(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

fn machine(args: &CompareArgs) -> Vec<(String, String)> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name))?;
        let (_, value) = line.split_once(':')?;
        Some(value.trim().to_owned())
    };
    let flags = field("flags").unwrap_or_default();
    let has = |flag: &str| flags.split(' ').any(|other| other == flag);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().and_then(|line| {
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(format!("{:.1} GiB", kib as f64 / 1024.0 / 1024.0))
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let simd: Vec<&str> = ["sse4_2", "avx2", "avx512bw"]
        .into_iter()
        .filter(|flag| has(flag))
        .collect();
    let virtual_machine = if has("hypervisor") {
        read("/sys/class/dmi/id/sys_vendor")
            .map_or_else(|| "yes".to_owned(), |vendor| format!("yes ({vendor})"))
    } else {
        "no".to_owned()
    };
    let rows = [
        ("CPU", field("model name")),
        ("cores", Some(cores.to_string())),
        ("SIMD", Some(simd.join(", "))),
        ("virtual machine", Some(virtual_machine)),
        ("memory", memory),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("system", os_name()),
        ("file system of logs and sinks", file_system(args)),
        (
            "frequency governor",
            read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .or_else(|| Some("not visible".to_owned())),
        ),
        (
            "transparent huge pages",
            read("/sys/kernel/mm/transparent_hugepage/enabled"),
        ),
        (
            "address space randomisation",
            read("/proc/sys/kernel/randomize_va_space"),
        ),
        ("load before the start", read("/proc/loadavg")),
        ("rustc", output("rustc", &["--version"])),
    ];
    let known = rows
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    known.collect()
}

fn os_name() -> Option<String> {
    let text = read("/etc/os-release")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').to_owned())
}

fn file_system(args: &CompareArgs) -> Option<String> {
    let path = args.work.display().to_string();
    output("stat", &["--file-system", "--format", "%T", &path])
}

/// What could not be done against noise.
fn noise() -> Vec<String> {
    let mut list = vec![
        "the frequency of the CPU and its turbo are left as they are".to_owned(),
        "address space randomisation is left on".to_owned(),
        "cores are not isolated from the rest of the system".to_owned(),
    ];
    if fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("hypervisor")) {
        list.push(
            "a virtual machine: what neighbours do is seen only as steal time, if at all"
                .to_owned(),
        );
    }
    list
}
