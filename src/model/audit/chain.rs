//! What the hash of a row covers, so that everybody who has the rows can check it: `SHA-256(hash of the row before, as 32 bytes,
//! then the text)`. The text is a JSON array of the fields in a fixed order, without blanks. It can never change.

use serde_json::{Value, value::RawValue};

use super::AuditRecord;
use crate::model::ids::WorkspaceId;

/// The fields of a row as the API shows it, in the order in which the text has them.
pub const HASHED_FIELDS: [&str; 13] = [
    "workspace_id",
    "seq",
    "at",
    "id",
    "actor",
    "token",
    "action",
    "target",
    "address",
    "request_id",
    "before",
    "after",
    "details",
];

/// The text of a row at its place in the chain. `at` is the row's time in RFC 3339, as the API shows it.
///
/// Errors: the details are no JSON.
pub fn hashed_text(workspace: WorkspaceId, seq: u64, at: &str, record: &AuditRecord) -> serde_json::Result<Vec<u8>> {
    let details: &RawValue = serde_json::from_str(&record.details)?;
    let AuditRecord { id, actor, token, action, target, address, request_id, before, after, .. } = record;
    serde_json::to_vec(&(workspace, seq, at, id, actor, token, action, target, address, request_id, before, after, details))
}

/// The same of a row as the API shows it.
pub fn hashed_text_of(row: &Value) -> Vec<u8> {
    let fields: Vec<&Value> = HASHED_FIELDS.iter().map(|name| &row[*name]).collect();
    serde_json::to_vec(&fields).expect("a JSON value can be written")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::model::{audit::Digest, ids::AuditId};

    fn record() -> AuditRecord {
        AuditRecord {
            id: AuditId::from_uuid(Uuid::from_u128(1)),
            at: 0,
            actor: "usr_1".to_owned(),
            token: None,
            action: "variable.updated".to_owned(),
            target: Some("ü\"\u{1}".to_owned()),
            address: Some("192.0.2.1".to_owned()),
            request_id: Some("r".to_owned()),
            before: None,
            after: Some(Digest([0xab; 32])),
            details: r#"{"version":2,"a":true}"#.to_owned(),
        }
    }

    #[test]
    fn the_text_of_a_row_never_changes() {
        let text = hashed_text(WorkspaceId::DEFAULT, 7, "2026-01-31T12:00:00.000Z", &record()).unwrap();
        let expected = concat!(
            r#"["ws_01900000000070008000000000000001",7,"2026-01-31T12:00:00.000Z","aud_00000000000000000000000000000001","#,
            r#""usr_1",null,"variable.updated","ü\"\u0001","192.0.2.1","r",null,"#,
            r#""abababababababababababababababababababababababababababababababab",{"version":2,"a":true}]"#,
        );
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn a_row_as_the_api_shows_it_has_the_same_text() {
        let shown = json!({
            "seq": 7, "workspace_id": WorkspaceId::DEFAULT, "at": "2026-01-31T12:00:00.000Z", "hash": "x", "prev_hash": "y",
            "id": record().id, "actor": "usr_1", "token": null, "action": "variable.updated", "target": "ü\"\u{1}",
            "address": "192.0.2.1", "request_id": "r", "before": null, "after": Digest([0xab; 32]),
            "details": { "version": 2, "a": true },
        });
        let text = hashed_text(WorkspaceId::DEFAULT, 7, "2026-01-31T12:00:00.000Z", &record()).unwrap();
        assert_eq!(hashed_text_of(&shown), text);
    }
}
