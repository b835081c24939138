//! One line as bitmaps: a bit per byte and needle, 64 bytes to a word. A kernel fills it in one pass
//! ([`super::Kernels::map_line`]); fields are then found by counting trailing zeros, without another
//! look at the bytes.

/// Bytes that are searched for, as many as the rows of a [`LineMap`]. Row 0 is always the quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Needles {
    /// Each needle 32 times, ready to be compared with a register.
    splats: [[u8; 32]; LineMap::ROWS],
    count: usize,
}

impl Needles {
    /// The quote alone.
    pub(crate) fn new() -> Needles {
        let mut needles = Needles {
            splats: [[0; 32]; LineMap::ROWS],
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

    /// All rows; those without a needle find zeros.
    pub(super) fn all_splats(&self) -> [&[u8; 32]; LineMap::ROWS] {
        self.splats.each_ref()
    }

    /// The needles, each as a register full of it.
    pub(crate) fn splats(&self) -> &[[u8; 32]] {
        self.splats.get(..self.count).unwrap_or_default()
    }
}

/// Where the needles are in one line. Positions are offsets in the slice that the line is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineMap {
    /// For each 64 bytes of the line a word per needle, with a bit per byte. The words after the
    /// last are all ones, so that a search ends there without a count.
    pub(super) words: [[u64; LineMap::ROWS]; LineMap::WORDS],
    /// The first byte of the line.
    pub(super) start: usize,
    /// The newline, or the end of the slice.
    pub(super) newline: usize,
    /// Whether it has bytes besides its newline (or `\r\n`) that a JSON string cannot hold as they
    /// are or that are not ASCII; quotes do not count.
    pub(super) has_specials: bool,
    /// Whether it has a backslash.
    pub(super) has_backslash: bool,
    /// Its quotes.
    pub(super) quote_count: usize,
    /// Where the first of them are, as offsets in the line; what comes after those is of no use.
    pub(super) quotes: Quotes,
}

/// Places of quotes.
pub(super) type Quotes = [u32; LineMap::QUOTES + QUOTES_AT_ONCE];

/// Quotes of a word that are written down without asking how many there are.
pub(super) const QUOTES_AT_ONCE: usize = 4;

impl LineMap {
    /// Needles at most: every `log_format` seen so far has fewer first bytes of separators.
    pub(crate) const ROWS: usize = 8;
    /// Words for each needle, the sentinel included.
    pub(super) const WORDS: usize = 32;
    /// Quotes whose places are kept at most.
    pub(crate) const QUOTES: usize = 28;
    /// Bytes of a line at most, newline included. Longer lines are searched field by field: there
    /// the bytes cost more than the fields.
    pub(crate) const BYTES_MAX: usize = (LineMap::WORDS - 1) * 64;

    /// A map of nothing.
    pub(crate) fn new() -> LineMap {
        LineMap {
            words: [[0; LineMap::ROWS]; LineMap::WORDS],
            start: 0,
            newline: 0,
            has_specials: false,
            has_backslash: false,
            quote_count: 0,
            quotes: [0; LineMap::QUOTES + QUOTES_AT_ONCE],
        }
    }

    /// Where the line ends: at its newline, or the end of the slice.
    #[inline(always)]
    pub(crate) fn newline(&self) -> usize {
        self.newline
    }

    /// Whether a quote can be behind a backslash.
    #[inline(always)]
    pub(crate) fn has_backslash(&self) -> bool {
        self.has_backslash
    }

    /// Whether text of the line needs no escaping when `quote_count` of its quotes are not in text.
    #[inline(always)]
    pub(crate) fn is_clean(&self, quote_count: usize) -> bool {
        !self.has_specials && self.quote_count == quote_count
    }

    /// The places of all quotes, where these are `count` and none can be escaped: no more than
    /// [`LineMap::QUOTES`].
    #[inline(always)]
    pub(crate) fn all_quotes(&self, count: usize) -> Option<&[u32]> {
        if self.has_backslash || self.quote_count != count || count > LineMap::QUOTES {
            return None;
        }
        self.quotes.get(..count)
    }

    /// The first byte of the line.
    #[inline(always)]
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// The first needle of `row` from `position` on, or some position behind the newline.
    #[inline(always)]
    pub(crate) fn find(&self, row: usize, position: usize) -> usize {
        let from = position - self.start;
        let mut word = from / 64;
        let mut bits = self.bits(word, row) & (u64::MAX << (from % 64));
        while bits == 0 {
            word += 1;
            bits = self.bits(word, row);
        }
        self.start + word * 64 + bits.trailing_zeros() as usize
    }

    /// The last needle of `row` in `start..end`, or `start` where there is none.
    #[inline(always)]
    pub(crate) fn find_last(&self, row: usize, start: usize, end: usize) -> usize {
        let (first, last) = (start - self.start, end - self.start);
        if last == 0 {
            return start;
        }
        let mut word = (last - 1) / 64;
        let mut bits = self.bits(word, row) & (u64::MAX >> (63 - (last - 1) % 64));
        while bits == 0 {
            if word * 64 <= first {
                return start;
            }
            word -= 1;
            bits = self.bits(word, row);
        }
        start.max(self.start + word * 64 + 63 - bits.leading_zeros() as usize)
    }

    #[inline(always)]
    fn bits(&self, word: usize, row: usize) -> u64 {
        // Both are below their limits already; this spares the checks.
        self.words[word % LineMap::WORDS][row % LineMap::ROWS]
    }
}
