//! The numbers that `ves-load` puts into its lines, as they are found in records again.

use memchr::memmem::Finder;

/// Finds the number in a line or in its record.
#[derive(Debug)]
pub(crate) struct NumberFinder(Finder<'static>);

impl NumberFinder {
    /// Finds `seq=000000001`.
    pub(crate) fn new() -> NumberFinder {
        NumberFinder(Finder::new("seq="))
    }

    /// The number in `text`; `None` where there is none.
    pub(crate) fn find(&self, text: &[u8]) -> Option<u64> {
        let digits = text.get(self.0.find(text)? + 4..)?;
        let count = digits
            .iter()
            .take_while(|digit| digit.is_ascii_digit())
            .count();
        std::str::from_utf8(digits.get(..count)?).ok()?.parse().ok()
    }
}

/// A set of numbers: a bit for each one up to the largest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    words: Vec<u64>,
    count: u64,
}

impl Numbers {
    /// Puts a number in. Returns whether it was not there yet.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        let (index, bit) = place(number);
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        let Some(word) = self.words.get_mut(index) else {
            return false;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(is_new);
        is_new
    }

    /// Whether a number is there.
    pub(crate) fn contains(&self, number: u64) -> bool {
        let (index, bit) = place(number);
        self.words.get(index).is_some_and(|word| word & bit != 0)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

fn place(number: u64) -> (usize, u64) {
    // More than memory has room for cannot be asked for: the rate and time of a load are limited.
    let index = usize::try_from(number / 64).unwrap_or(usize::MAX);
    (index, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_lines_and_records() {
        let finder = NumberFinder::new();
        for (text, number) in [
            ("\"GET /a?seq=000000007 HTTP/1.1\"", Some(7)),
            ("{\"path\":\"/a?b=1&seq=123456789\"}", Some(123_456_789)),
            ("agent seq=000000012\"", Some(12)),
            ("/a?seq=", None),
            ("/a", None),
        ] {
            assert_eq!(finder.find(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn a_set_tells_the_first_time_from_the_second() {
        let mut numbers = Numbers::default();
        for number in [1, 64, 63, 1_000_000] {
            assert!(!numbers.contains(number));
            assert!(numbers.insert(number) && numbers.contains(number));
            assert!(!numbers.insert(number));
        }
        assert_eq!(numbers.count(), 4);
        assert!(!numbers.contains(0) && !numbers.contains(u64::MAX));
    }
}
