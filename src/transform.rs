//! The middle of the pipeline as one pass over a chunk: split lines -> parse -> filter -> enrich
//! -> encode. Slices in, bytes out: no clock, no lock, no I/O, no allocation per line.

mod work;

pub(crate) use work::transform_work;

use crate::config::{Config, OnParseError};
use crate::encode::RecordPlan;
use crate::enrich::{Extent, Suffix};
use crate::filter::BoundFilter;
use crate::parse::{Fields, Parser, Rows};
use crate::simd::{BlockMap, Cursor, Kernels, Level, Loop, MappedLine, Needles};

/// Everything that is known before the first line of a format comes: compiled once.
#[derive(Debug)]
pub(crate) struct Plan {
    parser: Parser,
    needles: Needles,
    /// Quotes in a line whose values have none.
    quote_count: usize,
    /// `None` where every line is kept, so that such a pipeline does not pay for the question.
    filter: Option<BoundFilter>,
    record: RecordPlan,
    on_parse_error: OnParseError,
    line_bytes_max: usize,
}

impl Plan {
    /// Compiles the plan for one format of a configuration.
    pub(crate) fn new(parser: Parser, config: &Config) -> Plan {
        let filter = &config.filter;
        Plan {
            filter: (!filter.is_empty()).then(|| filter.bind(parser.schema())),
            needles: parser.needles(),
            quote_count: parser.quote_count(),
            record: RecordPlan::new(&parser),
            on_parse_error: config.on_parse_error,
            line_bytes_max: config.line_bytes_max,
            parser,
        }
    }
}

/// What became of lines. Every line is in exactly one of `records`, `filtered`,
/// `parse_errors_dropped` and `empty`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Lines taken from the chunk.
    pub(crate) lines: u64,
    /// Lines that are of the format.
    pub(crate) parsed: u64,
    /// Lines that are not, shipped or not.
    pub(crate) parse_errors: u64,
    /// Of those, the ones that were not shipped, by configuration.
    pub(crate) parse_errors_dropped: u64,
    /// Lines that the filter dropped.
    pub(crate) filtered: u64,
    /// Lines with nothing in them.
    pub(crate) empty: u64,
    /// Lines cut to `line_bytes_max`.
    pub(crate) truncated: u64,
    /// Records encoded.
    pub(crate) records: u64,
}

impl Counts {
    /// Adds `other` to these counts.
    pub(crate) fn add(&mut self, other: &Counts) {
        self.lines += other.lines;
        self.parsed += other.parsed;
        self.parse_errors += other.parse_errors;
        self.parse_errors_dropped += other.parse_errors_dropped;
        self.filtered += other.filtered;
        self.empty += other.empty;
        self.truncated += other.truncated;
        self.records += other.records;
    }
}

/// The lines to transform: whole lines of one source with one extent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    /// The chunk.
    pub(crate) bytes: &'a [u8],
    /// How much of its line each of them is; other than [`Extent::Whole`] for a single line only.
    pub(crate) extent: Extent,
    /// How records of this source end.
    pub(crate) suffix: &'a Suffix,
}

/// Where to stop: the ceilings of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Records.
    pub(crate) records: u64,
    /// Bytes in the output after which no further line is begun.
    pub(crate) output_bytes: usize,
}

/// A transform with its scratch memory: one per thread.
#[derive(Debug)]
pub(crate) struct Transform {
    level: Level,
    map: Box<BlockMap>,
    rows: Box<Rows>,
}

impl Transform {
    /// A transform on the best kernels of this machine.
    pub(crate) fn new() -> Transform {
        Transform::at(Level::detect())
    }

    /// A transform on those kernels.
    pub(crate) fn at(level: Level) -> Transform {
        Transform {
            level,
            map: Box::new(BlockMap::new()),
            rows: Box::new(Rows::new()),
        }
    }

    /// Appends the records of the lines of `input` from byte `position` on to `out` until the input
    /// or a limit ends. Returns the position of the first line not taken and what became of those
    /// taken.
    pub(crate) fn run(
        &mut self,
        plan: &Plan,
        input: Input<'_>,
        position: usize,
        limits: Limits,
        out: &mut Vec<u8>,
    ) -> (usize, Counts) {
        self.level.dispatch(Pass {
            plan,
            input,
            start: position,
            limits,
            map: &mut self.map,
            rows: &mut self.rows,
            lines: [LineFlags::default(); Rows::COUNT_MAX],
            out,
            counts: Counts::default(),
        })
    }
}

/// One run of [`Transform::run`], as the loop that is compiled per instruction set: split some lines
/// off, find all their fields, then write the records of those that are kept.
struct Pass<'a> {
    plan: &'a Plan,
    input: Input<'a>,
    /// The first byte that is not taken yet.
    start: usize,
    limits: Limits,
    map: &'a mut BlockMap,
    rows: &'a mut Rows,
    lines: [LineFlags; Rows::COUNT_MAX],
    out: &'a mut Vec<u8>,
    counts: Counts,
}

/// What is known of a line besides its place.
#[derive(Clone, Copy, Debug, Default)]
struct LineFlags {
    /// Its text can be copied as it is.
    is_clean: bool,
    /// It is longer than a line may be.
    is_cut: bool,
}

impl Loop for Pass<'_> {
    type Output = (usize, Counts);

    #[inline(always)]
    fn run<K: Kernels>(mut self, kernels: K) -> (usize, Counts) {
        let byte_count = self.input.bytes.len();
        let slots = self.plan.parser.schema().fields().len();
        // Where the map ends for this loop: nothing is mapped yet.
        let (mut map_end, mut cursor) = (self.start, Cursor::default());
        while self.start < byte_count
            && self.counts.records < self.limits.records
            && self.out.len() < self.limits.output_bytes
        {
            if self.start >= map_end {
                let (bytes, needles) = (self.input.bytes, &self.plan.needles);
                kernels.map_block(bytes, self.start, needles, self.map);
                (map_end, cursor) = (self.map.end(), Cursor::default());
            }
            self.rows.clear(slots);
            self.split(kernels, &mut map_end, &mut cursor);
            kernels.call(ParseRows {
                parser: &self.plan.parser,
                map: self.map,
                bytes: self.input.bytes,
                rows: self.rows,
            });
            for row in 0..self.rows.count() {
                self.take(kernels, row);
            }
        }
        (self.start.min(byte_count), self.counts)
    }
}

/// [`Parser::parse_rows`], in a frame of its own.
struct ParseRows<'a> {
    parser: &'a Parser,
    map: &'a BlockMap,
    bytes: &'a [u8],
    rows: &'a mut Rows,
}

impl Loop for ParseRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<K: Kernels>(self, _kernels: K) {
        self.parser.parse_rows(self.map, self.bytes, self.rows);
    }
}

impl Pass<'_> {
    /// Splits lines off, until there are as many as may be, or the map ends: `map_end` is then set
    /// to where the next one has to begin.
    #[inline(always)]
    fn split<K: Kernels>(&mut self, kernels: K, map_end: &mut usize, cursor: &mut Cursor) {
        let bytes = self.input.bytes;
        let records_left = self.limits.records - self.counts.records;
        let count_max = records_left.min(Rows::COUNT_MAX as u64) as usize;
        while self.rows.count() < count_max && self.start < *map_end {
            let (start, quote_count) = (self.start, self.plan.quote_count);
            match MappedLine::find(kernels, self.map, bytes, start, *cursor, quote_count) {
                Some(line) => {
                    *cursor = line.next(quote_count);
                    self.add(&line);
                }
                // It goes on behind the block: it is mapped again from its beginning, ...
                None if self.map.start() < start => *map_end = start,
                // ... or, if it is longer than a block, taken without a map.
                None => {
                    let newline = kernels.find(bytes, start, bytes.len(), b'\n');
                    self.add(&MappedLine::without_map(newline));
                    *map_end = start;
                }
            }
        }
    }

    /// Adds the next line to the rows, unless it is empty.
    #[inline(always)]
    fn add(&mut self, line: &MappedLine) {
        let (bytes, start) = (self.input.bytes, self.start);
        let newline = line.newline();
        self.start = newline + 1;
        self.counts.lines += 1;
        let mut end = newline;
        if end > start && bytes.get(end - 1) == Some(&b'\r') {
            end -= 1;
        }
        if end == start {
            self.counts.empty += 1;
            return;
        }
        let is_cut = end - start > self.plan.line_bytes_max;
        if is_cut {
            end = cut(bytes, start, start + self.plan.line_bytes_max);
        }
        let row = self.rows.count();
        if let Some(flags) = self.lines.get_mut(row) {
            *flags = LineFlags {
                is_clean: line.is_clean(),
                is_cut,
            };
        }
        let is_regular = line.is_regular() && !is_cut;
        self.rows.push(start, end, line.first_quote(), is_regular);
    }

    /// Parses a line of the rows, if that is still to be done, and writes its record.
    #[inline(always)]
    fn take<K: Kernels>(&mut self, kernels: K, row: usize) {
        let bytes = self.input.bytes;
        let flags = self.lines.get(row).copied().unwrap_or_default();
        let extent = if flags.is_cut {
            Extent::Truncated
        } else {
            self.input.extent
        };
        self.counts.truncated += u64::from(extent == Extent::Truncated);
        if self.rows.is_irregular(row) {
            let (start, end) = self.rows.bounds(row);
            let spans = self.rows.spans_mut(row);
            if let Err(failure) = self.plan.parser.parse(bytes, start, end, spans) {
                let line = bytes.get(start..end).unwrap_or_default();
                return self.unparsed(kernels, line, failure.0, extent);
            }
        }
        self.counts.parsed += 1;
        let spans = self.rows.spans(row);
        if let Some(filter) = &self.plan.filter
            && !filter.keeps(&Fields { bytes, spans })
        {
            self.counts.filtered += 1;
            return;
        }
        let suffix = self.input.suffix.of(extent);
        self.plan
            .record
            .push_record(kernels, self.out, bytes, spans, flags.is_clean, suffix);
        self.counts.records += 1;
    }

    #[cold]
    fn unparsed<K: Kernels>(&mut self, kernels: K, line: &[u8], failure: usize, extent: Extent) {
        self.counts.parse_errors += 1;
        if self.plan.on_parse_error == OnParseError::Drop {
            self.counts.parse_errors_dropped += 1;
            return;
        }
        let suffix = self.input.suffix.of(extent);
        self.plan
            .record
            .push_unparsed(kernels, self.out, line, failure, suffix);
        self.counts.records += 1;
    }
}

/// Where to cut a line that is longer than its limit: at `end`, or before the UTF-8 character that
/// `end` would cut in two.
#[cold]
fn cut(bytes: &[u8], start: usize, end: usize) -> usize {
    let is_inside = |index: &usize| bytes.get(*index).is_some_and(|byte| byte & 0xc0 == 0x80);
    let boundary = (end.saturating_sub(3).max(start + 1)..=end)
        .rev()
        .find(|i| !is_inside(i));
    boundary.unwrap_or(end)
}

#[cfg(test)]
mod tests;
