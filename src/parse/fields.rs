//! What a parsed line looks like to the stages after the parser: a list of known fields (the
//! [`Schema`], made once per format) and, for each line, where each field's bytes are.

/// The type of a field, fixed by the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Any bytes.
    Text,
    /// An unsigned decimal integer of at most 19 digits.
    Integer,
}

/// One field that a format can produce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The key in the record and the name in filter expressions.
    pub name: String,
    /// The type of its values.
    pub kind: FieldKind,
}

/// The fields of a format, in record order. The index of a field is its slot in [`Fields`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    fields: Vec<Field>,
}

impl Schema {
    /// Makes a schema of the given fields in record order.
    #[must_use]
    pub fn new(fields: Vec<Field>) -> Schema {
        Schema { fields }
    }

    /// All fields in record order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The slot of the field of that name.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

/// Where one field's value is in the chunk, or that it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte; `u32::MAX` where the field is null.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// A field without a value: null in the record.
    pub const NULL: Span = Span {
        start: u32::MAX,
        end: u32::MAX,
    };

    /// The span from `start` to `end`. Chunks are smaller than 4 GiB, so offsets fit.
    #[must_use]
    #[inline(always)]
    pub fn new(start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    /// Whether the field has no value.
    #[must_use]
    #[inline(always)]
    pub fn is_null(self) -> bool {
        self.start == u32::MAX
    }
}

/// The parsed fields of one line, borrowed: the chunk's bytes and a span per slot of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// The bytes that the spans point into.
    pub bytes: &'a [u8],
    /// One span per slot.
    pub spans: &'a [Span],
}

impl<'a> Fields<'a> {
    /// The raw bytes of the field in that slot; `None` where it is null.
    #[must_use]
    #[inline(always)]
    pub fn get(&self, slot: usize) -> Option<&'a [u8]> {
        let span = *self.spans.get(slot)?;
        if span.is_null() {
            return None;
        }
        self.bytes.get(span.start as usize..span.end as usize)
    }
}
