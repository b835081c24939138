//! The middle of the pipeline as one pass over a chunk: split lines -> parse -> filter -> enrich
//! -> encode. Slices in, bytes out: no clock, no lock, no I/O, no allocation per line.

mod work;

pub(crate) use work::transform_work;

use crate::config::{Config, OnParseError};
use crate::encode::RecordPlan;
use crate::enrich::{Extent, Suffix};
use crate::filter::BoundFilter;
use crate::parse::{Failure, Fields, Parser, Span};
use crate::simd::{Kernels, Level, LineMap, Loop, Needles};

/// Everything that is known before the first line of a format comes: compiled once.
#[derive(Debug)]
pub(crate) struct Plan {
    parser: Parser,
    needles: Needles,
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
    map: Box<LineMap>,
    spans: Vec<Span>,
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
            map: Box::new(LineMap::new()),
            spans: Vec::new(),
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
        let slots = plan.parser.schema().fields().len();
        if self.spans.len() != slots {
            self.spans.clear();
            self.spans.resize(slots, Span::NULL);
        }
        let spans = self.spans.as_mut_slice();
        self.level.dispatch(Pass {
            plan,
            input,
            position,
            limits,
            map: &mut self.map,
            spans,
            out,
        })
    }
}

/// One run of [`Transform::run`], as the loop that is compiled per instruction set.
struct Pass<'a> {
    plan: &'a Plan,
    input: Input<'a>,
    position: usize,
    limits: Limits,
    map: &'a mut LineMap,
    spans: &'a mut [Span],
    out: &'a mut Vec<u8>,
}

impl Loop for Pass<'_> {
    type Output = (usize, Counts);

    #[inline(always)]
    fn run<K: Kernels>(mut self, kernels: K) -> (usize, Counts) {
        let bytes = self.input.bytes;
        let mut counts = Counts::default();
        while self.position < bytes.len()
            && counts.records < self.limits.records
            && self.out.len() < self.limits.output_bytes
        {
            let (start, needles) = (self.position, &self.plan.needles);
            let is_mapped = kernels.map_line(bytes, start, needles, self.map);
            let newline = if is_mapped {
                self.map.newline()
            } else {
                kernels.find(bytes, start, bytes.len(), b'\n')
            };
            self.line(kernels, is_mapped, newline, &mut counts);
            self.position = newline + 1;
        }
        (self.position.min(bytes.len()), counts)
    }
}

impl Pass<'_> {
    /// Takes the line from `position` to `newline`.
    #[inline(always)]
    fn line<K: Kernels>(
        &mut self,
        kernels: K,
        is_mapped: bool,
        newline: usize,
        counts: &mut Counts,
    ) {
        let (bytes, start) = (self.input.bytes, self.position);
        counts.lines += 1;
        let mut end = newline;
        if end > start && bytes.get(end - 1) == Some(&b'\r') {
            end -= 1;
        }
        if end == start {
            counts.empty += 1;
            return;
        }
        let mut extent = self.input.extent;
        if end - start > self.plan.line_bytes_max {
            end = cut(bytes, start, start + self.plan.line_bytes_max);
            extent = Extent::Truncated;
        }
        counts.truncated += u64::from(extent == Extent::Truncated);
        match self.parse(kernels, is_mapped, end) {
            Ok(()) => {
                let quote_count = self.plan.parser.quote_count();
                let is_clean = is_mapped && self.map.is_clean(quote_count);
                self.parsed(kernels, is_clean, extent, counts);
            }
            Err(failure) => {
                let line = bytes.get(start..end).unwrap_or_default();
                self.unparsed(kernels, line, failure.0, extent, counts);
            }
        }
    }

    /// Finds the fields of the line from `position` to `end`.
    #[inline(always)]
    fn parse<K: Kernels>(
        &mut self,
        kernels: K,
        is_mapped: bool,
        end: usize,
    ) -> Result<(), Failure> {
        let map = is_mapped.then_some(&*self.map);
        let (bytes, start) = (self.input.bytes, self.position);
        let parser = &self.plan.parser;
        parser.parse(kernels, map, bytes, start, end, self.spans)
    }

    #[inline(always)]
    fn parsed<K: Kernels>(
        &mut self,
        kernels: K,
        is_clean: bool,
        extent: Extent,
        counts: &mut Counts,
    ) {
        counts.parsed += 1;
        let bytes = self.input.bytes;
        if let Some(filter) = &self.plan.filter
            && !filter.keeps(&Fields {
                bytes,
                spans: self.spans,
            })
        {
            counts.filtered += 1;
            return;
        }
        let suffix = self.input.suffix.of(extent);
        self.plan
            .record
            .push_record(kernels, self.out, bytes, self.spans, is_clean, suffix);
        counts.records += 1;
    }

    #[cold]
    fn unparsed<K: Kernels>(
        &mut self,
        kernels: K,
        line: &[u8],
        failure: usize,
        extent: Extent,
        counts: &mut Counts,
    ) {
        counts.parse_errors += 1;
        if self.plan.on_parse_error == OnParseError::Drop {
            counts.parse_errors_dropped += 1;
            return;
        }
        let suffix = self.input.suffix.of(extent);
        self.plan
            .record
            .push_unparsed(kernels, self.out, line, failure, suffix);
        counts.records += 1;
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
