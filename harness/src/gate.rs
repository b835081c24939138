//! `ves-harness gate`: whether head is slower than base, by two layers that fail alone.
//!
//! - [`icount`] and [`syscalls`]: instructions and allocations of each stage and the system calls of
//!   a drain. They repeat, and so catch little, but say nothing of caches and memory.
//! - [`pairs`]: CPU time of whole drains, base and head in turns on one core. It catches 10 % on a
//!   noisy machine without false alarms; smaller slips are up to the other layer.
//!
//! Base is built here, in the same job and with the same compiler ([`revision`], [`build`]). Where
//! there is none, VES is compared with reftail and a recorded ratio ([`baseline`]).

mod baseline;
mod build;
mod drain;
mod finding;
mod icount;
mod pairs;
mod report;
mod revision;
mod syscalls;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::GateArgs;
use crate::cores::Pin;
use crate::statistics::{RESAMPLES, SEED};
use baseline::Baseline;
use build::{Builder, Programs};
use drain::{Drains, Logs, Program};
use finding::{Finding, Level};
pub(crate) use pairs::PAIRS;
use pairs::{Paired, Plan, Rule, Shown};
use report::Report;
use revision::{Repository, Revision};

/// Where the ratio to reftail is kept, from the top folder.
const BASELINE: &str = "reports/baseline.toml";

/// Runs the subcommand.
///
/// # Errors
/// When something cannot be built or run, and when head is slower.
pub(crate) fn run(args: &GateArgs) -> Result<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone()).context("catch signals")?;
    }
    let subject = Subject::build(args)?;
    let mut report = Report::new(&subject.head_name, &subject.base_name);
    print!("{}", report.heading());
    let logs = Logs::write(args.lines)?;
    if !args.icount {
        subject.measure(args, &logs, interrupted, &mut report)?;
    }
    if args.record_baseline {
        return subject.record(args, &report);
    }
    if !args.paired {
        subject.count(args, &logs, &mut report)?;
    }
    report.accepted = subject.accepted.clone();
    print!("{}", report.conclusion());
    if let Some(path) = &args.json {
        report.write(path)?;
    }
    if report.is_failed() {
        bail!("head is slower than the gate allows");
    }
    Ok(())
}

/// What is compared with what.
struct Subject {
    head: Programs,
    head_name: String,
    base: Base,
    base_name: String,
    repository: Option<Repository>,
    /// The reason of a commit for being slower.
    accepted: Option<String>,
    /// A copy of base.
    copy: Program,
}

/// What head is compared with.
enum Base {
    Build(Programs),
    Reftail(std::path::PathBuf),
}

impl Base {
    fn program(&self) -> Program {
        match self {
            Base::Build(programs) => Program::Ves(programs.ves.clone()),
            Base::Reftail(program) => Program::Reftail(program.clone()),
        }
    }
}

impl Subject {
    fn build(args: &GateArgs) -> Result<Subject> {
        if let (Some(base), Some(head)) = (&args.base_bin, &args.head_bin) {
            return Subject::given(base, head);
        }
        let folder = std::env::current_dir().context("ask for the working directory")?;
        let repository = Repository::around(&folder)?;
        let is_reference = args.reference || args.record_baseline;
        let revision = match is_reference {
            true => None,
            false => repository.base(args.base.as_deref())?,
        };
        let builder = Builder::new(&repository);
        let base = match &revision {
            Some(revision) => Base::Build(builder.base(revision)?),
            None => Base::Reftail(builder.reference()?),
        };
        let copy = match &base {
            Base::Build(programs) => Program::Ves(builder.copy(&programs.ves)?),
            Base::Reftail(program) => Program::Reftail(builder.copy(program)?),
        };
        // After base: what is in the target folder in the end is head.
        let head = builder.head()?;
        let (commit, is_changed) = repository.head()?;
        let is_changed = if is_changed {
            ", with changed files"
        } else {
            ""
        };
        let base_commit = revision.as_ref().map(|revision| revision.commit.as_str());
        Ok(Subject {
            head,
            head_name: format!("{}{is_changed}", short(&commit)),
            base_name: base_name(revision.as_ref(), is_reference),
            accepted: repository.accepted(base_commit)?,
            base,
            copy,
            repository: Some(repository),
        })
    }

    /// Two programs that were built elsewhere.
    fn given(base: &Path, head: &Path) -> Result<Subject> {
        let absolute = |path: &Path| {
            let found = path.canonicalize();
            found.with_context(|| format!("{} cannot be run", path.display()))
        };
        let (base, head) = (absolute(base)?, absolute(head)?);
        Ok(Subject {
            head_name: head.display().to_string(),
            base_name: base.display().to_string(),
            copy: Program::Ves(base.clone()),
            base: Base::Build(Programs::beside(&base)),
            head: Programs::beside(&head),
            repository: None,
            accepted: None,
        })
    }

    /// The paired layer.
    fn measure(
        &self,
        args: &GateArgs,
        logs: &Logs,
        interrupted: Arc<AtomicBool>,
        report: &mut Report,
    ) -> Result<()> {
        let (base, head) = (self.base.program(), Program::Ves(self.head.ves.clone()));
        for program in [&base, &head] {
            program.check(logs)?;
        }
        let baseline = match self.base {
            Base::Reftail(_) if !args.record_baseline => Some(self.baseline()?),
            _ => None,
        };
        let plan = Plan {
            pairs: args.pairs,
            rule: baseline.as_ref().map_or(Rule::BUILDS, Baseline::rule),
            resamples: RESAMPLES,
            seed: SEED,
        };
        let mut drains = Drains::new(logs, base, self.copy.clone(), head, interrupted);
        let paired = {
            let pin = Pin::last()?;
            report.core = Some(pin.core());
            pairs::measure(&mut drains, &plan)?
        };
        report.lines = logs.lines();
        report.is_in_memory = logs.is_in_memory();
        if let Some(baseline) = baseline {
            report.findings.extend(baseline.judge(&paired));
            report.baseline_ratio = Some(baseline.ratio);
        }
        if !args.record_baseline {
            report.findings.extend(judge(&paired));
        }
        report.paired = Some(paired);
        print!("{}", report.paired_text());
        Ok(())
    }

    /// The exact layer.
    fn count(&self, args: &GateArgs, logs: &Logs, report: &mut Report) -> Result<()> {
        let Base::Build(base) = &self.base else {
            let text = "not counted: there is no other VES to compare with".to_owned();
            if args.icount {
                bail!(text);
            }
            let finding = Finding::new("instructions", Level::Note, text);
            report.findings.push(finding);
            return Ok(());
        };
        match &self.head.kernels {
            Some(head) => {
                let counter = icount::Counter {
                    log: logs.checked(),
                    lines: logs.checked_lines(),
                    folder: logs.folder().to_owned(),
                };
                report.kernels = counter.compare(base.kernels.as_deref(), head)?;
                report.findings.extend(icount::judge(&report.kernels));
                if base.kernels.is_none() {
                    let text = "base has no ves-kernels: nothing to compare with".to_owned();
                    report
                        .findings
                        .push(Finding::new("instructions", Level::Note, text));
                }
            }
            None if args.icount => bail!("there is no ves-kernels beside {}", self.head_name),
            None => {
                let text = "head has no ves-kernels: not counted".to_owned();
                report
                    .findings
                    .push(Finding::new("instructions", Level::Warning, text));
            }
        }
        let head = Program::Ves(self.head.ves.clone());
        let pin = Pin::last()?;
        match syscalls::compare(logs, &self.base.program(), &head) {
            Ok(calls) => {
                report.calls = Some(calls);
                report.findings.extend(syscalls::judge(calls));
            }
            // Containers often forbid tracing. The other figures stand without it.
            Err(error) => {
                let text = format!("not counted: {error:#}");
                report
                    .findings
                    .push(Finding::new("system calls", Level::Warning, text));
            }
        }
        drop(pin);
        print!("{}", report.counts_text());
        Ok(())
    }

    fn baseline(&self) -> Result<Baseline> {
        let root = self.repository.as_ref().map(Repository::root);
        Baseline::read(&root.unwrap_or(Path::new(".")).join(BASELINE))
    }

    fn record(&self, args: &GateArgs, report: &Report) -> Result<()> {
        let (Some(paired), Some(repository)) = (&report.paired, &self.repository) else {
            bail!("there is nothing to record");
        };
        if paired.shown == Shown::Unfit {
            bail!(
                "the machine is too noisy for a baseline: {}",
                report::same_text(paired)
            );
        }
        let path = repository.root().join(BASELINE);
        let machine = report.machine.clone();
        Baseline::new(paired.head, args.lines, self.head_name.clone(), machine).write(&path)?;
        println!("wrote {}", path.display());
        Ok(())
    }
}

fn base_name(revision: Option<&Revision>, is_reference: bool) -> String {
    match revision {
        Some(revision) => format!("{}, {}", short(&revision.commit), revision.why),
        None if is_reference => "reftail".to_owned(),
        None => "reftail, as no commit before this one is in this clone".to_owned(),
    }
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// What the pairs mean for the change.
fn judge(paired: &Paired) -> Option<Finding> {
    let (level, text) = match paired.shown {
        Shown::Pass => return None,
        Shown::Fail => (Level::Failure, "head takes more CPU time than base"),
        Shown::Inconclusive => (
            Level::Warning,
            "INCONCLUSIVE: the pairs neither show nor exclude that head takes more CPU time",
        ),
        Shown::Unfit => (
            Level::Warning,
            "INCONCLUSIVE: the machine is unfit, a program differs too much from its own copy",
        ),
    };
    Some(Finding::new("paired", level, text.to_owned()))
}
