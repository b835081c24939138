//! Some KiB of lines as bitmaps: a bit per byte and needle, 64 bytes to a word. A kernel fills it in
//! one pass ([`super::Kernels::map_block`]); lines and fields are then found by counting trailing
//! zeros, without another look at the bytes.

use super::Kernels;

/// Bytes that are searched for, as many as the rows of a [`BlockMap`]. Row 0 is always the quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Needles {
    /// Each needle 32 times, ready to be compared with a register.
    splats: [[u8; 32]; BlockMap::ROWS],
    count: usize,
}

impl Needles {
    /// The quote alone.
    pub(crate) fn new() -> Needles {
        let mut needles = Needles {
            splats: [[0; 32]; BlockMap::ROWS],
            count: 0,
        };
        needles.row_of(b'"');
        needles
    }

    /// The row of `byte`, which is added where it is not there yet; `None` when all rows are taken.
    pub(crate) fn row_of(&mut self, byte: u8) -> Option<usize> {
        let known = self.bytes().position(|needle| needle == byte);
        if known.is_some() {
            return known;
        }
        let row = self.count;
        *self.splats.get_mut(row)? = [byte; 32];
        self.count += 1;
        Some(row)
    }

    /// The needles in the order of their rows.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = u8> {
        self.splats().iter().map(|[byte, ..]| *byte)
    }

    /// The needles, each as a register full of it.
    pub(super) fn splats(&self) -> &[[u8; 32]] {
        self.splats.get(..self.count).unwrap_or_default()
    }

    /// All rows; those without a needle find zeros.
    pub(super) fn all_splats(&self) -> [&[u8; 32]; BlockMap::ROWS] {
        self.splats.each_ref()
    }
}

/// Where things are in a block of up to [`BlockMap::BYTES`] bytes. Positions are offsets in the
/// slice that the block is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockMap {
    /// For each 64 bytes a word per needle, with a bit per byte. Those after the last are all ones,
    /// so that a search ends there without a count.
    pub(super) words: [[u64; BlockMap::ROWS]; BlockMap::WORDS + 1],
    /// Bytes at which a line may end or its text stops to be plain: control characters,
    /// backslashes and what is not ASCII.
    pub(super) stops: Places,
    /// Where the quotes are.
    pub(super) quotes: Places,
    /// The first byte of the block.
    pub(super) start: usize,
    /// The end of the block; that of the slice where that is nearer.
    pub(super) end: usize,
}

/// Places in a block, as offsets, in order: one for every byte, then [`NO_PLACE`], and room for some
/// that are written without asking.
pub(super) type Places = [u32; BlockMap::BYTES + 1 + AT_ONCE_MAX];

/// Places of a word that are written down without asking how many there are, at most.
pub(super) const AT_ONCE_MAX: usize = 4;

/// Comes after all places.
pub(super) const NO_PLACE: u32 = u32::MAX;

impl BlockMap {
    /// Needles at most: every `log_format` seen so far has fewer first bytes of separators.
    pub(crate) const ROWS: usize = 8;
    /// Words for each needle: with the one behind them a power of two, so that masking an index keeps
    /// it inside.
    pub(super) const WORDS: usize = 127;
    /// Bytes of a block. PERF: the bitmaps of 8 KiB stay in the first cache with the lines
    /// themselves; a line that goes on behind the block is mapped again from its beginning, which
    /// happens to one line in fifty. Longer lines are searched field by field: there the bytes cost
    /// more than the fields.
    pub(crate) const BYTES: usize = BlockMap::WORDS * 64;

    /// A map of nothing.
    pub(crate) fn new() -> BlockMap {
        BlockMap {
            words: [[u64::MAX; BlockMap::ROWS]; BlockMap::WORDS + 1],
            stops: [NO_PLACE; BlockMap::BYTES + 1 + AT_ONCE_MAX],
            quotes: [NO_PLACE; BlockMap::BYTES + 1 + AT_ONCE_MAX],
            start: 0,
            end: 0,
        }
    }

    /// The first byte of the block.
    #[inline(always)]
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// The end of the block.
    #[inline(always)]
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// One needle.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> Row<'_> {
        Row {
            words: &self.words,
            row: row % BlockMap::ROWS,
            start: self.start,
        }
    }

    /// The places of all stops as offsets in the block; then some behind its end.
    #[cfg(test)]
    pub(super) fn stops(&self) -> &[u32] {
        &self.stops
    }

    /// The places of all quotes as offsets in the block; then some behind its end.
    #[inline(always)]
    pub(crate) fn quotes(&self) -> &[u32] {
        &self.quotes
    }

    /// Whether there are `count` quotes from the one of index `first` to `end`.
    #[inline(always)]
    fn has_quotes(&self, end: usize, first: usize, count: usize) -> bool {
        let end = (end - self.start) as u32;
        let Some(quotes) = self.quotes.get(first..) else {
            return false;
        };
        quotes.get(count).is_some_and(|&quote| quote >= end)
            && (count == 0 || quotes.get(count - 1).is_some_and(|&quote| quote < end))
    }
}

/// The index, from `index` on, of the first place that is not before `offset`.
#[inline(always)]
fn first_from(places: &Places, mut index: usize, offset: usize) -> usize {
    while places
        .get(index)
        .is_some_and(|&place| (place as usize) < offset)
    {
        index += 1;
    }
    index
}

/// Where one needle is in a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    words: &'a [[u64; BlockMap::ROWS]; BlockMap::WORDS + 1],
    row: usize,
    start: usize,
}

impl Row<'_> {
    /// The first from `position` on, or some position behind the end of the block.
    ///
    /// PERF: most fields end within 64 bytes, but in the next word as often as not; so the 64 bits
    /// from the position on are put together out of both before anything is asked.
    #[inline(always)]
    pub(crate) fn find(self, position: usize) -> usize {
        let (word, bit) = ((position - self.start) / 64, (position - self.start) % 64);
        let bits = self.bits(word) >> bit | self.bits(word + 1) << 1 << (63 - bit);
        if bits != 0 {
            return position + bits.trailing_zeros() as usize;
        }
        self.find_from_word(word + 1)
    }

    #[cold]
    fn find_from_word(self, mut word: usize) -> usize {
        while self.bits(word) == 0 {
            word += 1;
        }
        self.start + word * 64 + self.bits(word).trailing_zeros() as usize
    }

    /// The last in `start..end`, or `start` where there is none.
    #[inline(always)]
    pub(crate) fn find_last(self, start: usize, end: usize) -> usize {
        if start >= end {
            return start;
        }
        let last = end - 1 - self.start;
        let (word, bit) = (last / 64, last % 64);
        // Before the first word there may be anything: what is found there is before `start`.
        let bits = self.bits(word) << (63 - bit) | self.bits(word.wrapping_sub(1)) >> 1 >> bit;
        if bits != 0 {
            return start.max((end - 1).saturating_sub(bits.leading_zeros() as usize));
        }
        start.max(self.find_last_before_word(word))
    }

    #[cold]
    fn find_last_before_word(self, word: usize) -> usize {
        let mut words = (0..word).rev().map(|word| (word, self.bits(word)));
        let found = words.find(|&(_, bits)| bits != 0);
        found.map_or(self.start, |(word, bits)| {
            self.start + word * 64 + 63 - bits.leading_zeros() as usize
        })
    }

    #[inline(always)]
    fn bits(self, word: usize) -> u64 {
        // Both are below their limits already; this spares the checks.
        self.words[word % (BlockMap::WORDS + 1)][self.row % BlockMap::ROWS]
    }
}

/// Indices of a stop and a quote that are not behind the first of a line: where to look for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    stop: usize,
    quote: usize,
}

/// One line of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MappedLine {
    /// Where the line ends.
    newline: usize,
    /// The first stop, and the first quote, of the line or behind it.
    first: Cursor,
    /// Whether it has as many quotes as its format.
    has_all_quotes: bool,
    /// Whether it has bytes besides its newline (or `\r\n`) that a JSON string cannot hold as they
    /// are or that are not ASCII; quotes do not count.
    has_specials: bool,
    /// Whether it has a backslash.
    has_backslash: bool,
}

impl MappedLine {
    /// The line of `haystack` that begins at `start`, in the block of `map`; `None` where it goes
    /// on behind that. `quote_count` is how many quotes a line of its format has.
    #[inline(always)]
    pub(crate) fn find<K: Kernels>(
        kernels: K,
        map: &BlockMap,
        haystack: &[u8],
        start: usize,
        cursor: Cursor,
        quote_count: usize,
    ) -> Option<MappedLine> {
        let stop_index = first_from(&map.stops, cursor.stop, start - map.start);
        let offset = map.stops.get(stop_index).copied().unwrap_or(NO_PLACE);
        let stop = map.start + offset as usize;
        let (newline, has_specials, has_backslash) = match haystack.get(stop) {
            Some(b'\n') => (stop, false, false),
            None => (haystack.len(), false, false),
            Some(b'\r') if haystack.get(stop + 1) == Some(&b'\n') => (stop + 1, false, false),
            Some(_) => {
                let newline = kernels.find(haystack, stop, haystack.len(), b'\n');
                let backslash = kernels.find(haystack, stop, newline, b'\\');
                (newline, true, backslash < newline)
            }
        };
        if newline >= map.end && map.end < haystack.len() {
            return None;
        }
        let first = Cursor {
            stop: stop_index,
            quote: first_from(&map.quotes, cursor.quote, start - map.start),
        };
        Some(MappedLine {
            newline,
            first,
            has_all_quotes: map.has_quotes(newline, first.quote, quote_count),
            has_specials,
            has_backslash,
        })
    }

    /// Where the line ends: at its newline, or the end of the slice.
    #[inline(always)]
    pub(crate) fn newline(&self) -> usize {
        self.newline
    }

    /// A line that is in no map.
    pub(crate) fn without_map(newline: usize) -> MappedLine {
        MappedLine {
            newline,
            first: Cursor::default(),
            has_all_quotes: false,
            has_specials: true,
            has_backslash: true,
        }
    }

    /// Where to look in the next line. `quote_count` is as for [`MappedLine::find`].
    #[inline(always)]
    pub(crate) fn next(&self, quote_count: usize) -> Cursor {
        let quotes = if self.has_all_quotes { quote_count } else { 0 };
        Cursor {
            stop: self.first.stop + 1,
            quote: self.first.quote + quotes,
        }
    }

    /// The index of its first quote.
    #[inline(always)]
    pub(crate) fn first_quote(&self) -> usize {
        self.first.quote
    }

    /// Whether it has as many quotes as its format, and no backslash that could be before one.
    #[inline(always)]
    pub(crate) fn is_regular(&self) -> bool {
        self.has_all_quotes && !self.has_backslash
    }

    /// Whether text of the line needs no escaping, if no more quotes are around it than a line of
    /// its format has.
    #[inline(always)]
    pub(crate) fn is_clean(&self) -> bool {
        !self.has_specials && self.has_all_quotes
    }
}
