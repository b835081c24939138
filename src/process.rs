//! Another process as the operator should read it, in messages about locks.

/// The process of that number with its name, where that can be told: `process 4711 (ves)`. Its command
/// line is left out: it may hold secrets.
pub(crate) fn shown(pid: i32) -> String {
    let process = procfs::process::Process::new(pid);
    match process.and_then(|process| process.stat()) {
        Ok(stat) => format!("process {pid} ({})", stat.comm),
        // Of another container, perhaps.
        Err(_) => format!("process {pid}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_has_its_name_and_one_that_is_gone_none() {
        let own = super::shown(std::process::id().cast_signed());
        assert!(own.contains(" (") && own.ends_with(')'), "{own}");
        assert_eq!(super::shown(i32::MAX), format!("process {}", i32::MAX));
    }
}
