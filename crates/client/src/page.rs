//! Lists come in pages.

/// Some of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, Place> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// There may be more: from this place on.
    pub next: Option<Place>,
}
