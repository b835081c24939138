//! The text of an expression to tokens, one at a time: names, literals with their escapes
//! resolved, and operators. Knows nothing of fields or of what may follow what.

use std::ops::Range;

use super::error::{ExpressionError, excerpt};

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    NotMatches,
}

impl Operator {
    /// The operator as it is written.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::In => "in",
            Operator::Contains => "contains",
            Operator::StartsWith => "starts_with",
            Operator::EndsWith => "ends_with",
            Operator::Matches => "=~",
            Operator::NotMatches => "!~",
        }
    }

    /// The operator that says the same with its sides exchanged; `None` where there is none.
    pub(super) fn flipped(self) -> Option<Operator> {
        match self {
            Operator::Equal | Operator::NotEqual => Some(self),
            Operator::Less => Some(Operator::Greater),
            Operator::LessOrEqual => Some(Operator::GreaterOrEqual),
            Operator::Greater => Some(Operator::Less),
            Operator::GreaterOrEqual => Some(Operator::LessOrEqual),
            _ => None,
        }
    }
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A field name, as written at the token's span.
    Name,
    Value(Value),
    Operator(Operator),
    And,
    Or,
    Not,
    LeftParenthesis,
    RightParenthesis,
    LeftBracket,
    RightBracket,
    Comma,
    /// Nothing but white space is left.
    End,
}

/// What a literal stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A string with its escapes resolved; with `\xHH` it can be other than UTF-8.
    Text(Vec<u8>),
    /// A string right after `=~` or `!~`.
    Pattern(String),
    /// From `i64::MIN` to `u64::MAX`.
    Integer(i128),
    Null,
}

/// A token and where it is in the text, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
}

/// Reads tokens from left to right; after the last it returns [`TokenKind::End`] for ever.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Whether the last token was `=~` or `!~`: a string that follows is a pattern.
    pattern_next: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Lexer<'a> {
        Lexer {
            text,
            at: 0,
            pattern_next: false,
        }
    }

    /// The text between two offsets that are on character boundaries.
    pub(super) fn slice(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }

    /// The next token.
    pub(super) fn token(&mut self) -> Result<Token, ExpressionError> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        let start = self.at;
        let kind = self.kind()?;
        self.pattern_next = matches!(
            kind,
            TokenKind::Operator(Operator::Matches) | TokenKind::Operator(Operator::NotMatches)
        );
        if kind == TokenKind::End {
            // Points behind the last word, not behind the blank lines that may follow it.
            let end = self.text.trim_end().len();
            return Ok(Token {
                kind,
                span: end..end,
            });
        }
        Ok(Token {
            kind,
            span: start..self.at,
        })
    }

    fn rest(&self) -> &'a str {
        self.slice(self.at..self.text.len())
    }

    fn kind(&mut self) -> Result<TokenKind, ExpressionError> {
        let rest = self.rest();
        let mut chars = rest.chars();
        let Some(first) = chars.next() else {
            return Ok(TokenKind::End);
        };
        match first {
            '"' | '\'' if self.pattern_next => self.pattern(first),
            '"' | '\'' => self.string(first),
            '0'..='9' => self.integer(),
            '-' if chars.next().is_some_and(|c| c.is_ascii_digit()) => self.integer(),
            'A'..='Z' | 'a'..='z' | '_' => Ok(self.word()),
            _ => self.punctuation(first),
        }
    }

    fn punctuation(&mut self, first: char) -> Result<TokenKind, ExpressionError> {
        let rest = self.rest();
        let known = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol));
        if let Some((symbol, kind)) = known {
            self.at += symbol.len();
            return Ok(kind.clone());
        }
        let message = match first {
            '=' => "`=` is not an operator; use `==`".to_owned(),
            '~' => "`~` is not an operator; use `=~`".to_owned(),
            '&' => "`&` is not an operator; use `and`".to_owned(),
            '|' => "`|` is not an operator; use `or`".to_owned(),
            '\u{2018}'..='\u{201f}' => format!("`{first}` is no quote here; use ' or \""),
            _ => format!("unexpected `{}`; text goes in quotes", first.escape_debug()),
        };
        Err(ExpressionError::new(
            message,
            self.at..self.at + first.len_utf8(),
        ))
    }

    fn word(&mut self) -> TokenKind {
        let word = self.take_word();
        keyword(word).unwrap_or(TokenKind::Name)
    }

    /// Consumes letters, digits, underscores and dots.
    fn take_word(&mut self) -> &'a str {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let start = self.at;
        self.at += length;
        self.slice(start..self.at)
    }

    fn integer(&mut self) -> Result<TokenKind, ExpressionError> {
        let start = self.at;
        if self.rest().starts_with('-') {
            self.at += 1;
        }
        self.take_word();
        let span = start..self.at;
        let word = self.slice(span.clone());
        let digits = word.strip_prefix('-').unwrap_or(word);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let word = excerpt(word);
            let message = format!("`{word}` is not a whole number; text goes in quotes");
            return Err(ExpressionError::new(message, span));
        }
        let range = i128::from(i64::MIN)..=i128::from(u64::MAX);
        match word.parse::<i128>() {
            Ok(value) if range.contains(&value) => Ok(TokenKind::Value(Value::Integer(value))),
            _ => {
                let message = format!("numbers are from {} to {}", range.start(), range.end());
                Err(ExpressionError::new(message, span))
            }
        }
    }

    fn string(&mut self, quote: char) -> Result<TokenKind, ExpressionError> {
        let open = self.at;
        self.at += 1;
        let mut value = Vec::new();
        loop {
            match self.string_char(open)? {
                c if c == quote => return Ok(TokenKind::Value(Value::Text(value))),
                '\\' => self.escape(open, &mut value)?,
                c => push_char(&mut value, c),
            }
        }
    }

    /// A string that is a regular expression. Most escapes mean the same to the regex compiler, or
    /// only mean something to it (`\d`), so all but the three that the quotes need are left to it.
    fn pattern(&mut self, quote: char) -> Result<TokenKind, ExpressionError> {
        let open = self.at;
        self.at += 1;
        let mut value = String::new();
        loop {
            match self.string_char(open)? {
                c if c == quote => return Ok(TokenKind::Value(Value::Pattern(value))),
                '\\' => match self.string_char(open)? {
                    c @ ('\\' | '"' | '\'') => value.push(c),
                    c => value.extend(['\\', c]),
                },
                c => value.push(c),
            }
        }
    }

    /// The next character of the string that was opened at `open`.
    fn string_char(&mut self, open: usize) -> Result<char, ExpressionError> {
        let Some(c) = self.rest().chars().next() else {
            let message = "this string has no closing quote";
            return Err(ExpressionError::new(
                message,
                open..self.text.trim_end().len(),
            ));
        };
        self.at += c.len_utf8();
        Ok(c)
    }

    /// Resolves what follows a backslash.
    fn escape(&mut self, open: usize, value: &mut Vec<u8>) -> Result<(), ExpressionError> {
        let start = self.at - 1;
        let escaped = self.string_char(open)?;
        match escaped {
            '\\' | '"' | '\'' => push_char(value, escaped),
            'n' => value.push(b'\n'),
            't' => value.push(b'\t'),
            'r' => value.push(b'\r'),
            'x' => value.push(self.hex_byte(start)?),
            'u' => push_char(value, self.code_point(start)?),
            _ => {
                let escape = excerpt(self.slice(start..self.at));
                let message = format!("unknown escape `{escape}`; a backslash is written `\\\\`");
                return Err(ExpressionError::new(message, start..self.at));
            }
        }
        Ok(())
    }

    /// The two digits of `\xHH`; the escape starts at `start`.
    fn hex_byte(&mut self, start: usize) -> Result<u8, ExpressionError> {
        let digits = self.slice(self.at..self.at + 2);
        let valid = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u8::from_str_radix(digits, 16) {
            Ok(byte) if valid => {
                self.at += 2;
                Ok(byte)
            }
            _ => Err(ExpressionError::new(
                "`\\x` takes two hexadecimal digits: \\x1b",
                start..self.at,
            )),
        }
    }

    /// The braces of `\u{...}`; the escape starts at `start`.
    fn code_point(&mut self, start: usize) -> Result<char, ExpressionError> {
        let inner = self
            .rest()
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'));
        let digits = inner.map_or("", |(digits, _)| digits);
        let valid = digits.len() <= 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| valid);
        match number.and_then(char::from_u32) {
            Some(c) => {
                self.at += digits.len() + 2;
                Ok(c)
            }
            None => Err(ExpressionError::new(
                "`\\u` takes the hexadecimal number of a character in braces: \\u{e9}",
                start..self.at,
            )),
        }
    }
}

/// The token of a word that is not a name.
pub(super) fn keyword(word: &str) -> Option<TokenKind> {
    KEYWORDS
        .iter()
        .find(|(keyword, _)| *keyword == word)
        .map(|(_, kind)| kind.clone())
}

fn push_char(value: &mut Vec<u8>, c: char) {
    value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Longer symbols come before their own beginnings.
const SYMBOLS: &[(&str, TokenKind)] = &[
    ("==", TokenKind::Operator(Operator::Equal)),
    ("!=", TokenKind::Operator(Operator::NotEqual)),
    ("<=", TokenKind::Operator(Operator::LessOrEqual)),
    (">=", TokenKind::Operator(Operator::GreaterOrEqual)),
    ("=~", TokenKind::Operator(Operator::Matches)),
    ("!~", TokenKind::Operator(Operator::NotMatches)),
    ("&&", TokenKind::And),
    ("||", TokenKind::Or),
    ("<", TokenKind::Operator(Operator::Less)),
    (">", TokenKind::Operator(Operator::Greater)),
    ("!", TokenKind::Not),
    ("(", TokenKind::LeftParenthesis),
    (")", TokenKind::RightParenthesis),
    ("[", TokenKind::LeftBracket),
    ("]", TokenKind::RightBracket),
    (",", TokenKind::Comma),
];

const KEYWORDS: &[(&str, TokenKind)] = &[
    ("and", TokenKind::And),
    ("or", TokenKind::Or),
    ("not", TokenKind::Not),
    ("null", TokenKind::Value(Value::Null)),
    ("in", TokenKind::Operator(Operator::In)),
    ("contains", TokenKind::Operator(Operator::Contains)),
    ("starts_with", TokenKind::Operator(Operator::StartsWith)),
    ("ends_with", TokenKind::Operator(Operator::EndsWith)),
];
