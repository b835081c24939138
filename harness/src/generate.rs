//! `ves-harness generate`: a number, a seed and a description of the mix become a log file.
//!
//! The same input gives the same bytes on every machine; the lines come from `ves-load`.

mod rotating;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ves_load::{Lines, Spec};

use crate::cli::GenerateArgs;
use crate::interrupt::Interrupt;
use crate::pace::{self, Plan};
use rotating::RotatingFile;

/// The page cache takes writes of this size at full speed; larger ones gain nothing.
const WRITE_BYTES: usize = 1 << 20;

/// Runs the subcommand.
pub(crate) fn run(args: &GenerateArgs) -> Result<()> {
    let spec = load_spec(args.spec.as_deref())?;
    let mut lines = Lines::new(&spec, args.seed);
    if let Some(rate) = args.rate {
        return write_paced(args, rate, &mut lines);
    }
    if args.output == Path::new("-") {
        return match write_lines(&mut lines, args.lines, &mut io::stdout().lock()) {
            // Who reads the other end has seen enough, as in `| head`.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome.context("write to standard output"),
        };
    }
    let mut file =
        File::create(&args.output).with_context(|| format!("create {}", args.output.display()))?;
    write_lines(&mut lines, args.lines, &mut file)
        .with_context(|| format!("write {}", args.output.display()))
}

/// Writes each line at its instant and says by how much the writes were late.
fn write_paced(args: &GenerateArgs, rate: u32, lines: &mut Lines<'_>) -> Result<()> {
    ensure!(
        args.output != Path::new("-"),
        "--rate needs a file as --output: a pipe that is full would set the pace"
    );
    let interrupt = Interrupt::catch()?;
    let count = usize::try_from(args.lines)?;
    ensure!(count > 0, "--lines 0 with --rate: at least one is needed");
    let mut file = RotatingFile::create(args)?;
    let plan = Plan::of_lines(rate, count);
    let mut line = Vec::with_capacity(4096);
    let written = pace::write(&plan, &interrupt, |_| {
        line.clear();
        lines.append_next(&mut line);
        file.write(&line)
    })?;
    let slip = &written.slip;
    eprintln!(
        "{count} lines, {:.0} a second of {rate} planned; late by p50 {} us, p99 {} us, at most {} \
         us; {:.1} % of a core; {} rotations",
        written.rate(&plan),
        slip.value_at_quantile(0.5),
        slip.value_at_quantile(0.99),
        slip.max(),
        written.cpu.as_secs_f64() / written.seconds().max(1e-9) * 100.0,
        file.rotations(),
    );
    Ok(())
}

/// The description of a mix: the one of that file, or the built-in one.
pub(crate) fn load_spec(path: Option<&Path>) -> Result<Spec> {
    let Some(path) = path else {
        return Ok(Spec::built_in());
    };
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Spec::parse(&text).with_context(|| path.display().to_string())
}

fn write_lines(lines: &mut Lines, count: u64, sink: &mut dyn Write) -> io::Result<()> {
    // Room for the line that crosses the limit, so that the buffer never grows.
    let mut buffer = Vec::with_capacity(WRITE_BYTES + 4096);
    for _ in 0..count {
        lines.append_next(&mut buffer);
        if buffer.len() >= WRITE_BYTES {
            sink.write_all(&buffer)?;
            buffer.clear();
        }
    }
    sink.write_all(&buffer)?;
    sink.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::RotateHow;

    const FINGERPRINTS: &str = include_str!("../../datasets/FINGERPRINTS");

    fn generated(seed: u64, count: u64) -> Vec<u8> {
        let spec = load_spec(None).unwrap();
        let mut bytes = Vec::new();
        write_lines(&mut Lines::new(&spec, seed), count, &mut bytes).unwrap();
        bytes
    }

    fn fingerprint(name: &str) -> &'static str {
        let mut rows = FINGERPRINTS.lines().filter_map(|row| row.split_once("  "));
        rows.find(|(_, row_name)| *row_name == name).unwrap().0
    }

    #[test]
    fn the_stream_of_seed_1_is_the_published_one() {
        let actual = format!(
            "{:032x}",
            xxhash_rust::xxh3::xxh3_128(&generated(1, 10_000))
        );
        assert_eq!(actual, fingerprint("nginx.toml --lines 10000 --seed 1"));
    }

    #[test]
    fn the_mix_is_the_one_that_results_are_quoted_for() {
        let bytes = generated(7, 200_000);
        let mean = bytes.len() as f64 / 200_000.0;
        assert!((179.0..185.0).contains(&mean), "{mean} bytes a line");
        let text = String::from_utf8(bytes).unwrap();
        let probes = text
            .lines()
            .filter(|l| l.contains("\"GET /healthz HTTP/1.1\""))
            .count();
        // 25000 expected, standard deviation 148.
        assert!((24_300..25_700).contains(&probes), "{probes} health checks");
        assert_eq!(text.matches("/healthz").count(), probes);
        for rare in [
            "\\x22",
            "\u{e9}",
            " - alice [",
            "2001:db8:",
            "HTTP/2.0\" ",
            "\"-\" \"-\"",
        ] {
            assert!(text.contains(rare), "no {rare:?} in 200000 lines");
        }
    }

    #[test]
    fn every_line_carries_its_number_once() {
        let text = String::from_utf8(generated(3, 5_000)).unwrap();
        for (index, line) in text.lines().enumerate() {
            let number = format!("seq={:09}", index + 1);
            assert_eq!(line.matches("seq=").count(), 1, "{line}");
            assert!(line.contains(&number), "{number} not in {line}");
        }
    }

    #[test]
    fn time_never_goes_back() {
        let text = String::from_utf8(generated(5, 20_000)).unwrap();
        let mut times: Vec<&str> = text
            .lines()
            .map(|l| &l[l.find('[').unwrap()..][..22])
            .collect();
        let written = times.clone();
        // Within the one day that 20000 lines span, text order is time order.
        times.sort_unstable();
        assert_eq!(times, written);
        times.dedup();
        assert!(times.len() > 2);
    }

    #[test]
    fn seeds_differ_from_the_first_line_on() {
        let first: Vec<Vec<u8>> = (1..=20).map(|seed| generated(seed, 1)).collect();
        for (index, line) in first.iter().enumerate() {
            assert!(!first[..index].contains(line), "seed {}", index + 1);
        }
    }

    #[test]
    fn a_paced_log_that_is_rotated_has_every_line_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("access.log");
        for how in [RotateHow::Rename, RotateHow::Copytruncate] {
            run(&GenerateArgs {
                lines: 3_000,
                seed: 2,
                output: output.clone(),
                spec: None,
                rate: Some(20_000),
                rotate_every: Some(std::time::Duration::from_millis(40)),
                rotate: how,
                rotate_keep: 100,
            })
            .unwrap();
            let rotated = |number: u32| folder.path().join(format!("access.log.{number}"));
            let count = (1..).take_while(|&number| rotated(number).exists()).count() as u32;
            assert!(count >= 2, "{count} rotations in 150 ms");
            let mut bytes = Vec::new();
            for number in (1..=count).rev() {
                bytes.extend(fs::read(rotated(number)).unwrap());
                fs::remove_file(rotated(number)).unwrap();
            }
            bytes.extend(fs::read(&output).unwrap());
            assert_eq!(bytes, generated(2, 3_000), "{how:?}");
        }
    }

    #[test]
    fn the_command_writes_what_the_functions_give() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("access.log");
        run(&GenerateArgs {
            lines: 8_000,
            seed: 2,
            output: output.clone(),
            spec: None,
            rate: None,
            rotate_every: None,
            rotate: RotateHow::Rename,
            rotate_keep: 5,
        })
        .unwrap();
        assert_eq!(fs::read(output).unwrap(), generated(2, 8_000));
    }
}
