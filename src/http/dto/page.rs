//! Lists: a page and the way to the next one.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{error::ApiError, problem};

/// Items of a page where the query does not say.
const LIMIT_DEFAULT: u32 = 50;
/// Items of a page at most.
pub(in crate::http) const LIMIT_MAX: u32 = 200;

/// A page of a list. **Shape**: `{ items, next_cursor }`; the cursor is null on the last page.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

/// A whole list. **Shape**: `{ items }`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Items<T> {
    pub items: Vec<T>,
}

impl<T> Page<T> {
    /// Makes a page of rows that were asked for with one more than `limit`: the additional one says that there is a next page.
    pub(in crate::http) fn new<R>(mut rows: Vec<R>, limit: u32, cursor: impl Fn(&R) -> String, item: impl Fn(R) -> T) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| has_more).map(cursor);
        Self { items: rows.into_iter().map(item).collect(), next_cursor }
    }
}

impl<T> Page<T> {
    /// As [`Page::new`], for rows that may not be shown.
    ///
    /// Errors: that of the first one.
    pub(in crate::http) fn try_new<R>(
        mut rows: Vec<R>,
        limit: u32,
        cursor: impl Fn(&R) -> String,
        item: impl Fn(R) -> Result<T, ApiError>,
    ) -> Result<Self, ApiError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| has_more).map(cursor);
        Ok(Self { items: rows.into_iter().map(item).collect::<Result<_, _>>()?, next_cursor })
    }

    /// A page with the cursor of the next one.
    pub(in crate::http) fn of(items: Vec<T>, next_cursor: Option<String>) -> Self {
        Self { items, next_cursor }
    }
}

/// The number of items that a query asks for.
///
/// Errors: `invalid_query` outside `1..=LIMIT_MAX`.
pub(in crate::http) fn page_limit(asked: Option<u32>) -> Result<u32, ApiError> {
    match asked.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(ApiError::new(&problem::INVALID_QUERY, format!("`limit` is a number from 1 to {LIMIT_MAX}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_cursor_only_if_there_is_more() {
        let page = |rows: Vec<u32>| Page::new(rows, 2, |row| format!("after {row}"), |row| row);
        assert_eq!(page(vec![1, 2, 3]).next_cursor.as_deref(), Some("after 2"));
        assert_eq!(page(vec![1, 2, 3]).items, [1, 2]);
        assert_eq!(page(vec![1, 2]).next_cursor, None);
        assert_eq!(page(vec![]).next_cursor, None);
    }

    #[test]
    fn limit_obeyed_and_violated() {
        assert_eq!(page_limit(None).unwrap(), LIMIT_DEFAULT);
        assert_eq!(page_limit(Some(LIMIT_MAX)).unwrap(), LIMIT_MAX);
        assert!(page_limit(Some(0)).is_err() && page_limit(Some(LIMIT_MAX + 1)).is_err());
    }
}
