//! Every error as the user sees it.

use super::*;

fn rendered(text: &str) -> String {
    match Expression::parse(text, &line().schema) {
        Ok(_) => panic!("parses: {text}"),
        Err(error) => error.render(text),
    }
}

/// Each block is an expression of one line and below it what the error must look like.
#[track_caller]
fn assert_rendered(blocks: &str) {
    for block in blocks.trim_matches('\n').split("\n\n") {
        let text = block.lines().next().unwrap();
        assert_eq!(rendered(text), block, "\n{}\n", rendered(text));
    }
}

#[test]
fn unknown_fields() {
    assert_rendered(
        r#"
statis >= 400
^^^^^^ unknown field `statis`; did you mean `status`? known fields: path, agent, note, status, bytes

400 <= Status
       ^^^^^^ unknown field `Status`; did you mean `status`? known fields: path, agent, note, status, bytes

path == 'a' and zzzzzzz == null
                ^^^^^^^ unknown field `zzzzzzz`; known fields: path, agent, note, status, bytes

x == 1
^ unknown field `x`; known fields: path, agent, note, status, bytes
"#,
    );
    // A name of one letter is as far from any other name as from none.
    let error = Expression::parse("x == 1", &Line::new().text("t", "").schema).unwrap_err();
    assert_eq!(error.message, "unknown field `x`; known fields: t");
    let error = Expression::parse("status == 1", &Schema::default()).unwrap_err();
    assert_eq!(error.message, "unknown field `status`; known fields: none");
    assert_eq!(error.span, 0..6);
}

#[test]
fn types_of_values() {
    assert_rendered(
        r#"
status == "404"
          ^^^^^ field `status` is an integer; compare it with a number: 404

status >= 'a'
          ^^^ field `status` is an integer; compare it with a number

status in [200, '404']
                ^^^^^ field `status` is an integer; compare it with a number: 404

path > 3
       ^ field `path` is text; compare it with a string: "3"

3 != path
^ field `path` is text; compare it with a string: "3"

path contains 3
              ^ field `path` is text; compare it with a string: "3"

path starts_with 3
                 ^ field `path` is text; compare it with a string: "3"

path ends_with 3
               ^ field `path` is text; compare it with a string: "3"

path in ['a', 3]
              ^ field `path` is text; compare it with a string: "3"

path =~ 3
        ^ `=~` takes a regular expression in quotes: "3"
"#,
    );
}

#[test]
fn operators_that_are_only_for_text() {
    for operator in ["contains", "starts_with", "ends_with", "=~", "!~"] {
        for value in ["4", "'4'"] {
            assert_eq!(
                rendered(&format!("status {operator} {value}")),
                format!(
                    "status {operator} {value}\n       {} `{operator}` is for text, and field \
                     `status` is an integer; use one of == != < <= > >= in",
                    "^".repeat(operator.len())
                )
            );
        }
    }
}

#[test]
fn lists() {
    assert_rendered(
        r#"
path in 'x'
        ^^^ `in` takes a list: ["a", "b"]

status in 200
          ^^^ `in` takes a list: [200, 204]

path == ['a']
        ^^^^^ `==` takes one value; use `in` for a list

status < [1, 2]
         ^^^^^^ `<` takes one value; use `in` for a list

path =~ ['x']
        ^^^^^ `=~` takes one value; use `in` for a list

path in []
        ^^ the list is empty: nothing is in it

path in ['a' 'b']
             ^^^ expected `,` or the end of the list, found `'b'`

path in ['a')
            ^ expected `,` or the end of the list, found `)`

path in [,]
         ^ expected a value, found `,`

path in [['a']]
         ^ expected a value, found `[`

path in ['a',
        ^ this list is not closed

path in ('a'
        ^ this list is not closed

path in [
        ^ this list is not closed
"#,
    );
}

#[test]
fn null_where_it_does_not_go() {
    assert_rendered(
        r#"
path < null
     ^ `<` does not go with null; use `==` or `!=`

null >= status
     ^^ `>=` does not go with null; use `==` or `!=`

path contains null
     ^^^^^^^^ `contains` does not go with null; use `==` or `!=`

path in null
     ^^ `in` does not go with null; use `==` or `!=`

status in [null]
           ^^^^ null does not go into a list; add: status == null or ...

path in ['a', null]
              ^^^^ null does not go into a list; add: path == null or ...
"#,
    );
}

#[test]
fn regular_expressions() {
    assert_rendered(
        r#"
path =~ 'a(b' and status == 1
        ^^^^^ bad regular expression: unclosed group

path !~ "[z-a]"
        ^^^^^^^ bad regular expression: invalid character class range, the start must be <= the end

path =~ "\q"
        ^^^^ bad regular expression: unrecognized escape sequence

path =~ 'a{1000}{1000}'
        ^^^^^^^^^^^^^^^ bad regular expression: it takes more than 10485760 bytes when compiled
"#,
    );
}

#[test]
fn incomplete_comparisons() {
    assert_rendered(
        r#"
status
^^^^^^ a field alone is not a condition; compare it, for example: status != null

not status and path == 'x'
    ^^^^^^ a field alone is not a condition; compare it, for example: status != null

path == 'x' or (status)
                ^^^^^^ a field alone is not a condition; compare it, for example: status != null

'x'
^^^ a value alone is not a condition; compare a field with it

path ==
       ^ expected a value after `==`, found the end

path == (4)
        ^ expected a value after `==`, found `(`

path == x
        ^ expected a value, found a name; text goes in quotes: "x"

== 4
^^ expected a field, found `==`

4 == 4
^^^^ a comparison has a field on one side

status 404
       ^^^ expected an operator like == or in after `status`, found `404`

status IN [1]
       ^^ expected an operator like == or in after `status`, found `IN`; did you mean `in`?

path not in ['x']
     ^^^ `not` goes before the comparison: not path ...

'x' in path
    ^^ `in` takes a field and a list; for a part of a text: path contains 'x'

'x' contains path
    ^^^^^^^^ the field goes on the left of `contains`: path contains 'x'
"#,
    );
}

#[test]
fn joining() {
    assert_rendered(
        r#"
and
^^^ expected a field, found `and`

path == 'x' or
              ^ expected a field, found the end

not
   ^ expected a field, found the end

()
 ^ expected a field, found `)`

200 <= status < 300
              ^ comparisons do not chain; join two of them with `and`

status == 200 AND path == 'x'
              ^^^ expected `and`, `or` or the end, found `AND`; did you mean `and`?

status == 1 path == 'x'
            ^^^^ expected `and`, `or` or the end, found `path`

(status == 1 path == 'x')
             ^^^^ expected `and`, `or` or `)`, found `path`

(path == 'x'
^ this parenthesis is not closed

path == 'x')
           ^ this parenthesis was never opened
"#,
    );
}

#[test]
fn characters_and_words() {
    assert_rendered(
        r#"
path = 'x'
     ^ `=` is not an operator; use `==`

status === 4
         ^ `=` is not an operator; use `==`

status <> 4
        ^ expected a value after `<`, found `>`

path & 'x'
     ^ `&` is not an operator; use `and`

path | 'x'
     ^ `|` is not an operator; use `or`

path ~ 'x'
     ^ `~` is not an operator; use `=~`

path == /x
        ^ unexpected `/`; text goes in quotes

status == -
          ^ unexpected `-`; text goes in quotes

status == 4.5
          ^^^ `4.5` is not a whole number; text goes in quotes

status == -10ms
          ^^^^^ `-10ms` is not a whole number; text goes in quotes

status == 18446744073709551616
          ^^^^^^^^^^^^^^^^^^^^ numbers are from -9223372036854775808 to 18446744073709551615

status == -9223372036854775809
          ^^^^^^^^^^^^^^^^^^^^ numbers are from -9223372036854775808 to 18446744073709551615
"#,
    );
    let text = "path == \u{201c}x\u{201d}";
    let expected = format!("{text}\n        ^ `\u{201c}` is no quote here; use ' or \"");
    assert_eq!(rendered(text), expected);
    assert_eq!(
        rendered("path \u{7}"),
        "path\n     ^ unexpected `\\u{7}`; text goes in quotes"
    );
}

#[test]
fn strings() {
    assert_rendered(
        r#"
status == 1 or path == 'x
                       ^^ this string has no closing quote

path =~ 'x\'
        ^^^^ this string has no closing quote

path == "a\"
        ^^^^ this string has no closing quote

path == "a\qb"
          ^^ unknown escape `\q`; a backslash is written `\\`

path == 'a\x4'
          ^^ `\x` takes two hexadecimal digits: \x1b

path == '\x+4'
         ^^ `\x` takes two hexadecimal digits: \x1b

path == '\u{110000}'
         ^^ `\u` takes the hexadecimal number of a character in braces: \u{e9}

path == '\u{d800}'
         ^^ `\u` takes the hexadecimal number of a character in braces: \u{e9}

path == '\u{}'
         ^^ `\u` takes the hexadecimal number of a character in braces: \u{e9}

path == '\u41'
         ^^ `\u` takes the hexadecimal number of a character in braces: \u{e9}
"#,
    );
    let break_escape = "path == 'a\\\nb'";
    assert_eq!(
        rendered(break_escape),
        "path == 'a\\\n          ^ unknown escape `\\\\n`; a backslash is written `\\\\`"
    );
}

#[test]
fn empty_expressions() {
    for text in ["", "  ", "\n \t"] {
        assert_eq!(rendered(text), "\n^ the expression is empty");
    }
}

#[test]
fn nesting() {
    let depth = parser::NESTING_MAX;
    let text = format!(
        "{}status == 1{}",
        "(".repeat(depth + 1),
        ")".repeat(depth + 1)
    );
    let error = Expression::parse(&text, &line().schema).unwrap_err();
    assert_eq!(error.message, "parentheses are nested deeper than 64");
    assert_eq!(error.span, depth..depth + 1);
    assert!(Expression::parse(&"(".repeat(1_000_000), &line().schema).is_err());
    assert!(Expression::parse(&"not (".repeat(1_000_000), &line().schema).is_err());
}

#[test]
fn only_the_line_of_the_error_is_shown() {
    let expected = "  statis > 4\n  ^^^^^^ unknown field `statis`; did you mean `status`? \
                    known fields: path, agent, note, status, bytes";
    assert_eq!(
        rendered("path == 'x' and\n  statis > 4\nand note == ''"),
        expected
    );
    assert_eq!(
        rendered("path == 'x' and\r\n  statis > 4\r\nand note == ''"),
        expected
    );
    assert_eq!(
        rendered("path == 'a' or\npath =~ \"b\n(\nc\" and status == 1"),
        "path =~ \"b\n        ^^ bad regular expression: unclosed group"
    );
    assert_eq!(
        rendered("path ==\n\n  "),
        "path ==\n       ^ expected a value after `==`, found the end"
    );
}

#[test]
fn carets_count_characters_and_controls_show_as_spaces() {
    assert_eq!(
        rendered("path == '\u{e9}\u{20ac}' and\t'\u{e9}'"),
        "path == '\u{e9}\u{20ac}' and '\u{e9}'\n                 ^^^ a value alone is not a \
         condition; compare a field with it"
    );
    assert_eq!(
        rendered("path == '\u{1b}[31m' and 4"),
        "path == ' [31m' and 4\n                    ^ a value alone is not a condition; compare a \
         field with it"
    );
}

/// The characters above the carets.
fn marked(rendered: &str) -> String {
    let (line, below) = rendered.split_once('\n').unwrap();
    let carets = below.chars().enumerate().filter(|(_, c)| *c == '^');
    carets
        .filter_map(|(column, _)| line.chars().nth(column))
        .collect()
}

#[test]
fn long_lines_are_cut_around_the_span() {
    let long = "path == '\u{e9}' and ".repeat(30);
    let after = " and path == '\u{e9}'".repeat(30);
    for (before, after) in [
        ("", ""),
        (long.as_str(), ""),
        ("", " and path == 'x'"),
        (&long, &after),
    ] {
        let text = format!("{before}statis == 1{after}");
        let rendered = rendered(&text);
        let line = rendered.lines().next().unwrap();
        assert_eq!(marked(&rendered), "statis", "{rendered}");
        assert!(line.chars().count() <= 106, "{rendered}");
        assert_eq!(line.starts_with("..."), !before.is_empty(), "{rendered}");
    }
    let quote = format!("path == '{}", "x".repeat(500));
    let rendered = rendered(&quote);
    assert_eq!(
        marked(&rendered),
        format!("'{}", "x".repeat(91)),
        "{rendered}"
    );
}

#[test]
fn names_in_messages_are_short() {
    let name = "x".repeat(10_000);
    let error = Expression::parse(&format!("{name} == 1"), &line().schema).unwrap_err();
    assert!(error.message.len() < 120, "{}", error.message);
    assert_eq!(error.span, 0..10_000);
    assert_eq!(error.to_string(), error.message);
}
