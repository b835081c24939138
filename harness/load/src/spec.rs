//! The description of a mix of requests: TOML text becomes a checked [`Spec`].

use anyhow::{Result, ensure};
use serde::Deserialize;

/// The description that is used when none is named.
const BUILT_IN: &str = include_str!("../../../datasets/nginx.toml");

/// A mix of requests. The meaning of each key is in `datasets/nginx.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub(crate) start_unix_s: u32,
    pub(crate) gap_us: u32,
    pub(crate) probe: Probe,
    pub(crate) clients: Clients,
    pub(crate) methods: Vec<Weighted>,
    pub(crate) protocols: Vec<Weighted>,
    pub(crate) statuses: Vec<Status>,
    pub(crate) paths: Vec<String>,
    pub(crate) path_id_max: u32,
    pub(crate) referers: Vec<Weighted>,
    pub(crate) agents: Vec<Weighted>,
}

/// The health checks of a load balancer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    pub(crate) one_in: u32,
    pub(crate) path: String,
    pub(crate) agent: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) body_bytes: u32,
}

/// Who sends the other requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clients {
    pub(crate) count: u32,
    pub(crate) ipv6_one_in: u32,
    pub(crate) user_one_in: u32,
    pub(crate) users: Vec<String>,
}

/// A text and how often it comes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Weighted {
    pub(crate) weight: u32,
    pub(crate) text: String,
}

/// A status, how often it comes and the size of its answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Status {
    pub(crate) weight: u32,
    pub(crate) code: u16,
    /// The same size each time; sizes vary when it is absent.
    pub(crate) body_bytes: Option<u32>,
}

impl Spec {
    /// The description that is used when none is named: `datasets/nginx.toml`.
    #[must_use]
    pub fn built_in() -> Spec {
        match Spec::parse(BUILT_IN) {
            Ok(spec) => spec,
            Err(error) => unreachable!("it is tested that it can be read: {error}"),
        }
    }

    /// The same mix from another time on, at another mean rate. For load that is written live: its
    /// lines are of now.
    #[must_use]
    pub fn live(mut self, start_unix_s: u32, lines_per_second: u32) -> Spec {
        self.start_unix_s = start_unix_s;
        self.gap_us = 1_000_000 / lines_per_second.max(1);
        self
    }

    /// Reads and checks a description in TOML.
    ///
    /// # Errors
    /// What is wrong with it and what was expected.
    pub fn parse(text: &str) -> Result<Spec> {
        let spec: Spec = toml::from_str(text)?;
        for (name, is_empty) in [
            ("methods", spec.methods.iter().all(|m| m.weight == 0)),
            ("protocols", spec.protocols.iter().all(|p| p.weight == 0)),
            ("statuses", spec.statuses.iter().all(|s| s.weight == 0)),
            ("referers", spec.referers.iter().all(|r| r.weight == 0)),
            ("agents", spec.agents.iter().all(|a| a.weight == 0)),
            ("paths", spec.paths.is_empty()),
            ("probe.addresses", spec.probe.addresses.is_empty()),
            (
                "clients.users",
                spec.clients.users.is_empty() && spec.clients.user_one_in != 0,
            ),
        ] {
            ensure!(!is_empty, "{name} is empty: at least one is needed");
        }
        ensure!(
            (1..=65_536).contains(&spec.clients.count),
            "clients.count is {}: 1 to 65536 are possible",
            spec.clients.count
        );
        ensure!(
            (1..=65_536).contains(&spec.path_id_max),
            "path_id_max must be 1 to 65536"
        );
        spec.check_texts()?;
        Ok(spec)
    }

    /// A raw quote or line feed in a text would make lines that no nginx writes.
    fn check_texts(&self) -> Result<()> {
        let weighted = [&self.methods, &self.protocols, &self.referers, &self.agents];
        let texts = weighted
            .into_iter()
            .flatten()
            .map(|weighted| &weighted.text);
        let texts = texts.chain(&self.paths).chain(&self.clients.users);
        for text in texts
            .chain(&self.probe.addresses)
            .chain([&self.probe.path, &self.probe.agent])
        {
            ensure!(
                !text.is_empty() && !text.contains(['"', '\n', '\r']),
                "{text:?}: texts are not empty and hold no quote or line break (write \\x22)"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_description_can_be_read() {
        drop(Spec::built_in());
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to, message) in [
            ("gap_us", "gap_sec", "gap_sec"),
            ("count = 4096", "count = 0", "clients.count is 0"),
            ("path_id_max = 65536", "path_id_max = 0", "path_id_max"),
            (
                "path = \"/healthz\"",
                "path = \"/he\\\"althz\"",
                "hold no quote",
            ),
        ] {
            assert!(BUILT_IN.contains(from), "{from}");
            let error = Spec::parse(&BUILT_IN.replacen(from, to, 1)).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
