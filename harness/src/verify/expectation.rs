//! What each line of the load has to become, worked out from the line by the plainest parser that
//! could be written, which shares nothing with any collector.
//!
//! An expected record is kept as one number: the sum of the hashes of its fields. The order of
//! fields does not matter to it, their names, types and values do.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How much of the work a collector does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fidelity {
    /// Parse, drop health checks, add the host.
    #[default]
    Full,
    /// Forward the text of every line as `message`.
    Raw,
}

/// The path that the filter drops.
const DROPPED_PATH: &[u8] = b"/healthz";

/// The value of the field that is added.
pub(crate) const HOST: &str = "bench";

/// The digest of each line's record, by the number of the line.
#[derive(Debug)]
pub(crate) struct Expectation {
    digests: Vec<Option<Digest>>,
}

/// A record as one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest(u64);

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Text(&'a [u8]),
    Integer(u64),
    /// Anything that no line is expected to give: it makes the record a different one.
    Other,
}

impl Digest {
    /// Adds a field.
    pub(crate) fn add(&mut self, name: &[u8], value: Value<'_>) {
        let name = xxh3_64_with_seed(name, 0);
        let value = match value {
            Value::Text(text) => xxh3_64_with_seed(text, name),
            Value::Integer(integer) => xxh3_64_with_seed(&integer.to_le_bytes(), !name),
            Value::Other => name,
        };
        self.0 = self.0.wrapping_add(value);
    }
}

impl Expectation {
    /// What is to come of the lines of `bytes` that end at `ends`.
    ///
    /// # Errors
    /// When a line is not a combined one with all that the work needs.
    pub(crate) fn of(bytes: &[u8], ends: &[usize], fidelity: Fidelity) -> Result<Expectation> {
        let mut digests = Vec::with_capacity(ends.len() + 1);
        // Lines count from 1.
        digests.push(None);
        let mut start = 0;
        for &end in ends {
            let line = bytes.get(start..end.saturating_sub(1)).unwrap_or_default();
            start = end;
            digests.push(of_line(line, fidelity)?);
        }
        Ok(Expectation { digests })
    }

    /// How many records are to come of the first `lines` lines.
    pub(crate) fn count(&self, lines: usize) -> u64 {
        let digests = self.digests.iter().take(lines + 1);
        digests.filter(|digest| digest.is_some()).count() as u64
    }

    /// The record of line `number`; none where it is to be dropped or there is no such line.
    pub(crate) fn record(&self, number: usize) -> Option<Digest> {
        self.digests.get(number).copied().flatten()
    }
}

/// What is to come of one line without its newline; nothing where it is to be dropped.
///
/// # Errors
/// When it is not a combined line with all that the work needs.
pub(crate) fn of_line(line: &[u8], fidelity: Fidelity) -> Result<Option<Digest>> {
    match fidelity {
        Fidelity::Raw => Ok(Some(raw(line))),
        Fidelity::Full => full(line)
            .with_context(|| format!("not a combined line: {}", String::from_utf8_lossy(line))),
    }
}

fn raw(line: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.add(b"message", Value::Text(line));
    digest
}

fn full(line: &[u8]) -> Result<Option<Digest>> {
    let mut rest = line;
    let mut digest = Digest::default();
    digest.add(b"remote_addr", Value::Text(take(&mut rest, b" - ")?));
    digest.add(b"remote_user", Value::Text(take(&mut rest, b" [")?));
    digest.add(b"time_local", Value::Text(take(&mut rest, b"] \"")?));
    digest.add(b"method", Value::Text(take(&mut rest, b" ")?));
    let path = take(&mut rest, b" ")?;
    digest.add(b"path", Value::Text(path));
    digest.add(b"protocol", Value::Text(take(&mut rest, b"\" ")?));
    digest.add(b"status", integer(take(&mut rest, b" ")?)?);
    digest.add(b"body_bytes_sent", integer(take(&mut rest, b" \"")?)?);
    digest.add(b"http_referer", Value::Text(take(&mut rest, b"\" \"")?));
    digest.add(b"http_user_agent", Value::Text(take(&mut rest, b"\"")?));
    digest.add(b"host", Value::Text(HOST.as_bytes()));
    ensure!(rest.is_empty(), "something follows the user agent");
    Ok((path != DROPPED_PATH).then_some(digest))
}

/// Takes what comes before `separator`, and the separator, off the front.
fn take<'a>(rest: &mut &'a [u8], separator: &[u8]) -> Result<&'a [u8]> {
    let at = memchr::memmem::find(rest, separator);
    let at = at.with_context(|| format!("no {:?}", String::from_utf8_lossy(separator)))?;
    let (field, after) = rest.split_at(at);
    *rest = after.split_at(separator.len()).1;
    Ok(field)
}

fn integer(text: &[u8]) -> Result<Value<'static>> {
    let text = std::str::from_utf8(text)?;
    let integer = text
        .parse()
        .with_context(|| format!("{text:?} is no number"))?;
    Ok(Value::Integer(integer))
}
