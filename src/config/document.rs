//! A configuration file to settings with places: TOML and YAML give the same.

use std::path::Path;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{Node, Place, Value};
use crate::error::{Error, Result};

/// A key, where it stands, and its value.
type Entry = (String, Place, Node);

/// Reads the settings of a file in their order.
///
/// # Errors
/// [`Error::Usage`] when the file cannot be read, its ending is neither `.toml` nor `.yaml` nor
/// `.yml`, or its text is not of that language.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>> {
    let shown = path.display();
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    let parse = match ending {
        "toml" => parse_toml,
        "yaml" | "yml" => parse_yaml,
        _ => {
            return Err(Error::Usage(format!(
                "{shown}: a configuration file has the ending .toml, .yaml or .yml"
            )));
        }
    };
    let bytes = std::fs::read(path).map_err(|error| {
        Error::Usage(format!("{shown}: cannot read the configuration: {error}"))
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        Error::Usage(format!("{shown}: not UTF-8 text (byte {place})"))
    })?;
    parse(path, &text)
}

fn parse_toml(path: &Path, text: &str) -> Result<Vec<Entry>> {
    let document = Toml { path, text };
    match DeTable::parse(text) {
        Ok(table) => Ok(document.entries(table.get_ref())),
        Err(error) => {
            let place = document.place(error.span().map_or(0, |span| span.start));
            let message = error.message().replace('\n', ": ");
            Err(Error::Usage(format!("{place}: not valid TOML: {message}")))
        }
    }
}

/// A TOML text, to tell places in it.
struct Toml<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Toml<'_> {
    fn place(&self, byte: usize) -> Place {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place::File {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }

    fn entries(&self, table: &DeTable<'_>) -> Vec<Entry> {
        let mut entries: Vec<(usize, Entry)> = Vec::new();
        for (key, value) in table {
            let start = key.span().start;
            let entry = (
                key.get_ref().to_string(),
                self.place(start),
                self.node(value),
            );
            entries.push((start, entry));
        }
        // The table is sorted by key; errors are told in the order of the file.
        entries.sort_by_key(|(start, _)| *start);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        let place = self.place(value.span().start);
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(digits) => {
                match i64::from_str_radix(digits.as_str(), digits.radix()) {
                    Ok(value) => Value::Integer(value),
                    Err(_) => Value::Other("a number beyond 64 bits"),
                }
            }
            DeValue::Float(digits) => digits
                .as_str()
                .parse()
                .map_or(Value::Other("a number"), Value::Float),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(_) => Value::Other("a date or time"),
            DeValue::Array(list) => {
                Value::List(list.iter().map(|value| self.node(value)).collect())
            }
            DeValue::Table(table) => {
                let entries = self.entries(table).into_iter();
                Value::Table(entries.map(|(key, _, node)| (key, node)).collect())
            }
        };
        Node { value, place }
    }
}

fn parse_yaml(path: &Path, text: &str) -> Result<Vec<Entry>> {
    let at = |line: usize, column: usize| Place::File {
        path: path.to_owned(),
        line,
        column,
    };
    let documents = MarkedYaml::load_from_str(text).map_err(|error| {
        let place = at(error.marker().line(), error.marker().col() + 1);
        Error::Usage(format!("{place}: not valid YAML: {}", error.info()))
    })?;
    let [document] = documents.as_slice() else {
        return match documents.get(1) {
            None => Ok(Vec::new()),
            Some(second) => {
                let place = yaml_place(path, second);
                Err(Error::Usage(format!(
                    "{place}: expected one YAML document, found a second one"
                )))
            }
        };
    };
    match &document.data {
        YamlData::Mapping(_) => Ok(yaml_entries(path, document)),
        YamlData::Value(Scalar::Null) => Ok(Vec::new()),
        _ => {
            let place = yaml_place(path, document);
            let found = yaml_node(path, document).value;
            Err(Error::Usage(format!(
                "{place}: expected settings as `key: value`, found {found}"
            )))
        }
    }
}

fn yaml_place(path: &Path, node: &MarkedYaml<'_>) -> Place {
    let start = node.span.start;
    Place::File {
        path: path.to_owned(),
        line: start.line(),
        column: start.col() + 1,
    }
}

fn yaml_entries(path: &Path, node: &MarkedYaml<'_>) -> Vec<Entry> {
    let YamlData::Mapping(mapping) = &node.data else {
        return Vec::new();
    };
    let entries = mapping.iter().map(|(key, value)| {
        let name = match yaml_node(path, key).value {
            Value::Text(name) => name,
            other => other.to_string(),
        };
        (name, yaml_place(path, key), yaml_node(path, value))
    });
    entries.collect()
}

fn yaml_node(path: &Path, node: &MarkedYaml<'_>) -> Node {
    let value = match &node.data {
        YamlData::Value(Scalar::String(text)) => Value::Text(text.to_string()),
        YamlData::Value(Scalar::Integer(value)) => Value::Integer(*value),
        YamlData::Value(Scalar::FloatingPoint(value)) => Value::Float(value.into_inner()),
        YamlData::Value(Scalar::Boolean(value)) => Value::Boolean(*value),
        YamlData::Value(Scalar::Null) => Value::Other("nothing"),
        YamlData::Sequence(list) => {
            Value::List(list.iter().map(|node| yaml_node(path, node)).collect())
        }
        YamlData::Mapping(_) => {
            let entries = yaml_entries(path, node).into_iter();
            Value::Table(entries.map(|(key, _, node)| (key, node)).collect())
        }
        YamlData::Representation(..) => Value::Other("a value of an unknown type"),
        YamlData::Tagged(..) => Value::Other("a value with a tag"),
        YamlData::Alias(_) => Value::Other("an alias"),
        YamlData::BadValue => Value::Other("a value that does not exist"),
    };
    Node {
        value,
        place: yaml_place(path, node),
    }
}
