//! The cases by number and name, and how some of them are chosen. What each does is in `cases/`.

use anyhow::{Result, ensure};

use super::cases::{files, lines, restart, rewriting, rotation, sinks, state, watching};
use super::scene::Scene;
use crate::results::SinkKind;

/// Something that happens to a collector's files, its sink or itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// Its number, which stays when others are added.
    pub(super) number: u32,
    pub(super) name: &'static str,
    /// What happens, in a line.
    pub(super) story: &'static str,
    /// What the collector is to watch, below the folder of the logs.
    pub(super) watch: &'static str,
    pub(super) sink: SinkKind,
    /// Whether a record may come twice: where nobody can know whether the sink has it, or where the
    /// state was taken away.
    pub(super) may_repeat: bool,
    pub(super) drive: fn(&mut Scene<'_>) -> Result<()>,
}

const LOG: &str = "access.log";
const LOG_AND_ROTATED: &str = "access.log*";
const LOGS: &str = "*.log";

/// A case with the log alone, into a file.
const fn case(
    number: u32,
    name: &'static str,
    story: &'static str,
    drive: fn(&mut Scene<'_>) -> Result<()>,
) -> Case {
    Case {
        number,
        name,
        story,
        watch: LOG,
        sink: SinkKind::File,
        may_repeat: false,
        drive,
    }
}

impl Case {
    const fn watching(mut self, watch: &'static str) -> Case {
        self.watch = watch;
        self
    }

    const fn over_http(mut self) -> Case {
        self.sink = SinkKind::Http;
        self
    }

    const fn may_repeat(mut self) -> Case {
        self.may_repeat = true;
        self
    }
}

/// All cases, by number.
pub(super) const CASES: &[Case] = &[
    case(
        1,
        "steady",
        "Nothing happens to the log: the control.",
        rotation::steady,
    ),
    case(
        2,
        "rename-create",
        "The log is renamed and made anew, and the writer keeps the old descriptor for 3 s.",
        rotation::rename_and_create,
    ),
    case(
        3,
        "copytruncate",
        "The log is copied and truncated under its writer, which pauses for that.",
        rewriting::copy_and_truncate,
    ),
    case(
        4,
        "rewrite-equal",
        "The log is truncated and written anew with the same first line, to the same size.",
        rewriting::equal,
    ),
    case(
        5,
        "rewrite-shorter",
        "The log is truncated and written anew with the same first line, shorter.",
        rewriting::shorter,
    ),
    case(
        6,
        "rewrite-longer",
        "The log is truncated and written anew with the same first line, longer.",
        rewriting::longer,
    ),
    case(
        7,
        "recreate",
        "The log is deleted and made again at once, so that its inode is the same.",
        rewriting::delete_and_recreate,
    ),
    case(
        8,
        "three-rotations",
        "Three rotations within one second, out of the pattern.",
        rotation::three_in_a_second,
    ),
    case(
        9,
        "rotate-stopped",
        "The log is rotated twice, out of the pattern, while the collector is stopped.",
        rotation::while_stopped,
    ),
    case(
        10,
        "rotate-stopped-glob",
        "The log is rotated twice, within the pattern, while the collector is stopped.",
        rotation::while_stopped,
    )
    .watching(LOG_AND_ROTATED),
    case(
        11,
        "name-in-glob",
        "The rotated name matches the pattern: its lines are not to come again, nor at a restart.",
        rotation::to_a_watched_name,
    )
    .watching(LOG_AND_ROTATED),
    case(
        12,
        "name-outside",
        "The log is moved into another folder, and its writer goes on there for a while.",
        rotation::into_another_folder,
    )
    .watching(LOGS),
    case(
        13,
        "gz-beside",
        "The rotated log is compressed beside the log, and its name matches the pattern.",
        rotation::compressed_beside,
    )
    .watching(LOG_AND_ROTATED),
    case(
        14,
        "same-first-kilobyte",
        "Three logs have the same first kilobyte; the collector is restarted among them.",
        files::same_first_kilobyte,
    )
    .watching(LOGS),
    case(
        15,
        "half-a-line",
        "The log is rotated in the middle of a line, which ends in the old file.",
        rotation::half_a_line,
    ),
    case(
        16,
        "no-newline",
        "The last line has no newline, and none comes.",
        lines::no_newline,
    ),
    case(
        17,
        "symlink-moved",
        "The log is a symbolic link that is moved from one file to the next.",
        files::link_is_moved,
    ),
    case(
        18,
        "folder-instead",
        "The log gives way to a folder of its name, and that to a log again.",
        files::folder_instead,
    ),
    case(
        19,
        "permissions",
        "The log may not be read for a while; it is rotated meanwhile.",
        files::permissions,
    ),
    case(
        20,
        "tiny-lines",
        "Lines of 0 bytes and of 1 byte among the others; empty ones need not come.",
        lines::tiny,
    ),
    case(
        21,
        "line-65537",
        "Lines of 65 537 bytes.",
        lines::of_65537_bytes,
    ),
    case(22, "line-1mib", "Lines of 1 MiB.", lines::of_1_mib),
    case(
        23,
        "line-5mib",
        "Lines of 5 MiB: whole, or cut and flagged as cut.",
        lines::of_5_mib,
    ),
    case(24, "crlf", "Lines that end with CR LF.", lines::crlf),
    case(25, "nul", "NUL bytes in lines.", lines::nul),
    case(
        26,
        "invalid-utf8",
        "Bytes that are not UTF-8 in lines: something that is has to stand for them.",
        lines::invalid_utf8,
    ),
    case(
        27,
        "torn-writes",
        "Writes end at random bytes, with rotations in between.",
        lines::torn,
    ),
    case(
        28,
        "busy-1000",
        "1 000 logs are written to in turn.",
        files::busy,
    )
    .watching(LOGS),
    case(
        29,
        "idle-10000",
        "10 000 logs with a line each are idle beside a busy one.",
        files::idle,
    )
    .watching(LOGS),
    case(
        30,
        "churn",
        "200 logs a second are made, written to and deleted half a second later.",
        files::churn,
    )
    .watching(LOGS),
    case(
        31,
        "sigterm",
        "SIGTERM and a restart in mid-load, 50 times.",
        restart::terminated,
    ),
    case(
        32,
        "sigkill",
        "SIGKILL and a restart in mid-load, 50 times, with rotations.",
        restart::killed,
    )
    .watching(LOG_AND_ROTATED),
    case(
        33,
        "sigstop",
        "SIGSTOP for 10 s, with three rotations out of the pattern meanwhile, then SIGCONT.",
        restart::suspended,
    ),
    case(
        34,
        "sink-down",
        "The HTTP sink refuses connections for 30 s.",
        sinks::down,
    )
    .over_http()
    .may_repeat(),
    case(
        35,
        "sink-slow",
        "The HTTP sink takes 400 kB a second for a while.",
        sinks::slow,
    )
    .over_http(),
    case(
        36,
        "sink-resets",
        "Connections to the HTTP sink are reset in the middle of batches.",
        sinks::resets,
    )
    .over_http()
    .may_repeat(),
    case(
        37,
        "sink-down-killed",
        "The HTTP sink is down, the log is rotated, and the collector is killed.",
        sinks::down_and_killed,
    )
    .over_http()
    .may_repeat(),
    case(
        38,
        "sink-full",
        "The disk of the sink file is full, then has room again.",
        sinks::full,
    ),
    case(
        39,
        "state-full",
        "The disk of the state is full for a while; a restart follows.",
        state::full,
    ),
    case(
        40,
        "state-read-only",
        "The folder of the state is read-only for a while; a restart follows.",
        state::read_only,
    ),
    case(
        41,
        "state-corrupted",
        "Random bytes are in the files of the state at a restart: nothing may be lost.",
        state::corrupted,
    )
    .may_repeat(),
    case(
        42,
        "state-ahead",
        "The log is put back from a backup while the collector is stopped: its state is ahead of it.",
        state::ahead,
    )
    .may_repeat(),
    case(
        43,
        "queue-overflow",
        "More inotify events than the kernel keeps, among them rotations.",
        watching::queue_overflow,
    )
    .watching(LOGS),
    case(
        44,
        "watch-limit",
        "inotify watches for 4 of 50 logs.",
        watching::watch_limit,
    )
    .watching(LOGS),
    case(
        45,
        "clock-back",
        "The clock is set back by a day while it runs, and by another over a restart.",
        watching::clock_set_back,
    ),
    case(
        46,
        "copytruncate-glob",
        "The log is copied to a name within the pattern and truncated; nobody waits for anybody.",
        rewriting::copy_to_a_watched_name,
    )
    .watching(LOG_AND_ROTATED),
    case(
        47,
        "state-future",
        "The files of the state are of tomorrow at a restart; the log was rotated twice meanwhile.",
        state::from_the_future,
    )
    .watching(LOG_AND_ROTATED),
    case(
        48,
        "churn-held-up",
        "Logs come and go as in churn while the collector stands still for 200 ms of every 500.",
        files::churn_held_up,
    )
    .watching(LOGS),
];

/// The cases with these numbers or names, all when there are none, but those to leave out.
///
/// # Errors
/// When one is not known, or none is left.
pub(super) fn choose(names: &[String], skipped: &[String]) -> Result<Vec<&'static Case>> {
    for name in names.iter().chain(skipped) {
        ensure!(
            CASES.iter().any(|case| case.is(name)),
            "no case {name:?}: there are {}",
            CASES
                .iter()
                .map(|case| format!("{} {}", case.number, case.name))
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    let is_among = |case: &Case, names: &[String]| names.iter().any(|name| case.is(name));
    let is_chosen =
        |case: &&Case| (names.is_empty() || is_among(case, names)) && !is_among(case, skipped);
    let chosen: Vec<&Case> = CASES.iter().filter(is_chosen).collect();
    ensure!(!chosen.is_empty(), "no case is left: --skip names them all");
    Ok(chosen)
}

impl Case {
    fn is(&self, name: &str) -> bool {
        self.name == name || self.number.to_string() == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_chosen_by_number_and_name() {
        let words = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let chosen = choose(&words(&["sigkill", "1", "2"]), &words(&["rename-create"])).unwrap();
        let names: Vec<&str> = chosen.iter().map(|case| case.name).collect();
        assert_eq!(names, ["steady", "sigkill"]);
        assert_eq!(choose(&[], &[]).unwrap().len(), CASES.len());
        assert_eq!(choose(&[], &words(&["2"])).unwrap().len(), CASES.len() - 1);
        let error = choose(&words(&["sigkil"]), &[]).unwrap_err().to_string();
        assert!(error.contains("no case \"sigkil\"") && error.contains("32 sigkill"));
        choose(&words(&["1"]), &words(&["1"])).unwrap_err();
    }

    #[test]
    fn numbers_go_up_by_one_and_names_are_used_once() {
        for (index, case) in CASES.iter().enumerate() {
            assert_eq!(case.number as usize, index + 1, "{}", case.name);
            let same = CASES.iter().filter(|other| other.name == case.name);
            assert_eq!(same.count(), 1, "{}", case.name);
            assert!(
                case.story.ends_with('.') && case.story.len() < 100,
                "{}",
                case.name
            );
        }
    }
}
