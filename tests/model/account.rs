//! What was written, what of it must be delivered, and whether it was.
//!
//! Everything that is written at once is a **token**: a number with padding. A line has one or several.
//! Each belongs to a **content**: what a file holds from its birth, or from a truncation, to its end.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

/// First bytes of a content that a checkpoint may know it by.
const HEAD_BYTES: usize = 256;

pub(crate) struct Token {
    pub(crate) content: usize,
    line: usize,
    padding: usize,
    /// Whether it must be delivered; if not it may be.
    pub(crate) is_due: bool,
    /// How often it may be delivered besides the one time.
    pub(crate) repeats: usize,
}

pub(crate) struct Content {
    pub(crate) inode: u64,
    /// Its first bytes, by which the checkpoint knows it.
    head: Vec<u8>,
    pub(crate) tokens: Vec<usize>,
    /// The line that was begun and is not ended.
    pub(crate) unfinished: Option<usize>,
    /// Whether it can be read no more.
    pub(crate) is_destroyed: bool,
    /// Bytes that VES has seen in it and cannot have read, since they are no whole line.
    pub(crate) seen_unread: u64,
}

impl Content {
    /// Whether an entry of a checkpoint was made for it. Of an empty file that tells the inode alone.
    pub(crate) fn is_of(&self, entry: &Value) -> bool {
        let bytes = known_bytes(entry) as usize;
        let head = self.head.get(..bytes);
        let hash = entry["fingerprint"]["hash"].as_u64().unwrap();
        entry["ino"].as_u64().unwrap() == self.inode
            && (bytes == 0 || head.is_some_and(|head| xxh3_64(head) == hash))
    }
}

/// How many of a file's first bytes an entry of a checkpoint knows.
pub(crate) fn known_bytes(entry: &Value) -> u64 {
    entry["fingerprint"]["bytes"].as_u64().unwrap()
}

/// A record of the sink.
pub(crate) struct Record {
    /// Where it begins there.
    pub(crate) start: usize,
    pub(crate) tokens: Vec<usize>,
}

#[derive(Default)]
pub(crate) struct Account {
    pub(crate) tokens: Vec<Token>,
    pub(crate) contents: Vec<Content>,
    /// Tokens by line, and whether the line has an end.
    lines: Vec<(Vec<usize>, bool)>,
}

impl Account {
    /// A file begins, again or for the first time.
    pub(crate) fn begin_content(&mut self, inode: u64) -> usize {
        self.contents.push(Content {
            inode,
            head: Vec::new(),
            tokens: Vec::new(),
            unfinished: None,
            is_destroyed: false,
            seen_unread: 0,
        });
        self.contents.len() - 1
    }

    /// Writes a token, by one call. It ends its line, or leaves it unfinished.
    pub(crate) fn write(
        &mut self,
        content: usize,
        file: &mut File,
        padding: usize,
        is_end: bool,
        is_due: bool,
    ) -> usize {
        let number = self.tokens.len();
        let to = &mut self.contents[content];
        let line = to.unfinished.take().unwrap_or(self.lines.len());
        if line == self.lines.len() {
            self.lines.push((Vec::new(), false));
        }
        to.unfinished = (!is_end).then_some(line);
        to.seen_unread = 0;
        let mut text = text(number, padding);
        if is_end {
            text.push('\n');
        }
        let missing = HEAD_BYTES.saturating_sub(to.head.len()).min(text.len());
        to.head.extend_from_slice(&text.as_bytes()[..missing]);
        to.tokens.push(number);
        self.lines[line].0.push(number);
        self.lines[line].1 = is_end;
        self.tokens.push(Token {
            content,
            line,
            padding,
            is_due,
            repeats: 0,
        });
        file.write_all(text.as_bytes()).unwrap();
        number
    }

    /// Whether that token is part of a whole line. Others are not read until they are, but at an end.
    pub(crate) fn is_whole(&self, token: usize) -> bool {
        self.lines[self.tokens[token].line].1
    }

    pub(crate) fn bytes_of(&self, token: usize) -> u64 {
        text(token, self.tokens[token].padding).len() as u64
    }

    /// The records of a sink up to its last newline. Each is a line as it was written, or a flagged part
    /// of one.
    pub(crate) fn read(&self, sink: &[u8]) -> Result<Vec<Record>, String> {
        let end = sink.iter().rposition(|&byte| byte == b'\n');
        let sink = &sink[..end.map_or(0, |end| end + 1)];
        let mut start = 0;
        let mut records = Vec::new();
        for line in sink.split_inclusive(|&byte| byte == b'\n') {
            let shown = String::from_utf8_lossy(line);
            let record = serde_json::from_slice(line);
            let record: Value = record.map_err(|error| format!("{error}: {shown}"))?;
            let tokens = self.tokens_of(&record);
            let tokens = tokens.ok_or_else(|| format!("not a line, or its part: {shown}"))?;
            records.push(Record { start, tokens });
            start += line.len();
        }
        Ok(records)
    }

    fn tokens_of(&self, record: &Value) -> Option<Vec<usize>> {
        let mut pieces = record["message"].as_str()?.split('<');
        let mut tokens = Vec::new();
        if !pieces.next()?.is_empty() {
            return None;
        }
        for piece in pieces {
            let (number, _) = piece.split_once('>')?;
            let number: usize = number.parse().ok()?;
            let padding = self.tokens.get(number)?.padding;
            if text(number, padding)[1..] != *piece {
                return None;
            }
            tokens.push(number);
        }
        let (line, is_whole) = &self.lines[self.tokens[*tokens.first()?].line];
        let is_it = if record["partial"] == true {
            line.windows(tokens.len()).any(|part| part == tokens)
        } else {
            *is_whole && *line == tokens
        };
        is_it.then_some(tokens)
    }

    /// Checks what was delivered in all.
    pub(crate) fn check(&self, records: &[Record]) -> Result<(), String> {
        let mut counts = vec![0; self.tokens.len()];
        let mut last: HashMap<usize, usize> = HashMap::new();
        for &number in records.iter().flat_map(|record| &record.tokens) {
            counts[number] += 1;
            let last = last.entry(self.tokens[number].content).or_default();
            if counts[number] == 1 && number < *last {
                return Err(format!("<{number}> came after <{last}> of the same file"));
            }
            *last = number.max(*last);
        }
        for (number, (token, &count)) in self.tokens.iter().zip(&counts).enumerate() {
            if count == 0 && token.is_due {
                return Err(format!("<{number}> was not delivered"));
            }
            if count > 1 + token.repeats {
                let most = 1 + token.repeats;
                return Err(format!(
                    "<{number}> was delivered {count} times, {most} at most"
                ));
            }
        }
        Ok(())
    }
}

fn text(number: usize, padding: usize) -> String {
    format!("<{number}>{}", "x".repeat(padding))
}
