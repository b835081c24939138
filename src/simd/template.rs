//! What a record is made of besides its values: keys and punctuation, prepared once per
//! configuration in the form that the kernels append fastest.

/// Bytes that are appended to many records. The first 32 are kept padded in place, so that
/// appending a literal that is no longer than that is a single store of fixed size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    pub(super) padded: [u8; Literal::PADDED_BYTES],
    pub(super) count: usize,
    /// All bytes, where there are more.
    pub(super) long: Option<Box<[u8]>>,
}

impl Literal {
    pub(super) const PADDED_BYTES: usize = 32;

    /// Prepares a literal.
    pub(crate) fn new(bytes: &[u8]) -> Literal {
        let mut padded = [0; Literal::PADDED_BYTES];
        let long = match padded.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                None
            }
            None => Some(Box::from(bytes)),
        };
        Literal {
            padded,
            count: bytes.len(),
            long,
        }
    }

    /// The bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.long {
            Some(long) => long,
            None => self.padded.get(..self.count).unwrap_or_default(),
        }
    }
}

/// How one field is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldTemplate {
    /// Separator, key and colon; for text the opening quote too.
    pub(crate) open: Literal,
    /// Separator, key and null; empty for a field that is left out where it has no value.
    pub(crate) null: Literal,
    /// Whether the value is text: escaped, and closed by a quote.
    pub(crate) is_text: bool,
}
