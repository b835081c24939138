//! The order of all runs: rounds, in each of them every cell in seeded random order, and in each
//! cell every entrant in seeded random order. Never all runs of one and then all of the other:
//! what drifts on the machine then drifts into one of them.

use ves_load::Random;

use super::profile::{Cell, Profile};

/// A collector with one of its configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entrant {
    /// Which of the installed collectors.
    pub(crate) collector: usize,
    /// `default` or `tuned`.
    pub(crate) config: String,
}

/// A run to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) round: u32,
    pub(crate) cell: Cell,
    pub(crate) entrant: Entrant,
}

/// All timed runs in their order. `can` says whether an entrant can do a cell.
pub(crate) fn plan(
    profile: &Profile,
    entrants: &[Entrant],
    seed: u64,
    can: impl Fn(&Entrant, &Cell) -> bool,
) -> Vec<Planned> {
    let mut random = Random::new(seed);
    let tuned = profile.cells(true);
    let default = profile.cells(false);
    let mut planned = Vec::new();
    for round in 1..=profile.rounds {
        let mut order: Vec<usize> = (0..tuned.len()).collect();
        random.shuffle(&mut order);
        for cell in order.into_iter().filter_map(|index| tuned.get(index)) {
            let mut runs = Vec::new();
            for entrant in entrants {
                let cells = match entrant.config.as_str() {
                    "tuned" => &tuned,
                    _ => &default,
                };
                // The same cell may be measured in fewer rounds of one configuration.
                let same = cells.iter().find(|other| is_same(cell, other));
                let is_due = same.is_some_and(|cell| round <= cell.rounds);
                if is_due && can(entrant, cell) {
                    runs.push(Planned {
                        round,
                        cell: *cell,
                        entrant: entrant.clone(),
                    });
                }
            }
            random.shuffle(&mut runs);
            planned.append(&mut runs);
        }
    }
    planned
}

fn is_same(one: &Cell, other: &Cell) -> bool {
    let rounds = one.rounds;
    *one == Cell { rounds, ..*other }
}

#[cfg(test)]
mod tests {
    use super::super::profile::ProfileName;
    use super::*;
    use crate::results::{Phase, SinkKind};

    fn entrants() -> Vec<Entrant> {
        let entrant = |collector, config: &str| Entrant {
            collector,
            config: config.to_owned(),
        };
        vec![
            entrant(0, "tuned"),
            entrant(1, "tuned"),
            entrant(2, "tuned"),
            entrant(1, "default"),
        ]
    }

    #[test]
    fn every_round_has_every_entrant_once_in_each_cell() {
        let profile = ProfileName::Full.profile();
        let planned = plan(&profile, &entrants(), 7, |_, _| true);
        for round in 1..=profile.rounds {
            let drains = planned.iter().filter(|run| {
                run.round == round
                    && run.cell.phase == Phase::Drain
                    && run.cell.sink == SinkKind::Http
                    && run.entrant.config == "tuned"
            });
            let mut collectors: Vec<usize> = drains.map(|run| run.entrant.collector).collect();
            collectors.sort_unstable();
            assert_eq!(collectors, [0, 1, 2]);
        }
        let default = planned.iter().filter(|run| run.entrant.config == "default");
        assert!(default.clone().all(|run| run.round <= 1) && default.count() == 3);
    }

    #[test]
    fn the_order_is_that_of_the_seed_and_changes_between_rounds() {
        let profile = ProfileName::Quick.profile();
        let order = |seed| plan(&profile, &entrants(), seed, |_, _| true);
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let runs = order(1);
        let of_round = |round: u32| {
            let runs = runs.iter().filter(move |run| run.round == round);
            runs.map(|run| (run.cell.sink, run.cell.rate, run.entrant.collector))
        };
        assert!(of_round(1).ne(of_round(2)));
    }

    #[test]
    fn what_cannot_be_done_is_not_planned() {
        let profile = ProfileName::Quick.profile();
        let planned = plan(&profile, &entrants(), 1, |entrant, cell| {
            entrant.collector != 1 || cell.sink != SinkKind::Http
        });
        let is_http = |run: &&Planned| run.cell.sink == SinkKind::Http;
        assert!(
            planned
                .iter()
                .filter(is_http)
                .all(|run| run.entrant.collector != 1)
        );
        assert!(planned.iter().filter(is_http).count() > 0);
    }
}
