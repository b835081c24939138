//! Lines that are parsed together, column by column: what is known of each, in arrays. One step of
//! a format is applied to all of them before the next, so its constants stay in registers and no
//! line waits for the result of another.

use super::Span;

/// What is known of up to [`Rows::COUNT_MAX`] lines, each of at least one byte. Offsets are in the
/// slice that they are of.
#[derive(Debug)]
pub(crate) struct Rows {
    count: usize,
    slots: usize,
    /// Where each line begins.
    pub(super) starts: Column,
    /// Where it ends, without newline.
    pub(super) ends: Column,
    /// The index of its first quote in the map.
    pub(super) first_quotes: Column,
    /// Where its next field begins.
    pub(super) positions: Column,
    /// Where that field ends.
    pub(super) field_ends: Column,
    /// Whether it has to be parsed by a closer look, on its own.
    pub(super) is_irregular: [bool; Rows::COUNT_MAX],
    /// The spans of its fields, line by line.
    pub(super) spans: Vec<Span>,
}

pub(super) type Column = [u32; Rows::COUNT_MAX];

impl Rows {
    /// Lines at most: those of an average block.
    pub(crate) const COUNT_MAX: usize = 64;

    /// No lines.
    pub(crate) fn new() -> Rows {
        let column = [0; Rows::COUNT_MAX];
        Rows {
            count: 0,
            slots: 0,
            starts: column,
            ends: column,
            first_quotes: column,
            positions: column,
            field_ends: column,
            is_irregular: [false; Rows::COUNT_MAX],
            spans: Vec::new(),
        }
    }

    /// Forgets all lines, and makes room for others with `slots` fields.
    #[inline(always)]
    pub(crate) fn clear(&mut self, slots: usize) {
        self.count = 0;
        if self.slots != slots {
            self.slots = slots;
            self.spans.clear();
            self.spans.resize(Rows::COUNT_MAX * slots, Span::NULL);
        }
    }

    /// Adds the line `start..end`. There has to be room for it.
    #[inline(always)]
    pub(crate) fn push(&mut self, start: usize, end: usize, first_quote: usize, is_regular: bool) {
        let row = self.count % Rows::COUNT_MAX;
        self.starts[row] = start as u32;
        self.ends[row] = end as u32;
        self.first_quotes[row] = first_quote as u32;
        self.is_irregular[row] = !is_regular;
        self.count += 1;
    }

    /// How many lines there are.
    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        self.count.min(Rows::COUNT_MAX)
    }

    /// Where a line begins and ends.
    #[inline(always)]
    pub(crate) fn bounds(&self, row: usize) -> (usize, usize) {
        let row = row % Rows::COUNT_MAX;
        (self.starts[row] as usize, self.ends[row] as usize)
    }

    /// Whether a line has to be parsed on its own.
    #[inline(always)]
    pub(crate) fn is_irregular(&self, row: usize) -> bool {
        self.is_irregular[row % Rows::COUNT_MAX]
    }

    /// The spans of the fields of a line.
    #[inline(always)]
    pub(crate) fn spans(&self, row: usize) -> &[Span] {
        let first = row * self.slots;
        self.spans
            .get(first..first + self.slots)
            .unwrap_or_default()
    }

    /// The same, to be written.
    #[inline(always)]
    pub(crate) fn spans_mut(&mut self, row: usize) -> &mut [Span] {
        let first = row * self.slots;
        self.spans
            .get_mut(first..first + self.slots)
            .unwrap_or_default()
    }

    /// Puts the field that ends at `field_ends` into `slot` of all lines.
    #[inline(always)]
    pub(super) fn store(&mut self, slot: usize) {
        let ends = self.positions.iter().zip(&self.field_ends);
        let spans = self.spans.chunks_exact_mut(self.slots.max(1));
        for (spans, (&start, &end)) in spans.zip(ends).take(self.count) {
            if let Some(span) = spans.get_mut(slot) {
                *span = Span { start, end };
            }
        }
    }

    /// Goes on behind the field that ends at `field_ends` and its terminator of `bytes`.
    #[inline(always)]
    pub(super) fn advance(&mut self, bytes: usize) {
        for (position, &end) in self.positions.iter_mut().zip(&self.field_ends) {
            *position = end.wrapping_add(bytes as u32);
        }
    }
}
