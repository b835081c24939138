//! The compiled plan of each format that a configuration can come to.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use crate::parse::{Detected, Format, Parser};
use crate::report;
use crate::transform::Plan;

/// The plans for the formats of a configuration.
pub(super) struct Plans {
    /// The one plan of a configuration that names its format.
    pub(super) fixed: Option<Arc<Plan>>,
    /// The two that are decided between, with whether it was said that there is such a file.
    combined: Option<(Arc<Plan>, Cell<bool>)>,
    raw: Option<(Arc<Plan>, Cell<bool>)>,
}

impl Plans {
    /// Compiles the plans that a configuration needs.
    pub(super) fn new(config: &Config) -> Plans {
        let plan = |parser| Arc::new(Plan::new(parser, config));
        let fixed = |parser| Plans {
            fixed: Some(plan(parser)),
            combined: None,
            raw: None,
        };
        let detected = |parser| Some((plan(parser), Cell::new(false)));
        match &config.format {
            Format::Raw => fixed(Parser::raw()),
            Format::LogFormat(format) => fixed(Parser::LogFormat(format.clone())),
            Format::Auto => Plans {
                fixed: None,
                combined: detected(Parser::combined()),
                raw: detected(Parser::raw()),
            },
        }
    }

    /// The plan for a detected format; says so for the first source of a kind.
    pub(super) fn detected(&self, format: Detected, path: &Path) -> Arc<Plan> {
        let (plan, found) = match format {
            Detected::Raw => (
                &self.raw,
                "not nginx combined: shipped raw, as {\"message\": line}",
            ),
            Detected::Nginx => (&self.combined, "nginx combined"),
        };
        let Some((plan, was_said)) = plan else {
            unreachable!("detection only happens where both plans are compiled")
        };
        if !was_said.replace(true) {
            report::notice(&format!(
                "{}: format {found}; --format decides it",
                path.display()
            ));
        }
        plan.clone()
    }
}
