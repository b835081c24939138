//! Added fields: everything that comes after the parsed fields of a record, prepared once per
//! source as the literal end of its records.

use std::path::Path;

use crate::config::{AddedField, AddedValue};
use crate::simd::{Literal, escape};

/// The key that flags a line shipped without its newline.
pub(crate) const PARTIAL: &str = "partial";
/// The key that flags a line whose end was cut off.
pub(crate) const TRUNCATED: &str = "truncated";

/// How much of a line a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// A part, since its newline had not come or its beginning was shipped before.
    Partial,
    /// Its first bytes, since it is longer than `line_bytes_max`.
    Truncated,
}

/// The ends of the records of one source, by extent: flag, added fields, brace and newline.
#[derive(Clone, Debug)]
pub(crate) struct Suffix {
    whole: Literal,
    partial: Literal,
    truncated: Literal,
}

impl Suffix {
    /// Prepares the ends for lines that come from `path`, on the host named `host`.
    pub(crate) fn new(added: &[AddedField], host: &str, path: &Path) -> Suffix {
        let mut fields = Vec::new();
        for field in added {
            fields.push(b',');
            fields.extend(escape::quoted(field.name.as_bytes()));
            fields.push(b':');
            fields.extend(value(&field.value, host, path));
        }
        let end = |flag: &str| {
            let flag = if flag.is_empty() {
                String::new()
            } else {
                format!(",\"{flag}\":true")
            };
            Literal::new(&[flag.as_bytes(), &fields, b"}\n"].concat())
        };
        Suffix {
            whole: end(""),
            partial: end(PARTIAL),
            truncated: end(TRUNCATED),
        }
    }

    /// Whether it does not depend on the path.
    pub(crate) fn is_same_for_all(added: &[AddedField]) -> bool {
        let is_path = |field: &AddedField| matches!(field.value, AddedValue::File);
        !added.iter().any(is_path)
    }

    /// The end of a record of that extent.
    #[inline(always)]
    pub(crate) fn of(&self, extent: Extent) -> &Literal {
        match extent {
            Extent::Whole => &self.whole,
            Extent::Partial => &self.partial,
            Extent::Truncated => &self.truncated,
        }
    }
}

fn value(value: &AddedValue, host: &str, path: &Path) -> Vec<u8> {
    match value {
        AddedValue::Text(text) => escape::quoted(text.as_bytes()),
        AddedValue::Integer(integer) => integer.to_string().into_bytes(),
        AddedValue::Boolean(boolean) => boolean.to_string().into_bytes(),
        AddedValue::Host => escape::quoted(host.as_bytes()),
        AddedValue::File => escape::quoted(path.as_os_str().as_encoded_bytes()),
    }
}

/// The name of this host, for the added field `host`.
pub(crate) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_hold_the_added_fields_in_order_behind_the_flag() {
        let field = |name: &str, value| AddedField {
            name: name.to_owned(),
            value,
        };
        let added = [
            field("host", AddedValue::Host),
            field("file", AddedValue::File),
            field("te\"xt", AddedValue::Text("a\nb".to_owned())),
            field("n", AddedValue::Integer(-3)),
            field("b", AddedValue::Boolean(false)),
        ];
        let suffix = Suffix::new(&added, "web-1", Path::new("/l/a.log"));
        let fields = br#","host":"web-1","file":"/l/a.log","te\"xt":"a\nb","n":-3,"b":false}"#;
        let expected = [fields.as_slice(), b"\n"].concat();
        assert_eq!(suffix.of(Extent::Whole).as_bytes(), expected);
        let flagged = [br#","partial":true"#.as_slice(), &expected].concat();
        assert_eq!(suffix.of(Extent::Partial).as_bytes(), flagged);
    }
}
