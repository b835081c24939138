//! Settings of what VES says of itself: the address of the metrics, and its messages.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::MetricsOptions;
use super::resolve::Resolver;
use super::settings::{Node, Value};
use crate::report::{Level, LogFormat};

impl Resolver<'_> {
    pub(super) fn metrics(&mut self) -> Option<MetricsOptions> {
        let hosts = self.metrics_hosts();
        let per_file = self.switch("metrics_per_file");
        let Some(node) = self.settings.get("metrics").cloned() else {
            for key in ["metrics_host", "metrics_per_file"] {
                if let Some(node) = self.settings.get(key).cloned() {
                    let message = "nothing is served: say where with `metrics`, such as \"9600\"";
                    self.wrong_with(&node, key, message);
                }
            }
            return None;
        };
        let Some(address) = address(&node) else {
            let expected = "an IP address with a port, such as \"127.0.0.1:9600\" or \
                            \"[::1]:9600\", or a port alone (on 127.0.0.1)";
            self.wrong(&node, "metrics", expected);
            return None;
        };
        Some(MetricsOptions {
            address,
            hosts,
            per_file,
        })
    }

    fn metrics_hosts(&mut self) -> Vec<String> {
        let expected = "a host name without a port, such as \"logs.example.com\"";
        let mut hosts = Vec::new();
        for (node, text) in self.texts("metrics_host", expected) {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if !text.is_empty() && text.bytes().all(is_name) {
                hosts.push(text.to_ascii_lowercase());
            } else {
                self.wrong(&node, "metrics_host", expected);
            }
        }
        hosts
    }

    pub(super) fn log_level(&mut self) -> Level {
        let expected = "`error`, `warn`, `info` or `debug`";
        let Some((node, text)) = self.text("log_level", expected) else {
            return Level::Info;
        };
        let level = Level::ALL.into_iter().find(|level| level.name() == text);
        level.unwrap_or_else(|| {
            self.wrong(&node, "log_level", expected);
            Level::Info
        })
    }

    pub(super) fn log_format(&mut self) -> LogFormat {
        let expected = "`text` or `json`";
        match self.text("log_format", expected) {
            None => LogFormat::Text,
            Some((_, text)) if text == "text" => LogFormat::Text,
            Some((_, text)) if text == "json" => LogFormat::Json,
            Some((node, _)) => {
                self.wrong(&node, "log_format", expected);
                LogFormat::Text
            }
        }
    }
}

/// An address to listen on. Only loopback's is taken for granted.
fn address(node: &Node) -> Option<SocketAddr> {
    let loopback = |port| SocketAddr::from((IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    let text = match &node.value {
        Value::Integer(port) => return Some(loopback(u16::try_from(*port).ok()?)),
        Value::Text(text) => text.trim(),
        _ => return None,
    };
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    let port = port.strip_prefix(':').unwrap_or(port);
    // `parse` would take a sign.
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| port.parse().ok().map(loopback))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Place;

    #[test]
    fn addresses_are_loopbacks_unless_another_is_told() {
        let parse = |text: &str| {
            let node = Node {
                value: Value::Text(text.to_owned()),
                place: Place::Flag("metrics".to_owned()),
            };
            address(&node).map(|address| address.to_string())
        };
        for text in ["9600", ":9600", "localhost:9600", "127.0.0.1:9600"] {
            assert_eq!(parse(text).as_deref(), Some("127.0.0.1:9600"), "{text}");
        }
        assert_eq!(parse("0.0.0.0:1").as_deref(), Some("0.0.0.0:1"));
        assert_eq!(parse("[::]:1").as_deref(), Some("[::]:1"));
        for text in ["", ":", "+1", "65536", "example.com:1", "127.0.0.1", "::1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
