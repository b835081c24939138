//! A record as a collector wrote it: JSON text becomes the digest of its fields.

use std::fmt;

use memchr::memmem::Finder;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::expectation::{Digest, Value};

/// The digest of a JSON object.
///
/// # Errors
/// When it is not one.
pub(crate) fn digest(json: &[u8]) -> serde_json::Result<Digest> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let digest = deserializer.deserialize_map(Fields)?;
    deserializer.end()?;
    Ok(digest)
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Digest;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Digest, A::Error> {
        let mut digest = Digest::default();
        // Names are short: one buffer serves all that are not borrowed.
        let mut name = Vec::new();
        while map.next_key_seed(Name(&mut name))?.is_some() {
            map.next_value_seed(Field {
                name: &name,
                digest: &mut digest,
            })?;
        }
        Ok(digest)
    }
}

struct Name<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        self.0.clear();
        self.0.extend_from_slice(name.as_bytes());
        Ok(())
    }
}

struct Field<'a> {
    name: &'a [u8],
    digest: &'a mut Digest,
}

impl Field<'_> {
    fn add(self, value: Value<'_>) {
        self.digest.add(self.name, value);
    }
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.add(Value::Text(value.as_bytes()));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.add(Value::Integer(value));
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.add(Value::Other);
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.add(Value::Other);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.add(Value::Other);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.add(Value::Other);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.add(Value::Other);
        while map
            .next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?
            .is_some()
        {}
        Ok(())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.add(Value::Other);
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Finds the number of its line in a record, whatever else is wrong with it.
#[derive(Debug)]
pub(crate) struct NumberFinder(Finder<'static>);

impl NumberFinder {
    pub(crate) fn new() -> NumberFinder {
        NumberFinder(Finder::new("seq="))
    }

    /// The number that the generator put into the line.
    pub(crate) fn find(&self, record: &[u8]) -> Option<usize> {
        let digits = record.get(self.0.find(record)? + 4..)?;
        let digits = digits.get(..9)?;
        digits.iter().try_fold(0, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| number * 10 + usize::from(digit - b'0'))
        })
    }
}
