//! `{{name}}` in a text becomes a value.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

/// Values by name.
pub(crate) type Values = BTreeMap<&'static str, String>;

/// Puts the values in.
///
/// # Errors
/// When a name is not known, or braces are not closed.
pub(crate) fn render(text: &str, values: &Values) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            bail!("{{{{ without }}}}");
        };
        let Some(value) = values.get(name.trim()) else {
            let known: Vec<&str> = values.keys().copied().collect();
            bail!("{{{{{name}}}}} is not known: {} are", known.join(", "));
        };
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_values_and_other_braces_stay() {
        let values = Values::from([("watch", "/x/a.log".to_owned()), ("port", "1".to_owned())]);
        let text = "a {b} {{watch}}:{{ port }} ${n.x}";
        assert_eq!(render(text, &values).unwrap(), "a {b} /x/a.log:1 ${n.x}");
        let error = render("{{wat}}", &values).unwrap_err().to_string();
        assert_eq!(error, "{{wat}} is not known: port, watch are");
        render("{{watch", &values).unwrap_err();
    }
}
