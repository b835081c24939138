#![expect(missing_docs, reason = "replaced by the real one")]
//! placeholder
use crate::parse::{Fields, Schema};
#[derive(Debug, Clone, Default)]
pub struct Filter {}
impl Filter {
    pub fn bind(&self, _schema: &Schema) -> BoundFilter {
        BoundFilter {}
    }
    pub fn is_empty(&self) -> bool {
        true
    }
}
#[derive(Debug, Clone, Default)]
pub struct BoundFilter {}
impl BoundFilter {
    #[inline]
    pub fn keeps(&self, _fields: &Fields<'_>) -> bool {
        true
    }
}
