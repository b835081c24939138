//! Every figure of every other collector set against VES's at the same task. Takes cells, gives who is
//! better and whether the runs show it; hides nothing that speaks against VES.

use crate::cells::{Cell, Entry, Metric, State, Task};
use crate::statistics::{Estimate, estimate, ratios};

/// A figure of another collector beside VES's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) task: Task,
    pub(crate) metric: Metric,
    /// The other one.
    pub(crate) entry: Entry,
    pub(crate) theirs: Estimate,
    /// The configuration of VES that it is compared with: the one of the same name where there is.
    pub(crate) ves_config: String,
    /// Nothing when VES has no figure that may be shown.
    pub(crate) ves: Option<Estimate>,
    /// Theirs over VES's, within rounds.
    pub(crate) ratio: Option<Estimate>,
    pub(crate) outcome: Outcome,
}

/// Who is better.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    VesBetter,
    OtherBetter,
    /// The interval of the ratio holds 1, or there are too few runs for an interval.
    NotShown,
    /// VES failed, lost something or was saturated where the other one was not.
    VesHasNone {
        why: String,
    },
}

/// Theirs over VES's for the metric, within rounds.
pub(crate) fn ratio(theirs: &Cell<'_>, ves: &Cell<'_>, metric: Metric) -> Option<Estimate> {
    theirs.ranked(metric)?;
    ves.ranked(metric)?;
    estimate(&ratios(
        &theirs.values_by_round(metric),
        &ves.values_by_round(metric),
    ))
}

/// The cell of VES that `cell` is to be compared with.
pub(crate) fn ves_beside<'a, 'b>(cells: &'a [Cell<'b>], cell: &Cell<'_>) -> Option<&'a Cell<'b>> {
    let mut at_task = cells
        .iter()
        .filter(|it| it.entry.is_ves() && it.task == cell.task);
    let same = at_task
        .clone()
        .find(|it| it.entry.config == cell.entry.config);
    same.or_else(|| at_task.next())
}

/// All comparisons that can be made: those of figures that the other collector may be quoted for.
pub(crate) fn comparisons(cells: &[Cell<'_>]) -> Vec<Comparison> {
    let mut all = Vec::new();
    for cell in cells.iter().filter(|cell| !cell.entry.is_ves()) {
        let Some(ves) = ves_beside(cells, cell) else {
            continue;
        };
        for metric in Metric::compared(cell.task.phase) {
            let Some(theirs) = cell.ranked(*metric) else {
                continue;
            };
            let figure = ves.ranked(*metric);
            let ratio = ratio(cell, ves, *metric);
            all.push(Comparison {
                task: cell.task.clone(),
                metric: *metric,
                entry: cell.entry.clone(),
                theirs,
                ves_config: ves.entry.config.clone(),
                ves: figure,
                ratio,
                outcome: outcome(*metric, &theirs, figure.as_ref(), ratio.as_ref(), ves),
            });
        }
    }
    all
}

fn outcome(
    metric: Metric,
    theirs: &Estimate,
    figure: Option<&Estimate>,
    ratio: Option<&Estimate>,
    ves: &Cell<'_>,
) -> Outcome {
    let Some(figure) = figure else {
        let why = match ves.state() {
            State::Bad { wrong } => wrong,
            State::Saturated { .. } => "saturated".to_owned(),
            State::Good => "not measured".to_owned(),
        };
        return Outcome::VesHasNone { why };
    };
    let is_better = |theirs: f64, ves: f64| {
        if metric.is_more_better() {
            theirs > ves
        } else {
            theirs < ves
        }
    };
    match ratio {
        Some(ratio) if !ratio.covers(1.0) => {
            // Where the medians and the ratios within rounds disagree, VES does not get the benefit.
            if is_better(ratio.median, 1.0) || is_better(theirs.median, figure.median) {
                Outcome::OtherBetter
            } else {
                Outcome::VesBetter
            }
        }
        _ => Outcome::NotShown,
    }
}
