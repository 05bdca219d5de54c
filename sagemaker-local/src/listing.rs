//! What the `List…` operations of SageMaker have in common: filters, order and pages.

use serde::Deserialize;
use serde_json::Value;

use crate::error::ApiError;
use crate::time::Time;

/// SageMaker's page size where the caller names none.
const DEFAULT_PAGE: usize = 10;
/// The order of trials by their result, which only the caller of [`page`] knows.
pub(crate) const OBJECTIVE: &str = "FinalObjectiveMetricValue";
/// SageMaker's largest page.
const MAX_PAGE: usize = 100;

/// The members that SageMaker's `List…` requests share.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ListRequest {
    next_token: Option<String>,
    max_results: Option<usize>,
    name_contains: Option<String>,
    status_equals: Option<String>,
    creation_time_after: Option<Time>,
    creation_time_before: Option<Time>,
    sort_by: Option<String>,
    sort_order: Option<String>,
}

impl ListRequest {
    /// Whether the caller wants this order.
    pub(crate) fn is_sorted_by(&self, key: &str) -> bool {
        self.sort_by.as_deref() == Some(key)
    }

    /// The same with the defaults that SageMaker has for some lists: by name, ascending.
    pub(crate) fn or_by_name(mut self) -> Self {
        self.sort_by.get_or_insert_with(|| "Name".to_owned());
        self.sort_order.get_or_insert_with(|| "Ascending".to_owned());
        self
    }
}

/// One resource of a list.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) created: Time,
    /// Absent where the resource has no states.
    pub(crate) status: Option<String>,
    /// What the caller gets of it.
    pub(crate) summary: Value,
}

/// One page of `entries`, newest first unless asked otherwise, and the token of the next one; entries to be sorted by [`OBJECTIVE`] come in
/// ascending order.
pub(crate) fn page(request: &ListRequest, entries: Vec<Entry>) -> Result<(Vec<Value>, Option<String>), ApiError> {
    let mut entries: Vec<Entry> = entries.into_iter().filter(|entry| wanted(request, entry)).collect();
    match request.sort_by.as_deref() {
        Some("Name") => entries.sort_by(|a, b| a.name.cmp(&b.name)),
        Some("Status") => entries.sort_by(|a, b| a.status.cmp(&b.status)),
        Some(OBJECTIVE) => {}
        _ => entries.sort_by_key(|entry| entry.created),
    }
    if request.sort_order.as_deref() != Some("Ascending") {
        entries.reverse();
    }
    let start = match &request.next_token {
        None => 0_usize,
        Some(token) => token.parse().map_err(|_| ApiError::validation(format!("Invalid NextToken {token:?}")))?,
    };
    let size = request.max_results.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    let end = start.saturating_add(size);
    let next = (end < entries.len()).then(|| end.to_string());
    Ok((entries.into_iter().skip(start).take(size).map(|entry| entry.summary).collect(), next))
}

fn wanted(request: &ListRequest, entry: &Entry) -> bool {
    request.name_contains.as_ref().is_none_or(|part| entry.name.contains(part))
        && request.status_equals.as_ref().is_none_or(|status| entry.status.as_ref() == Some(status))
        && request.creation_time_after.is_none_or(|after| entry.created > after)
        && request.creation_time_before.is_none_or(|before| entry.created < before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(request: Value) -> (Vec<Value>, Option<String>) {
        let entries = (1..=3).map(|i| Entry {
            name: format!("job-{i}"),
            created: serde_json::from_value(json!(i)).unwrap(),
            status: Some(if i == 2 { "Failed" } else { "Completed" }.to_owned()),
            summary: json!(i),
        });
        page(&serde_json::from_value(request).unwrap(), entries.collect()).unwrap()
    }

    #[test]
    fn lists_are_newest_first_and_come_in_pages() {
        let (first, token) = names(json!({ "MaxResults": 2 }));
        assert_eq!(first, [json!(3), json!(2)]);
        assert_eq!(names(json!({ "MaxResults": 2, "NextToken": token })), (vec![json!(1)], None));
    }

    #[test]
    fn lists_are_filtered_and_sorted() {
        assert_eq!(names(json!({ "StatusEquals": "Failed" })).0, [json!(2)]);
        assert_eq!(names(json!({ "NameContains": "-3" })).0, [json!(3)]);
        assert_eq!(names(json!({ "CreationTimeAfter": 1, "CreationTimeBefore": 3 })).0, [json!(2)]);
        assert_eq!(names(json!({ "SortBy": "Name", "SortOrder": "Ascending" })).0, [json!(1), json!(2), json!(3)]);
    }

    #[test]
    fn a_token_of_someone_elses_is_refused() {
        let request = serde_json::from_value(json!({ "NextToken": "x" })).unwrap();
        assert!(page(&request, Vec::new()).is_err());
    }
}
